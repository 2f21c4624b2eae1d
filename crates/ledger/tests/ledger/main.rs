//! The ledger seen from outside: blocks in, outcomes, events and roots out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod challenges;
mod genesis;
mod world;
