//! `batch-settlement`: a deposit in escrow, then one signed sum for each call, checked here without asking anybody.
//!
//! A voucher says what may be claimed in all, so the newest replaces all before it. The payer signs the price's maximum; what a call
//! really cost is charged, and the rest is the payer's again. A voucher may cover more than it must: then calls may run side by side.

mod deposit;
mod voucher;

pub use deposit::{Deposit, DepositMethod};
pub use voucher::{Standing, Voucher, VoucherKind, against, read};
pub(crate) use voucher::{check_config, read_config};
