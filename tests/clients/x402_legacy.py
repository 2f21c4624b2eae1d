"""A payment of version 1 as the official Python client sends it, for crates/payments/vectors/legacy.json: python x402_legacy.py asked.json"""

import json
import sys
import time
from importlib.metadata import version

from eth_account import Account
from x402 import x402ClientSync
from x402.http.x402_http_client import x402HTTPClientSync
from x402.mechanisms.evm.exact.v1.client import ExactEvmSchemeV1
from x402.mechanisms.evm.signers import EthAccountSigner
from x402.schemas.v1 import PaymentRequiredV1

account = Account.from_key("0x" + "07" * 32)
client = x402ClientSync()
client.register_v1("base", ExactEvmSchemeV1(EthAccountSigner(account)))
asked = PaymentRequiredV1.model_validate(json.load(open(sys.argv[1])))
made = int(time.time())
[(name, header)] = x402HTTPClientSync(client).encode_payment_signature_header(client.create_payment_payload(asked)).items()
print(json.dumps({"client": f"x402 {version('x402')}", "made": made, "payer": account.address, "name": name, "header": header}))
