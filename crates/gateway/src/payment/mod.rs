//! Payments at the front door: offers, payments taken, charges told, settlements sent (`specs/payments.md`).
//!
//! What is right is decided in `payments`; here are its connections: headers in and out, a chain's RPC, the clock, the tasks.

pub mod chain;
mod clerk;
mod config;
mod desk;
mod paid;
mod refund;
mod take;
mod unpaid;

pub use clerk::run;
pub use config::{Payments, Prices};
pub use desk::{Bill, Desk, DeskError, lock};
pub use paid::Paid;
pub use unpaid::Unpaid;
