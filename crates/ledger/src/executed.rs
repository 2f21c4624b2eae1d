//! What a block did.

use protocol::{Digest, EpochRecord};

use crate::{event::Event, refusal::Refusal};

/// What became of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Absent where the bytes were no transaction.
    pub id: Option<Digest>,
    /// Whether it is native and its sender's nonce is used up by it: done or refused, no other block ever brings it to another end.
    pub is_counted: bool,
    pub result: Result<(), Refusal>,
}

/// What a block did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    pub height: u64,
    /// The epoch that closed before the block.
    pub closed: Option<EpochRecord>,
    /// One for each transaction, in order.
    pub outcomes: Vec<Outcome>,
    /// In order; those of the close come first.
    pub events: Vec<Event>,
}
