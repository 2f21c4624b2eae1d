//! The payer's side: which offer to take, what to sign for it, and how much a key may spend.
//!
//! Signs nothing that its limits do not allow, and reads no clock and no randomness of its own.

mod asked;
mod channel;
mod limits;
mod sign;
mod way;

pub use asked::{ASKED_BYTES_MAX, Asked};
pub use channel::{Channel, Untrue};
pub use limits::{Limits, OverLimit, Spent};
pub use sign::{Payer, Unpayable};
pub use way::{Token, Unfit, Way};
