//! Logs by address and topics, out of a bounded number of blocks.

use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};

use super::{Method, Run};
use crate::answer::{Answer, answer};
use crate::candidates::{Candidates, Step};
use crate::error::RpcError;
use crate::faces;
use crate::filters::checked;
use crate::node::NodeError;
use crate::params::Params;
use crate::state::{Deadline, Desk};
use crate::turns::Work;

pub(super) const EXPECTED: &str = "an object with fromBlock, toBlock or blockHash, address, topics";

pub(super) static METHODS: &[Method] = &[Method { name: "eth_getLogs", run: Run::Compute(Work::Search, logs) }];

fn logs(desk: &Desk, params: &mut Params, deadline: &Deadline) -> Answer {
    let filter = checked(params.required("filter", EXPECTED)?)?;
    params.end()?;
    answer(&search(desk, &filter, deadline)?)
}

/// All that match, or a refusal that says how far it came: never a part. The work is bounded, and not how far back it goes.
pub(super) fn search(desk: &Desk, filter: &Filter, deadline: &Deadline) -> Result<Vec<Log>, RpcError> {
    let (first, last) = range(desk, filter)?;
    let mut candidates = Candidates::new(desk.node.as_ref(), filter, first, last);
    if candidates.are_all() {
        check_span(desk, first, last)?;
    }
    check_kept(desk, first, last)?;
    let (mut found, mut read) = (Found::default(), 0_u64);
    loop {
        let reached = candidates.reached();
        if !deadline.is_wanted() {
            return Err(over("query took too long", first, reached));
        }
        let number = match candidates.step(deadline)? {
            Step::End => break,
            Step::Passed => continue,
            Step::May(number) => number,
        };
        read = read.saturating_add(1);
        if read > desk.limits.log_blocks {
            return Err(over(&format!("query reads more than {} blocks", desk.limits.log_blocks), first, number));
        }
        in_block(desk, filter, number, &mut found)?;
        if found.logs.len() > desk.limits.logs {
            return Err(over(&format!("query returned more than {} results", desk.limits.logs), first, number));
        }
        if found.bytes > desk.limits.answer_bytes {
            return Err(over(&format!("query returned more than {} bytes", desk.limits.answer_bytes), first, number));
        }
    }
    // What was removed meanwhile was not found.
    check_kept(desk, first, last)?;
    Ok(found.logs)
}

/// A bound that was passed at block `reached`, with the part of the range that is within it, in the words that clients look for.
fn over(what: &str, first: u64, reached: u64) -> RpcError {
    if reached <= first {
        return RpcError::limit(format!("{what} in block {reached:#x} alone: ask for less, by address and topics"));
    }
    let last = reached.saturating_sub(1);
    RpcError::limit(format!("{what}. Try with this block range [{first:#x}, {last:#x}], and go on from {reached:#x}"))
}

/// Where nothing says which blocks to read, a range is bounded.
fn check_span(desk: &Desk, first: u64, last: u64) -> Result<(), RpcError> {
    let (spanned, most) = (last.saturating_sub(first), desk.limits.log_blocks);
    if spanned < most {
        return Ok(());
    }
    let words = format!("query exceeds max block range {most}: it spans {}", spanned.saturating_add(1));
    let error = over(&words, first, first.saturating_add(most));
    let hint = "hint: an address or a first topic lets a query span any range";
    Err(RpcError { message: format!("{}; {hint}", error.message), ..error })
}

/// Nothing leads to blocks that are no longer kept, so that a range with such is refused. The first block is kept for ever.
fn check_kept(desk: &Desk, first: u64, last: u64) -> Result<(), RpcError> {
    let first = first.max(1);
    if first <= last && desk.node.header(first)?.is_none() {
        // Removed just now.
        return Err(NodeError::BlockGone { asked: first, oldest: first.saturating_add(1) }.into());
    }
    Ok(())
}

/// What matches, and about how long it is as an answer.
#[derive(Default)]
pub(super) struct Found {
    pub logs: Vec<Log>,
    pub bytes: usize,
}

impl Found {
    /// Whether one answer should hold no more.
    pub fn is_enough(&self, desk: &Desk) -> bool {
        // The next block may bring as much again.
        self.logs.len() >= desk.limits.logs || self.bytes >= desk.limits.answer_bytes / 2
    }
}

/// Of a log in an answer, besides its data.
const WORDS: usize = 400;

/// Adds what matches in one block.
pub(super) fn in_block(desk: &Desk, filter: &Filter, number: u64, found: &mut Found) -> Result<(), RpcError> {
    let Some(header) = desk.node.header(number)? else { return Ok(()) };
    if filter.matches_bloom(header.logs_bloom) {
        let block = desk.block(number)?;
        for log in faces::logs(&block, filter) {
            found.bytes = found.bytes.saturating_add(WORDS).saturating_add(log.inner.data.data.len().saturating_mul(2));
            found.logs.push(log);
        }
    }
    Ok(())
}

fn range(desk: &Desk, filter: &Filter) -> Result<(u64, u64), RpcError> {
    let head = desk.node.head();
    let (from, to) = match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let number = desk.node.number_of(&hash)?;
            let number = number.ok_or_else(|| RpcError::not_found(format!("unknown block: {hash}")))?;
            return Ok((number, number));
        }
        FilterBlockOption::Range { from_block, to_block } => {
            (from_block.map_or(head, |tag| desk.number(tag)), to_block.map_or(head, |tag| desk.number(tag)))
        }
    };
    if from > to {
        return Err(RpcError::params(format!("invalid block range: fromBlock {from} is after toBlock {to}")));
    }
    Ok((from, to.min(head)))
}
