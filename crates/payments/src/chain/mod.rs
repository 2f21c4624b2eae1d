//! What is asked of and told to a chain, as bytes: questions about payers and channels, settlements, signed transactions.
//!
//! Sends nothing: whoever has a connection does.

mod ask;
mod lent;
pub mod registry;
mod settle;
mod transaction;
mod used;

pub use ask::{Ask, ChannelAsk, ReceiverAsk, WalletAsk};
pub use lent::{LENT, LentApproval, declared as declared_lending};
pub use settle::{
    CONTRACTS, Call, ClaimLine, SettleError, begin_withdrawal, claim, claim_digest, claim_signed, deposit,
    end_withdrawal, needs, pay, payment, refund, refund_signed, send, sweep,
};
pub use transaction::{Fees, Foreign, Signed, read, sign, sign_creating, sign_paying};
pub use used::{Done, Log, Signature};
