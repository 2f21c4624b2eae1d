// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// Stake behind nodes: whoever registers a node puts stake of its own behind it, others add theirs, and what the node does
/// wrong costs all of them the same share. The module lives at 0x0000000000000000000000000000000000000a01. Coins come in as
/// the value of a call and go out to the caller. Times are terms, of which the ledger begins one after the other; a chain that
/// stands still releases nothing. Shares and commissions are in millionths. No method slashes: only the ledger itself does.
interface IStaking {
    struct Node {
        address operator;
        /// 1 validator, 2 worker, 3 gateway, 4 auditor.
        uint8 role;
        bytes32 key;
        uint32 registeredTerm;
        bool jailed;
        /// First term in which the operator may end the jail.
        uint32 jailedUntil;
        bool tombstoned;
        uint32 commission;
        uint32 commissionMax;
        uint32 commissionStep;
        uint256 coins;
        uint256 shares;
        uint256 selfCoins;
        uint256 commissionOwed;
    }

    /// What a delegator wants to know about a node before it trusts it; counted since its registration.
    struct Facts {
        /// Blocks that a validator proposed, and those that it missed to its part of them; nothing counts its votes.
        uint64 proposed;
        uint64 missed;
        /// Of a worker's receipts: auditors' reports that they hold, and receipts that fell.
        uint64 auditsPassed;
        uint64 auditsFailed;
        /// Times that it was slashed for a receipt that was refuted, and for anything.
        uint64 refuted;
        uint64 slashes;
        /// Coins that it lost, its bonds among them.
        uint256 slashed;
        /// An auditor's reports that receipts hold, and those of them that it was slashed for.
        uint64 reports;
        uint64 falseReports;
    }

    struct Position {
        uint256 shares;
        uint256 coins;
        uint256 lockedShares;
        /// First term in which the locked shares may move.
        uint32 lockedUntil;
        uint256 rewards;
    }

    struct Unbonding {
        bytes32 node;
        uint256 coins;
        uint32 begunTerm;
        uint32 releaseTerm;
    }

    struct CommissionChange {
        uint48 since;
        uint32 commission;
    }

    /// A row of the slashing table.
    struct Penalty {
        uint8 offence;
        string name;
        uint32 share;
        uint32 reporterShare;
        uint32 jailTerms;
        bool tombstones;
        /// False where nothing that the network runs shows this offence yet.
        bool inForce;
    }

    event NodeRegistered(bytes32 indexed node, address indexed operator, uint8 role, bytes32 key);
    event Delegated(address indexed delegator, bytes32 indexed node, uint256 coins, uint256 shares);
    event Undelegated(address indexed delegator, bytes32 indexed node, uint256 coins, uint256 shares, uint32 releaseTerm);
    event Withdrawn(address indexed delegator, uint256 coins);
    event Redelegated(
        address indexed delegator,
        bytes32 indexed from,
        bytes32 indexed to,
        uint256 coins,
        uint256 shares,
        uint32 lockedUntil
    );
    event RewardsClaimed(address indexed delegator, bytes32 indexed node, uint256 coins);
    event RewardsCompounded(address indexed delegator, bytes32 indexed node, uint256 coins);
    event CommissionClaimed(bytes32 indexed node, uint256 coins);
    event CommissionSet(bytes32 indexed node, uint32 before, uint32 commission);
    event PoolFunded(address indexed from, uint256 coins);
    event Rewarded(bytes32 indexed node, uint256 coins, uint256 commission);
    event Slashed(
        bytes32 indexed node,
        uint8 indexed offence,
        bytes32 indexed evidence,
        uint32 term,
        uint256 taken,
        uint256 burned,
        address reporter
    );
    /// What the operator owes was taken out of its own stake: free, leaving or moved.
    event Collected(bytes32 indexed node, uint256 coins, address to);
    event Jailed(bytes32 indexed node, uint32 until);
    event Unjailed(bytes32 indexed node);
    event Tombstoned(bytes32 indexed node);
    event TermBegun(uint32 indexed term);
    /// The operator's own stake stands for something for a while: it is out of the pool, and no slash of the node takes it.
    event Bonded(bytes32 indexed node, uint256 coins);
    /// A bond ended: so much went back to the operator's stake, so much to `to`, the rest is burned.
    event BondEnded(bytes32 indexed node, uint256 back, uint256 burned, uint256 paid, address to);

    error RoleUnknown(uint8 role);
    error KeyRegistered(bytes32 key, bytes32 node);
    error PossessionInvalid(bytes32 key, address operator);
    error SelfStakeTooSmall(uint256 coins, uint256 least);
    error CommissionOutOfBounds(uint32 commission, uint32 most);
    error CommissionStepTooLarge(uint32 before, uint32 commission, uint32 step);
    error CommissionTooSoon(uint256 notBefore);
    error NodeUnknown(bytes32 node);
    error NodeJailed(bytes32 node, uint32 until);
    error NodeNotJailed(bytes32 node);
    error NodeTombstoned(bytes32 node);
    error OperatorOnly(address caller, address operator);
    error DelegationTooSmall(uint256 coins, uint256 least);
    /// The pool's shares are worth nothing, or a delegation would overflow its books.
    error PoolClosed(bytes32 node);
    error TooManyPositions(uint256 most);
    error TooManyRedelegations(bytes32 from, uint256 most);
    error SharesLocked(uint256 shares, uint256 free, uint32 lockedUntil);
    error NothingToMove();
    error StakeTooSmall(uint256 coins, uint256 needed);
    error SameNode(bytes32 node);
    error OffenceFromTheFuture(uint32 term, uint32 current);
    error EvidenceUsed(bytes32 evidence);
    error RewardPoolTooSmall(uint256 pool, uint256 needed);

    /// Registers a node with the value as its operator's stake. `possession` is the key's Ed25519 signature for this chain,
    /// operator and role. `commissionStep` is by how much the commission may change in a day.
    function register(
        uint8 role,
        bytes32 key,
        bytes calldata possession,
        uint32 commission,
        uint32 commissionMax,
        uint32 commissionStep
    ) external payable returns (bytes32 node);
    function delegate(bytes32 node) external payable returns (uint256 shares);
    /// Begins to take `coins` out, or all that may move if it is the largest number. They can still be slashed until they
    /// are released.
    function undelegate(bytes32 node, uint256 coins) external returns (uint256 moved, uint32 releaseTerm);
    /// Pays what is released, from at most `most` entries of the caller's queue.
    function withdraw(uint256 most) external returns (uint256 coins);
    /// Moves stake at once. It answers for `from` as if it were unbonding, and may not move again before that is over.
    function redelegate(bytes32 from, bytes32 to, uint256 coins) external returns (uint256 moved);
    function claim(bytes32 node) external returns (uint256 coins);
    /// Adds the caller's rewards to its stake.
    function compound(bytes32 node) external returns (uint256 coins);
    function claimCommission(bytes32 node) external returns (uint256 coins);
    function setCommission(bytes32 node, uint32 commission) external;
    function unjail(bytes32 node) external;
    /// Adds the value to the pool from which the ledger rewards nodes.
    function fund() external payable;

    function term() external view returns (uint32);
    function totals() external view returns (uint256 bonded, uint256 unbonding, uint256 rewards, uint256 pool);
    function nodeCount() external view returns (uint256);
    function nodes(uint256 from, uint256 count) external view returns (bytes32[] memory);
    /// Validators that stand for seats: not jailed, with enough stake of their own.
    function validators(uint256 from, uint256 count) external view returns (bytes32[] memory);
    function node(bytes32 id) external view returns (Node memory);
    function facts(bytes32 node) external view returns (Facts memory);
    /// Bonds that a node has open, and those of all nodes.
    function bonds(bytes32 node) external view returns (uint256 open, uint256 all);
    function position(address delegator, bytes32 node) external view returns (Position memory);
    function positions(address delegator) external view returns (bytes32[] memory);
    function unbonding(address delegator, uint256 from, uint256 count) external view returns (Unbonding[] memory);
    function commissionHistory(bytes32 node, uint256 from, uint256 count)
        external
        view
        returns (CommissionChange[] memory);
    /// What each offence costs.
    function slashingTable() external view returns (Penalty[] memory);
}
