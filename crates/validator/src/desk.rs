//! What the interface answers from, and what its answers share.

use std::sync::Arc;

use auditor::Judges;
use consensus::Handle;
use network::{
    Refusal as Answer,
    axum::{extract::State, http::StatusCode},
};
use protocol::{Digest, EvmAddress, Trust};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::node::Node;

/// What the interface answers from.
pub(crate) struct Desk {
    pub node: Arc<Node>,
    pub agreement: Handle,
    pub trust: Trust,
    pub judges: Judges,
    /// Places for answers that are as large as an epoch.
    pub epochs: Arc<Semaphore>,
}

/// Answers as large as an epoch that are made, or on their way, at once.
pub(crate) const EPOCHS_AT_ONCE: usize = 8;

pub(crate) type Shared = State<Arc<Desk>>;

impl Desk {
    /// A place for an answer as large as an epoch.
    pub fn place(&self) -> Result<OwnedSemaphorePermit, Answer> {
        let place = Arc::clone(&self.epochs).try_acquire_owned();
        place.map_err(|_| {
            let words = format!("{EPOCHS_AT_ONCE} answers as large as an epoch are under way");
            Answer::new(StatusCode::TOO_MANY_REQUESTS, "busy", words).with_hint(ASK_ANOTHER).with_retry_after_s(1)
        })
    }

    /// Why nothing is answered, where that is so.
    pub fn closed(&self) -> Option<Answer> {
        self.unreadable().or_else(|| self.ended())
    }

    /// Execution could not read its state: then this node stops with the next block, and what it answers may be wrong.
    pub fn unreadable(&self) -> Option<Answer> {
        let words = "this validator cannot read its state, and stops";
        self.node.has_failed().then(|| Answer::unavailable("state_unreadable", words).with_hint(ASK_ANOTHER))
    }

    /// Agreement has ended here: what was executed last may be long past, and what is taken would wait for ever.
    pub fn ended(&self) -> Option<Answer> {
        let words = "this validator no longer takes part in agreement";
        let has_ended = !self.agreement.is_running();
        has_ended.then(|| Answer::unavailable("agreement_stopped", words).with_hint(ASK_ANOTHER))
    }
}

pub(crate) const ASK_ANOTHER: &str = "ask another validator";

/// What is certified here is older than what proofs can be made of: waiting helps nobody, another validator may be ahead.
pub(crate) fn behind(as_of: u64) -> Answer {
    let words = format!("the newest epoch that is certified here is {as_of}, too old for proofs to be made as of it");
    Answer::unavailable("certificates_behind", words).with_hint(ASK_ANOTHER)
}

/// Forty hexadecimal digits behind 0x.
pub(crate) fn address(text: &str) -> Option<EvmAddress> {
    crypto::digest::read_hex(text.strip_prefix("0x")?).map(EvmAddress)
}

pub(crate) fn digest(text: &str) -> Result<Digest, Answer> {
    Digest::from_hex(text).ok_or_else(|| Answer::bad_request("bad_id", "an id is 64 hexadecimal digits"))
}

pub(crate) fn not_certified() -> Answer {
    Answer::new(StatusCode::CONFLICT, "not_certified_yet", "no epoch is certified yet")
        .with_hint("epochs are certified about every second")
        .with_retry_after_s(1)
}
