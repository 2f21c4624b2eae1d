// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {ISettlement} from "../ISettlement.sol";
import {Certificate} from "./Certificate.sol";
import {Trees} from "./Trees.sol";

interface IMintedToken {
    function mint(address to, uint256 value) external;
    function burn(address from, uint256 value) external;
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes memory signature
    ) external;
}

/// The network's settlement on Base (`specs/settlement.md`). Has no owner and no upgrade: whatever it does, a certificate of the
/// network's key says, or the holder of the tokens.
contract Settlement is ISettlement, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    uint256 private constant EPOCH_LENGTH = 198;
    uint256 private constant RECORD_LENGTH = 162;
    /// Where the root of the state stands in an epoch record.
    uint256 private constant STATE_ROOT_AT = 162;

    struct Root {
        bytes32 payoutsRoot;
        uint64 payoutsCount;
        uint128 payoutsSum;
        uint128 paid;
    }

    address public token;
    uint64 public ledgerChainId;
    /// What every certified digest is signed behind: the length of the namespace, and the namespace.
    bytes private namespace;
    /// Keccak-256 of the uncompressed key: the key itself comes with each call, which is cheaper than to keep it.
    bytes32 public keyDigest;
    uint64 public keySerial;
    /// The number of the next settlement, and the last epoch of the one before.
    uint64 public next;
    uint64 public lastEpoch;
    bytes32 public lastDigest;
    uint64 public burns;
    uint64 public burnsCredited;
    mapping(uint64 number => Root) public roots;
    mapping(uint64 number => mapping(uint64 word => uint256)) private paidBits;
    mapping(uint64 count => bytes32) public burnDigest;

    constructor(address token_, uint64 ledgerChainId_, bytes memory key) {
        token = token_;
        ledgerChainId = ledgerChainId_;
        bytes memory words = bytes.concat("og-", bytes(Strings.toString(ledgerChainId_)), "_EPOCH");
        namespace = bytes.concat(bytes1(uint8(words.length)), words);
        if (key.length != Certificate.KEY_LENGTH) revert KeyLength(key.length, Certificate.KEY_LENGTH);
        keyDigest = keccak256(key);
    }

    // what the network says

    /// Takes over the next settlement: its record stands in the state of a certified epoch.
    function advance(Proof calldata proof, bytes calldata record) external nonReentrant {
        if (record.length != RECORD_LENGTH) revert RecordLength(record.length, RECORD_LENGTH);
        _mustBeOurs(record);
        uint64 number = uint64(bytes8(record[10:18]));
        if (number != next) revert Gap(number, next);
        _mustBeInState(proof, sha256(abi.encodePacked(hex"16", "og/state/settlement/v1", number)), record);
        if (bytes32(record[34:66]) != lastDigest) revert OtherHistory(bytes32(record[34:66]), lastDigest);
        (uint64 first, uint64 last) = (uint64(bytes8(record[18:26])), uint64(bytes8(record[26:34])));
        uint64 certified = uint64(bytes8(proof.epoch[10:18]));
        uint64 expected = number == 0 ? first : lastEpoch + 1;
        if (first != expected || last < first || last > certified) {
            revert EpochsNotNext(first, last, expected, certified);
        }
        _mustBeOurBurns(uint64(bytes8(record[122:130])), bytes32(record[130:162]));
        Root memory root = Root(
            bytes32(record[66:98]), uint64(bytes8(record[98:106])), uint128(bytes16(record[106:122])), 0
        );
        roots[number] = root;
        (next, lastEpoch) = (number + 1, last);
        lastDigest = sha256(bytes.concat(hex"10", "og/settlement/v1", record));
        emit Advanced(number, first, last, root.payoutsRoot, root.payoutsSum);
    }

    /// Replaces the network's key by the one after it, which the present one signed for (`specs/rotation.md`). A reshare keeps the key
    /// and needs nothing.
    function rotate(uint64 serial, bytes calldata newKey, bytes calldata signature, bytes calldata key)
        external
        nonReentrant
    {
        if (serial != keySerial + 1) revert Gap(serial, keySerial + 1);
        _mustBeOurKey(key);
        if (newKey.length != Certificate.KEY_LENGTH) revert KeyLength(newKey.length, Certificate.KEY_LENGTH);
        _mustBeASignature(signature);
        if (!Certificate.isKey(newKey)) revert NotAKey();
        bytes32 digest = sha256(
            abi.encodePacked(hex"0e", "og/rotation/v1", uint16(1), ledgerChainId, serial, Certificate.compressed(newKey))
        );
        bytes memory words = bytes.concat("og-", bytes(Strings.toString(ledgerChainId)), "_ROTATION");
        bytes memory message = bytes.concat(bytes1(uint8(words.length)), words, digest);
        if (!Certificate.holds(signature, key, message)) revert InvalidCertificate();
        keySerial = serial;
        keyDigest = keccak256(newKey);
        emit KeyRotated(serial, keyDigest);
    }

    function certificateHolds(bytes32 digest, bytes calldata signature, bytes calldata key) public view returns (bool) {
        return keccak256(key) == keyDigest && Certificate.holds(signature, key, bytes.concat(namespace, digest));
    }

    // what payees and holders do

    /// Pays one payout of a settlement; anyone may ask, the payee is given.
    function pay(uint64 number, uint64 index, Payout calldata payout, SumStep[] calldata siblings) external nonReentrant {
        if (number >= next) revert UnknownSettlement(number, next);
        Root storage root = roots[number];
        if (isPaid(number, index)) revert AlreadyPaid(number, index);
        bytes32 content =
            sha256(abi.encodePacked(hex"0c", "og/payout/v1", uint8(payout.kind), payout.account, payout.amount));
        (bytes32 digest, uint128 sum) = Trees.sumRoot(content, payout.amount, index, root.payoutsCount, siblings);
        if (digest != root.payoutsRoot || sum != root.payoutsSum) revert NotInTree();
        root.paid += payout.amount;
        // A sum tree cannot pay more than its sum. Should its arithmetic ever be wrong, this still holds.
        assert(root.paid <= root.payoutsSum);
        paidBits[number][index >> 8] |= 1 << (index & 0xff);
        emit Paid(number, index, payout.kind, payout.account, payout.amount);
        if (payout.kind == Kind.Pay) IERC20(token).safeTransfer(payout.account, payout.amount);
        else IMintedToken(token).mint(payout.account, payout.amount);
    }

    /// Destroys tokens here for an account on the ledger, where as many are unlocked once validators have seen it.
    function sendToLedger(uint128 amount, bytes32 account) external nonReentrant {
        _book(msg.sender, amount, account);
        IMintedToken(token).burn(msg.sender, amount);
    }

    /// The same for a holder without gas. The nonce names the account, so whoever sends it can change nothing.
    function sendToLedgerWithAuthorization(
        address from,
        uint128 amount,
        bytes32 account,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 salt,
        bytes calldata signature
    ) external nonReentrant {
        _book(from, amount, account);
        IMintedToken(token).receiveWithAuthorization(
            from, address(this), amount, validAfter, validBefore, keccak256(abi.encode(account, salt)), signature
        );
        IMintedToken(token).burn(address(this), amount);
    }

    function _book(address from, uint128 amount, bytes32 account) private {
        if (amount == 0 || account == 0) revert NothingToSend();
        bytes32 digest =
            sha256(abi.encodePacked(hex"0a", "og/burn/v1", burnDigest[burns], burns, from, account, amount));
        burns += 1;
        burnDigest[burns] = digest;
        emit SentToLedger(burns - 1, from, account, amount, digest);
    }

    function isPaid(uint64 number, uint64 index) public view returns (bool) {
        return paidBits[number][index >> 8] & (1 << (index & 0xff)) != 0;
    }

    /// Several of the above in one transaction; each is guarded on its own.
    function multicall(bytes[] calldata data) external returns (bytes[] memory results) {
        results = new bytes[](data.length);
        for (uint256 i = 0; i < data.length; i++) {
            results[i] = Address.functionDelegateCall(address(this), data[i]);
        }
    }

    // checks

    /// Every record begins with its version and the ledger's chain id.
    function _mustBeOurs(bytes calldata record) private view {
        uint16 version = uint16(bytes2(record[:2]));
        if (version != 1) revert UnknownVersion(version, 1);
        uint64 chain = uint64(bytes8(record[2:10]));
        if (chain != ledgerChainId) revert OtherChain(chain, ledgerChainId);
    }

    function _mustBeInState(Proof calldata proof, bytes32 key, bytes calldata record) private view {
        if (proof.epoch.length != EPOCH_LENGTH) revert RecordLength(proof.epoch.length, EPOCH_LENGTH);
        _mustBeASignature(proof.signature);
        if (proof.key.length != Certificate.KEY_LENGTH) revert KeyLength(proof.key.length, Certificate.KEY_LENGTH);
        _mustBeOurs(proof.epoch);
        _mustBeOurKey(proof.key);
        bytes32 root = Trees.stateRoot(key, record, proof.siblings);
        bytes32 certified = bytes32(proof.epoch[STATE_ROOT_AT:STATE_ROOT_AT + 32]);
        if (root != certified) revert NotInState(root, certified);
        bytes32 digest = sha256(bytes.concat(hex"0b", "og/epoch/v1", proof.epoch));
        if (!certificateHolds(digest, proof.signature, proof.key)) revert InvalidCertificate();
    }

    function _mustBeASignature(bytes calldata signature) private pure {
        if (signature.length != Certificate.SIGNATURE_LENGTH) {
            revert SignatureLength(signature.length, Certificate.SIGNATURE_LENGTH);
        }
    }

    /// Whatever has another length is another key.
    function _mustBeOurKey(bytes calldata key) private view {
        bytes32 found = keccak256(key);
        if (found != keyDigest) revert OtherKey(found, keyDigest);
    }

    /// What the ledger unlocked was destroyed here, and no burn is credited twice.
    function _mustBeOurBurns(uint64 count, bytes32 digest) private {
        if (count < burnsCredited) revert BurnsForgotten(count, burnsCredited);
        bytes32 ours = burnDigest[count];
        if (count > burns || digest != ours) revert BurnsNotHere(count, digest, ours);
        burnsCredited = count;
    }
}
