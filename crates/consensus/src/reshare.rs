//! One round that makes the network's key without a trusted dealer, or hands it from one committee to the next.
//!
//! Each *dealer* (a member of the old committee; of the new one when there is no key yet) shares out a secret among the
//! *players* (the new committee): a commitment for all, a share for each, privately. A player that got a share which
//! fits the commitment acknowledges it. Each dealer then signs one *log*: its commitment, and for each player the
//! acknowledgement or, failing that, the share itself. The logs, in the order in which agreement put them, are all that
//! the outcome depends on, so everyone computes the same one. With an old committee the constant terms are its shares,
//! and the group's key stays; Feldman's and Desmedt's schemes, bought from the consensus library.
//!
//! Plain bytes outside, the library's types inside. Pure: reads no clock, no disk, no network, and takes its randomness
//! from a sealed seed bound to the round, so a node that restarts deals what it dealt before. Whatever a peer sends is
//! bounded, counted where it does not hold, and never stops the round. Formats: `specs/consensus.md`.

mod ceremony;
mod logs;
mod message;
mod round;
mod terms;
#[cfg(test)]
mod tests;

pub use ceremony::{Ceremony, CeremonyError, Closed, Effect, Finished, NewShare, Refused, RoundKeys};
pub use logs::{LogError, Outcome, RoundFailure, RoundLogs};
pub(crate) use message::round_of;
pub use message::{MAX_FALSE_MESSAGES, MAX_LOG_BYTES, MAX_MESSAGE_BYTES};
pub use round::{Committee, Round, RoundPlan};
pub use terms::{
    Dealt, Decided, ENDLESS, Ended, Folded, KeyClock, KeyState, LogRefused, Stayed, TermError, TermRules, TermState,
    Terms, Turned, hand_over, numbered, round_and_log, second_round,
};
