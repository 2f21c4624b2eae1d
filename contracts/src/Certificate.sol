// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ISettlement} from "../ISettlement.sol";

/// The network's threshold signature, checked with the precompiles of EIP-2537: BLS12-381, signatures in G1, key in G2, messages
/// hashed to G1 by RFC 9380 (SHA-256, SSWU) under the tag below. Costs the same for every message.
library Certificate {
    uint256 internal constant SIGNATURE_LENGTH = 96;
    uint256 internal constant KEY_LENGTH = 192;

    bytes private constant TAG = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
    /// The field's prime, in 64 bytes.
    bytes32 private constant PRIME_HIGH = 0x000000000000000000000000000000001a0111ea397fe69a4b1ba7b6434bacd7;
    bytes32 private constant PRIME_LOW = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;
    /// The generator of G2, negated: x.c0, x.c1, y.c0, y.c1, each in 64 bytes.
    bytes private constant MINUS_G2 =
        hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000d1b3cc2c7027888be51d9ef691d77bcb679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa"
        hex"0000000000000000000000000000000013fa4d4a0ad8b1ce186ed5061789213d993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed";
    /// Half of the prime, rounded down: a coordinate above it is the "larger" of the two that a compressed point could mean.
    uint256 private constant HALF_HIGH = 0x0d0088f51cbff34d258dd3db21a5d66b;
    uint256 private constant HALF_LOW = 0xb23ba5c279c2895fb39869507b587b120f55ffff58a9ffffdcff7fffffffd555;

    address private constant MODEXP = address(0x05);
    address private constant G1ADD = address(0x0b);
    address private constant G2MSM = address(0x0e);
    address private constant PAIRING = address(0x0f);
    address private constant MAP_FP_TO_G1 = address(0x10);
    /// A precompile that refuses its input takes all the gas it was given: give what it costs, and some for other price lists.
    uint256 private constant PAIRING_GAS = 150_000;
    uint256 private constant POINT_GAS = 60_000;

    /// Whether `key` signed `message`. False for points that are not on their curves, not in their groups, or at infinity.
    function holds(bytes calldata signature, bytes calldata key, bytes memory message) internal view returns (bool) {
        if (signature.length != SIGNATURE_LENGTH || key.length != KEY_LENGTH) return false;
        if (_isZero(signature) || _isZero(key)) return false;
        bytes memory input = bytes.concat(
            bytes16(0), signature[:48], bytes16(0), signature[48:], MINUS_G2, hashToG1(message), padded(key)
        );
        (bool done, bytes memory result) = PAIRING.staticcall{gas: PAIRING_GAS}(input);
        return done && result.length == 32 && uint256(bytes32(result)) == 1;
    }

    /// Whether `key` is a point of G2 other than infinity.
    function isKey(bytes calldata key) internal view returns (bool) {
        if (key.length != KEY_LENGTH || _isZero(key)) return false;
        // Multiplying by one asks for curve and group.
        (bool done, bytes memory result) = G2MSM.staticcall{gas: POINT_GAS}(bytes.concat(padded(key), bytes32(uint256(1))));
        return done && result.length == 256;
    }

    /// The 96 bytes that name the key everywhere else: x.c1, x.c0, with flags in the three highest bits.
    function compressed(bytes calldata key) internal pure returns (bytes memory) {
        bytes memory out = bytes.concat(key[48:96], key[:48]);
        bytes calldata yReal = key[96:144];
        bytes calldata yImaginary = key[144:];
        bool larger = _isZero(yImaginary) ? _isLarger(yReal) : _isLarger(yImaginary);
        out[0] |= larger ? bytes1(0xa0) : bytes1(0x80);
        return out;
    }

    /// hash_to_curve of RFC 9380: two field elements, mapped and added. The precompile's map clears the cofactor.
    function hashToG1(bytes memory message) internal view returns (bytes memory) {
        bytes memory tag = bytes.concat(TAG, bytes1(uint8(TAG.length)));
        bytes32 first = sha256(bytes.concat(bytes32(0), bytes32(0), message, hex"008000", tag));
        bytes32 a = sha256(bytes.concat(first, hex"01", tag));
        bytes32 b = sha256(bytes.concat(first ^ a, hex"02", tag));
        bytes32 c = sha256(bytes.concat(first ^ b, hex"03", tag));
        bytes32 d = sha256(bytes.concat(first ^ c, hex"04", tag));
        return _must(G1ADD, bytes.concat(_mapped(a, b), _mapped(c, d)), 128);
    }

    function _mapped(bytes32 high, bytes32 low) private view returns (bytes memory) {
        bytes memory power = abi.encodePacked(
            uint256(64), uint256(1), uint256(64), high, low, bytes1(0x01), PRIME_HIGH, PRIME_LOW
        );
        return _must(MAP_FP_TO_G1, _must(MODEXP, power, 64), 128);
    }

    /// These are given well-formed input: if one fails, this chain does not have it.
    function _must(address precompile, bytes memory input, uint256 length) private view returns (bytes memory) {
        (bool done, bytes memory result) = precompile.staticcall{gas: POINT_GAS}(input);
        if (!done || result.length != length) revert ISettlement.PrecompileMissing(precompile);
        return result;
    }

    function padded(bytes calldata key) internal pure returns (bytes memory) {
        return bytes.concat(
            bytes16(0), key[:48], bytes16(0), key[48:96], bytes16(0), key[96:144], bytes16(0), key[144:]
        );
    }

    function _isZero(bytes calldata bytes_) private pure returns (bool) {
        for (uint256 i = 0; i < bytes_.length; i += 16) {
            if (bytes16(bytes_[i:i + 16]) != 0) return false;
        }
        return true;
    }

    function _isLarger(bytes calldata coordinate) private pure returns (bool) {
        uint256 high = uint128(bytes16(coordinate[:16]));
        return high > HALF_HIGH || (high == HALF_HIGH && uint256(bytes32(coordinate[16:])) > HALF_LOW);
    }
}
