//! Why a payment is not taken: the word that other implementations use, and a sentence for people.

use alloy_primitives::Address;
use thiserror::Error;

use crate::{signing::SignatureError, wire::WireError};

/// A payment that is not taken. Nothing was executed and nothing is charged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    #[error("the payment cannot be read: {0}")]
    Wire(#[from] WireError),
    #[error("the payment takes up another offer than ours: `{0}` differs")]
    Terms(&'static str),
    #[error("the payment is for another resource: {0}")]
    Resource(String),
    #[error("the signature cannot be used: {0}")]
    Signature(#[from] SignatureError),
    #[error("the payer's key did not sign this payment")]
    Signer,
    #[error("the payer is a contract, whose consent may change before settlement; pay from a key")]
    ContractWallet,
    #[error("{0} is none of those whose payments are taken here")]
    Foreign(Address),
    #[error("the payment goes to another recipient")]
    Recipient,
    #[error("the payment is in another token")]
    Token,
    #[error("the payment may be spent by another contract than the scheme's")]
    Spender,
    #[error("the payment names another facilitator")]
    Facilitator,
    #[error("this {0} is none that is settled here")]
    Unsupported(&'static str),
    #[error("{found} are to be taken, and only {cap} are signed for")]
    OverCap { found: u128, cap: u128 },
    #[error("the receiver's authorizer did not consent: {0}")]
    Authorizer(&'static str),
    #[error("the amount of an `upto` payment is taken from its receiver only, who shows a token")]
    Unauthorised,
    #[error("the payment is over {found}, {expected} expected")]
    Amount { found: u128, expected: u128 },
    #[error("the payment is not valid before {valid_after}, and it is {now}")]
    TooEarly { valid_after: u64, now: u64 },
    #[error("the payment is valid until {valid_before}, and it must still be at {needed}")]
    TooLate { valid_before: u64, needed: u64 },
    #[error("the payment is valid until {valid_before}, and none is taken that is beyond {most}")]
    TooLong { valid_before: u64, most: u64 },
    #[error("the payment was used before")]
    NonceUsed,
    #[error("the payer holds {held}, and {needed} are needed beside what it has promised already")]
    Funds { held: u128, needed: u128 },
    #[error("the payer's own approval is not taken: {0}")]
    Approval(&'static str),
    #[error("Permit2 may take {allowed} of the payer's, and {needed} are needed")]
    Allowance { allowed: u128, needed: u128 },
    #[error("the channel's `{0}` is not what was offered")]
    Channel(&'static str),
    #[error("the channel id is not that of the channel's configuration")]
    ChannelId,
    #[error("the channel is not known, and the payment brings no deposit")]
    UnknownChannel,
    #[error("the voucher covers {found} in all, {expected} expected")]
    Cumulative { found: u128, expected: u128 },
    #[error("the voucher covers {found} in all, and {claimed} were claimed already")]
    BelowClaimed { found: u128, claimed: u128 },
    #[error("the voucher covers {found} in all, and the channel holds {balance}")]
    OverBalance { found: u128, balance: u128 },
    #[error("the deposit is {found}, at least {expected} expected")]
    Deposit { found: u128, expected: u128 },
    #[error("the payer is withdrawing from the channel")]
    Withdrawing,
    #[error("{0} cannot be refunded: {1} are neither charged nor reserved")]
    Refund(u128, u128),
    /// In base units; as people read it the least is a hundredth of a whole token, whichever that is.
    #[error("the refund is too small: 0.01 of a whole token at least, or all that is left, expected")]
    SmallRefund { found: u128, expected: u128 },
    #[error(
        "the voucher over {0} stands in a claim for everybody to read, so it neither pays for a call nor is consent to a refund"
    )]
    Published(u128),
    #[error("the channel was refunded {0} times within an hour")]
    TooManyRefunds(u32),
    #[error("the payment's identifier was used with another payment or request")]
    Conflict,
    #[error("a request with this payment is being answered")]
    InFlight,
    #[error("the session is not known, or has ended")]
    UnknownSession,
    #[error("the session is bound to its payer's key, and what is signed for this call is not taken: {0}")]
    Unbound(&'static str),
    #[error("the session has {left} left, and {needed} are needed")]
    SessionExhausted { left: u128, needed: u128 },
    #[error(
        "the model costs more than its first call of the session did, or than when the session was opened, or the session pays for too many models"
    )]
    Dearer,
    #[error("too much is asked for by payers that are not known here, or by one of them, at once")]
    Crowded,
    #[error(
        "too many of the payer's payments came to nothing, or wait for a settlement that costs more than was charged of them"
    )]
    Fruitless,
    #[error("all places of this gateway are taken, or too many wait for a chain")]
    Full,
    #[error(
        "the payer's sessions are worth less than settling them costs: {waiting} of them have ended and still wait for it, and {open} take calls"
    )]
    Unsettled { waiting: usize, open: usize },
    #[error("the facilitator has {held} for gas, and keeps {floor} for receivers that show a token")]
    GasShort { held: u128, floor: u128 },
    #[error("a unit of gas costs {price} now, and no more than {most} is paid for it here")]
    GasDear { price: u128, most: u128 },
    #[error("the chain could not be asked: {0}")]
    Chain(String),
    #[error("its chain would not take it: {0}")]
    WouldFail(String),
    #[error("the payment could not be written down: {0}")]
    NotDurable(String),
}

/// Who can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Another payment is needed: 402.
    Payment,
    /// What was sent makes no sense: 400.
    Form,
    /// The payer has to approve Permit2 first: 412.
    Allowance,
    /// The same identifier, something else: 409.
    Conflict,
    /// Whoever asks is not who may: 401.
    Unknown,
    /// Ours: 503.
    Ours,
}

/// Nothing, where all of it holds; else the first reason why not.
pub(crate) fn all_hold<E>(truths: impl IntoIterator<Item = (bool, E)>) -> Result<(), E> {
    truths.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, refused)| Err(refused))
}

impl Refused {
    /// The word that clients branch on.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Wire(_) => "invalid_payload",
            Self::Terms(_) => "invalid_payment_requirements",
            Self::Resource(_) => "invalid_resource",
            Self::Signature(_) | Self::Signer => "invalid_exact_evm_payload_signature",
            Self::ContractWallet => "unsupported_contract_wallet",
            Self::Foreign(_) => "foreign_payer",
            Self::Recipient => "invalid_exact_evm_payload_recipient_mismatch",
            Self::Token => "invalid_exact_evm_payload_token_mismatch",
            Self::Spender => "invalid_permit2_spender",
            Self::Facilitator => "invalid_upto_evm_facilitator_mismatch",
            Self::Unsupported(what) => unsupported_reason(what),
            Self::OverCap { .. } => "invalid_settlement_exceeds_amount",
            Self::Authorizer(_) => "invalid_batch_settlement_evm_authorizer_address_mismatch",
            Self::Unauthorised => "unauthorized_settlement",
            Self::Amount { .. } => "invalid_exact_evm_payload_authorization_value_mismatch",
            Self::TooEarly { .. } => "invalid_exact_evm_payload_authorization_valid_after",
            Self::TooLate { .. } | Self::TooLong { .. } => "invalid_exact_evm_payload_authorization_valid_before",
            Self::NonceUsed => "invalid_transaction_state",
            Self::Funds { .. } => "insufficient_funds",
            Self::Approval(_) => "invalid_erc20_approval_extension_format",
            Self::Allowance { .. } => "PERMIT2_ALLOWANCE_REQUIRED",
            Self::Channel(field) => channel_reason(field),
            Self::ChannelId => "invalid_batch_settlement_evm_channel_id_mismatch",
            Self::UnknownChannel => "invalid_batch_settlement_evm_channel_not_found",
            Self::Cumulative { .. } => "invalid_batch_settlement_evm_cumulative_amount_mismatch",
            Self::BelowClaimed { .. } => "invalid_batch_settlement_evm_cumulative_below_claimed",
            Self::OverBalance { .. } => "invalid_batch_settlement_evm_cumulative_exceeds_balance",
            Self::Deposit { .. } => "invalid_batch_settlement_evm_deposit_below_min_deposit",
            Self::Withdrawing => "invalid_batch_settlement_evm_channel_busy",
            Self::Refund(..) | Self::SmallRefund { .. } => "invalid_batch_settlement_evm_refund_amount_invalid",
            Self::Published(_) => "invalid_batch_settlement_evm_refund_payload",
            Self::TooManyRefunds(_) => "invalid_batch_settlement_evm_channel_busy",
            Self::Conflict => "payment_identifier_conflict",
            Self::InFlight => "payment_in_flight",
            Self::UnknownSession => "unknown_session",
            Self::Unbound(_) => "session_signature_invalid",
            Self::SessionExhausted { .. } => "session_exhausted",
            Self::Dearer => "session_price_exceeded",
            Self::Crowded | Self::Fruitless | Self::Full => "rate_limited",
            Self::Unsettled { .. } => "sessions_unsettled",
            Self::GasShort { .. } => "facilitator_gas_short",
            Self::GasDear { .. } => "gas_too_dear",
            Self::Chain(_) => "unexpected_verify_error",
            Self::WouldFail(_) => "transaction_simulation_failed",
            Self::NotDurable(_) => "unexpected_settle_error",
        }
    }

    pub const fn fault(&self) -> Fault {
        match self {
            Self::Wire(_) => Fault::Form,
            Self::Allowance { .. } => Fault::Allowance,
            Self::Conflict | Self::InFlight | Self::TooManyRefunds(_) => Fault::Conflict,
            Self::Unauthorised => Fault::Unknown,
            Self::Crowded
            | Self::Fruitless
            | Self::Full
            | Self::GasShort { .. }
            | Self::GasDear { .. }
            | Self::Chain(_)
            | Self::NotDurable(_) => Fault::Ours,
            Self::Terms(_)
            | Self::Resource(_)
            | Self::Signature(_)
            | Self::Signer
            | Self::ContractWallet
            | Self::Foreign(_)
            | Self::Recipient
            | Self::Token
            | Self::Spender
            | Self::Facilitator
            | Self::Unsupported(_)
            | Self::OverCap { .. }
            | Self::Authorizer(_)
            | Self::WouldFail(_)
            | Self::Amount { .. }
            | Self::TooEarly { .. }
            | Self::TooLate { .. }
            | Self::TooLong { .. }
            | Self::NonceUsed
            | Self::Funds { .. }
            | Self::Approval(_)
            | Self::Channel(_)
            | Self::ChannelId
            | Self::UnknownChannel
            | Self::Cumulative { .. }
            | Self::BelowClaimed { .. }
            | Self::OverBalance { .. }
            | Self::Deposit { .. }
            | Self::Withdrawing
            | Self::Refund(..)
            | Self::SmallRefund { .. }
            | Self::Published(_)
            | Self::UnknownSession
            | Self::Unbound(_)
            | Self::SessionExhausted { .. }
            | Self::Unsettled { .. }
            | Self::Dearer => Fault::Payment,
        }
    }

    pub const fn hint(&self) -> &'static str {
        if matches!(self, Self::Published(_)) {
            return "sign a voucher over another sum; for a refund, pay for one more call and ask again, or withdraw from the channel on its chain";
        }
        if matches!(self, Self::Foreign(_)) {
            return "pay from a key that the devnet made (og devnet prints them), or start it with --any-payer: what is signed for a devnet's Base is good on the real one too";
        }
        if matches!(self, Self::GasShort { .. }) {
            return "send the facilitator's address coins for gas, or show the receiver's token, see og facilitator token";
        }
        if matches!(self, Self::Unsettled { .. }) {
            return "pay by a channel or by exact meanwhile, and use one session for many calls";
        }
        if matches!(self, Self::Fruitless) {
            return "try again in a moment, or pay by a channel";
        }
        if matches!(self, Self::SmallRefund { .. }) {
            return "ask for more, or for all that is left by naming no amount";
        }
        if matches!(self, Self::TooManyRefunds(_)) {
            return "wait an hour, or withdraw from the channel on its chain";
        }
        match self.fault() {
            Fault::Payment => "sign a new payment for one of the offers in PAYMENT-REQUIRED",
            Fault::Form => "PAYMENT-SIGNATURE is base64 of x402's PaymentPayload, see specs/payments.md",
            Fault::Allowance => "approve Permit2 for the token first, or use a gas sponsoring extension",
            Fault::Conflict => "use a new payment identifier for a new request",
            Fault::Unknown => "send `Authorization: Bearer` with the receiver's token, see og facilitator token",
            Fault::Ours => "try again in a moment",
        }
    }
}

const fn unsupported_reason(what: &'static str) -> &'static str {
    match what.as_bytes() {
        b"scheme" => "unsupported_scheme",
        b"network" => "invalid_network",
        _ => "unsupported_asset",
    }
}

const fn channel_reason(field: &'static str) -> &'static str {
    match field.as_bytes() {
        b"receiver" => "invalid_batch_settlement_evm_receiver_mismatch",
        b"receiverAuthorizer" => "invalid_batch_settlement_evm_receiver_authorizer_mismatch",
        b"token" => "invalid_batch_settlement_evm_token_mismatch",
        b"withdrawDelay" => "invalid_batch_settlement_evm_withdraw_delay_mismatch",
        b"signature" => "invalid_batch_settlement_evm_voucher_signature",
        _ => "invalid_batch_settlement_evm_payload_type",
    }
}
