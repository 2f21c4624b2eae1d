//! What a server takes from strangers.

use std::time::Duration;

use crate::answer::ANSWER_BYTES_MAX;

/// Bounds of one server. Each refusal names the bound that was passed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of a body, and of a message on a WebSocket.
    pub body_bytes: usize,
    pub batch: usize,
    /// Of everything that answers one body; no answer is longer than 32 MiB, even if this is more.
    pub answer_bytes: usize,
    pub connections: usize,
    /// Blocks that one question about logs may read: all that it spans, where it names neither an address nor a first topic.
    pub log_blocks: u64,
    /// Logs in one answer.
    pub logs: usize,
    pub filters: usize,
    /// A filter that nobody asks for so long is forgotten.
    pub filter_wait: Duration,
    /// Gas of a call, an estimate or a trace.
    pub call_gas: u64,
    /// A call, an estimate or a trace that takes longer is stopped; so is the wait for a place.
    pub call_time: Duration,
    /// Calls, estimates and traces that run at the same time.
    pub calls: usize,
    pub subscriptions: usize,
    /// Messages and bytes that may wait for a reader before it is dropped.
    pub backlog: usize,
    pub backlog_bytes: usize,
    /// A WebSocket is asked for a sign of life so often, and dropped after two silences.
    pub ping: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 5 << 20,
            batch: 1_000,
            answer_bytes: ANSWER_BYTES_MAX,
            connections: 512,
            log_blocks: 10_000,
            logs: 20_000,
            filters: 1_024,
            filter_wait: Duration::from_secs(300),
            call_gas: 50_000_000,
            call_time: Duration::from_secs(5),
            calls: 4,
            subscriptions: 64,
            backlog: 2_048,
            backlog_bytes: 16 << 20,
            ping: Duration::from_secs(30),
        }
    }
}
