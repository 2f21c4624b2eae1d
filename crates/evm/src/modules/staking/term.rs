//! Terms: the module's clock, which only the ledger moves.

use alloy_primitives::U256;
use alloy_sol_types::SolEvent as _;

use super::records::current_term;
use super::{ADDRESS, IStaking, slots};
use crate::modules::{Frame, Stop, SystemCall};

/// The next term begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeginTerm;

impl SystemCall for BeginTerm {
    /// Its number.
    type Outcome = u32;

    fn run(&self, frame: &mut Frame<'_>) -> Result<u32, Stop> {
        frame.within(ADDRESS, |frame| {
            let term = current_term(frame)?.checked_add(1);
            let term = term.ok_or_else(|| Stop::Fatal("no term follows the last of 32 bits".to_owned()))?;
            frame.store(slots::TERM, U256::from(term))?;
            frame.log(IStaking::TermBegun { term }.encode_log_data())?;
            Ok(term)
        })
    }
}
