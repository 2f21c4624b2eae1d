"""Payments as the official Python client sends them, for crates/payments/vectors: python x402_vectors.py offers.json"""

import json
import sys
from importlib.metadata import version

from eth_account import Account
from x402 import x402ClientSync
from x402.http.utils import encode_payment_signature_header
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme
from x402.mechanisms.evm.exact import ExactEvmScheme
from x402.mechanisms.evm.signers import EthAccountSigner
from x402.mechanisms.evm.upto import UptoEvmScheme
from x402.schemas import PaymentRequired

account = Account.from_key("0x" + "07" * 32)
told = []
for name, offer in json.load(open(sys.argv[1])).items():
    client = x402ClientSync(spend_controls=False) if "spend_controls" in x402ClientSync.__init__.__code__.co_varnames else x402ClientSync()
    if hasattr(client, "set_spend_controls"):
        client.set_spend_controls(False)
    signer = EthAccountSigner(account)
    client.register("eip155:*", ExactEvmScheme(signer))
    client.register("eip155:*", UptoEvmScheme(signer))
    client.register("eip155:*", BatchSettlementEvmScheme(signer))
    payload = client.create_payment_payload(PaymentRequired.model_validate(offer))
    header = encode_payment_signature_header(payload)
    told.append({"client": f"x402 {version('x402')}", "offer": name, "turn": 0, "payer": account.address, "header": header})
print(json.dumps(told, indent=1))
