//! Every bound of the room in one place.

use std::{num::NonZeroUsize, time::Duration};

use commonware_consensus::types::ViewDelta;
use commonware_utils::NZUsize;

/// The longest canonical block.
pub const MAX_BLOCK_BYTES: usize = 1 << 20;
/// The most transactions in one block.
pub const MAX_TRANSACTIONS: usize = 4096;
/// The most dealers' logs in one block.
pub const MAX_LOGS: usize = 256;
/// What a proposer may fill with dealers' logs, each counted with its length prefix, on top of which transactions come.
pub(crate) const LOG_BUDGET_BYTES: usize = 256 << 10;
/// What a proposer may fill with transactions, each counted with its length prefix; the rest is the header.
pub const TRANSACTION_BUDGET_BYTES: usize = MAX_BLOCK_BYTES - 512;
/// How far a block's time may be ahead of the local clock before the vote waits.
pub const MAX_CLOCK_SKEW_MS: u64 = 500;
/// The most validators that one committee may have.
pub const MAX_VALIDATORS: u32 = 256;
/// The most bytes of one hand-over between applications ([`crate::Requests::share`]).
pub const MAX_SHARED_BYTES: usize = MAX_BLOCK_BYTES;
/// How many epochs ahead of our own newest one partial signatures are kept.
pub(crate) const EARLY_EPOCHS: u64 = 64;
/// The most uncertified epochs for which one timer tick sends again.
pub(crate) const RESENDS_PER_TICK: usize = 64;
/// The most certificates of long closed epochs that are asked for at once, and how long each may take.
pub(crate) const ASKED_MAX: usize = 8;
pub(crate) const ASKED_MS: u64 = 5_000;
/// The most unfinalized ancestors shown to a proposer.
pub(crate) const MAX_ANCESTORS: usize = 16;
/// Messages that wait for one part of a validator.
pub(crate) const MAILBOX: NonZeroUsize = NZUsize!(256);
/// How long a peer may take to give what it was asked for, and when another is asked.
pub(crate) const FETCH_TIMEOUT: Duration = Duration::from_secs(1);
pub(crate) const FETCH_RETRY: Duration = Duration::from_millis(100);
/// Views of votes and blocks kept behind the finalized tip.
pub(crate) const VIEW_RETENTION: ViewDelta = ViewDelta::new(64);
