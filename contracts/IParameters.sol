// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// Every number that the network decides by and that governance may change, each within bounds that it may not change.
/// The module lives at 0x0000000000000000000000000000000000000a04. A name is ASCII, filled up with zero bytes. Shares are in
/// millionths, amounts in base units of OPG, times in seconds or terms, as the name says.
interface IParameters {
    struct Parameter {
        bytes32 name;
        uint256 value;
        uint256 least;
        uint256 most;
    }

    event ParameterSet(bytes32 indexed name, uint256 before, uint256 value);

    error ParameterUnknown(bytes32 name);
    error ParameterOutOfBounds(bytes32 name, uint256 value, uint256 least, uint256 most);
    /// Together with what is set beside it: `other`, which is a name here or a rule of the genesis, asks for `least` or more.
    error ParameterMisfit(bytes32 name, uint256 value, bytes32 other, uint256 least);

    function value(bytes32 name) external view returns (uint256);
    function parameter(bytes32 name) external view returns (Parameter memory);
    function parameters() external view returns (Parameter[] memory);
    /// When the value was last set, in seconds; zero where it is the one that the network began with.
    function since(bytes32 name) external view returns (uint64);
}
