//! The ledger seen from outside: blocks in, outcomes, events and roots out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod base;
mod bundles;
mod calls;
mod challenges;
mod credit;
mod disk;
mod double_votes;
mod epochs;
mod floats;
mod genesis;
mod questions;
mod quorum;
mod random;
mod receipts;
mod refunds;
mod registries;
mod registry;
mod retired;
mod seats;
mod shares;
mod snapshots;
mod staking;
mod transactions;
mod vectors;
mod verified;
mod wallets;
mod world;
