// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IPermit2} from "../IPermit2.sol";

/// Transfers by signature with the interface, types and errors of Permit2, so that what its clients sign can be settled here.
/// The domain is made of the chain and address at hand, so that a genesis can place the code anywhere.
contract Permit2 is IPermit2 {
    using SafeERC20 for IERC20;

    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)");
    bytes32 private constant NAME_HASH = keccak256("Permit2");
    bytes private constant TOKEN_PERMISSIONS = "TokenPermissions(address token,uint256 amount)";
    bytes32 private constant TOKEN_PERMISSIONS_TYPEHASH = keccak256(TOKEN_PERMISSIONS);
    bytes private constant ONE = "(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline";
    bytes private constant MANY = "(TokenPermissions[] permitted,address spender,uint256 nonce,uint256 deadline";
    bytes private constant DETAILS = "PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)";
    bytes32 private constant DETAILS_TYPEHASH = keccak256(DETAILS);
    bytes32 private constant SINGLE_TYPEHASH = keccak256(
        bytes.concat("PermitSingle(PermitDetails details,address spender,uint256 sigDeadline)", DETAILS)
    );
    bytes32 private constant BATCH_TYPEHASH = keccak256(
        bytes.concat("PermitBatch(PermitDetails[] details,address spender,uint256 sigDeadline)", DETAILS)
    );
    /// An order of numbers this far apart is taken for a mistake.
    uint48 private constant NONCES_AT_ONCE = type(uint16).max;

    struct Limit {
        uint160 amount;
        uint48 expiration;
        uint48 nonce;
    }

    mapping(address owner => mapping(uint256 word => uint256)) public nonceBitmap;
    mapping(address owner => mapping(address token => mapping(address spender => Limit))) public allowance;

    function DOMAIN_SEPARATOR() public view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN_TYPEHASH, NAME_HASH, block.chainid, address(this)));
    }

    // once, by signature

    function permitTransferFrom(
        PermitTransferFrom memory permit_,
        SignatureTransferDetails calldata transferDetails,
        address owner,
        bytes calldata signature
    ) external {
        bytes32 typehash = keccak256(bytes.concat("PermitTransferFrom", ONE, ")", TOKEN_PERMISSIONS));
        bytes32 structHash = keccak256(
            abi.encode(typehash, _hash(permit_.permitted), msg.sender, permit_.nonce, permit_.deadline)
        );
        _transferOne(permit_, transferDetails, owner, structHash, signature);
    }

    function permitWitnessTransferFrom(
        PermitTransferFrom memory permit_,
        SignatureTransferDetails calldata transferDetails,
        address owner,
        bytes32 witness,
        string calldata witnessTypeString,
        bytes calldata signature
    ) external {
        bytes32 typehash = keccak256(bytes.concat("PermitWitnessTransferFrom", ONE, ",", bytes(witnessTypeString)));
        bytes32 structHash = keccak256(
            abi.encode(typehash, _hash(permit_.permitted), msg.sender, permit_.nonce, permit_.deadline, witness)
        );
        _transferOne(permit_, transferDetails, owner, structHash, signature);
    }

    function permitTransferFrom(
        PermitBatchTransferFrom memory permit_,
        SignatureTransferDetails[] calldata transferDetails,
        address owner,
        bytes calldata signature
    ) external {
        bytes32 typehash = keccak256(bytes.concat("PermitBatchTransferFrom", MANY, ")", TOKEN_PERMISSIONS));
        bytes32 structHash = keccak256(
            abi.encode(typehash, _hash(permit_.permitted), msg.sender, permit_.nonce, permit_.deadline)
        );
        _transferMany(permit_, transferDetails, owner, structHash, signature);
    }

    function permitWitnessTransferFrom(
        PermitBatchTransferFrom memory permit_,
        SignatureTransferDetails[] calldata transferDetails,
        address owner,
        bytes32 witness,
        string calldata witnessTypeString,
        bytes calldata signature
    ) external {
        bytes32 typehash =
            keccak256(bytes.concat("PermitBatchWitnessTransferFrom", MANY, ",", bytes(witnessTypeString)));
        bytes32 structHash = keccak256(
            abi.encode(typehash, _hash(permit_.permitted), msg.sender, permit_.nonce, permit_.deadline, witness)
        );
        _transferMany(permit_, transferDetails, owner, structHash, signature);
    }

    function invalidateUnorderedNonces(uint256 wordPos, uint256 mask) external {
        nonceBitmap[msg.sender][wordPos] |= mask;
        emit UnorderedNonceInvalidation(msg.sender, wordPos, mask);
    }

    function _transferOne(
        PermitTransferFrom memory permit_,
        SignatureTransferDetails calldata details,
        address owner,
        bytes32 structHash,
        bytes calldata signature
    ) private {
        if (block.timestamp > permit_.deadline) revert SignatureExpired(permit_.deadline);
        if (details.requestedAmount > permit_.permitted.amount) revert InvalidAmount(permit_.permitted.amount);
        _useNonce(owner, permit_.nonce);
        _mustSign(owner, structHash, signature);
        IERC20(permit_.permitted.token).safeTransferFrom(owner, details.to, details.requestedAmount);
    }

    function _transferMany(
        PermitBatchTransferFrom memory permit_,
        SignatureTransferDetails[] calldata details,
        address owner,
        bytes32 structHash,
        bytes calldata signature
    ) private {
        if (block.timestamp > permit_.deadline) revert SignatureExpired(permit_.deadline);
        if (details.length != permit_.permitted.length) revert LengthMismatch();
        _useNonce(owner, permit_.nonce);
        _mustSign(owner, structHash, signature);
        for (uint256 i = 0; i < details.length; i++) {
            TokenPermissions memory permitted = permit_.permitted[i];
            if (details[i].requestedAmount > permitted.amount) revert InvalidAmount(permitted.amount);
            // Nothing asked of a token means that the token is not asked.
            if (details[i].requestedAmount == 0) continue;
            IERC20(permitted.token).safeTransferFrom(owner, details[i].to, details[i].requestedAmount);
        }
    }

    /// A number is a bit: any that was not used will do, in any order.
    function _useNonce(address owner, uint256 nonce) private {
        uint256 bit = 1 << (nonce & 0xff);
        uint256 used = nonceBitmap[owner][nonce >> 8];
        if (used & bit != 0) revert InvalidNonce();
        nonceBitmap[owner][nonce >> 8] = used | bit;
    }

    // up to a limit, until a time

    function approve(address token, address spender, uint160 amount, uint48 expiration) external {
        Limit storage limit = allowance[msg.sender][token][spender];
        _set(limit, amount, expiration);
        emit Approval(msg.sender, token, spender, amount, expiration);
    }

    function permit(address owner, PermitSingle memory permitSingle, bytes calldata signature) external {
        if (block.timestamp > permitSingle.sigDeadline) revert SignatureExpired(permitSingle.sigDeadline);
        bytes32 structHash = keccak256(
            abi.encode(
                SINGLE_TYPEHASH, _hash(permitSingle.details), permitSingle.spender, permitSingle.sigDeadline
            )
        );
        _mustSign(owner, structHash, signature);
        _take(owner, permitSingle.spender, permitSingle.details);
    }

    function permit(address owner, PermitBatch memory permitBatch, bytes calldata signature) external {
        if (block.timestamp > permitBatch.sigDeadline) revert SignatureExpired(permitBatch.sigDeadline);
        bytes32[] memory hashes = new bytes32[](permitBatch.details.length);
        for (uint256 i = 0; i < hashes.length; i++) {
            hashes[i] = _hash(permitBatch.details[i]);
        }
        bytes32 detailsHash = keccak256(abi.encodePacked(hashes));
        bytes32 structHash = keccak256(
            abi.encode(BATCH_TYPEHASH, detailsHash, permitBatch.spender, permitBatch.sigDeadline)
        );
        _mustSign(owner, structHash, signature);
        for (uint256 i = 0; i < hashes.length; i++) {
            _take(owner, permitBatch.spender, permitBatch.details[i]);
        }
    }

    function transferFrom(address from, address to, uint160 amount, address token) external {
        _spend(from, to, amount, token);
    }

    function transferFrom(AllowanceTransferDetails[] calldata transferDetails) external {
        for (uint256 i = 0; i < transferDetails.length; i++) {
            AllowanceTransferDetails calldata details = transferDetails[i];
            _spend(details.from, details.to, details.amount, details.token);
        }
    }

    function lockdown(TokenSpenderPair[] calldata approvals) external {
        for (uint256 i = 0; i < approvals.length; i++) {
            allowance[msg.sender][approvals[i].token][approvals[i].spender].amount = 0;
            emit Lockdown(msg.sender, approvals[i].token, approvals[i].spender);
        }
    }

    function invalidateNonces(address token, address spender, uint48 newNonce) external {
        Limit storage limit = allowance[msg.sender][token][spender];
        uint48 oldNonce = limit.nonce;
        if (newNonce <= oldNonce) revert InvalidNonce();
        if (newNonce - oldNonce > NONCES_AT_ONCE) revert ExcessiveInvalidation();
        limit.nonce = newNonce;
        emit NonceInvalidation(msg.sender, token, spender, newNonce, oldNonce);
    }

    function _take(address owner, address spender, PermitDetails memory details) private {
        Limit storage limit = allowance[owner][details.token][spender];
        if (limit.nonce != details.nonce) revert InvalidNonce();
        unchecked {
            limit.nonce = details.nonce + 1;
        }
        _set(limit, details.amount, details.expiration);
        emit Permit(owner, details.token, spender, details.amount, details.expiration, details.nonce);
    }

    /// No time means this block only.
    function _set(Limit storage limit, uint160 amount, uint48 expiration) private {
        limit.amount = amount;
        limit.expiration = expiration == 0 ? uint48(block.timestamp) : expiration;
    }

    function _spend(address from, address to, uint160 amount, address token) private {
        Limit storage limit = allowance[from][token][msg.sender];
        if (block.timestamp > limit.expiration) revert AllowanceExpired(limit.expiration);
        // The greatest limit is none.
        if (limit.amount != type(uint160).max) {
            if (amount > limit.amount) revert InsufficientAllowance(limit.amount);
            limit.amount -= amount;
        }
        IERC20(token).safeTransferFrom(from, to, amount);
    }

    // signatures

    function _hash(TokenPermissions memory permitted) private pure returns (bytes32) {
        return keccak256(abi.encode(TOKEN_PERMISSIONS_TYPEHASH, permitted.token, permitted.amount));
    }

    function _hash(TokenPermissions[] memory permitted) private pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](permitted.length);
        for (uint256 i = 0; i < hashes.length; i++) {
            hashes[i] = _hash(permitted[i]);
        }
        return keccak256(abi.encodePacked(hashes));
    }

    function _hash(PermitDetails memory details) private pure returns (bytes32) {
        return keccak256(
            abi.encode(DETAILS_TYPEHASH, details.token, details.amount, details.expiration, details.nonce)
        );
    }

    /// An account signs with 65 bytes, or 64 (EIP-2098); a contract answers for itself (ERC-1271).
    function _mustSign(address owner, bytes32 structHash, bytes calldata signature) private view {
        bytes32 digest = MessageHashUtils.toTypedDataHash(DOMAIN_SEPARATOR(), structHash);
        if (owner.code.length != 0) {
            if (IERC1271(owner).isValidSignature(digest, signature) != IERC1271.isValidSignature.selector) {
                revert InvalidContractSignature();
            }
            return;
        }
        address signer;
        if (signature.length == 65) {
            (signer,,) = ECDSA.tryRecoverCalldata(digest, signature);
        } else if (signature.length == 64) {
            (signer,,) = ECDSA.tryRecover(digest, bytes32(signature[:32]), bytes32(signature[32:]));
        } else {
            revert InvalidSignatureLength();
        }
        if (signer == address(0)) revert InvalidSignature();
        if (signer != owner) revert InvalidSigner();
    }
}
