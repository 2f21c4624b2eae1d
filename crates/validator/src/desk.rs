//! What the interface answers from, and what its answers share.

use std::sync::Arc;

use auditor::Judges;
use consensus::Handle;
use network::{
    Refusal as Answer,
    axum::{extract::State, http::StatusCode},
};
use protocol::{Digest, EvmAddress, Trust};

use crate::node::Node;

/// What the interface answers from.
pub(crate) struct Desk {
    pub node: Arc<Node>,
    pub agreement: Handle,
    pub trust: Trust,
    pub judges: Judges,
}

pub(crate) type Shared = State<Arc<Desk>>;

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
}
