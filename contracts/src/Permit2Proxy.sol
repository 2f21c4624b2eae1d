// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IPermit2} from "../IPermit2.sol";

/// What the two proxies share: where Permit2 is, and a payment that can go to nobody but the payer's witness.
abstract contract Permit2Proxy is ReentrancyGuardTransient {
    address public constant PERMIT2 = 0x000000000022D473030F116dDEE9F6B43aC78BA3;

    error InvalidDestination();
    error InvalidOwner();
    error PaymentTooEarly();
    error Permit2612AmountMismatch();

    function _take(
        IPermit2.PermitTransferFrom memory permit,
        uint256 amount,
        address owner,
        address to,
        uint256 validAfter,
        bytes32 witness,
        string memory witnessTypeString,
        bytes calldata signature
    ) internal {
        if (owner == address(0)) revert InvalidOwner();
        if (to == address(0)) revert InvalidDestination();
        if (block.timestamp < validAfter) revert PaymentTooEarly();
        IPermit2.SignatureTransferDetails memory details = IPermit2.SignatureTransferDetails(to, amount);
        IPermit2(PERMIT2).permitWitnessTransferFrom(permit, details, owner, witness, witnessTypeString, signature);
    }

    /// Lets Permit2 take the token. Somebody may have used the permit before us: then the allowance is there already, or the
    /// transfer says that it is not.
    function _permit(
        address token,
        address owner,
        uint256 permitted,
        uint256 value,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) internal {
        if (value != permitted) revert Permit2612AmountMismatch();
        try IERC20Permit(token).permit(owner, PERMIT2, value, deadline, v, r, s) {} catch {}
    }
}
