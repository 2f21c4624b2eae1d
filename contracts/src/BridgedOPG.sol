// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SignedToken} from "./SignedToken.sol";

/// OPG on Base (`IToken.sol`): each token stands for one that is locked on the ledger. Only the settlement makes and destroys them.
contract BridgedOPG is SignedToken {
    error OnlySettlement(address caller);
    error OverSupply(uint256 found, uint256 most);

    /// All OPG that there is, wherever it is.
    uint256 public constant MOST = 1_000_000_000 ether;

    /// Where the certificates are checked. A genesis writes it; a deployment gives it.
    address public settlement;

    constructor(address settlement_) {
        settlement = settlement_;
    }

    function name() public pure override returns (string memory) {
        return "OpenGradient";
    }

    function symbol() public pure override returns (string memory) {
        return "OPG";
    }

    function version() public pure override returns (string memory) {
        return "1";
    }

    function mint(address to, uint256 value) external {
        if (msg.sender != settlement) revert OnlySettlement(msg.sender);
        uint256 after_ = totalSupply() + value;
        if (after_ > MOST) revert OverSupply(after_, MOST);
        _mint(to, value);
    }

    function burn(address from, uint256 value) external {
        if (msg.sender != settlement) revert OnlySettlement(msg.sender);
        _burn(from, value);
    }
}
