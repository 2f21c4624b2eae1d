//! The methods: a file per group, one table.

mod blocks;
mod calls;
mod client;
mod fees;
pub(crate) mod filters;
pub(crate) mod logs;
mod pool;
mod receipts;
mod send;
mod state;
mod traces;
mod transactions;

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::answer::Answer;
use crate::params::Params;
use crate::party::Party;
use crate::state::{Deadline, Desk};
use crate::turns::Work;

/// How a method is run.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// Reads the chain: short, but perhaps from a disk.
    Read(fn(&Desk, &mut Params) -> Answer),
    /// Keeps something for whoever asks, who may have only so much.
    Keep(fn(&Desk, &mut Params, Party) -> Answer),
    /// Executes or searches: takes a place of its kind, and ends at a deadline.
    Compute(Work, fn(&Desk, &mut Params, &Deadline) -> Answer),
    /// Waits for something to happen.
    Wait(fn(Arc<Desk>, Params) -> BoxFuture<'static, Answer>),
}

pub(crate) struct Method {
    pub name: &'static str,
    pub run: Run,
}

/// All methods that any connection has. `eth_subscribe` and `eth_unsubscribe` belong to WebSockets.
static METHODS: &[&[Method]] = &[
    client::METHODS,
    blocks::METHODS,
    transactions::METHODS,
    receipts::METHODS,
    state::METHODS,
    calls::METHODS,
    fees::METHODS,
    send::METHODS,
    pool::METHODS,
    logs::METHODS,
    filters::METHODS,
    traces::METHODS,
];

pub(crate) fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().copied().flatten().find(|method| method.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_stands_once_in_the_table() {
        let mut names: Vec<&str> = METHODS.iter().copied().flatten().map(|method| method.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    /// Any page that a browser shows may ask here: nothing may be done by the node's own word.
    #[test]
    fn no_method_is_of_a_group_that_commands_the_node() {
        let reads = ["eth_", "net_", "web3_", "txpool_", "debug_trace"];
        for method in METHODS.iter().copied().flatten() {
            assert!(reads.iter().any(|group| method.name.starts_with(group)), "{}", method.name);
        }
    }
}
