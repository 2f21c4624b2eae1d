//! Seats: who sits on the committee of a term, decided two terms ahead from stake by a published rule.
//!
//! The rule (`apportion`) is a pure function. What is kept is what it said, because nobody could compute it again later.

mod apportion;

use alloy_primitives::{Address, B256, Bytes, U256, address, keccak256};
use alloy_sol_types::{SolEvent as _, sol};

use super::layout::{Reader, Writer, behind};
use super::{Frame, Method, Module, Stop, parameters};
use crate::state::{StateError, StateRead};

pub use apportion::{Candidate, SeatRules, apportion, capped};

sol!("../../contracts/ISeats.sol");

/// Where the module lives.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000000a03");

/// The module.
pub const MODULE: Module = Module { name: "seats", address: ADDRESS, methods: METHODS };

/// How many terms ahead seats are decided: who gets one must know before it has to act.
pub const NOTICE_TERMS: u32 = 2;
/// For how many terms it is remembered who sat: for longer than stake answers for anything.
const REMEMBERED_TERMS: u32 = 65;

static METHODS: &[Method] = &[
    Method::view::<ISeats::holdersCall>(holders),
    Method::view::<ISeats::seatsOfCall>(seats_of),
    Method::view::<ISeats::decidedUntilCall>(decided_until),
];

/// Places in the module's storage.
mod slots {
    use alloy_primitives::U256;

    /// `uint32`: the last term that is decided, plus one; zero before the first.
    pub const DECIDED: U256 = U256::from_limbs([0, 0, 0, 0]);
    /// `mapping(uint256 term => (bytes32 node, (address operator, uint32 seats))[])`.
    pub const HOLDERS: U256 = U256::from_limbs([1, 0, 0, 0]);
}

/// A node with seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    pub node: B256,
    pub operator: Address,
    pub seats: u32,
}

/// Decides the next term that is not decided. True if the seats stay as they were.
pub(super) fn decide(frame: &mut Frame<'_>, candidates: &[Candidate]) -> Result<bool, Stop> {
    let rules = SeatRules {
        seats: parameters::SEATS.small(frame)?,
        operator_cap: parameters::SEATS_OPERATOR_CAP.small(frame)?,
        minimum: parameters::SEATS_MIN.small(frame)?,
    };
    frame.within(ADDRESS, |frame| {
        let term: u32 = frame.load(slots::DECIDED)?.saturating_to();
        let decided = apportion(candidates, &rules);
        let kept = decided.is_none();
        let holders = match (decided, term.checked_sub(1)) {
            (Some(holders), _) => holders,
            (None, Some(before)) => read(frame, before)?,
            (None, None) => Vec::new(),
        };
        write(frame, term, &holders)?;
        frame.store(slots::DECIDED, U256::from(term.saturating_add(1)))?;
        if let Some(old) = term.checked_sub(REMEMBERED_TERMS.saturating_add(NOTICE_TERMS)) {
            clear(frame, old)?;
        }
        let seats = holders.iter().fold(0_u32, |sum, holder| sum.saturating_add(holder.seats));
        let holders = u32::try_from(holders.len()).unwrap_or(u32::MAX);
        frame.log(ISeats::SeatsDecided { term, seats, holders, kept }.encode_log_data())?;
        Ok(kept)
    })
}

fn list(frame: &mut Frame<'_>, term: u32) -> Result<U256, Stop> {
    frame.mapping(slots::HOLDERS, U256::from(term).into())
}

fn read(frame: &mut Frame<'_>, term: u32) -> Result<Vec<Holder>, Stop> {
    let list = list(frame, term)?;
    let len: u64 = frame.load(list)?.saturating_to();
    let start = frame.elements(list)?;
    (0..len)
        .map(|index| {
            let slot = behind(start, index.saturating_mul(2));
            Ok(holder(frame.load(slot)?, frame.load(behind(slot, 1))?))
        })
        .collect()
}

fn holder(node: U256, second: U256) -> Holder {
    let mut second = Reader(second);
    Holder { node: node.into(), operator: second.address(), seats: second.u32() }
}

fn write(frame: &mut Frame<'_>, term: u32, holders: &[Holder]) -> Result<(), Stop> {
    let list = list(frame, term)?;
    frame.store(list, U256::from(holders.len()))?;
    let mut slot = frame.elements(list)?;
    for holder in holders {
        frame.store(slot, holder.node.into())?;
        let second = Writer::default().address(holder.operator).u32(holder.seats).word();
        frame.store(behind(slot, 1), second)?;
        slot = behind(slot, 2);
    }
    Ok(())
}

fn clear(frame: &mut Frame<'_>, term: u32) -> Result<(), Stop> {
    let list = list(frame, term)?;
    let len: u64 = frame.load(list)?.saturating_to();
    let start = frame.elements(list)?;
    for word in 0..len.saturating_mul(2) {
        frame.store(behind(start, word), U256::ZERO)?;
    }
    frame.store(list, U256::ZERO)
}

/// Who sits in a term, as a state has it: what consensus asks. Empty for a term that is not decided or forgotten.
pub fn holders_of(state: &dyn StateRead, term: u32) -> Result<Vec<Holder>, StateError> {
    let key = [U256::from(term).to_be_bytes::<32>(), slots::HOLDERS.to_be_bytes::<32>()].concat();
    let list = keccak256(key);
    let len: u64 = state.slot(&ADDRESS, &list.into())?.saturating_to();
    let start = U256::from_be_bytes(keccak256(list).0);
    (0..len)
        .map(|index| {
            let slot = behind(start, index.saturating_mul(2));
            Ok(holder(state.slot(&ADDRESS, &slot)?, state.slot(&ADDRESS, &behind(slot, 1))?))
        })
        .collect()
}

/// Refuses a term of which nothing is known.
fn known(frame: &mut Frame<'_>, term: u32) -> Result<(), Stop> {
    let decided: u32 = frame.load(slots::DECIDED)?.saturating_to();
    let first = decided.saturating_sub(REMEMBERED_TERMS.saturating_add(NOTICE_TERMS));
    if term >= decided {
        return Err(Stop::revert(&ISeats::TermUndecided { term, last: decided.saturating_sub(1) }));
    }
    if term < first {
        return Err(Stop::revert(&ISeats::TermForgotten { term, first }));
    }
    Ok(())
}

fn holders(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<ISeats::holdersCall>()?;
    known(frame, call.term)?;
    let holders = read(frame, call.term)?;
    let told = |holder: Holder| ISeats::Holder { node: holder.node, operator: holder.operator, seats: holder.seats };
    frame.returns::<ISeats::holdersCall>(&holders.into_iter().map(told).collect())
}

fn seats_of(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<ISeats::seatsOfCall>()?;
    known(frame, call.term)?;
    let holders = read(frame, call.term)?;
    let seats = holders.iter().find(|holder| holder.node == call.node).map_or(0, |holder| holder.seats);
    frame.returns::<ISeats::seatsOfCall>(&seats)
}

fn decided_until(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let decided: u32 = frame.load(slots::DECIDED)?.saturating_to();
    frame.returns::<ISeats::decidedUntilCall>(&decided.saturating_sub(1))
}
