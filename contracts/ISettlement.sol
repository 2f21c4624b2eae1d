// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// The network's settlement on Base (`specs/settlement.md`): believes one network key, and nobody else.
interface ISettlement {
    /// What a payout is: from what payers brought here, or against OPG locked on the ledger.
    enum Kind {
        Pay,
        Mint
    }

    struct Payout {
        Kind kind;
        address account;
        uint128 amount;
    }

    /// A sibling on the way up a sum tree.
    struct SumStep {
        bytes32 digest;
        uint128 sum;
    }

    /// An epoch record with the network's signature over it, and where in its state something stands.
    struct Proof {
        /// Canonical bytes of the epoch record.
        bytes epoch;
        /// The signature's point of G1, uncompressed: 96 bytes.
        bytes signature;
        /// The network's key, a point of G2, uncompressed: 192 bytes, the real part of each coordinate first.
        bytes key;
        /// Digests from the root of the state, first, to the record's leaf.
        bytes32[] siblings;
    }

    event Advanced(uint64 indexed number, uint64 firstEpoch, uint64 lastEpoch, bytes32 payoutsRoot, uint128 payoutsSum);
    event Paid(uint64 indexed number, uint64 indexed index, Kind kind, address indexed account, uint128 amount);
    event KeyRotated(uint64 indexed serial, bytes32 keyDigest);
    event SentToLedger(uint64 indexed serial, address indexed from, bytes32 indexed account, uint128 amount, bytes32 digest);

    error RecordLength(uint256 found, uint256 expected);
    error UnknownVersion(uint16 found, uint16 expected);
    error OtherChain(uint64 found, uint64 expected);
    error OtherKey(bytes32 found, bytes32 expected);
    error SignatureLength(uint256 found, uint256 expected);
    error KeyLength(uint256 found, uint256 expected);
    error InvalidCertificate();
    error NotInState(bytes32 found, bytes32 expected);
    error PathTooLong(uint256 found, uint256 most);
    error Gap(uint64 found, uint64 expected);
    error OtherHistory(bytes32 found, bytes32 expected);
    error EpochsNotNext(uint64 firstEpoch, uint64 lastEpoch, uint64 expectedFirst, uint64 certified);
    error BurnsNotHere(uint64 count, bytes32 found, bytes32 expected);
    error BurnsForgotten(uint64 found, uint64 credited);
    error UnknownSettlement(uint64 number, uint64 next);
    error NotInTree();
    error SumOverflow();
    error AlreadyPaid(uint64 number, uint64 index);
    error NothingToSend();
    error NotAKey();
    error PrecompileMissing(address precompile);

    function advance(Proof calldata proof, bytes calldata record) external;
    function pay(uint64 number, uint64 index, Payout calldata payout, SumStep[] calldata siblings) external;
    /// The key after the present one, which the present one, given as `key`, signed for.
    function rotate(uint64 serial, bytes calldata newKey, bytes calldata signature, bytes calldata key) external;
    function sendToLedger(uint128 amount, bytes32 account) external;
    /// By the holder's signature (EIP-3009, payee this contract, nonce `keccak256(abi.encode(account, salt))`): sent by anyone.
    function sendToLedgerWithAuthorization(
        address from,
        uint128 amount,
        bytes32 account,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 salt,
        bytes calldata signature
    ) external;
    function multicall(bytes[] calldata data) external returns (bytes[] memory results);

    function token() external view returns (address);
    function ledgerChainId() external view returns (uint64);
    function next() external view returns (uint64);
    function lastEpoch() external view returns (uint64);
    function lastDigest() external view returns (bytes32);
    function keyDigest() external view returns (bytes32);
    function keySerial() external view returns (uint64);
    function burns() external view returns (uint64);
    function burnsCredited() external view returns (uint64);
    function burnDigest(uint64 count) external view returns (bytes32);
    function roots(uint64 number)
        external
        view
        returns (bytes32 payoutsRoot, uint64 payoutsCount, uint128 payoutsSum, uint128 paid);
    function isPaid(uint64 number, uint64 index) external view returns (bool);
    function certificateHolds(bytes32 digest, bytes calldata signature, bytes calldata key)
        external
        view
        returns (bool);
}
