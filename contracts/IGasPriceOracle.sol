// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// What rollups of the OP stack, as Base is one, ask for a transaction beside its gas. Lives at 0x420000000000000000000000000000000000000F.
interface IGasPriceOracle {
    /// What the chain below asks for these bytes of a transaction, in wei.
    function getL1Fee(bytes memory transaction) external view returns (uint256);
}
