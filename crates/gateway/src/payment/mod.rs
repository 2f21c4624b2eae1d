//! Payments at the front door: offers, payments taken, charges told, settlements sent (`specs/payments.md`).
//!
//! What is right is decided in `payments`; here are its connections: headers in and out, a chain's RPC, the clock, the tasks.

mod cashier;
pub mod chain;
mod claims;
mod clerk;
mod config;
mod crowd;
mod deposit;
mod desk;
mod errands;
mod ledger;
mod lend;
mod looking;
mod looks;
mod meter;
mod paid;
mod payout;
mod progress;
mod published;
mod refund;
mod registry;
mod repay;
mod repeats;
mod repricing;
mod settling;
mod shown;
mod standing;
mod take;
mod turns;
mod unmined;
mod unpaid;

pub use clerk::run;
pub use config::{LedgerSource, PaidChain, Payments, Prices, fee_max};
pub use crowd::lock;
pub use desk::{Bill, Desk, DeskError, holder};
pub use looks::Looks;
pub use meter::{Charging, Meter};
pub use paid::Paid;
pub use payout::run as pay_out;
pub use registry::keep as keep_registry;
pub use shown::{Brought, read_payment};
pub use standing::follow;
pub use unpaid::Unpaid;
