//! The books: who has promised what, which calls draw on it, what was charged, to whom it belongs and what is settled.
//!
//! A pure state machine. Every change is an [`Entry`]; the state is the fold of all entries, so that what is written down is what is
//! known after a crash. A *purse* is what a payer signed (a payment, a session's cap, a channel); a *call* draws on one purse.
//! At every moment and for every purse: charged + reserved by open calls ≤ cap. For every charge: the shares sum to it.

mod apply;
mod charge;
mod conversion;
mod deposit;
mod entry;
mod index;
mod indexing;
mod open;
mod payout;
mod recover;
mod repricing;
mod returning;
mod settle;
mod state;

pub use charge::ChargeError;
pub use deposit::DepositStanding;
pub use entry::{
    ANSWERS_MAX, Answer, AnswerEnded, CallRecord, Charged, Converted, Delivered, Deposited, Depositing, Entry, Freed,
    HOLDERS_MAX, Lost, MATURED_MAX, Matured, NameRecord, Owed, PaidShare, PayingOut, PurseRecord, Raise, Raised,
    Refunded, Repaying, Repriced, Returning, Revenue, SendingOn, Settled, Settling, Unsettled, Valued, Worth,
    WrittenOff,
};
pub use index::{STRANGERS_MAX, USED_MAX, USED_OF_ONE};
pub use open::Wanted;
pub(crate) use open::voucher_proof;
pub use recover::RecoverError;
pub use repricing::REPRICED_MAX;
pub use settle::{Due, Waiting};
pub use state::{Books, ChargeOf};
