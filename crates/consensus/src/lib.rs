//! Agreement on an order of blocks, and one threshold signature over each epoch.
//!
//! Hides the consensus library behind a small face without type parameters: [`Validator::start`] runs one validator on
//! its own threads, [`Application`] is what runs on top, [`Requests`] is what it may ask. Blocks carry opaque bytes;
//! this room never interprets a transaction and holds no state of the ledger. Protocol and formats:
//! `specs/consensus.md`.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may unwrap"))]

mod application;
mod archive;
mod asked;
mod beginning;
mod block;
mod certifier;
mod collector;
mod committee;
mod conductor;
mod counters;
mod elector;
mod engine;
mod environment;
mod evidence;
mod keeper;
mod limits;
mod log_pool;
mod member;
mod message;
mod proposer;
pub mod reshare;
mod roster;
mod seat;
mod sharing;
pub mod simulation;
mod store;
mod switch;
mod term_store;
mod validator;

pub use application::{Application, EpochCertificate, FinalizedBlock, NextKey, Requests, ShareError, Turn};
pub use archive::Archive;
pub use beginning::BeginningError;
pub use block::{Block, BlockError, Genesis};
pub use committee::{
    CommitteeError, Dealing, EPOCH_DST, deal, epoch_message, rotation_digest, rotation_message, term_message,
    verify_epoch, verify_rotation,
};
pub use counters::Counts;
pub use evidence::{EvidenceError, evidence, evidence_term};
pub use limits::{
    MAX_BLOCK_BYTES, MAX_CLOCK_SKEW_MS, MAX_LOGS, MAX_SHARED_BYTES, MAX_TRANSACTIONS, MAX_VALIDATORS,
    TRANSACTION_BUDGET_BYTES,
};
pub use member::{Chain, Keys, MemberError, Pacing, SeatKeys, TERM_BLOCKS_MIN, check_floor, public_key};
pub use reshare::KeyClock;
pub use seat::Seat;
pub use store::StoreError;
pub use validator::{Config, Failed, Handle, StartError, Validator};

/// Votes are ed25519: attributable, so conflicting ones are evidence.
pub(crate) type Scheme = commonware_consensus::simplex::scheme::ed25519::Scheme;
pub(crate) type Mailbox =
    commonware_consensus::marshal::core::Mailbox<Scheme, commonware_consensus::marshal::standard::Standard<Block>>;

/// A block's digest with the votes that finalized it.
pub(crate) type Finality =
    commonware_consensus::simplex::types::Finalization<Scheme, commonware_cryptography::sha256::Digest>;

/// Lets the tests' application, which is written for use from outside, serve the unit tests too.
#[cfg(test)]
extern crate self as consensus;
#[cfg(test)]
#[path = "../tests/recorder/mod.rs"]
#[allow(dead_code, reason = "unit tests use a part of it")]
mod recorder;
