//! Filters for clients that poll.

use std::sync::{Arc, PoisonError};

use alloy_primitives::{B256, U128};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use super::logs;
use super::{Method, Run};
use crate::answer::{Answer, answer};
use crate::error::RpcError;
use crate::filters::{Kind, checked};
use crate::node::Event;
use crate::params::Params;
use crate::party::Party;
use crate::state::{Deadline, Desk};
use crate::turns::Work;

pub(super) static METHODS: &[Method] = &[
    Method { name: "eth_newFilter", run: Run::Keep(new_logs) },
    Method { name: "eth_newBlockFilter", run: Run::Keep(new_blocks) },
    Method { name: "eth_newPendingTransactionFilter", run: Run::Keep(new_waiting) },
    Method { name: "eth_getFilterChanges", run: Run::Compute(Work::Search, changes) },
    Method { name: "eth_getFilterLogs", run: Run::Compute(Work::Search, all_logs) },
    Method { name: "eth_uninstallFilter", run: Run::Read(remove) },
];

const ID: &str = "a filter's id as 0x…";

fn next(desk: &Desk) -> u64 {
    desk.node.head().saturating_add(1)
}

fn new_logs(desk: &Desk, params: &mut Params, party: Party) -> Answer {
    let filter = checked(params.required("filter", logs::EXPECTED)?)?;
    params.end()?;
    let kept = desk.filters.keep(party, filter)?;
    answer(&desk.filters.add(party, Kind::Logs { kept, next: next(desk) })?)
}

fn new_blocks(desk: &Desk, params: &mut Params, party: Party) -> Answer {
    params.end()?;
    answer(&desk.filters.add(party, Kind::Blocks { next: next(desk) })?)
}

fn new_waiting(desk: &Desk, params: &mut Params, party: Party) -> Answer {
    // Whether whole transactions are wanted: hashes are what all libraries read.
    let _whole = params.optional::<bool>("fullTransactions", "true or false")?;
    params.end()?;
    answer(&desk.filters.add(party, Kind::Waiting(desk.node.events()))?)
}

/// What came since the last question. So much may have come that several questions are needed: nothing is left out.
fn changes(desk: &Desk, params: &mut Params, deadline: &Deadline) -> Answer {
    let id: U128 = params.required("filter", ID)?;
    params.end()?;
    let kind = desk.filters.get(id)?;
    let mut kind = kind.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *kind {
        Kind::Blocks { next } => answer(&new_hashes(desk, next, deadline)?),
        Kind::Logs { kept, next } => {
            let (filter, mut found) = (&kept.filter, logs::Found::default());
            let last = filter.get_to_block().unwrap_or(u64::MAX).min(reach(desk, *next));
            while *next <= last && !found.is_enough(desk) && deadline.is_wanted() {
                logs::in_block(desk, filter, *next, &mut found)?;
                *next = next.saturating_add(1);
            }
            answer(&found.logs)
        }
        Kind::Waiting(events) => answer(&drained(events, desk.limits.logs)),
    }
}

/// The last block that one answer may go to.
fn reach(desk: &Desk, next: u64) -> u64 {
    desk.node.head().min(next.saturating_add(desk.limits.log_blocks).saturating_sub(1))
}

fn new_hashes(desk: &Desk, next: &mut u64, deadline: &Deadline) -> Result<Vec<B256>, RpcError> {
    let mut hashes = Vec::new();
    let last = reach(desk, *next);
    while *next <= last && deadline.is_wanted() {
        hashes.extend(desk.node.header(*next)?.map(|header| header.hash()));
        *next = next.saturating_add(1);
    }
    Ok(hashes)
}

/// A client that asks seldom misses what the chain no longer remembers as news; what is in blocks can be asked for.
fn drained(events: &mut broadcast::Receiver<Event>, most: usize) -> Vec<B256> {
    let mut hashes = Vec::new();
    while hashes.len() < most {
        match events.try_recv() {
            Ok(Event::Waiting(transaction)) => hashes.push(transaction.hash()),
            Ok(Event::Block(_)) | Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    hashes
}

/// Everything that a filter of logs matches, not only what is new.
fn all_logs(desk: &Desk, params: &mut Params, deadline: &Deadline) -> Answer {
    let id: U128 = params.required("filter", ID)?;
    params.end()?;
    let kind = desk.filters.get(id)?;
    let kept = match &*kind.lock().unwrap_or_else(PoisonError::into_inner) {
        Kind::Logs { kept, .. } => Some(Arc::clone(kept)),
        Kind::Blocks { .. } | Kind::Waiting(_) => None,
    };
    let kept = kept.ok_or_else(|| RpcError::server("filter not found: this one is not of logs"))?;
    answer(&logs::search(desk, &kept.filter, deadline)?)
}

fn remove(desk: &Desk, params: &mut Params) -> Answer {
    let id: U128 = params.required("filter", ID)?;
    params.end()?;
    answer(&desk.filters.remove(id))
}
