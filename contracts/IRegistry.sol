// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// Which nodes there are, whose each key is and when, and which models were published: one address for whoever wants to know. The
/// module lives at 0x0000000000000000000000000000000000000a08. Stake is IStaking's and prices are IModels', whose errors a method
/// may answer with where it does their work. Epochs are the ledger's; the largest number is an end that has not come.
interface IRegistry {
    struct Node {
        address operator;
        /// Who is paid for what the node does: its operator, unless that named another.
        address payout;
        /// 1 validator, 2 worker, 3 gateway, 4 auditor.
        uint8 role;
        /// The newest: it acts from its epoch on.
        bytes32 key;
        uint64 registeredEpoch;
        bool jailed;
        bool tombstoned;
        uint256 stake;
        string endpoint;
        bytes32[] models;
        /// As `describe` was told.
        bytes32[] capabilities;
    }

    struct Key {
        bytes32 node;
        uint8 role;
        /// A validator's key for a seat beside its own: it signs votes in agreement and nothing else.
        bool seat;
        uint64 validFrom;
        /// First epoch in which its node acts by another key.
        uint64 actsUntil;
        /// First epoch that anchors no receipt signed by it.
        uint64 validUntil;
    }

    struct Registration {
        uint8 role;
        bytes32 key;
        /// The key's Ed25519 signature for this chain, operator and role, as for IStaking's `register`.
        bytes possession;
        uint32 commission;
        uint32 commissionMax;
        uint32 commissionStep;
        string endpoint;
        bytes32[] models;
    }

    struct Price {
        uint128 perCall;
        uint128 perInputToken;
        uint128 perOutputToken;
        /// 0 base units of OPG, 1 billionths of a billionth of a US dollar.
        uint8 unit;
    }

    struct Split {
        address payee;
        uint32 share;
    }

    struct Parent {
        bytes32 root;
        uint32 share;
    }

    struct Model {
        address publisher;
        uint48 publishedAt;
        bool retired;
        uint8 depth;
        /// 1 exact, 2 float.
        uint8 kind;
        /// Published with nothing but a name.
        bool bare;
        string name;
        string version;
        string licence;
        Price price;
        Split[] splits;
        Parent[] parents;
    }

    event NodeEntered(bytes32 indexed node, address indexed operator, uint8 role, uint64 epoch);
    event NodeListed(bytes32 indexed node, string endpoint, bytes32[] models);
    event NodeDescribed(bytes32 indexed node, bytes32[] capabilities);
    event PayoutSet(bytes32 indexed node, address payout);
    event KeyEntered(bytes32 indexed key, bytes32 indexed node, uint8 role, bool seat, uint64 validFrom);
    event KeyRetired(bytes32 indexed key, bytes32 indexed node, uint64 actsUntil, uint64 validUntil);

    error EndpointTooLong(uint256 bytesFound, uint256 most);
    error TooManyModels(uint256 count, uint256 most);
    error ModelRepeated(bytes32 root);
    error TooManyCapabilities(uint256 count, uint256 most);
    error CapabilityInvalid(bytes32 word);
    error CapabilityRepeated(bytes32 word);
    error PayoutInvalid(address payout);
    error KeyTaken(bytes32 key, bytes32 node);
    error KeyUnknown(bytes32 key);
    /// A key was entered in this epoch already, and acts from `validFrom` on.
    error RotatedAlready(bytes32 node, uint64 validFrom);

    /// Registers a node with the value as its operator's stake, and says at once where it is and what it serves.
    function register(Registration calldata registration) external payable returns (bytes32 node);
    /// Where a node is and what it serves. By its operator; its own key says the same on the ledger.
    function list(bytes32 node, string calldata endpoint, bytes32[] calldata models) external;
    /// What a node says of its machine, such as `tee=tdx` or `accelerator=h200`: at most 16 words of small letters, digits, `=`, `.`, `_`
    /// and `-`, with zeros behind each. Nobody checks them. By its operator; they take the place of those before.
    function describe(bytes32 node, bytes32[] calldata capabilities) external;
    /// Who is paid for what the node does; its operator again, if it is the operator's address.
    function setPayout(bytes32 node, address payout) external;
    /// Gives a node another key, which proves that it agrees. The old one acts to the end of this epoch; a worker's still answers
    /// for the receipts that it signed.
    function rotate(bytes32 node, bytes32 key, bytes calldata possession) external;

    /// The ledger's open epoch.
    function epoch() external view returns (uint64);
    function nodeCount() external view returns (uint256);
    function nodes(uint256 from, uint256 count) external view returns (bytes32[] memory);
    function node(bytes32 id) external view returns (Node memory);
    function key(bytes32 id) external view returns (Key memory);
    /// A node's keys, oldest first, those for seats among them.
    function keysOf(bytes32 node, uint256 from, uint256 count) external view returns (bytes32[] memory);
    /// Whether a receipt that this key signed may be anchored in this epoch. False for a key that nobody has.
    function isValid(bytes32 id, uint64 inEpoch) external view returns (bool);
    function modelCount() external view returns (uint256);
    function models(uint256 from, uint256 count) external view returns (bytes32[] memory);
    function model(bytes32 root) external view returns (Model memory);
}
