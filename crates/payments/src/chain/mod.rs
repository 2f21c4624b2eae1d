//! What is asked of and told to a chain, as bytes: questions about payers and channels, settlements, signed transactions.
//!
//! Sends nothing: whoever has a connection does.

mod ask;
mod settle;
mod transaction;

pub use ask::{Ask, ChannelAsk, WalletAsk};
pub use settle::{
    Call, ClaimLine, SettleError, claim, claim_signed, deposit, pay, payment, refund, refund_signed, sweep,
};
pub use transaction::{Fees, Signed, sign, sign_paying};
