//! Logs by address and topics, over a bounded range of blocks.

use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};

use super::{Method, Run};
use crate::answer::{Answer, answer, too_long};
use crate::error::RpcError;
use crate::faces;
use crate::params::Params;
use crate::state::{Deadline, Desk};

pub(super) const EXPECTED: &str = "an object with fromBlock, toBlock or blockHash, address, topics";

pub(super) static METHODS: &[Method] = &[Method { name: "eth_getLogs", run: Run::Compute(logs) }];

fn logs(desk: &Desk, params: &mut Params, deadline: &Deadline) -> Answer {
    let filter: Filter = params.required("filter", EXPECTED)?;
    params.end()?;
    answer(&search(desk, &filter, deadline)?)
}

/// All that match, or a refusal: never a part.
pub(super) fn search(desk: &Desk, filter: &Filter, deadline: &Deadline) -> Result<Vec<Log>, RpcError> {
    let (first, last) = range(desk, filter)?;
    let mut found = Found::default();
    for number in first..=last {
        if !deadline.is_wanted() {
            return Err(RpcError::limit(format!("query took too long at block {number}: ask for a shorter range")));
        }
        in_block(desk, filter, number, &mut found)?;
        if found.logs.len() > desk.limits.logs {
            let words = format!("query returned more than {} results: ask for a shorter range", desk.limits.logs);
            return Err(RpcError::limit(words));
        }
        if found.bytes > desk.limits.answer_bytes {
            return Err(too_long(desk.limits.answer_bytes));
        }
    }
    Ok(found.logs)
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
        for log in faces::logs(&block).filter(|log| filter.matches(&log.inner)) {
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
    let to = to.min(head);
    let (spanned, most) = (to.saturating_sub(from), desk.limits.log_blocks);
    if spanned >= most {
        return Err(RpcError::limit(format!(
            "query exceeds max block range {most}: it spans {}",
            spanned.saturating_add(1)
        )));
    }
    Ok((from, to))
}
