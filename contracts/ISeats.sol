// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// Who sits on the committee, term by term, by the published rule from stake to seats (`specs/staking.md`). The module lives at
/// 0x0000000000000000000000000000000000000a03. As a term begins, the seats of the term after the next are decided.
interface ISeats {
    struct Holder {
        bytes32 node;
        address operator;
        uint32 seats;
    }

    /// `kept` says that too few operators stood, so that the seats stay those of the term before.
    event SeatsDecided(uint32 indexed term, uint32 seats, uint32 holders, bool kept);

    error TermUndecided(uint32 term, uint32 last);
    error TermForgotten(uint32 term, uint32 first);

    /// Who sits in a term, in the order of node ids; known from two terms ahead, for 64 terms after.
    function holders(uint32 term) external view returns (Holder[] memory);
    function seatsOf(uint32 term, bytes32 node) external view returns (uint32);
    /// The last term that is decided.
    function decidedUntil() external view returns (uint32);
}
