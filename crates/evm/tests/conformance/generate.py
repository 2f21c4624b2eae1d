"""Makes cases for the EVM and what the executable specification of Ethereum (EELS, Osaka) says about each.

    python generate.py --cases 2400 --seed 1 --out cases.jsonl.gz

A case is one line of JSON: accounts before, transactions as bytes, what each came to (status, gas, logs; or refused), and every
account that is different after. The surroundings are the same for all cases and stand in `conformance.rs` too.
"""

import argparse
import gzip
import json
import random
import sys

import coincurve
from ethereum.crypto.hash import keccak256
from ethereum.exceptions import EthereumException
from ethereum.forks.osaka import vm
from ethereum.forks.osaka.fork import process_transaction
from ethereum.forks.osaka.fork_types import Account, Address, Authorization
from ethereum.forks.osaka.state import State, set_account, set_storage
from ethereum.forks.osaka.transactions import (
    Access,
    AccessListTransaction,
    FeeMarketTransaction,
    LegacyTransaction,
    SetCodeTransaction,
    encode_transaction,
    signing_hash_155,
    signing_hash_1559,
    signing_hash_2930,
    signing_hash_7702,
)
from ethereum_rlp import rlp
from ethereum_types.bytes import Bytes, Bytes0, Bytes32
from ethereum_types.numeric import U8, U64, U256, Uint

from programs import FAMILIES

sys.setrecursionlimit(20_000)

CHAIN_ID = 1337
NUMBER = 1000
TIMESTAMP = 1_700_000_000
GAS_LIMIT = 30_000_000
BASE_FEE = 1_000_000_007
COINBASE = bytes.fromhex("c0ffee0000000000000000000000000000c0ffee")
HISTORY = bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935")
HISTORY_CODE = bytes.fromhex(
    "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff8143031160425761"
    "1fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
)


def parent_hash():
    """Of the header that `conformance.rs` takes as the parent: half full, so that the base fee stays."""
    empty_root = keccak256(rlp.encode(b""))
    fields = [b"\0" * 32, keccak256(rlp.encode([])), b"\0" * 20, empty_root, empty_root, empty_root, b"\0" * 256]
    fields += [Uint(0), Uint(NUMBER - 1), Uint(GAS_LIMIT), Uint(GAS_LIMIT // 2), Uint(TIMESTAMP - 12), b"", b"\0" * 32]
    return keccak256(rlp.encode([*fields, b"\0" * 8, Uint(BASE_FEE)]))


PARENT_HASH = parent_hash()

KEYS = [keccak256(b"sender %d" % i) for i in range(4)]


def address_of(key):
    public = coincurve.PublicKey.from_secret(key).format(compressed=False)
    return keccak256(public[1:])[12:]


SENDERS = [address_of(key) for key in KEYS]


def past_hash(number):
    return keccak256(number.to_bytes(32, "big"))


def sign(key, digest):
    signature = coincurve.PrivateKey(key).sign_recoverable(digest, hasher=None)
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]


def authorization(key, chain_id, address, nonce, spoil=0):
    """An EIP-7702 authorization; `spoil` is added to s."""
    content = rlp.encode((Uint(chain_id), Bytes(address), Uint(nonce)))
    r, s, parity = sign(key, keccak256(b"\x05" + content))
    return Authorization(U256(chain_id), Address(address), U64(nonce), U8(parity), U256(r), U256((s + spoil) % 2**256))


def transaction(tx):
    """A signed transaction from a plain description."""
    key = KEYS[tx.get("from", 0)]
    to = Bytes0(b"") if tx.get("to") is None else Address(tx["to"])
    shared = dict(nonce=U256(tx.get("nonce", 0)), gas=Uint(tx.get("gas", 1_000_000)), to=to)
    shared |= dict(value=U256(tx.get("value", 0)), data=Bytes(tx.get("data", b"")))
    listed = tuple(Access(Address(a), tuple(Bytes32(s) for s in slots)) for a, slots in tx.get("access", []))
    chain = U64(tx.get("chain_id", CHAIN_ID))
    price, tip = Uint(tx.get("price", BASE_FEE)), Uint(tx.get("tip", 0))
    zero = dict(y_parity=U256(0), r=U256(0), s=U256(0))
    kind = tx.get("type", 0)
    if kind == 0:
        unsigned = LegacyTransaction(gas_price=price, v=U256(0), r=U256(0), s=U256(0), **shared)
        r, s, parity = sign(key, signing_hash_155(unsigned, chain))
        v = U256(35 + 2 * int(chain) + parity)
        return LegacyTransaction(gas_price=price, v=v, r=U256(r), s=U256(s), **shared)
    if kind == 1:
        build, hasher, fields = AccessListTransaction, signing_hash_2930, dict(gas_price=price)
    elif kind == 2:
        build, hasher = FeeMarketTransaction, signing_hash_1559
        fields = dict(max_priority_fee_per_gas=tip, max_fee_per_gas=price)
    else:
        build, hasher = SetCodeTransaction, signing_hash_7702
        fields = dict(max_priority_fee_per_gas=tip, max_fee_per_gas=price, authorizations=tuple(tx["authorizations"]))
        shared["nonce"] = U64(tx.get("nonce", 0))
    fields |= dict(chain_id=chain, access_list=listed) | shared
    r, s, parity = sign(key, hasher(build(**fields, **zero)))
    return build(**fields, y_parity=U256(parity), r=U256(r), s=U256(s))


def raw(tx):
    encoded = encode_transaction(tx)
    return encoded if isinstance(encoded, bytes) else rlp.encode(encoded)


def state_of(accounts):
    state = State()
    accounts = accounts | {HISTORY: history_account()}
    for address, account in accounts.items():
        code = account.get("code", b"")
        set_account(state, Address(address), Account(Uint(account.get("nonce", 0)), U256(account.get("balance", 0)), code))
        for slot, value in account.get("storage", {}).items():
            set_storage(state, Address(address), Bytes32(slot.to_bytes(32, "big")), U256(value))
    return state


def history_account():
    slots = {number % 8191: int.from_bytes(past_hash(number), "big") for number in range(NUMBER - 256, NUMBER - 1)}
    slots[(NUMBER - 1) % 8191] = int.from_bytes(PARENT_HASH, "big")
    return {"nonce": 1, "code": HISTORY_CODE, "storage": slots}


def snapshot(state):
    """Accounts of a state, with their storage, as the lines of the cases have them."""
    accounts = {}
    for address, account in state._main_trie._data.items():
        if account is None:
            continue
        trie = state._storage_tries.get(address)
        slots = {} if trie is None else {hex(int.from_bytes(k, "big")): hex(int(v)) for k, v in sorted(trie._data.items())}
        accounts[bytes(address)] = plain(int(account.nonce), int(account.balance), bytes(account.code), slots)
    return accounts


def plain(nonce, balance, code, slots):
    line = {}
    if nonce:
        line["n"] = nonce
    if balance:
        line["b"] = hex(balance)
    if code:
        line["c"] = code.hex()
    if slots:
        line["s"] = slots
    return line


def run(name, accounts, txs):
    """The line of a case."""
    state = state_of(accounts)
    before = snapshot(state)
    hashes = [Bytes32(past_hash(number)) for number in range(NUMBER - 256, NUMBER - 1)] + [Bytes32(PARENT_HASH)]
    block = vm.BlockEnvironment(
        chain_id=U64(CHAIN_ID),
        state=state,
        block_gas_limit=Uint(GAS_LIMIT),
        block_hashes=hashes,
        coinbase=Address(COINBASE),
        number=Uint(NUMBER),
        base_fee_per_gas=Uint(BASE_FEE),
        time=U256(TIMESTAMP),
        prev_randao=Bytes32(keccak256(b"randao")),
        excess_blob_gas=U64(0),
        parent_beacon_block_root=Bytes32(b"\0" * 32),
    )
    output = vm.BlockOutput()
    raws, results, index = [], [], 0
    for tx in txs:
        signed = transaction(tx)
        raws.append(raw(signed).hex())
        used, logged = int(output.block_gas_used), len(output.block_logs)
        try:
            process_transaction(block, output, signed, Uint(index))
        except EthereumException as error:
            results.append({"r": type(error).__name__})
            continue
        index += 1
        results.append(result(output, index - 1, used, logged))
    after = snapshot(state)
    changed = {a.hex(): line for a, line in after.items() if before.get(a) != line}
    changed |= {a.hex(): None for a in before if a not in after}
    pre = {a.hex(): line for a, line in before.items() if a != HISTORY}
    return {"name": name, "pre": pre, "txs": raws, "out": results, "post": changed}


def result(output, index, used, logged):
    from ethereum.forks.osaka.blocks import decode_receipt

    receipt = decode_receipt(output.receipts_trie._data[rlp.encode(Uint(index))])
    line = {"ok": int(receipt.succeeded), "gas": int(output.block_gas_used) - used}
    logs = [[bytes(l.address).hex(), [bytes(t).hex() for t in l.topics], bytes(l.data).hex()] for l in output.block_logs[logged:]]
    if logs:
        line["logs"] = logs
    return line


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    total = sum(share for _, share in FAMILIES)
    lines = []
    for make, share in FAMILIES:
        count = max(1, arguments.cases * share // total)
        for index in range(count):
            rng = random.Random(f"{arguments.seed} {make.__name__} {index}")
            accounts, txs = make(rng, index, sys.modules[__name__])
            accounts = {sender: {"balance": 10**24} for sender in SENDERS} | accounts
            lines.append(json.dumps(run(f"{make.__name__} {index}", accounts, txs), separators=(",", ":")))
        print(f"{make.__name__}: {count}", file=sys.stderr, flush=True)
    with open(arguments.out, "wb") as file, gzip.GzipFile(fileobj=file, mode="wb", mtime=0, compresslevel=9) as packed:
        packed.write(("\n".join(lines) + "\n").encode())
    print(len(lines))


if __name__ == "__main__":
    main()
