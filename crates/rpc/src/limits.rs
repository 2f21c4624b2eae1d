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
    /// WebSockets of one client: an address, or a connection from where a proxy may stand.
    pub sockets_each: usize,
    /// Blocks that one question about logs may read: all that it spans, where it names neither an address nor a first topic.
    pub log_blocks: u64,
    /// Logs in one answer.
    pub logs: usize,
    pub filters: usize,
    /// Filters of one client.
    pub filters_each: usize,
    /// Bytes of memory that filters of logs take, those of subscriptions too.
    pub filter_bytes: usize,
    /// The same of one client.
    pub filter_bytes_each: usize,
    /// A filter that nobody asks for so long is forgotten.
    pub filter_wait: Duration,
    /// Gas of a call, an estimate or a trace.
    pub call_gas: u64,
    /// A call, an estimate, a trace or a search that takes longer is stopped; so is the wait for a place.
    pub call_time: Duration,
    /// Calls, estimates and access lists that run at the same time.
    pub calls: usize,
    /// Traces at the same time: each may keep as much as the EVM's own bounds allow.
    pub traces: usize,
    /// Searches at the same time: logs, filters, fees, the pool.
    pub searches: usize,
    /// WebSockets at the same time for which the logs of a new block are matched.
    pub news: usize,
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
            sockets_each: 64,
            log_blocks: 10_000,
            logs: 20_000,
            filters: 1_024,
            filters_each: 64,
            filter_bytes: 64 << 20,
            filter_bytes_each: 4 << 20,
            filter_wait: Duration::from_secs(300),
            call_gas: 50_000_000,
            call_time: Duration::from_secs(5),
            calls: 4,
            traces: 2,
            searches: 4,
            news: 2,
            subscriptions: 64,
            backlog: 2_048,
            backlog_bytes: 16 << 20,
            ping: Duration::from_secs(30),
        }
    }
}
