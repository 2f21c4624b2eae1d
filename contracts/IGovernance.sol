// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// What the network decides by votes of staked OPG: its parameters (slashing amounts among them), which measurements and which
/// makers of hardware it trusts, and from which height on new rules hold. The module lives at
/// 0x0000000000000000000000000000000000000a05. Votes are those of `IStakedVotes` at the proposal's snapshot. A guardian can take
/// trust away at once, and nothing else.
interface IGovernance {
    /// One thing to do. Fields that a kind does not use are zero.
    ///  1 set a parameter: subject its name, value its value
    ///  2 accept a measurement: subject its digest, value its vendor
    ///  3 revoke a measurement: subject its digest
    ///  4 accept a vendor: value its number (1 AWS Nitro, 2 AMD SEV-SNP, 3 Intel TDX, 4 NVIDIA)
    ///  5 revoke a vendor: value its number
    ///  6 new rules: subject their name, value the height from which they hold, or from the end of the notice after their
    ///    execution if that is later (`UpgradeScheduled` and `upgrades` say which); zero takes back what is not in force
    ///  7 set the guardian: subject its address as a word; zero for none
    struct Action {
        uint8 kind;
        bytes32 subject;
        uint256 value;
    }

    struct Proposal {
        address proposer;
        /// 0 pending, 1 active, 2 canceled, 3 defeated, 4 executable, 5 waiting for its time, 6 expired, 7 executed.
        uint8 state;
        uint48 snapshot;
        uint48 deadline;
        uint48 executableFrom;
        uint48 executableUntil;
        /// In millionths of all votes at the snapshot: what votes for and abstentions must reach.
        uint32 quorum;
        /// In millionths of the votes for and against: what those for must exceed.
        uint32 majority;
        uint256 votesFor;
        uint256 votesAgainst;
        uint256 votesAbstain;
        bytes32 descriptionHash;
        Action[] actions;
    }

    struct Ballot {
        bool cast;
        uint8 support;
        uint256 votes;
    }

    struct Upgrade {
        bytes32 rules;
        /// The first that they hold for, of which the proposal may have asked for an earlier one; zero if taken back.
        uint256 height;
    }

    event ProposalMade(
        uint256 indexed id,
        address indexed proposer,
        Action[] actions,
        uint48 snapshot,
        uint48 deadline,
        string description
    );
    event ProposalCanceled(uint256 indexed id);
    event ProposalExecuted(uint256 indexed id, address by);
    event VoteCast(address indexed voter, uint256 indexed id, uint8 support, uint256 votes, string reason);
    event MeasurementAccepted(bytes32 indexed measurement, uint8 vendor);
    event MeasurementRevoked(bytes32 indexed measurement, address by);
    event VendorAccepted(uint8 indexed vendor);
    event VendorRevoked(uint8 indexed vendor, address by);
    event UpgradeScheduled(bytes32 indexed rules, uint256 height);
    event UpgradeCanceled(bytes32 indexed rules);
    event GuardianSet(address before, address guardian);

    error ActionCount(uint256 count, uint256 most);
    error ActionUnknown(uint8 kind);
    error ActionMalformed(uint8 kind);
    error TextTooLong(uint256 bytesFound, uint256 most);
    error TooFewVotes(address proposer, uint256 votes, uint256 needed);
    /// A proposer has one proposal open at a time.
    error ProposalOpen(uint256 id);
    error ProposalUnknown(uint256 id);
    error ProposalState(uint256 id, uint8 state);
    error ProposerOnly(address caller, address proposer);
    error SupportUnknown(uint8 support);
    error VotedAlready(address voter, uint256 id);
    error NoVotes(address voter);
    error VendorUnknown(uint256 vendor);
    error NotTrusted(bytes32 subject);
    /// Of a proposal: what is executed later than was thought is put off instead.
    error UpgradeTooSoon(uint256 height, uint256 least);
    error UpgradeInForce(bytes32 rules, uint256 height);
    error UpgradeUnknown(bytes32 rules);
    error GuardianOnly(address caller, address guardian);

    function propose(Action[] calldata actions, string calldata description) external returns (uint256 id);
    /// By the proposer, before the voting begins.
    function cancel(uint256 id) external;
    /// Support is 0 against, 1 for, 2 abstain.
    function castVote(uint256 id, uint8 support) external returns (uint256 votes);
    function castVoteWithReason(uint256 id, uint8 support, string calldata reason) external returns (uint256 votes);
    /// By anyone, in its time: all actions or none.
    function execute(uint256 id) external;
    /// By the guardian, at once.
    function revokeMeasurement(bytes32 measurement) external;
    /// By the guardian, at once: nothing of this vendor is trusted any more.
    function revokeVendor(uint8 vendor) external;

    function proposalCount() external view returns (uint256);
    /// Proposals are numbered from one.
    function proposal(uint256 id) external view returns (Proposal memory);
    function ballot(uint256 id, address voter) external view returns (Ballot memory);
    function guardian() external view returns (address);
    /// Whether evidence with this measurement counts: it and its vendor are trusted.
    function isTrusted(bytes32 measurement) external view returns (bool);
    function measurement(bytes32 digest) external view returns (uint8 vendor, bool accepted);
    /// Every measurement that was ever accepted.
    function measurements(uint256 from, uint256 count) external view returns (bytes32[] memory);
    function isVendorTrusted(uint8 vendor) external view returns (bool);
    /// SHA-256 of a vendor's root certificates in DER: constants of the protocol, whether the vendor is trusted or not.
    function vendorRoots(uint8 vendor) external view returns (bytes32[] memory);
    function upgrades(uint256 from, uint256 count) external view returns (Upgrade[] memory);
}
