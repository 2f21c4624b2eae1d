// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// Votes of staked OPG, as ERC-5805 and ERC-6372 read them. The module lives at 0x0000000000000000000000000000000000000a02.
/// An account votes with what its shares of nodes are worth, and with those of accounts that delegated their votes to it. Who
/// delegated to nobody votes itself. What a slash took does not vote: the worth of shares is that of the moment asked for.
/// To whom stake is given and to whom votes are given are two things: `IStaking.delegate` is the first, `delegate` the second.
interface IStakedVotes {
    event DelegateChanged(address indexed delegator, address indexed fromDelegate, address indexed toDelegate);
    /// An account's votes at one node, in shares of it; there is no event in coins, because a slash changes them for all.
    event DelegateSharesChanged(
        address indexed delegate, bytes32 indexed node, uint256 previousShares, uint256 newShares
    );

    error VotesExpiredSignature(uint256 expiry);
    error InvalidAccountNonce(address account, uint256 currentNonce);
    error InvalidSignature();
    error ERC5805FutureLookup(uint256 timepoint, uint48 clock);
    /// The account has votes at as many nodes as can be counted.
    error TooManyNodes(address delegate, uint256 most);

    /// Seconds.
    function clock() external view returns (uint48);
    function CLOCK_MODE() external view returns (string memory);
    function getVotes(address account) external view returns (uint256);
    /// Votes at the end of a second that is over.
    function getPastVotes(address account, uint256 timepoint) external view returns (uint256);
    function getPastTotalSupply(uint256 timepoint) external view returns (uint256);
    function delegates(address account) external view returns (address);
    /// Gives the caller's votes to another account; to itself or to zero, takes them back.
    function delegate(address delegatee) external;
    /// The same for whoever signed `Delegation(address delegatee,uint256 nonce,uint256 expiry)`, by an account with a key.
    function delegateBySig(address delegatee, uint256 nonce, uint256 expiry, uint8 v, bytes32 r, bytes32 s) external;
    function nonces(address owner) external view returns (uint256);

    // EIP-5267: ("OpenGradient", "1", chain id, this address)
    function eip712Domain()
        external
        view
        returns (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        );
}
