//! Terms: the module's clock, which only the ledger moves; and with each, seats decided from the stake of that moment.

use alloy_primitives::{B256, U256};
use alloy_sol_types::SolEvent as _;

use super::jail::if_too_little_is_its_own;
use super::records::{Node, current_term};
use super::{ADDRESS, IStaking, slots};
use crate::modules::layout::List;
use crate::modules::seats::{self, Candidate, NOTICE_TERMS};
use crate::modules::{Frame, Stop, SystemCall};

/// The next term begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeginTerm;

/// The first term begins with the network: its seats and those of the terms of its notice are decided from the founders' stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundTerms;

impl SystemCall for BeginTerm {
    /// Its number.
    type Outcome = u32;

    fn run(&self, frame: &mut Frame<'_>) -> Result<u32, Stop> {
        frame.within(ADDRESS, |frame| {
            let term = current_term(frame)?.checked_add(1);
            let term = term.ok_or_else(|| Stop::Fatal("no term follows the last of 32 bits".to_owned()))?;
            frame.store(slots::TERM, U256::from(term))?;
            frame.log(IStaking::TermBegun { term }.encode_log_data())?;
            let candidates = candidates(frame)?;
            seats::decide(frame, &candidates)?;
            Ok(term)
        })
    }
}

impl SystemCall for FoundTerms {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        let candidates = frame.within(ADDRESS, candidates)?;
        for _ in 0..=NOTICE_TERMS {
            seats::decide(frame, &candidates)?;
        }
        Ok(())
    }
}

/// The validators that stand for seats. Whoever has too little of its own, because the rules ask for more by now, is jailed.
fn candidates(frame: &mut Frame<'_>) -> Result<Vec<Candidate>, Stop> {
    let standing = List(slots::VALIDATOR_LIST).page(frame, U256::ZERO, U256::MAX)?;
    let mut candidates = Vec::new();
    for id in standing {
        let mut node = Node::get(frame, B256::from(id))?;
        if_too_little_is_its_own(frame, &mut node)?;
        if !node.jailed {
            let coins = node.pool(frame)?.coins;
            candidates.push(Candidate { node: node.id, operator: node.operator, coins });
        }
    }
    Ok(candidates)
}
