//! What waits for a block.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U64};
use serde::Serialize;
use serde_json::json;

use super::{Method, Run};
use crate::answer::{Answer, answer};
use crate::error::RpcError;
use crate::faces;
use crate::params::Params;
use crate::state::{Deadline, Desk};
use crate::turns::Work;

pub(super) static METHODS: &[Method] = &[
    Method { name: "txpool_status", run: Run::Compute(Work::Search, status) },
    Method { name: "txpool_content", run: Run::Compute(Work::Search, content) },
];

/// Of the shortest transaction in an answer, besides its bytes.
const WORDS: usize = 400;

/// How many could be in the next block, and how many wait for a nonce before theirs.
fn status(desk: &Desk, params: &mut Params, deadline: &Deadline) -> Answer {
    params.end()?;
    let all = desk.node.all_waiting();
    let (mut senders, mut queued) = (Senders { desk, last: None }, 0_usize);
    for transaction in &all {
        if !deadline.is_wanted() {
            return Err(RpcError::limit("the pool is not counted in time: ask again later"));
        }
        queued = queued.saturating_add(usize::from(senders.is_queued(transaction)));
    }
    let pending = all.len().saturating_sub(queued);
    answer(&json!({ "pending": U64::from(pending), "queued": U64::from(queued) }))
}

/// Senders in their order: what the next nonce of each is costs as much as it has waiting, so it is asked for once.
struct Senders<'a> {
    desk: &'a Desk,
    last: Option<(Address, Option<u64>)>,
}

impl Senders<'_> {
    /// Whether one waits for a nonce before its own.
    fn is_queued(&mut self, transaction: &evm::Transaction) -> bool {
        let sender = transaction.sender();
        let known = self.last.filter(|(last, _)| *last == sender);
        let (_, next) = known.unwrap_or_else(|| (sender, self.desk.node.nonce_after_waiting(&sender)));
        self.last = Some((sender, next));
        next.is_none_or(|next| transaction.nonce() >= next)
    }
}

#[derive(Default, Serialize)]
struct Content<T> {
    pending: BTreeMap<Address, BTreeMap<String, T>>,
    queued: BTreeMap<Address, BTreeMap<String, T>>,
}

fn content(desk: &Desk, params: &mut Params, deadline: &Deadline) -> Answer {
    params.end()?;
    let (mut pending, mut queued) = (BTreeMap::new(), BTreeMap::new());
    let (mut senders, mut written) = (Senders { desk, last: None }, 0_usize);
    for transaction in desk.node.all_waiting() {
        // Two letters a byte at least, and the names of the fields.
        written = written.saturating_add(WORDS).saturating_add(transaction.raw().len().saturating_mul(2));
        if written > desk.limits.answer_bytes || !deadline.is_wanted() {
            return Err(RpcError::limit("the pool is too large for one answer: ask txpool_status"));
        }
        let part: &mut BTreeMap<Address, BTreeMap<String, _>> =
            if senders.is_queued(&transaction) { &mut queued } else { &mut pending };
        let of_sender = part.entry(transaction.sender()).or_default();
        of_sender.insert(transaction.nonce().to_string(), faces::transaction_waiting(&transaction));
    }
    answer(&Content { pending, queued })
}
