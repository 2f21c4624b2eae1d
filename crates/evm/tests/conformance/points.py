"""Input for precompiles: right, nearly right and wrong."""

import coincurve
from ethereum.crypto.hash import keccak256
from py_ecc import optimized_bls12_381 as bls
from py_ecc import optimized_bn128 as bn

P256_X = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
P256_Y = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5
P256_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
P256_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def word(number):
    return (number % 2**256).to_bytes(32, "big")


def field(number):
    return number.to_bytes(64, "big")


def ecrecover(rng):
    secret = keccak256(rng.randbytes(8))
    digest = rng.randbytes(32)
    signature = coincurve.PrivateKey(secret).sign_recoverable(digest, hasher=None)
    v = rng.choice([27 + signature[64]] * 5 + [27, 28, 29, 0, 2**255])
    r, s = signature[:32], signature[32:64]
    if rng.random() < 0.2:
        # The other form of the same signature, and numbers at the order of the group.
        order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
        s = word(order - int.from_bytes(s, "big"))
        r = rng.choice([r, r, word(0), word(order), word(order - 1)])
    return digest + word(v) + r + s


def modexp(rng):
    sizes = [rng.choice([0, 1, 2, 31, 32, 33, 64, rng.randrange(0, 130)]) for _ in range(3)]
    base, exponent, modulus = (rng.randbytes(size) for size in sizes)
    if rng.random() < 0.2:
        modulus = bytes(len(modulus))
    if rng.random() < 0.3:
        exponent = bytes(max(0, len(exponent) - 1)) + exponent[-1:]
    if rng.random() < 0.08:
        sizes[rng.randrange(3)] = rng.choice([1024, 1025, 2**32, 2**200])
    return b"".join(word(size) for size in sizes) + base + exponent + modulus


def bn_g1(rng):
    point = bn.multiply(bn.G1, rng.choice([0, 1, 2, rng.getrandbits(64)]))
    if bn.is_inf(point):
        return bytes(64)
    x, y = bn.normalize(point)
    return word(int(x.n)) + word(int(y.n))


def bn_g2(rng):
    point = bn.multiply(bn.G2, rng.choice([0, 1, 2, rng.getrandbits(64)]))
    if bn.is_inf(point):
        return bytes(128)
    x, y = bn.normalize(point)
    return b"".join(word(int(c)) for c in (x.coeffs[1], x.coeffs[0], y.coeffs[1], y.coeffs[0]))


def bn_pairing(rng):
    if rng.random() < 0.5:
        # e(aG, bH) · e(−abG, H) = 1.
        a, b = rng.getrandbits(32) | 1, rng.getrandbits(32) | 1
        left, right = bn.multiply(bn.G1, a), bn.neg(bn.multiply(bn.G1, a * b))
        pairs = b""
        for g1, g2 in ((left, bn.multiply(bn.G2, b)), (right, bn.G2)):
            (x, y), (u, v) = bn.normalize(g1), bn.normalize(g2)
            pairs += word(int(x.n)) + word(int(y.n))
            pairs += b"".join(word(int(c)) for c in (u.coeffs[1], u.coeffs[0], v.coeffs[1], v.coeffs[0]))
        return pairs
    return b"".join(bn_g1(rng) + bn_g2(rng) for _ in range(rng.randrange(0, 3)))


def blake2f(rng):
    rounds = rng.choice([0, 1, 12, 200])
    return rounds.to_bytes(4, "big") + rng.randbytes(64 + 128 + 16) + bytes([rng.choice([0, 1, 1, 0, 2])])


def g1(rng):
    point = bls.multiply(bls.G1, rng.choice([0, 1, 2, rng.getrandbits(64)]))
    if bls.is_inf(point):
        return bytes(128)
    x, y = bls.normalize(point)
    return field(int(x.n)) + field(int(y.n))


def g2(rng):
    point = bls.multiply(bls.G2, rng.choice([0, 1, 2, rng.getrandbits(64)]))
    if bls.is_inf(point):
        return bytes(256)
    x, y = bls.normalize(point)
    return b"".join(field(int(c)) for c in (*x.coeffs, *y.coeffs))


def g1_outside(rng):
    """On the curve but not in the group."""
    while True:
        x = rng.getrandbits(300)
        square = (x**3 + 4) % bls.field_modulus
        y = pow(square, (bls.field_modulus + 1) // 4, bls.field_modulus)
        if y * y % bls.field_modulus == square:
            return field(x) + field(y)


def scalar(rng):
    return word(rng.choice([0, 1, 2, rng.getrandbits(64), rng.getrandbits(256), 2**256 - 1]))


def bls_pairing(rng):
    if rng.random() < 0.5:
        a, b = rng.getrandbits(32) | 1, rng.getrandbits(32) | 1
        pairs = b""
        for left, right in ((bls.multiply(bls.G1, a), bls.multiply(bls.G2, b)), (bls.neg(bls.multiply(bls.G1, a * b)), bls.G2)):
            (x, y), (u, v) = bls.normalize(left), bls.normalize(right)
            pairs += field(int(x.n)) + field(int(y.n)) + b"".join(field(int(c)) for c in (*u.coeffs, *v.coeffs))
        return pairs
    return b"".join(g1(rng) + g2(rng) for _ in range(rng.randrange(0, 3)))


def p256(rng):
    def multiply(k, point=(P256_X, P256_Y)):
        result = None
        while k:
            if k & 1:
                result = add(result, point)
            point = add(point, point)
            k >>= 1
        return result

    def add(a, b):
        if a is None or b is None:
            return a or b
        if a[0] == b[0]:
            if a != b:
                return None
            slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P256_P) % P256_P
        else:
            slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P256_P) % P256_P
        x = (slope * slope - a[0] - b[0]) % P256_P
        return x, (slope * (a[0] - x) - a[1]) % P256_P

    secret, k, digest = rng.getrandbits(255) | 1, rng.getrandbits(255) | 1, rng.randbytes(32)
    x, y = multiply(secret)
    r = multiply(k)[0] % P256_N
    s = pow(k, -1, P256_N) * (int.from_bytes(digest, "big") + r * secret) % P256_N
    if rng.random() < 0.3:
        s = rng.choice([0, P256_N, P256_N - s, s + 1])
    if rng.random() < 0.15:
        x, y = rng.choice([(0, 0), (x, y + 1), (P256_P, y)])
    return digest + word(r) + word(s) + word(x) + word(y)


POINT_AT_INFINITY = b"\xc0" + bytes(47)


def kzg(rng):
    """A polynomial that is zero: its commitment and any proof are the point at infinity."""
    versioned = b"\x01" + __import__("hashlib").sha256(POINT_AT_INFINITY).digest()[1:]
    y = rng.choice([word(0), word(0), word(1), word(bls.curve_order)])
    return versioned + word(rng.getrandbits(200)) + y + POINT_AT_INFINITY + POINT_AT_INFINITY


MAKERS = [
    (0x01, ecrecover),
    (0x02, lambda rng: rng.randbytes(rng.randrange(0, 200))),
    (0x03, lambda rng: rng.randbytes(rng.randrange(0, 200))),
    (0x04, lambda rng: rng.randbytes(rng.randrange(0, 200))),
    (0x05, modexp),
    (0x06, lambda rng: bn_g1(rng) + bn_g1(rng)),
    (0x07, lambda rng: bn_g1(rng) + scalar(rng)),
    (0x08, bn_pairing),
    (0x09, blake2f),
    (0x0A, kzg),
    (0x0B, lambda rng: (g1_outside(rng) if rng.random() < 0.2 else g1(rng)) + g1(rng)),
    (0x0C, lambda rng: b"".join((g1_outside(rng) if rng.random() < 0.1 else g1(rng)) + scalar(rng) for _ in range(rng.randrange(0, 4)))),
    (0x0D, lambda rng: g2(rng) + g2(rng)),
    (0x0E, lambda rng: b"".join(g2(rng) + scalar(rng) for _ in range(rng.randrange(0, 4)))),
    (0x0F, bls_pairing),
    (0x10, lambda rng: field(rng.getrandbits(380))),
    (0x11, lambda rng: field(rng.getrandbits(380)) + field(rng.getrandbits(380))),
    (0x0100, p256),
    (0x12, lambda rng: rng.randbytes(20)),
]


# Pairings and subgroups take the specification seconds: fewer of them.
SLOW = (0x08, 0x0D, 0x0E, 0x0F)


def inputs(rng, index, tools):
    """The number of a precompile and bytes for it."""
    number, make = MAKERS[index % len(MAKERS)]
    if number in SLOW and index // len(MAKERS) % 4:
        number, make = MAKERS[rng.randrange(len(MAKERS))]
        number, make = (0x01, ecrecover) if number in SLOW else (number, make)
    content = make(rng)
    spoil = rng.random()
    if spoil < 0.08:
        content = content[: rng.randrange(0, len(content) + 1)]
    elif spoil < 0.14:
        content = content + rng.randbytes(rng.choice([1, 32, 64]))
    elif spoil < 0.24 and content:
        at = rng.randrange(len(content))
        content = content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]
    return number, content
