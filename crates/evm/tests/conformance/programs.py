"""Families of cases: each makes accounts and transactions from a random source, an index, and the tools of `generate.py`."""

import points

A, B, C, D = (bytes([0xC0 + i]) * 20 for i in range(4))
CONTRACTS = [A, B, C, D]
EDGES = [0, 1, 2, 3, 31, 32, 33, 255, 256, 2**31, 2**32, 2**63, 2**64 - 1, 2**128, 2**255 - 1, 2**255, 2**256 - 2, 2**256 - 1]

STOP, ADD, SHA3, ADDRESS, BALANCE, ORIGIN, CALLER, CALLVALUE = 0x00, 0x01, 0x20, 0x30, 0x31, 0x32, 0x33, 0x34
CALLDATALOAD, CALLDATASIZE, CALLDATACOPY, CODESIZE, CODECOPY = 0x35, 0x36, 0x37, 0x38, 0x39
EXTCODESIZE, EXTCODECOPY, RETURNDATASIZE, RETURNDATACOPY, EXTCODEHASH = 0x3B, 0x3C, 0x3D, 0x3E, 0x3F
POP, MLOAD, MSTORE, SLOAD, SSTORE, JUMP, JUMPI, MSIZE, GAS, JUMPDEST = 0x50, 0x51, 0x52, 0x54, 0x55, 0x56, 0x57, 0x59, 0x5A, 0x5B
TLOAD, TSTORE, CREATE, CALL, CALLCODE, RETURN, DELEGATECALL, CREATE2 = 0x5C, 0x5D, 0xF0, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5
STATICCALL, REVERT, INVALID, SELFDESTRUCT = 0xFA, 0xFD, 0xFE, 0xFF

# What each opcode takes and leaves.
ARITY = {0x00: (0, 0), 0x15: (1, 1), 0x19: (1, 1), 0x1E: (1, 1), 0x20: (2, 1), 0x5B: (0, 0), 0x5E: (3, 0), 0x5F: (0, 1)}
ARITY |= {op: (2, 1) for op in [*range(0x01, 0x08), 0x0A, 0x0B, *range(0x10, 0x15), *range(0x16, 0x19), *range(0x1A, 0x1E)]}
ARITY |= {0x08: (3, 1), 0x09: (3, 1)}
ARITY |= {0x30: (0, 1), 0x31: (1, 1), 0x32: (0, 1), 0x33: (0, 1), 0x34: (0, 1), 0x35: (1, 1), 0x36: (0, 1), 0x37: (3, 0)}
ARITY |= {0x38: (0, 1), 0x39: (3, 0), 0x3A: (0, 1), 0x3B: (1, 1), 0x3C: (4, 0), 0x3D: (0, 1), 0x3E: (3, 0), 0x3F: (1, 1)}
ARITY |= {0x40: (1, 1), 0x49: (1, 1)} | {op: (0, 1) for op in [0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x4A]}
ARITY |= {0x50: (1, 0), 0x51: (1, 1), 0x52: (2, 0), 0x53: (2, 0), 0x54: (1, 1), 0x55: (2, 0), 0x56: (1, 0), 0x57: (2, 0)}
ARITY |= {0x58: (0, 1), 0x59: (0, 1), 0x5A: (0, 1), 0x5C: (1, 1), 0x5D: (2, 0)}
ARITY |= {0x60 + i: (0, 1) for i in range(32)} | {0x80 + i: (i + 1, i + 2) for i in range(16)}
ARITY |= {0x90 + i: (i + 2, i + 2) for i in range(16)} | {0xA0 + i: (i + 2, 0) for i in range(5)}
ARITY |= {0xF0: (3, 1), 0xF1: (7, 1), 0xF2: (7, 1), 0xF3: (2, 0), 0xF4: (6, 1), 0xF5: (4, 1), 0xFA: (6, 1)}
ARITY |= {0xFD: (2, 0), 0xFE: (0, 0), 0xFF: (1, 0)}


def push(value):
    if isinstance(value, bytes):
        return bytes([0x5F + len(value)]) + value
    size = (value.bit_length() + 7) // 8
    return bytes([0x5F + size]) + value.to_bytes(size, "big")


def code(*parts):
    """Bytes from opcodes (below 256, as `op(…)` gives them), and pushed values."""
    return b"".join(part if isinstance(part, bytes) else push(part) for part in parts)


def op(*numbers):
    return bytes(numbers)


def store(slot):
    """Top of the stack into a slot."""
    return code(slot, op(SSTORE))


def number(rng):
    return rng.choice([rng.choice(EDGES), rng.getrandbits(8), rng.getrandbits(256), rng.getrandbits(rng.randrange(1, 256))])


def small(rng):
    return rng.choice([0, 1, 31, 32, 33, 64, rng.randrange(0, 300)])


def data(rng, limit=200):
    return rng.randbytes(rng.choice([0, 4, 32, rng.randrange(0, limit)]))


def any_address(rng, tools):
    return rng.choice([*CONTRACTS, *tools.SENDERS, tools.COINBASE, bytes(19) + bytes([rng.randrange(0, 20)]), rng.randbytes(20)])


def storage(rng):
    return {slot: rng.choice([1, rng.getrandbits(256) | 1]) for slot in rng.sample(range(6), rng.randrange(0, 4))}


def to(address, **more):
    return {"to": address, **more}


def operand(rng, tools, opcode, position):
    """A value that an opcode does something with more often than by chance."""
    if opcode in (0x31, 0x3B, 0x3C, 0x3F, 0xFF) and position == 0:
        return int.from_bytes(any_address(rng, tools), "big")
    if opcode in (0xF1, 0xF2, 0xF4, 0xFA):
        if position == 0:
            return rng.choice([0, 2300, 30_000, 10**9])
        if position == 1:
            return int.from_bytes(any_address(rng, tools), "big")
        return rng.choice([0, 0, 1, 32, 64])
    if opcode == 0x40:
        return tools.NUMBER - rng.choice([0, 1, 2, 255, 256, 257, 1000, -1])
    if opcode in (0x54, 0x55, 0x5C, 0x5D) and position == 0:
        return rng.randrange(0, 6)
    if opcode in (0x20, 0x37, 0x39, 0x3C, 0x3E, 0x51, 0x52, 0x53, 0x5E, 0xF0, 0xF5, 0xF3, 0xFD, 0xA0, 0xA1, 0xA2, 0xA3, 0xA4):
        return small(rng) if rng.random() < 0.93 else number(rng)
    if opcode in (0x0B, 0x1A, 0x1B, 0x1C, 0x1D) and position == 0 and rng.random() < 0.7:
        return rng.randrange(0, 300)
    return number(rng)


def opcode(rng, index, tools):
    """One opcode with operands that matter; what it leaves goes to storage."""
    wanted = index % 256
    takes, leaves = ARITY.get(wanted, (2, 0))
    body = code(rng.getrandbits(256), 0, op(MSTORE), rng.getrandbits(256), 32, op(MSTORE))
    for position in reversed(range(takes)):
        body += code(operand(rng, tools, wanted, position))
    if wanted in (JUMP, JUMPI):
        target = len(body) + 8
        body += code(op(POP)) + push(target.to_bytes(2, "big"))
        body += op(wanted)
        body += op(INVALID) * (target - len(body)) + op(JUMPDEST)
    elif 0x60 <= wanted <= 0x7F:
        body += op(wanted) + rng.randbytes(wanted - 0x5F if rng.random() < 0.9 else rng.randrange(0, wanted - 0x5F + 1))
    else:
        body += op(wanted)
    for slot in range(min(leaves, 3)):
        body += store(slot)
    body += code(op(MSIZE)) + store(7) + code(0, op(MLOAD)) + store(8)
    accounts = {A: {"nonce": 1, "balance": 10**18, "code": body, "storage": storage(rng)}}
    accounts[B] = {"nonce": 1, "code": code(op(CALLER)) + store(0) + code(32, 0, op(RETURN))}
    return accounts, [to(A, data=data(rng), value=rng.choice([0, 0, 5]))]


def random_body(rng, tools, length, depth=0):
    """Opcodes one after the other, each with its operands: mostly runs through."""
    body = b""
    plain = [number for number in ARITY if number not in (0x00, 0x56, 0x57, 0x5A, 0xF3, 0xFD, 0xFE, 0xFF)]
    plain = [number for number in plain if not 0x60 <= number <= 0x9F or rng.random() < 0.15]
    calls = [CALL, CALLCODE, DELEGATECALL, STATICCALL]
    stack = 0
    for _ in range(length):
        wanted = rng.choice([rng.choice(plain), rng.choice([SSTORE, SLOAD, MSTORE, TSTORE, TLOAD, SHA3]), rng.choice(calls)])
        takes, leaves = ARITY[wanted]
        if 0x60 <= wanted <= 0x7F:
            body += op(wanted) + rng.randbytes(wanted - 0x5F)
        else:
            given = 0 if 0x80 <= wanted <= 0x9F and stack >= takes else takes
            for position in reversed(range(given)):
                body += code(operand(rng, tools, wanted, position))
            body += op(wanted)
            stack += given
        stack += leaves - takes
        while stack > 12 or (stack and rng.random() < 0.3):
            body += store(rng.randrange(0, 6)) if rng.random() < 0.6 else op(POP)
            stack -= 1
    return body


def ending(rng):
    return rng.choice([b"", code(32, 0, op(RETURN)), code(32, 0, op(REVERT)), op(INVALID), code(64, 0, op(RETURN))])


def program(rng, index, tools):
    """Four contracts of random opcodes that call each other."""
    accounts = {}
    for contract in CONTRACTS:
        body = random_body(rng, tools, rng.randrange(4, 28)) + ending(rng)
        accounts[contract] = {"nonce": 1, "balance": rng.choice([0, 10**18]), "code": body, "storage": storage(rng)}
    txs = [to(A, data=data(rng), gas=rng.choice([200_000, 1_000_000, 3_000_000]))]
    if rng.random() < 0.3:
        txs.append(to(B, nonce=1, data=data(rng)))
    return accounts, txs


def out_of_gas(rng, index, tools):
    """A program with a gas limit somewhere on its way."""
    accounts, txs = program(rng, index, tools)
    txs = [txs[0] | {"gas": rng.randrange(21_000, rng.choice([25_000, 40_000, 120_000]))}]
    return accounts, txs


def loop(rng, index, tools):
    """A counter that runs down, with storage and memory on the way."""
    rounds = rng.randrange(1, 60)
    head = code(rounds) + op(JUMPDEST)
    body = code(op(0x80), op(0x80), op(rng.choice([SSTORE, TSTORE])), op(0x80), op(0x80), 32, op(0x02), op(MSTORE))
    tail = code(1, op(0x90), op(0x03), op(0x80)) + push((len(head) - 1).to_bytes(1, "big")) + op(JUMPI)
    rest = code(rounds * 32, 0, op(SHA3)) + store(rng.getrandbits(64)) + code(op(MSIZE)) + store(9)
    gas = rng.choice([60_000, 500_000, 5_000_000])
    return {A: {"nonce": 1, "code": head + body + tail + rest}}, [to(A, gas=gas)]


def call_words(rng, kind, target, value=0, gas=None, size=64, out=64):
    """Calls with `size` bytes of memory as input; leaves whether it worked."""
    words = [out, 0, size, 0]
    if kind in (CALL, CALLCODE):
        words.append(value)
    body = code(*words) + push(target)
    return body + (op(GAS) if gas is None else code(gas)) + op(kind)


def call(rng, index, tools):
    """One contract calls another that writes, returns, reverts or fails; what comes back is kept."""
    kind = [CALL, CALLCODE, DELEGATECALL, STATICCALL][index % 4]
    target = rng.choice([B, B, B, C, D, tools.SENDERS[1], rng.randbytes(20), bytes(19) + bytes([rng.randrange(1, 10)])])
    gas = rng.choice([None, None, 0, 2300, 9000, 50_000, 2**64])
    value = rng.choice([0, 0, 1, 10**18, 10**30])
    body = code(rng.getrandbits(256), 0, op(MSTORE))
    if rng.random() < 0.3:
        body += code(1, 4, op(SSTORE))
    body += call_words(rng, kind, target, value, gas, rng.choice([0, 4, 64]), rng.choice([0, 20, 64])) + store(0)
    body += code(op(RETURNDATASIZE)) + store(1) + code(0, op(MLOAD)) + store(2)
    if rng.random() < 0.5:
        body += code(op(RETURNDATASIZE), 0, 96, op(RETURNDATACOPY), 96, op(MLOAD)) + store(3)
    if rng.random() < 0.2:
        body += code(1, op(RETURNDATASIZE), 0, op(RETURNDATACOPY))
    callee = [
        code(op(CALLER)) + store(0) + code(op(CALLVALUE)) + store(1) + code(op(ADDRESS), 0, op(MSTORE), 32, 0, op(RETURN)),
        code(rng.getrandbits(256), 0, op(MSTORE), rng.choice([0, 4, 32, 100]), 0, op(REVERT)),
        code(7, 0, op(TSTORE), 0, op(TLOAD)) + store(2) + code(0, op(CALLDATALOAD), 0, op(MSTORE), 64, 0, op(RETURN)),
        op(INVALID),
        code(3, op(JUMP)),
        code(32, 0, op(0xA0)),
        call_words(rng, rng.choice([CALL, STATICCALL, DELEGATECALL]), C) + store(5) + code(32, 0, op(RETURN)),
        random_body(rng, tools, 8),
    ]
    accounts = {A: {"nonce": 1, "balance": 10**18, "code": body, "storage": storage(rng)}}
    accounts[B] = {"nonce": 1, "balance": 5, "code": rng.choice(callee), "storage": storage(rng)}
    accounts[C] = {"nonce": 1, "code": rng.choice(callee), "storage": storage(rng)}
    return accounts, [to(A, data=data(rng), value=rng.choice([0, 1]), gas=rng.choice([100_000, 1_000_000]))]


def recursion(rng, index, tools):
    """A contract that calls itself until gas or depth ends it."""
    kind = rng.choice([CALL, DELEGATECALL, STATICCALL])
    write = b"" if kind == STATICCALL else code(0, op(SLOAD), 1, op(ADD)) + store(0)
    body = write + call_words(rng, kind, A, size=0, out=0) + op(POP)
    return {A: {"nonce": 1, "code": body}}, [to(A, gas=rng.choice([100_000, 400_000, 2_000_000]))]


def init_code(runtime):
    """Init code that deploys this runtime."""
    start = code(len(runtime), 0, 0) + b""
    copy = lambda offset: code(len(runtime)) + push(offset.to_bytes(1, "big")) + code(0, op(CODECOPY), len(runtime), 0, op(RETURN))
    offset = len(copy(0))
    del start
    return copy(offset) + runtime


def inits(rng, tools):
    big = rng.choice([0x5FFF, 0x6000, 0x6001, 0x8000])
    return [
        init_code(code(op(CALLER)) + store(0)),
        init_code(random_body(rng, tools, 5)[:200]),
        code(op(ADDRESS)) + store(0) + code(op(CODESIZE)) + store(1),
        code(0, 0, op(REVERT)),
        code(rng.getrandbits(256), 0, op(MSTORE), 32, 0, op(REVERT)),
        op(INVALID),
        code(0xEF, 0, op(0x53), 1, 0, op(RETURN)),
        code(big, 0, op(RETURN)),
        code(rng.choice([0, 1, 100]), 0, op(RETURN)),
        push(tools.SENDERS[2]) + op(SELFDESTRUCT),
        code(op(ADDRESS), op(SELFDESTRUCT)),
        code(1, 0, op(SSTORE)) + call_words(rng, CALL, A, size=0, out=0) + store(1),
        b"",
        random_body(rng, tools, 6),
    ]


def create(rng, index, tools):
    """CREATE and CREATE2 by a contract, with all kinds of init code; what was made is called."""
    kind = [CREATE, CREATE2][index % 2]
    init = inits(rng, tools)[index // 2 % 14]
    body = b""
    for start in range(0, len(init), 32):
        body += code(int.from_bytes(init[start : start + 32].ljust(32, b"\0"), "big"), start, op(MSTORE))
    make = (code(rng.choice([0, 1])) if kind == CREATE2 else b"") + code(len(init), 0, rng.choice([0, 1, 10**19])) + op(kind)
    body += make + op(0x80) + store(0) + code(op(RETURNDATASIZE)) + store(1)
    body += code(0, 0, 0, 0, 0) + op(0x85, GAS, CALL) + store(2) + code(op(0x80), op(EXTCODEHASH)) + store(3) + code(op(EXTCODESIZE)) + store(4)
    if rng.random() < 0.4:
        body += make + store(5)
    accounts = {A: {"nonce": rng.choice([1, 5]), "balance": 10**18, "code": body}}
    if rng.random() < 0.1:
        accounts[A]["nonce"] = 2**64 - 1
    return accounts, [to(A, gas=rng.choice([100_000, 1_000_000, 8_000_000]))]


def create_transaction(rng, index, tools):
    """A transaction that makes a contract."""
    init = inits(rng, tools)[index % 14]
    if rng.random() < 0.1:
        init = init + bytes(rng.choice([100, 49_152 - len(init), 49_153]))
    kind = rng.choice([0, 1, 2])
    value = rng.choice([0, 7])
    return {}, [to(None, data=init, type=kind, value=value, gas=rng.choice([53_000, 60_000, 100_000, 3_000_000, 10_000_000]))]


def destroy(rng, index, tools):
    """SELFDESTRUCT: of what exists, of what was just made, to itself, to others, twice, under a revert."""
    heir = rng.choice([op(ADDRESS), op(CALLER), push(tools.SENDERS[3]), push(rng.randbytes(20)), push(B), push(tools.COINBASE)])
    runtime = heir + op(SELFDESTRUCT)
    accounts = {B: {"nonce": 1, "balance": rng.choice([0, 99]), "code": runtime, "storage": {1: 2}}}
    body = b""
    if index % 3:
        init = init_code(code(1, 0, op(SSTORE)) + runtime) if index % 3 == 1 else runtime
        for start in range(0, len(init), 32):
            body += code(int.from_bytes(init[start : start + 32].ljust(32, b"\0"), "big"), start, op(MSTORE))
        body += code(len(init), 0, rng.choice([0, 3]), op(CREATE)) + op(0x80) + store(0)
        for _ in range(rng.randrange(0, 3)):
            body += code(0, 0, 0, 0, rng.choice([0, 4])) + op(0x85, GAS, CALL, POP)
        body += code(op(0x80), op(0x31)) + store(1) + code(op(0x80), op(EXTCODESIZE)) + store(2)
    body += call_words(rng, rng.choice([CALL, DELEGATECALL, CALLCODE]), B, rng.choice([0, 2]), None, 0, 0) + op(POP)
    body += push(B) + op(0x31) + store(3)
    if rng.random() < 0.2:
        body += code(0, 0, op(REVERT))
    accounts[A] = {"nonce": 1, "balance": 10**18, "code": body}
    txs = [to(A), to(B, nonce=1, value=rng.choice([0, 1])), to(A, nonce=2)]
    return accounts, txs[: rng.randrange(1, 4)]


def precompile(rng, index, tools):
    """Precompiles with good, bad, short and long input, and little gas."""
    number, content = points.inputs(rng, index, tools)
    gas = rng.choice([None, None, None, rng.randrange(0, 5000), rng.randrange(0, 200_000)])
    body = code(op(CALLDATASIZE), 0, 0, op(CALLDATACOPY))
    out = rng.choice([0, 32, 64, 128, 256])
    start = 4096
    call_it = code(out, start, op(CALLDATASIZE), 0) + push(number.to_bytes(2, "big"))
    body += call_it + (op(GAS) if gas is None else code(gas)) + op(STATICCALL) + store(0)
    body += code(op(RETURNDATASIZE)) + store(1) + code(op(RETURNDATASIZE), 0, start, op(RETURNDATACOPY))
    body += code(op(RETURNDATASIZE), start, op(SHA3)) + store(2)
    accounts = {A: {"nonce": 1, "balance": 10**18, "code": body}}
    direct = to(number.to_bytes(20, "big"), data=content, gas=3_000_000, nonce=1)
    txs = [to(A, data=content, gas=8_000_000)]
    return accounts, txs + ([direct] if rng.random() < 0.3 else [])


def delegation(rng, index, tools):
    """EIP-7702: lists of good and bad authorizations, delegated accounts called in every way, delegations of delegations."""
    authority = tools.KEYS[2]
    own = rng.random() < 0.25
    targets = [A, B, tools.SENDERS[3], tools.SENDERS[2], bytes(20), bytes(19) + b"\x04", rng.randbytes(20), tools.HISTORY]
    listed = []
    for number in range(rng.randrange(1, 5)):
        key = rng.choice([authority, authority, tools.KEYS[3], tools.KEYS[0]])
        nonce = rng.choice([0, 0, number, 1, 5, 2**64 - 1])
        chain = rng.choice([tools.CHAIN_ID, tools.CHAIN_ID, 0, 1])
        spoil = rng.choice([0] * 8 + [1, 2**256 - 1])
        listed.append(tools.authorization(key, chain, rng.choice(targets), min(nonce + own, 2**64 - 1), spoil))
    callee = rng.choice([
        code(op(CALLER)) + store(0) + code(op(ADDRESS)) + store(1) + code(op(ORIGIN)) + store(2),
        code(op(CODESIZE)) + store(0) + code(op(ADDRESS), op(EXTCODESIZE)) + store(1) + code(op(ADDRESS), op(EXTCODEHASH)) + store(2),
        push(tools.SENDERS[1]) + op(SELFDESTRUCT),
        random_body(rng, tools, 8),
    ])
    probe = b""
    for kind in (CALL, STATICCALL, DELEGATECALL, CALLCODE):
        probe += call_words(rng, kind, tools.SENDERS[2], 0, None, 0, 32) + store(kind)
    probe += push(tools.SENDERS[2]) + op(EXTCODESIZE) + store(1) + push(tools.SENDERS[2]) + op(EXTCODEHASH) + store(2)
    accounts = {A: {"nonce": 1, "code": callee, "storage": storage(rng)}, B: {"nonce": 1, "balance": 9, "code": probe}}
    if rng.random() < 0.3:
        accounts[tools.SENDERS[2]] = {"nonce": rng.choice([0, 1]), "balance": 10**18, "code": b"\xef\x01\x00" + rng.choice([A, B])}
    if rng.random() < 0.2:
        accounts[tools.SENDERS[3]] = {"nonce": 0, "balance": rng.choice([0, 1]), "code": code(op(CALLER)) + store(0)}
    target = rng.choice([B, tools.SENDERS[2], A])
    txs = [to(target, type=4, authorizations=listed, gas=1_500_000, value=rng.choice([0, 1]))]
    txs.append(to(rng.choice([B, tools.SENDERS[2]]), nonce=1))
    if rng.random() < 0.3:
        txs.append(to(B, **{"from": 2}, nonce=rng.choice([0, 1, 2])))
    if rng.random() < 0.05:
        txs[0]["authorizations"] = []
    return accounts, txs


def fees(rng, index, tools):
    """Nonces, funds, fees, intrinsic gas and access lists at their limits: some of it is refused."""
    body = random_body(rng, tools, 6)
    accounts = {A: {"nonce": 1, "code": body, "storage": storage(rng)}}
    if rng.random() < 0.3:
        accounts[tools.SENDERS[0]] = {"balance": rng.choice([0, 21_000 * tools.BASE_FEE, 10**15]), "nonce": rng.choice([0, 3])}
    if rng.random() < 0.1:
        accounts[tools.SENDERS[0]] = {"balance": 10**20, "code": rng.choice([op(STOP), b"\xef\x01\x00" + A])}
    kind = index % 3
    content = rng.choice([b"", bytes(rng.randrange(0, 900)), rng.randbytes(rng.randrange(0, 900))])
    listed = [(rng.choice([A, B, rng.randbytes(20)]), [rng.randrange(0, 6).to_bytes(32, "big") for _ in range(rng.randrange(0, 4))]) for _ in range(rng.randrange(0, 4))]
    txs = []
    for nonce in range(rng.randrange(1, 4)):
        tx = to(rng.choice([A, tools.SENDERS[1], rng.randbytes(20)]), type=kind, data=content, nonce=nonce)
        tx["gas"] = rng.choice([20_999, 21_000, 21_001, 30_000, 60_000, 300_000, 300_000, 16_777_216])
        tx["value"] = rng.choice([0, 1, 10**18, 10**24, 2**255])
        tx["price"] = tools.BASE_FEE + rng.choice([0, 0, 1, -1, 10**9, 10**12])
        tx["tip"] = rng.choice([0, 1, 10**9, 10**12])
        if kind:
            tx["access"] = listed
        if rng.random() < 0.1:
            tx["nonce"] = rng.choice([0, 1, 9, 2**64 - 1])
        txs.append(tx)
    return accounts, txs


def history(rng, index, tools):
    """Block hashes by opcode and by contract (EIP-2935), and what else a block says about itself."""
    body = b""
    for slot in range(4):
        wanted = tools.NUMBER - rng.choice([0, 1, 2, 100, 255, 256, 257, 8191, 8192])
        body += code(wanted % 2**256, 0, op(MSTORE)) + call_words(rng, STATICCALL, tools.HISTORY, 0, None, 32, 32) + store(slot)
        body += code(0, op(MLOAD)) + store(10 + slot) + code(wanted % 2**256, op(0x40)) + store(20 + slot)
    for slot, number in enumerate([0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x4A, 0x3A]):
        body += op(number) + store(30 + slot)
    return {A: {"nonce": 1, "code": body}}, [to(A, gas=3_000_000)]


def block(rng, index, tools):
    """Several senders' transactions on the same contracts."""
    accounts, _ = program(rng, index, tools)
    accounts |= {A: {"nonce": 1, "balance": 10**18, "code": code(0, op(SLOAD), 1, op(ADD)) + store(0) + random_body(rng, tools, 6)}}
    nonces, txs = [0] * 4, []
    for _ in range(rng.randrange(3, 7)):
        sender = rng.randrange(4)
        target = rng.choice([*CONTRACTS, tools.SENDERS[rng.randrange(4)], tools.COINBASE])
        tx = to(target, nonce=nonces[sender], type=rng.choice([0, 2]), value=rng.choice([0, 3]), data=data(rng), gas=400_000)
        txs.append(tx | {"from": sender, "price": tools.BASE_FEE + rng.randrange(0, 10**9), "tip": rng.randrange(0, 10**6)})
        nonces[sender] += 1
    return accounts, txs


FAMILIES = [
    (opcode, 768),
    (program, 260),
    (out_of_gas, 160),
    (loop, 40),
    (call, 240),
    (recursion, 12),
    (create, 140),
    (create_transaction, 70),
    (destroy, 90),
    (precompile, 330),
    (delegation, 160),
    (fees, 180),
    (history, 20),
    (block, 60),
]
