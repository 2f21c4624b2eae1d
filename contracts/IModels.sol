// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// Which models there are: who published each, at what price, under what licence, made from which others, and who is paid when
/// one earns. The module lives at 0x0000000000000000000000000000000000000a06. A model is named by its root, for ever; what its
/// publisher may change is the price and whether it is offered. Shares are in millionths.
interface IModels {
    struct Price {
        uint128 perCall;
        uint128 perInputToken;
        uint128 perOutputToken;
        /// What the three are counted in: 0 base units of OPG, 1 billionths of a billionth of a US dollar.
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

    struct Publication {
        bytes32 root;
        string name;
        string version;
        string licence;
        Price price;
        /// Contributors: at most eight.
        Split[] splits;
        /// Models that this one was made from: at most four, published before. What is paid to one is divided as its own income.
        Parent[] parents;
    }

    struct Model {
        address publisher;
        uint48 publishedAt;
        bool retired;
        /// Generations: one for a model without parents.
        uint8 depth;
        /// 1 exact, 2 float: whether anybody can compute its answers again.
        uint8 kind;
        /// Published with nothing but a name: price, splits and lineage are not said yet.
        bool bare;
        string name;
        string version;
        string licence;
        Price price;
        Split[] splits;
        Parent[] parents;
    }

    struct Payout {
        address payee;
        uint256 amount;
    }

    event ModelPublished(bytes32 indexed root, address indexed publisher, uint8 kind, string name, string version);
    event PriceSet(bytes32 indexed root, Price price);
    event OfferSet(bytes32 indexed root, bool retired);

    error RootZero();
    error RootPublished(bytes32 root, address publisher);
    error NameEmpty();
    error TextTooLong(uint256 bytesFound, uint256 most);
    error VersionPublished(bytes32 root);
    error TooMany(uint256 count, uint256 most);
    error SplitInvalid(address payee, uint32 share);
    error ParentInvalid(bytes32 root, uint32 share);
    error ParentUnknown(bytes32 root);
    error SharesTooLarge(uint256 sum, uint256 most);
    error TooManyGenerations(uint256 found, uint256 most);
    error ModelUnknown(bytes32 root);
    error PublisherOnly(address caller, address publisher);
    error AmountTooLarge(uint256 amount, uint256 most);
    error UnitUnknown(uint8 unit);
    /// The root does not follow from this manifest.
    error ManifestInvalid(bytes32 root, bytes32 manifest);
    /// Others are made from the root already, so it can name no parents any more: lineage has no circles.
    error ParentAlready(bytes32 root);

    /// Publishes a model, once. Who published a root with nothing but a name, as the ledger's own action does, says the rest once, or only its
    /// price.
    function publish(Publication calldata publication) external;
    /// Publishes a model without an exact form, whose root follows from its manifest's digest. Whoever published the root as an
    /// exact model has not published it: this one takes the place.
    function publishFloat(Publication calldata publication, bytes32 manifest) external;
    function setPrice(bytes32 root, Price calldata price) external;
    /// Takes a model off the offer or puts it back. What it earned and what is made from it stays.
    function setRetired(bytes32 root, bool retired) external;

    function modelCount() external view returns (uint256);
    function models(uint256 from, uint256 count) external view returns (bytes32[] memory);
    function model(bytes32 root) external view returns (Model memory);
    /// Roots of a publisher's models of one name, oldest first.
    function versions(address publisher, string calldata name, uint256 from, uint256 count)
        external
        view
        returns (bytes32[] memory);
    /// In the unit of the model's price.
    function cost(bytes32 root, uint256 inputTokens, uint256 outputTokens) external view returns (uint256);
    /// Who gets how much of an income, to the last unit: contributors and parents by their shares rounded down, the publisher the rest.
    function payouts(bytes32 root, uint256 amount) external view returns (Payout[] memory);
}
