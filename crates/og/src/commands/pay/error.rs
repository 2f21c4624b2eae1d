//! Why nothing was paid: a word for programs, a sentence with its hint for people.

use payments::payer::OverLimit;
use serde_json::{Value, json};
use thiserror::Error;

use crate::{commands::payer::Misnamed, spending::Overspent};

/// For so many of the call that is asked for, a limit for a day is proposed.
const CALLS: u128 = 20;

/// Nothing was signed, unless it says so, or that it was paid.
#[derive(Debug, Error)]
pub enum PayError {
    #[error("the server asks to be paid in a way that cannot be read: {0}")]
    Unreadable(String),
    #[error("none of the server's offers can be paid: {0}; hint: og pay --dry-run shows each with its reason")]
    NoWay(String),
    #[error(
        "nobody said what {payer} may spend of {token}, and the call may cost {asked}; hint: og wallet limit --key {key} --token {token} --per-call {asked} --per-day {day}; --max {asked} for this call alone"
    )]
    NoLimit { payer: String, key: String, token: String, asked: String, day: String },
    #[error("the call may cost {asked} {token}, and --max allows {max}; hint: nothing was signed")]
    OverMax { asked: String, max: String, token: String },
    #[error(
        "a deposit of {asked} {token} can be taken at once, and {max} is allowed at once of a key without a limit for a day; hint: og wallet limit --key {key} --token {token} --per-day {max}; deposits are bounded by that day"
    )]
    DepositOverMax { asked: String, max: String, token: String, key: String },
    #[error("the call may cost {asked} {token}, and at most {limit} is allowed for one call; hint: og wallet limits")]
    OverCall { asked: String, limit: String, token: String },
    #[error("this takes {asked} {token}, and {left} are left of today's {limit}; hint: og wallet limits")]
    OverDay { asked: String, left: String, limit: String, token: String },
    #[error("the wallet holds {held} {token}, and {needed} are needed; hint: fund {payer}")]
    Short { held: String, needed: String, token: String, payer: String },
    #[error(
        "Permit2 may move {allowed} {token} of {payer}, and {needed} are needed; hint: og wallet approve --key {key} --token {token}"
    )]
    Allowance { allowed: String, needed: String, token: String, payer: String, key: String },
    #[error(
        "a channel with this server needs a deposit; hint: --deposit {least} puts that much {token} into one, of which calls are paid"
    )]
    NoChannel { least: String, token: String },
    #[error("a deposit of {found} {token}, and the server takes at least {least}; hint: --deposit {least}")]
    SmallDeposit { found: String, least: String, token: String },
    #[error("what the server says of the channel cannot be so: {0}; hint: nothing more is signed for it")]
    Untrue(#[from] payments::payer::Untrue),
    #[error(
        "no channel with this server is known in which anything is left; hint: og wallet channels; og pay --deposit opens one"
    )]
    NoOpenChannel,
    #[error(
        "the server gave nothing back: {reason}; hint: og wallet withdraw takes it out on its chain after the delay"
    )]
    NoRefund { reason: String },
    #[error("the server did not take the payment: {reason}; hint: it was signed, so it counts as spent")]
    Refused { reason: String },
    #[error(
        "{payer} paid for this answer, and {why}: if it falls, another has its money back; hint: keep {kept}, it is evidence, and pay this gateway for no more"
    )]
    OtherPayer { payer: String, why: Misnamed, kept: String },
}

impl PayError {
    /// For programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable_offers",
            Self::NoWay(_) => "no_payable_offer",
            Self::NoLimit { .. } => "no_limit",
            Self::OverMax { .. } | Self::DepositOverMax { .. } => "over_max",
            Self::OverCall { .. } => "over_call_limit",
            Self::OverDay { .. } => "over_day_limit",
            Self::Short { .. } => "insufficient_funds",
            Self::Allowance { .. } => "allowance_required",
            Self::NoChannel { .. } => "deposit_required",
            Self::SmallDeposit { .. } => "deposit_too_small",
            Self::Untrue(_) => "untrue_channel_state",
            Self::NoOpenChannel => "no_open_channel",
            Self::NoRefund { .. } => "refund_refused",
            Self::Refused { .. } => "payment_refused",
            Self::OtherPayer { .. } => "other_payer",
        }
    }

    /// As a failure is told with `--json`.
    pub fn json(&self) -> Value {
        let said = self.to_string();
        let (message, hint) = said.split_once("; hint: ").unwrap_or((&said, ""));
        json!({ "code": self.code(), "message": message, "hint": hint })
    }

    /// A payment that the wallet's limits do not allow, in the token's own digits.
    pub fn over(
        over: &Overspent,
        payer: &str,
        key: &str,
        token: &str,
        written: impl Fn(u128) -> String,
        asked: u128,
    ) -> Self {
        let token = token.to_owned();
        match over {
            Overspent::Unlimited => {
                let (payer, key) = (payer.to_owned(), key.to_owned());
                Self::NoLimit { payer, key, token, asked: written(asked), day: written(asked.saturating_mul(CALLS)) }
            }
            Overspent::Max { asked, max } => Self::OverMax { asked: written(*asked), max: written(*max), token },
            Overspent::Deposit { asked, max } => {
                Self::DepositOverMax { asked: written(*asked), max: written(*max), token, key: key.to_owned() }
            }
            Overspent::Limit(OverLimit::Call { asked, limit }) => {
                Self::OverCall { asked: written(*asked), limit: written(*limit), token }
            }
            Overspent::Limit(OverLimit::Day { asked, left, limit }) => {
                Self::OverDay { asked: written(*asked), left: written(*left), limit: written(*limit), token }
            }
        }
    }
}
