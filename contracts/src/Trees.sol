// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ISettlement} from "../ISettlement.sol";

/// The ledger's trees, walked from a leaf to the root: the sparse tree of its state, and the sum tree over payouts.
/// Digests are SHA-256 over the length of a domain, the domain, and what is digested.
library Trees {
    /// Bits in a key of the state.
    uint256 internal constant STATE_PATH_MAX = 256;
    uint256 internal constant SUM_PATH_MAX = 64;

    /// Root of the state in which `key` holds `value`, along siblings from the root, first, to the leaf.
    function stateRoot(bytes32 key, bytes memory value, bytes32[] calldata siblings) internal pure returns (bytes32 node) {
        if (siblings.length > STATE_PATH_MAX) revert ISettlement.PathTooLong(siblings.length, STATE_PATH_MAX);
        bytes32 content = sha256(bytes.concat(hex"12", "og/sparse/value/v1", value));
        node = sha256(abi.encodePacked(hex"11", "og/sparse/leaf/v1", key, content));
        for (uint256 depth = siblings.length; depth > 0;) {
            depth--;
            (bytes32 left, bytes32 right) =
                (uint256(key) >> (255 - depth)) & 1 == 1 ? (siblings[depth], node) : (node, siblings[depth]);
            node = sha256(abi.encodePacked(hex"13", "og/sparse/branch/v1", left, right));
        }
    }

    /// Root and sum to which the leaf at `index` of `count` leads, along siblings from the leaf, first, to the root; in the shape of
    /// RFC 6962, walked as RFC 9162 §2.1.3.2 says.
    function sumRoot(
        bytes32 content,
        uint128 amount,
        uint64 index,
        uint64 count,
        ISettlement.SumStep[] calldata siblings
    ) internal pure returns (bytes32 digest, uint128 sum) {
        if (siblings.length > SUM_PATH_MAX) revert ISettlement.PathTooLong(siblings.length, SUM_PATH_MAX);
        if (index >= count) revert ISettlement.NotInTree();
        digest = sha256(abi.encodePacked(hex"15", "og/merkle-sum/leaf/v1", content, amount));
        sum = amount;
        (uint64 position, uint64 last) = (index, count - 1);
        for (uint256 i = 0; i < siblings.length; i++) {
            if (last == 0) revert ISettlement.NotInTree();
            ISettlement.SumStep calldata step = siblings[i];
            bool isRight = position & 1 == 1 || position == last;
            // A node without a sibling rises as it is.
            while (isRight && position & 1 == 0 && position != 0) {
                position >>= 1;
                last >>= 1;
            }
            digest = isRight
                ? sha256(abi.encodePacked(hex"15", "og/merkle-sum/node/v1", step.digest, step.sum, digest, sum))
                : sha256(abi.encodePacked(hex"15", "og/merkle-sum/node/v1", digest, sum, step.digest, step.sum));
            if (step.sum > type(uint128).max - sum) revert ISettlement.SumOverflow();
            sum += step.sum;
            position >>= 1;
            last >>= 1;
        }
        if (last != 0) revert ISettlement.NotInTree();
    }
}
