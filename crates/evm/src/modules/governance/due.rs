//! What was decided is done by the ledger itself as soon as its time has come; anyone may still do it, in the same block or later.

use alloy_primitives::U256;

use super::propose::enact;
use super::records::{Proposal, Stage};
use super::{ADDRESS, slots};
use crate::modules::{Frame, Stop, SystemCall};

/// The ledger looks at so many proposals, the newest. Whoever waits behind more has anybody's execution left.
const NEWEST: u64 = 64;

/// Which of the newest proposals are to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindDue;

/// Does one of them: all of its actions, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enact {
    pub id: U256,
}

impl SystemCall for FindDue {
    type Outcome = Vec<U256>;

    fn run(&self, frame: &mut Frame<'_>) -> Result<Vec<U256>, Stop> {
        frame.within(ADDRESS, |frame| {
            let count: u64 = frame.load(slots::COUNT)?.saturating_to();
            let mut due = Vec::new();
            for id in (count.saturating_sub(NEWEST)..count).map(|id| U256::from(id.saturating_add(1))) {
                if Proposal::get(frame, id)?.stage(frame)? == Stage::Executable {
                    due.push(id);
                }
            }
            Ok(due)
        })
    }
}

impl SystemCall for Enact {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.within(ADDRESS, |frame| enact(frame, self.id))
    }
}
