"""x402's official Python client and facilitator, unmodified, against the contracts of a devnet's Base.

Works with the package `x402` and with OpenGradient's fork of it, which has no channels.
usage: python x402_client.py <rpc url> <payer's key> <facilitator's key>
"""

import copy
import importlib.util
import sys

from eth_account import Account
from web3 import Web3
from x402.mechanisms.evm.exact.client import ExactEvmScheme as ExactClient
from x402.mechanisms.evm.exact.facilitator import ExactEvmScheme as ExactFacilitator
from x402.mechanisms.evm.signers import EthAccountSignerWithRPC, FacilitatorWeb3Signer
from x402.mechanisms.evm.upto.client import UptoEvmScheme as UptoClient
from x402.mechanisms.evm.upto.facilitator import UptoEvmScheme as UptoFacilitator
from x402.schemas import PaymentPayload, PaymentRequirements

NETWORK = "eip155:8453"
OPG = "0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB"
USDC = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
PERMIT2 = "0x000000000022D473030F116dDEE9F6B43aC78BA3"
PAYEE = "0x8800000000000000000000000000000000000088"
ERC20 = [
    {"type": "function", "name": "balanceOf", "stateMutability": "view",
     "inputs": [{"name": "account", "type": "address"}], "outputs": [{"name": "", "type": "uint256"}]},
    {"type": "function", "name": "approve", "stateMutability": "nonpayable",
     "inputs": [{"name": "spender", "type": "address"}, {"name": "value", "type": "uint256"}],
     "outputs": [{"name": "", "type": "bool"}]},
]

class Facilitator(FacilitatorWeb3Signer):
    """Asks the chain as itself: the fork asks as nobody, and nobody is the facilitator that no payer names."""

    def read_contract(self, address, abi, function_name, *args):
        contract = self._w3.eth.contract(address=Web3.to_checksum_address(address), abi=abi)
        return getattr(contract.functions, function_name)(*args).call({"from": self.address})


url, payer_key, facilitator_key = sys.argv[1:4]
chain = Web3(Web3.HTTPProvider(url))
payer = Account.from_key(payer_key)
client_signer = EthAccountSignerWithRPC(payer, url)
facilitator = Facilitator(facilitator_key, url)


def must(holds, what):
    if not holds:
        raise SystemExit(f"failed: {what}")


def holding(token, account):
    return chain.eth.contract(address=token, abi=ERC20).functions.balanceOf(account).call()


def requirements(scheme, asset, amount, **extra):
    name, version = ("OpenGradient", "1") if asset == OPG else ("USD Coin", "2")
    return PaymentRequirements(
        scheme=scheme, network=NETWORK, asset=asset, amount=str(amount), pay_to=PAYEE, max_timeout_seconds=3600,
        extra={"name": name, "version": version, **extra},
    )


def signed(client, wanted):
    return PaymentPayload(payload=client.create_payment_payload(wanted), accepted=wanted)


def pays(what, client, service, wanted, amount=None):
    payload = signed(client, wanted)
    verdict = service.verify(payload, wanted)
    must(verdict.is_valid, f"{what}: {verdict}")
    charged = wanted if amount is None else wanted.model_copy(update={"amount": str(amount)})
    before = holding(wanted.asset, PAYEE)
    outcome = service.settle(payload, charged)
    must(outcome.success, f"{what}: {outcome}")
    after = holding(wanted.asset, PAYEE)
    must(after - before == int(charged.amount), f"{what}: {after - before} arrived")
    try:
        service.settle(payload, charged)
    except Exception as error:  # The package tells a refusal either way.
        print(f"{what}, again: {error}")
    must(holding(wanted.asset, PAYEE) == after, f"{what}: paid twice")
    forged = copy.deepcopy(signed(client, wanted))
    terms = forged.payload.get("authorization") or forged.payload["permit2Authorization"]["permitted"]
    key = "value" if "value" in terms else "amount"
    terms[key] = str(int(terms[key]) + 1)
    refused = service.verify(forged, wanted.model_copy(update={"amount": terms[key]}))
    must(not refused.is_valid, f"{what}: a forged payment was found valid")


def approve():
    call = chain.eth.contract(address=OPG, abi=ERC20).functions.approve(PERMIT2, 2**256 - 1)
    fields = {"from": payer.address, "nonce": chain.eth.get_transaction_count(payer.address)}
    sent = chain.eth.send_raw_transaction(payer.sign_transaction(call.build_transaction(fields)).raw_transaction)
    must(chain.eth.wait_for_transaction_receipt(sent).status == 1, "approve")


def channel():
    from x402.mechanisms.evm.batch_settlement.authorizer_signer import LocalAuthorizerSigner
    from x402.mechanisms.evm.batch_settlement.client.scheme import BatchSettlementEvmScheme as BatchClient
    from x402.mechanisms.evm.batch_settlement.client.voucher import sign_voucher
    from x402.mechanisms.evm.batch_settlement.facilitator.scheme import BatchSettlementEvmFacilitator

    service = BatchSettlementEvmFacilitator(facilitator, LocalAuthorizerSigner(Account.from_key(facilitator_key)))
    authorizer = Account.from_key(facilitator_key).address
    wanted = requirements("batch-settlement", USDC, 1_000, receiverAuthorizer=authorizer, withdrawDelay=900)
    payload = signed(BatchClient(client_signer), wanted)
    must(payload.payload["type"] == "deposit", "a deposit was due")
    opened = service.settle(payload, wanted)
    must(opened.success, f"deposit: {opened}")
    config, voucher = payload.payload["channelConfig"], payload.payload["voucher"]
    most = sign_voucher(client_signer, voucher["channelId"], "700", NETWORK)
    claims = [{
        "voucher": {"channel": config, "maxClaimableAmount": "700"}, "signature": most.signature, "totalClaimed": "650",
    }]
    settle = lambda action: service.settle(PaymentPayload(payload=action, accepted=wanted), wanted)
    claimed = settle({"type": "claim", "claims": claims})
    must(claimed.success, f"claim: {claimed}")
    before = holding(USDC, PAYEE)
    swept = settle({"type": "settle", "receiver": PAYEE, "token": USDC})
    must(swept.success and holding(USDC, PAYEE) - before == 650, f"settle: {swept}")


approve()
exact = ExactFacilitator(facilitator)
pays("exact by EIP-3009 in dollars", ExactClient(client_signer), exact, requirements("exact", USDC, 12_345))
pays("exact by EIP-3009 in OPG", ExactClient(client_signer), exact, requirements("exact", OPG, 10**17))
by_permit2 = requirements("exact", OPG, 10**16, assetTransferMethod="permit2")
pays("exact by Permit2", ExactClient(client_signer), exact, by_permit2)
named = requirements("upto", OPG, 10**17, assetTransferMethod="permit2", facilitatorAddress=facilitator.get_addresses()[0])
pays("upto", UptoClient(client_signer), UptoFacilitator(facilitator), named, 4242)
if importlib.util.find_spec("x402.mechanisms.evm.batch_settlement"):
    channel()
print("x402: ok")
