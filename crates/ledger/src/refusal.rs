//! Why the ledger refuses a transaction, or one receipt of a batch: what was found, and what was expected.

use evm::modules::SystemError;
use protocol::{
    Amount, Assurance, DecodeError, Digest, EvmAddress, Milliseconds, Role, receipt::ChargeFault, registry::ModelKind,
};
use thiserror::Error;

/// Why a transaction, or a receipt in it, changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("transaction of {found} bytes is over the limit of {limit}; hint: send smaller batches")]
    TooLarge { found: usize, limit: usize },
    #[error("failed to read transaction: {0}")]
    Malformed(#[source] DecodeError),
    #[error("chain id {found} given, {expected} expected; hint: it was made for another network")]
    WrongChain { found: u64, expected: u64 },
    #[error("the sender's signature does not hold")]
    BadSignature,
    #[error("sender {0} is unknown; hint: an account must receive OPG, or a key be registered, before it acts")]
    UnknownSender(protocol::PublicKey),
    // Worded as on EVM chains, because clients retry by these words.
    #[error("nonce too low: {given} given, {next} is next")]
    NonceTooLow { given: u64, next: u64 },
    #[error("nonce too high: {given} given, {next} is next")]
    NonceTooHigh { given: u64, next: u64 },

    #[error(transparent)]
    Ethereum(evm::Refusal),
    #[error("the block's Ethereum transactions could not be executed: {0}")]
    Unexecutable(String),

    #[error("the module refuses: {0}")]
    Module(String),
    #[error("{} is no native module; hint: contracts are called by wallets", hex(.0))]
    UnknownModule(EvmAddress),
    #[error("no room for calls of modules is left in this block; hint: send it again")]
    NoCallRoom,
    #[error("the votes prove nothing: {0}")]
    Evidence(String),
    #[error("the validator is tombstoned already")]
    Tombstoned,
    #[error("coins at {} would be nobody's", hex(.0))]
    Receiver(EvmAddress),
    #[error("native transfers have ended; hint: call OPG's own `transfer`, as og wallet pay does")]
    TransfersEnded,
    #[error("amount is zero")]
    ZeroAmount,
    #[error("balance of {available} is less than {wanted}")]
    InsufficientBalance { available: Amount, wanted: Amount },
    #[error("stake of {available} is less than {wanted}")]
    InsufficientStake { available: Amount, wanted: Amount },
    #[error("the key's proof of possession does not hold; hint: it is bound to chain id and operator")]
    BadPossession,
    #[error("key is taken; hint: a key is registered once and for ever, make a new one")]
    KeyTaken,
    #[error("node {0} is unknown")]
    UnknownNode(Digest),
    #[error("sender is not the node's operator")]
    NotOperator,
    #[error("the node's key was rotated in this epoch already; hint: try again in the next")]
    RotatedAlready,
    #[error("model {0} is unknown; hint: publish it first")]
    UnknownModel(Digest),
    #[error("model {0} is named twice")]
    RepeatedModel(Digest),
    #[error("model {0} is published already")]
    ModelTaken(Digest),
    #[error("root {0} does not follow from the float manifest given; hint: an exact model is published without one")]
    NotAFloatRoot(Digest),
    #[error("name is empty")]
    EmptyName,

    #[error("key is not registered")]
    UnknownKey,
    #[error("{found} key given, {expected} key expected")]
    WrongRole { found: Role, expected: Role },
    #[error("key is valid from epoch {from} until {until}, it is epoch {epoch}")]
    KeyNotValid { from: u64, until: u64, epoch: u64 },
    #[error("node is jailed; hint: its operator may end that when the term has come and enough stake is its own")]
    Jailed,

    #[error("batch holds no receipt")]
    NoReceipts,
    #[error("receipt names another gateway than the sender")]
    WrongGateway,
    #[error("the worker's signature under the receipt does not hold")]
    ReceiptSignature,
    #[error("the receipt's key belongs to another worker")]
    WrongWorker,
    #[error("receipt says that its key is valid from epoch {found}, the registry says {expected}")]
    WrongKeyStart { found: u64, expected: u64 },
    #[error("spec version {found} is unknown, at most {newest} expected")]
    UnknownSpec { found: u16, newest: u16 },
    #[error(
        "the model is {0}, and the receipt speaks of the other form; hint: spec version 0 is a float model's alone"
    )]
    OtherForm(ModelKind),
    #[error("a float model's receipt claims {0}, signed or attested expected: nobody can compute its bits again")]
    ClaimsTooMuch(Assurance),
    #[error("receipt ends before it was begun")]
    TimesReversed,
    #[error("receipt ends at {found} ms, at most {latest} ms expected; hint: check the worker's clock")]
    InTheFuture { found: Milliseconds, latest: Milliseconds },
    #[error(
        "receipt ended at {found} ms, {earliest} ms or later expected; hint: its worker need not keep what opens it for longer"
    )]
    TooOld { found: Milliseconds, earliest: Milliseconds },
    #[error("receipt is anchored already")]
    AlreadyAnchored,
    #[error("worker signed receipt {first} under the same sequence number {sequence}")]
    Equivocation { first: Digest, sequence: u64 },
    #[error("the worker's receipts {before} and its next do not form one chain")]
    BrokenChain { before: u64 },
    #[error(transparent)]
    Charge(#[from] ChargeFault),
    #[error("a charge of {found} is above all coins that there are, {supply}")]
    ChargeAboveSupply { found: Amount, supply: Amount },
    #[error("the charges no longer fit in 128 bits")]
    ChargeOverflow,
    #[error(
        "the gateway's open charges are {open}; with {charge} they would be above {limit}, which its operator's own stake stands for; hint: pay the shares that are due, or add to that stake, and post the receipt again"
    )]
    CreditSpent { open: Amount, charge: Amount, limit: Amount },

    #[error("receipt is unknown")]
    UnknownReceipt,
    #[error("the receipt's challenge window closed after epoch {last}, it is epoch {epoch}")]
    WindowClosed { last: u64, epoch: u64 },
    #[error("a float model gave this answer: no re-execution shows it true or false")]
    NoExactForm,
    #[error("auditor and worker have the same operator")]
    OwnOperator,
    #[error("this auditor has reported the receipt already")]
    AlreadyReported,
    #[error("receipt is under challenge")]
    UnderChallenge,
    #[error("the receipt is in question; hint: challenge it with its opening, which its caller has")]
    OpeningNeeded,
    #[error("the validators have decided about this receipt already")]
    AlreadyDecided,
    #[error("{limit} challenges of this auditor are open already")]
    TooManyChallenges { limit: u32 },
    #[error("opening of {found} bytes is over the limit of {limit}")]
    OpeningTooLarge { found: usize, limit: usize },
    #[error("opening and receipt differ in {0}")]
    OpeningMismatch(&'static str),
    #[error("no challenge of this receipt is open")]
    NoChallenge,
    #[error("receipt is opened already")]
    AlreadyAnswered,
    #[error("the worker has not opened the receipt yet; hint: vote after its response")]
    AwaitingResponse,
    #[error("the report holds no burn")]
    NoBurns,
    #[error("burn {serial} is of nothing or for nobody; hint: the contract books none like it")]
    NotABurn { serial: u64 },
    #[error("burn {serial} is too far ahead: {next} is next, at most {limit} expected")]
    BurnTooFar { serial: u64, next: u64, limit: u64 },
    #[error("this validator has reported these burns already")]
    BurnsReported,
    #[error("burn {serial} is in the report twice")]
    RepeatedBurn { serial: u64 },
    #[error("rotation {found} given, {expected} is next")]
    RotationNotNext { found: u64, expected: u64 },
    #[error("what is named is no key: 96 bytes of a point of G2 expected")]
    NotAGroupKey,
    #[error("what is owed on Base no longer fits in 128 bits")]
    OwedOverflow,
    #[error("payment {found} given, {expected} is next")]
    PaymentNotNext { found: u64, expected: u64 },
    #[error("the payment has no shares")]
    NoShares,
    #[error("the shares are not in strict order of their payees, or add up to more than 128 bits")]
    DisorderedShares,
    #[error(
        "{found} for {}, to whom {due} is due of what receipts charged; hint: a charge is due when its window has closed",
        hex(payee)
    )]
    NotDue { payee: EvmAddress, found: Amount, due: Amount },
    #[error(
        "nothing waits for whoever paid for this receipt; hint: only what was refuted or withheld is refunded, and a payer who is known has it without a claim"
    )]
    NoRefund,
    #[error(
        "this does not show who paid for the receipt; hint: its opening has the payer with its salt, or the request with its salt"
    )]
    OtherPayer,
    #[error("not the address of a validator's agreement; expected one like 127.0.0.1:9000")]
    NotAnAddress,
    #[error("a node with {found} keys for seats, at most {limit} expected")]
    TooManySeatKeys { found: usize, limit: usize },
    #[error("validator is not in the committee")]
    NotInCommittee,
    #[error("this validator has voted already")]
    AlreadyVoted,
}

fn hex(address: &EvmAddress) -> String {
    alloy_primitives::Address::from(address.0).to_string()
}

impl Refusal {
    /// A native module's own refusal, in its words.
    pub(crate) fn module(error: &SystemError) -> Self {
        Self::Module(evm::modules::explain(error))
    }

    /// The code of `specs/interfaces.md` under which a validator answers.
    pub fn code(&self) -> &'static str {
        if let Self::NonceTooLow { .. } = self {
            "nonce_too_low"
        } else if let Self::NonceTooHigh { .. } = self {
            "nonce_too_high"
        } else {
            "bad_transaction"
        }
    }
}
