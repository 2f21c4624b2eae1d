//! Re-executes receipts and challenges the false ones.
//!
//! `judge` is pure and is what everybody runs who re-executes: auditors and validators that vote on a challenge in
//! processes of their own (`Judges`), and `og audit`. Nobody's word moves stake: an auditor's challenge only asks the validators to judge for themselves.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod audit;
mod desk;
mod follow;
mod judge;
mod judges;
mod lies;
mod marks;
mod openings;
mod pursue;
mod sample;
mod service;

pub use audit::fetch_opening;
pub use judge::{Difference, Judgement, judge};
pub use judges::{Bounds, Judges, NoOpinion, Opinion, Program, Tally, Windows, serve};
pub use sample::{RATE_WHOLE, is_sampled};
pub use service::{Auditor, AuditorError, Config};
