"""A payer with tokens and no coins for gas, for other scripts: python coinless.py <rpc> <secret of somebody with both> [token]...

Prints its secret. Its tokens come from that somebody, ten of each; without any named, Base's dollars and OPG.
"""

import sys

from eth_account import Account
from web3 import Web3

rpc, secret, *tokens = sys.argv[1:]
USDC = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
OPG = "0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB"
ABI = [
    {"type": "function", "name": "transfer", "inputs": [{"name": "to", "type": "address"}, {"name": "v", "type": "uint256"}],
     "outputs": [{"type": "bool"}], "stateMutability": "nonpayable"},
    {"type": "function", "name": "decimals", "inputs": [], "outputs": [{"type": "uint8"}], "stateMutability": "view"},
]
giver, payer = Account.from_key(secret), Account.create()
web3 = Web3(Web3.HTTPProvider(rpc))
for token in tokens or [USDC, OPG]:
    contract = web3.eth.contract(address=web3.to_checksum_address(token), abi=ABI)
    ten = 10 * 10 ** contract.functions.decimals().call()
    sent = contract.functions.transfer(payer.address, ten).build_transaction(
        {"from": giver.address, "nonce": web3.eth.get_transaction_count(giver.address), "chainId": web3.eth.chain_id})
    signed = giver.sign_transaction(sent)
    assert web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(signed.raw_transaction))["status"] == 1, token
assert web3.eth.get_balance(payer.address) == 0, payer.address
print(Web3.to_hex(payer.key))
