// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// The ledger's end of the bridge (`specs/settlement.md`). The module lives at 0x0000000000000000000000000000000000000a07, and its
/// balance is all OPG that is on Base or on the way there or back.
interface IBridge {
    /// OPG went to Base: it lies here from now on, and as much is minted there for `to` by the settlement that holds the epoch.
    event SentToBase(uint64 indexed serial, address indexed from, address indexed to, uint256 amount);

    /// OPG that was destroyed on Base as its `serial`-th burn came back; to the zero address where it was sent to nobody, and is burned.
    event ReceivedFromBase(uint64 indexed serial, address indexed from, address indexed to, uint256 amount);

    error NothingToSend();
    /// What would be minted for this address would be nobody's.
    error InvalidReceiver(address receiver);
    error MoreThanLocked(uint256 locked, uint256 amount);

    /// Locks the value sent, for `to` on Base; how many sendings there were before.
    function sendToBase(address to) external payable returns (uint64 serial);
    /// How many sendings there were.
    function sent() external view returns (uint64);
    /// OPG that is locked here.
    function locked() external view returns (uint256);
}
