// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// Takes 32 bytes of salt and the code that makes a contract; answers with the 20 bytes of the address that it made.
contract Create2Deployer {
    fallback() external payable {
        assembly ("memory-safe") {
            if lt(calldatasize(), 32) { revert(0, 0) }
            let start := mload(0x40)
            let size := sub(calldatasize(), 32)
            calldatacopy(start, 32, size)
            let made := create2(callvalue(), start, size, calldataload(0))
            if iszero(made) { revert(0, 0) }
            mstore(0, shl(96, made))
            return(0, 20)
        }
    }
}
