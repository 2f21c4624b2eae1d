// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// What every native module answers with when it refuses a call before it reads its arguments.
interface IModule {
    /// Reached by DELEGATECALL or CALLCODE: storage and sender would be another contract's.
    error DirectCallOnly();
    /// Value was sent; a module takes none.
    error NotPayable(uint256 value);
    /// A method that writes was reached by STATICCALL.
    error WriteInStaticCall(bytes4 selector);
    /// The module has no such method.
    error UnknownMethod(bytes4 selector);
    /// The arguments are not what the method takes.
    error InvalidArguments(bytes4 selector);
}
