// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {SignedToken} from "./SignedToken.sol";

/// What a devnet has where Base has its dollar: six decimals, the domain that clients sign for, nobody who could make more.
contract DevnetDollar is SignedToken {
    function name() public pure override returns (string memory) {
        return "USD Coin";
    }

    function symbol() public pure override returns (string memory) {
        return "USDC";
    }

    function version() public pure override returns (string memory) {
        return "2";
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
