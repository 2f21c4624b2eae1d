//! The payer's side: which offer to take, what to sign for it, and how much a key may spend.
//!
//! Signs nothing that its limits do not allow, and reads no clock and no randomness of its own.

mod channel;
mod limits;
mod sign;

pub use channel::Channel;
pub use limits::{Limits, OverLimit, Spent};
pub use sign::{Payer, Unpayable};
