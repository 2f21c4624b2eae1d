//! What native modules and contracts refuse, in sentences: amounts in OPG, shares in percent, and what may be done about it.
//!
//! One table for every command, whichever chain it is told by. What has no row is told as its interface, or its chain, has it. Each sentence ends with the error's name, for
//! whoever looks it up in `contracts/`.

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_sol_types::SolError;
use anyhow::{Error, anyhow};
use contracts::abi::{IBatchSettlement, IModels, IParameters, ISettlement};
use evm::modules::{
    IModule, SystemError,
    bridge::IBridge,
    explain,
    governance::IGovernance,
    opg::IOPG,
    registry::IRegistry,
    seats::ISeats,
    staking::{IStakedVotes, IStaking},
};
use network::RpcError;
use protocol::Amount;
use relayer::ChainError;

use super::terms::percent;
use crate::amount::opg;

/// A module's "no", with the bytes that it reverted with.
#[derive(Debug, thiserror::Error)]
#[error("the {module} module refuses: {}", told(.data))]
pub(super) struct Refused {
    pub module: &'static str,
    pub data: Vec<u8>,
}

impl Refused {
    /// Whether it says this.
    pub fn is<E: SolError>(&self) -> bool {
        self.data.first_chunk::<4>() == Some(&E::SELECTOR)
    }
}

/// What a chain refused, in the words of the contract that did, where they are known here.
pub(super) fn by_chain(error: ChainError) -> Error {
    let ChainError::Rpc(RpcError::Refused { message, data, .. }) = &error else { return error.into() };
    let data = data.as_deref().and_then(|data| hex::decode(data).ok()).unwrap_or_default();
    if row_of(&data).is_some() {
        return anyhow!("the contract refuses: {}", told(&data));
    }
    // As go-ethereum has it, and as our own chains do.
    if ["insufficient funds", "insufficient balance"].iter().any(|word| message.to_ascii_lowercase().contains(word)) {
        let short =
            "the key's address has too little of the chain's own coin; hint: it pays for gas, and for what is sent";
        return Error::new(error).context(short);
    }
    error.into()
}

const LATER: &str = "og stake show says in which term what may move, and which term it is";
const LONGER: &str = "say less";
const NODES: &str = "og node list names those that are there";
const MODELS: &str = "nobody published it, or it is in no block yet: og model list";
const VERSIONS: &str = "is this og of the network's version?";
const CHANNELS: &str = "og wallet channels lists those that are known here";
const PROOFS: &str =
    "a validator has told what is wrong, or of another network: og bridge status names the contract; ask again";

/// One error. In a sentence `{0}` stands for its first argument as its type is read, `{0 OPG}` for the same as base units of OPG, and
/// `{0 %}` as millionths.
struct Row {
    selector: [u8; 4],
    signature: &'static str,
    sentence: &'static str,
    hint: &'static str,
}

const fn row<E: SolError>(sentence: &'static str, hint: &'static str) -> Row {
    Row { selector: E::SELECTOR, signature: E::SIGNATURE, sentence, hint }
}

static ROWS: &[Row] = &[
    // Of every module.
    row::<IModule::UnknownMethod>("the network has no method {0} there", VERSIONS),
    row::<IModule::InvalidArguments>("the network reads other arguments of the method {0}", VERSIONS),
    row::<IModule::NotPayable>("{0 OPG} came with a call that takes none", VERSIONS),
    // Coins.
    row::<IOPG::ERC20InsufficientBalance>(
        "{0} has {1 OPG}, and {2 OPG} are asked for",
        "og wallet show says what an account has, and og faucet pays on a devnet",
    ),
    row::<IOPG::ERC20InvalidReceiver>("{0} is nobody who can receive OPG", "an address of somebody: og keys list"),
    // Stake.
    row::<IStaking::DelegationTooSmall>(
        "{0 OPG} are too little to delegate, {1 OPG} at least expected",
        "--amount of that or more",
    ),
    row::<IStaking::SelfStakeTooSmall>(
        "{0 OPG} of the operator's own stand behind the node, {1 OPG} at least expected",
        "its operator stakes the rest: og stake delegate, or og node register --stake",
    ),
    row::<IStaking::StakeTooSmall>(
        "{0 OPG} are staked there, and {1 OPG} are asked for",
        "--amount of that or less, or all; og stake show says what is staked",
    ),
    row::<IStaking::SharesLocked>(
        "so much cannot move before term {2}, because it came from another node: {1} of {0} shares are free",
        LATER,
    ),
    row::<IStaking::NothingToMove>(
        "there is nothing that moves",
        "og stake show says what is staked, where, and earned",
    ),
    row::<IStaking::SameNode>("the stake is behind {0} already", "--to names another node"),
    row::<IStaking::TooManyPositions>(
        "an account stakes behind {0} nodes at most",
        "og stake undelegate makes room once all of one is taken out",
    ),
    row::<IStaking::TooManyRedelegations>(
        "{1} moves away from {0} are remembered at most, until their terms are over",
        "og stake undelegate is never refused for it; or wait for a term",
    ),
    row::<IStaking::PoolClosed>("nothing can be added to the stake of {0}", "another node: og node list"),
    row::<IStaking::NodeUnknown>("{0} is no registered node", NODES),
    row::<IStaking::NodeJailed>(
        "{0} is jailed, until its operator ends that in term {1} or later",
        "as its operator: og stake unjail; og stake show says which term it is",
    ),
    row::<IStaking::NodeNotJailed>("{0} is not jailed", "og node show says what it is"),
    row::<IStaking::NodeTombstoned>("{0} never comes back", "og node register enters another node"),
    row::<IStaking::OperatorOnly>("only {1} operates it, and {0} asks", "--from names its operator's key"),
    row::<IStaking::RoleUnknown>("{0} is no role", VERSIONS),
    row::<IStaking::KeyRegistered>(
        "the key {0} is registered already, as that of {1}",
        "og node show tells of it; another node needs another key: og node init",
    ),
    row::<IStaking::PossessionInvalid>(
        "the key {0} does not agree to be operated by {1}",
        "its key file and --from are of one folder: og keys list",
    ),
    row::<IStaking::CommissionOutOfBounds>("a commission of {0 %} is too much, {1 %} at most expected", "ask for less"),
    row::<IStaking::CommissionStepTooLarge>(
        "a commission of {0 %} cannot become {1 %} at once: by {2 %} a day at most",
        "in smaller steps",
    ),
    row::<IStaking::CommissionTooSoon>("a commission changes once a day", "tomorrow"),
    row::<IStakedVotes::TooManyNodes>("stake behind {1} nodes votes for {0} already, and no more can", NODES),
    // Models.
    row::<IModels::ModelUnknown>("no model has the root {0}", MODELS),
    row::<IModels::RootPublished>(
        "the model {0} is published already, by {1}",
        "who earns with a model is said once, by its publisher: og model price changes what it costs, og model show what was said",
    ),
    row::<IModels::VersionPublished>(
        "its publisher has a model of this name and version already: {0}",
        "this name has a model of this version already: another --version or --name",
    ),
    row::<IModels::PublisherOnly>("only its publisher {1} may, and {0} asks", "--key names the key that published it"),
    row::<IModels::ParentUnknown>("no model has the root {0}", "a parent is published before: og model list"),
    row::<IModels::ParentInvalid>(
        "{0} with {1 %} is no parent of this model",
        "each parent once, and no model is its own",
    ),
    row::<IModels::ParentAlready>(
        "the model {0} can have no parents any more",
        "others are made from this model, so that it can name no parents any more",
    ),
    row::<IModels::SharesTooLarge>("the shares are {0 %} together", "splits and parents are 100% together at most"),
    row::<IModels::SplitInvalid>("{0} cannot have {1 %}", "a share above 0%, of somebody"),
    row::<IModels::TooManyGenerations>(
        "it would be of generation {0}",
        "a model has three generations of parents at most",
    ),
    row::<IModels::TooMany>("{0} are too many, {1} at most expected", "at most 8 splits and 4 parents"),
    row::<IModels::RootZero>("a root of zeros is no model's", VERSIONS),
    row::<IModels::NameEmpty>("the model has no name", "--name"),
    row::<IModels::TextTooLong>("a text of {0} bytes is too long, {1} at most expected", LONGER),
    row::<IModels::AmountTooLarge>("a price of {0} base units is too much, {1} at most expected", "a lower price"),
    row::<IModels::UnitUnknown>("{0} is no unit of prices on this network", VERSIONS),
    row::<IModels::ManifestInvalid>("the root {0} does not follow from the manifest {1}", VERSIONS),
    // Nodes.
    row::<IRegistry::EndpointTooLong>("an address of {0} bytes is too long, {1} at most expected", LONGER),
    row::<IRegistry::TooManyModels>("{0} models are too many for a node, {1} at most expected", "og node serve --stop"),
    row::<IRegistry::ModelRepeated>("the model {0} is named twice", "once"),
    row::<IRegistry::TooManyCapabilities>("{0} words for a machine are too many, {1} at most expected", LONGER),
    row::<IRegistry::CapabilityInvalid>("{0} is no word for a machine", "for instance tee=tdx"),
    row::<IRegistry::CapabilityRepeated>("{0} is said twice", "once"),
    row::<IRegistry::PayoutInvalid>("{0} is nobody who can be paid", "an address of somebody: og keys list"),
    row::<IRegistry::KeyTaken>("the key {0} is that of {1} already", "another key: og keys new"),
    row::<IRegistry::KeyUnknown>("{0} is no registered key", NODES),
    row::<IRegistry::RotatedAlready>("{0} has a new key already, which acts from epoch {1} on", "after that"),
    // Numbers of the network, and seats.
    row::<IParameters::ParameterUnknown>("the network has no number {0}", VERSIONS),
    row::<IParameters::ParameterOutOfBounds>("{0} is from {2} to {3}, not {1}", "a value between them"),
    row::<IParameters::ParameterMisfit>(
        "{0} would be {1}, and {2} asks for {3} or more",
        "they must fit each other: one proposal may set both",
    ),
    row::<ISeats::TermUndecided>("the seats of term {0} are not decided yet, those of {1} are", "ask again next term"),
    row::<ISeats::TermForgotten>("the seats of term {0} are not remembered, those of {1} are", "a later term"),
    // What is decided by votes.
    row::<IGovernance::ActionCount>(
        "{0} things to do are proposed, 1 to {1} expected",
        "another proposal for the rest",
    ),
    row::<IGovernance::ActionUnknown>("nothing that votes can do is of kind {0}", VERSIONS),
    row::<IGovernance::ActionMalformed>("what is proposed of kind {0} says too much or too little", VERSIONS),
    row::<IGovernance::TooFewVotes>(
        "{0} has the votes of {1 OPG}, and {2 OPG} are needed to propose",
        "og stake delegate gives votes from the next second on, and og governance delegate those of others",
    ),
    row::<IGovernance::ProposalOpen>(
        "proposal {0} is of the same proposer and open still",
        "og governance show says when its voting ends; og governance cancel takes back what has not begun",
    ),
    row::<IGovernance::ProposalUnknown>("there is no proposal {0}", "og governance list names those that are there"),
    row::<IGovernance::ProposalState>(
        "proposal {0} is elsewhere in its life",
        "og governance show says where, and what comes when",
    ),
    row::<IGovernance::ProposerOnly>("only {1} takes back what it proposed, and {0} asks", "--from names its key"),
    row::<IGovernance::SupportUnknown>("{0} is no vote", VERSIONS),
    row::<IGovernance::VotedAlready>("{0} has voted on proposal {1} already", "a vote is cast once and stays"),
    row::<IGovernance::NoVotes>(
        "{0} had no votes when the voting began",
        "og governance votes says who has them; what is staked now votes on later proposals",
    ),
    row::<IGovernance::VendorUnknown>("{0} is no vendor that the protocol knows", VERSIONS),
    row::<IGovernance::NotTrusted>(
        "{0} is not trusted, so that this cannot be taken back",
        "og governance trust says what is",
    ),
    row::<IGovernance::UpgradeTooSoon>(
        "new rules from height {0} come too soon, {1} or later expected",
        "--rules with that height and some more, for the blocks until the proposal is in one",
    ),
    row::<IGovernance::UpgradeInForce>(
        "the rules {0} are in force since height {1}",
        "what is in force is neither moved nor taken back; other rules can change it",
    ),
    row::<IGovernance::UpgradeUnknown>("no rules {0} are scheduled", "og governance trust says which are"),
    row::<IGovernance::GuardianOnly>(
        "only the guardian {1} revokes at once, and {0} asks",
        "--from names its key; anybody with votes proposes it: og governance propose --revoke-vendor",
    ),
    // The bridge, at its both ends.
    row::<ISettlement::NothingToSend>("nothing would be sent", "an amount above 0"),
    row::<IBridge::InvalidReceiver>("{0} is nobody who can receive OPG on Base", "--to names an address of somebody"),
    row::<ISettlement::AlreadyPaid>("payout {0}/{1} is paid already", "og payout list says which are payable"),
    row::<ISettlement::UnknownSettlement>(
        "settlement {0} is not on Base yet, {1} is the next one there",
        "og relayer --once carries it, or another relayer will",
    ),
    row::<ISettlement::NotInTree>("the payout is none of that settlement's", PROOFS),
    row::<ISettlement::PathTooLong>("a path of {0} steps is too long, {1} at most expected", PROOFS),
    row::<ISettlement::SumOverflow>("the settlement's payouts are more than can be counted", PROOFS),
    row::<ISettlement::RecordLength>("{0} bytes are no settlement, {1} expected", VERSIONS),
    row::<ISettlement::UnknownVersion>("a settlement of version {0} is not known there, {1} expected", VERSIONS),
    row::<ISettlement::OtherChain>("the settlement is of chain {0}, and the contract serves {1}", PROOFS),
    row::<ISettlement::OtherKey>(
        "the network's key {0} has signed, and the contract believes {1}",
        "og relayer carries keys as well, in their order",
    ),
    row::<ISettlement::SignatureLength>("{0} bytes are no signature, {1} expected", VERSIONS),
    row::<ISettlement::KeyLength>("{0} bytes are no key, {1} expected", VERSIONS),
    row::<ISettlement::NotAKey>("what is named is no key of a network", PROOFS),
    row::<ISettlement::InvalidCertificate>("the network's signature does not hold", PROOFS),
    row::<ISettlement::NotInState>("the certified state has {1} there, and {0} is shown", PROOFS),
    row::<ISettlement::Gap>("number {0} does not come next, {1} does", "another relayer was first: og bridge status"),
    row::<ISettlement::OtherHistory>("the settlement goes on from {0}, and the last one there is {1}", PROOFS),
    row::<ISettlement::EpochsNotNext>(
        "it settles epochs {0} to {1}; {2} is next, and {3} the last that is certified",
        PROOFS,
    ),
    row::<ISettlement::BurnsNotHere>("it counts {0} burns as {1}, which are {2} there", PROOFS),
    row::<ISettlement::BurnsForgotten>("it counts {0} burns, and {1} were counted before", PROOFS),
    row::<ISettlement::PrecompileMissing>(
        "the chain has nothing at {0}, by which signatures are checked",
        "a chain with the operations on BLS12-381 of EIP-2537",
    ),
    // A payer's way out of a channel.
    row::<IBatchSettlement::InvalidChannel>("the contract knows no such channel", CHANNELS),
    row::<IBatchSettlement::WithdrawalAlreadyPending>(
        "a withdrawal has begun already",
        "og wallet withdraw goes on with it",
    ),
    row::<IBatchSettlement::WithdrawalNotPending>("no withdrawal has begun", "og wallet withdraw begins one"),
    row::<IBatchSettlement::WithdrawDelayNotElapsed>("the channel's delay is not over", "og wallet withdraw --wait"),
    row::<IBatchSettlement::NothingToWithdraw>("nothing is left in the channel", CHANNELS),
    row::<IBatchSettlement::WithdrawAmountExceedsAvailable>(
        "less is left in the channel by now",
        "its server has claimed: og wallet withdraw asks anew",
    ),
    row::<IBatchSettlement::NotAuthorizedToInitiateWithdraw>(
        "only its payer takes out of a channel",
        "--key names the one that paid",
    ),
    row::<IBatchSettlement::NotAuthorizedToFinalizeWithdraw>(
        "only its payer takes out of a channel",
        "--key names the one that paid",
    ),
];

fn row_of(data: &[u8]) -> Option<&'static Row> {
    let selector = data.first_chunk::<4>()?;
    ROWS.iter().find(|row| row.selector == *selector)
}

/// A refusal's sentence and hint, from the bytes that a module or a contract reverts with.
fn told(data: &[u8]) -> String {
    let Some(row) = row_of(data) else {
        return explain(&SystemError::Refused(Bytes::copy_from_slice(data)));
    };
    let (name, kinds) = row.signature.split_once('(').unwrap_or((row.signature, ""));
    let kinds = kinds.trim_end_matches(')').split(',');
    let mut sentence = row.sentence.to_owned();
    for (place, (kind, word)) in kinds.zip(data.get(4..).unwrap_or_default().chunks(32)).enumerate() {
        let amount = Amount::try_from(U256::try_from_be_slice(word).unwrap_or_default()).unwrap_or(Amount::MAX);
        let share = percent(u32::try_from(amount).unwrap_or(u32::MAX));
        for (form, text) in [("", readable(kind, word)), (" OPG", format!("{} OPG", opg(amount))), (" %", share)] {
            sentence = sentence.replace(&format!("{{{place}{form}}}"), &text);
        }
    }
    format!("{sentence} ({name}); hint: {}", row.hint)
}

/// An argument as its type is read. A word that is text with zeros behind it is that text.
fn readable(kind: &str, word: &[u8]) -> String {
    match kind {
        "address" => Address::from_word(B256::right_padding_from(word)).to_string(),
        "bytes4" => format!("0x{}", hex::encode(word.get(..4).unwrap_or(word))),
        "bytes32" => {
            let text = String::from_utf8_lossy(word);
            let text = text.trim_end_matches('\0');
            let is_text = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
            if is_text { text.to_owned() } else { hex::encode(word) }
        }
        _ => U256::try_from_be_slice(word).unwrap_or_default().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const WHOLE: u64 = 1_000_000_000_000_000_000;

    /// What only the ledger itself is refused.
    static OF_THE_LEDGER: &[[u8; 4]] = &[
        IStaking::OffenceFromTheFuture::SELECTOR,
        IStaking::EvidenceUsed::SELECTOR,
        IStaking::RewardPoolTooSmall::SELECTOR,
        IBridge::MoreThanLocked::SELECTOR,
    ];

    #[test]
    fn amounts_are_told_in_opg_with_a_hint() {
        let small = IStaking::DelegationTooSmall { coins: U256::ZERO, least: U256::from(WHOLE) };
        let expected = "0 OPG are too little to delegate, 1 OPG at least expected (DelegationTooSmall); hint: --amount of that or more";
        assert_eq!(told(&small.abi_encode()), expected);
        let poor = IOPG::ERC20InsufficientBalance {
            sender: Address::repeat_byte(1),
            balance: U256::from(WHOLE / 2),
            needed: U256::from(2 * WHOLE),
        };
        let poor = told(&poor.abi_encode());
        assert!(poor.starts_with("0x0101010101010101010101010101010101010101 has 0.5 OPG, and 2 OPG"), "{poor}");
    }

    #[test]
    fn shares_names_and_roots_are_told_as_people_write_them() {
        let shares = IModels::SharesTooLarge { sum: U256::from(1_050_000), most: U256::from(1_000_000) };
        assert!(told(&shares.abi_encode()).starts_with("the shares are 105% together (SharesTooLarge); hint: "));
        let jailed = IStaking::NodeJailed { node: B256::repeat_byte(0xab), until: 7 };
        let jailed = told(&jailed.abi_encode());
        assert!(jailed.contains(&"ab".repeat(32)) && jailed.contains("in term 7 or later"), "{jailed}");
        let unknown = IParameters::ParameterUnknown { name: B256::right_padding_from(b"share.nothing") };
        assert!(told(&unknown.abi_encode()).starts_with("the network has no number share.nothing (Param"));
        let unread = IModule::UnknownMethod { selector: [1, 2, 3, 4].into() };
        assert!(told(&unread.abi_encode()).starts_with("the network has no method 0x01020304 there"));
    }

    #[test]
    fn what_a_chain_refuses_is_told_in_its_contracts_words_where_they_are_known() {
        let told = |message: &str, data: Option<String>| {
            let refused = RpcError::Refused { method: "eth_estimateGas", message: message.to_owned(), data };
            format!("{:#}", by_chain(refused.into()))
        };
        let data = |error: Vec<u8>| Some(format!("0x{}", hex::encode(error)));
        let paid = data(ISettlement::AlreadyPaid { number: 3, index: 7 }.abi_encode());
        let expected = "the contract refuses: payout 3/7 is paid already (AlreadyPaid); hint: og payout list says which are payable";
        assert_eq!(told("execution reverted", paid), expected);
        let early = told("execution reverted", data(IBatchSettlement::WithdrawDelayNotElapsed {}.abi_encode()));
        assert!(early.contains("delay is not over") && early.contains("hint: og wallet withdraw --wait"), "{early}");
        for message in ["insufficient funds for gas * price + value", "Insufficient balance for transfer"] {
            let poor = told(message, None);
            assert!(poor.contains("chain's own coin; hint: ") && poor.ends_with(message), "{poor}");
        }
        let raw = "the chain's RPC refused eth_estimateGas: execution reverted";
        assert_eq!(told("execution reverted", data(vec![1, 2, 3, 4])), raw);
        assert_eq!(told("execution reverted", Some("no digits".to_owned())), raw);
        let failed = by_chain(ChainError::Failed(B256::ZERO)).to_string();
        assert!(failed.ends_with("failed in its block"), "{failed}");
    }

    #[test]
    fn what_has_no_row_is_told_as_its_interface_has_it() {
        let used = IStaking::EvidenceUsed { evidence: B256::ZERO };
        assert_eq!(told(&used.abi_encode()), "EvidenceUsed(0)");
        assert_eq!(told(&[1, 2, 3, 4]), "an unknown error()");
        assert!(!told(&[]).is_empty());
    }

    #[test]
    fn every_refusal_of_a_module_that_people_call_has_its_own_row_and_names_its_arguments() {
        let called = [IStaking::IStakingErrors::SELECTORS, IModels::IModelsErrors::SELECTORS];
        let called = called.into_iter().chain([
            IRegistry::IRegistryErrors::SELECTORS,
            IParameters::IParametersErrors::SELECTORS,
            ISeats::ISeatsErrors::SELECTORS,
            IBridge::IBridgeErrors::SELECTORS,
            ISettlement::ISettlementErrors::SELECTORS,
            IGovernance::IGovernanceErrors::SELECTORS,
        ]);
        let rows: BTreeSet<[u8; 4]> = ROWS.iter().map(|row| row.selector).collect();
        assert_eq!(rows.len(), ROWS.len(), "a row is there twice");
        for selector in called.flatten().filter(|selector| !OF_THE_LEDGER.contains(selector)) {
            assert!(rows.contains(selector), "{selector:?} has no row");
        }
        for row in ROWS {
            let words = row.signature.matches(',').count() + 1;
            let sentence = told(&[row.selector.as_slice(), &vec![0; 32 * words]].concat());
            assert!(!sentence.contains('{') && sentence.contains("; hint: "), "{sentence}");
        }
    }
}
