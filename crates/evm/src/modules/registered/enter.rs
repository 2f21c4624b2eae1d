//! Nodes and keys are entered, by whoever has checked that they may be.

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolEvent as _;

use super::records::{Key, Listing, Time};
use super::{ADDRESS, IRegistry};
use crate::modules::{Frame, Stop};

/// Whose a key is, now or once.
pub(in crate::modules) fn owner(frame: &mut Frame<'_>, key: B256) -> Result<Option<B256>, Stop> {
    frame.within(ADDRESS, |frame| {
        let record = Key::read(frame, key)?;
        Ok(Some(record.node).filter(|_| record.is_entered()))
    })
}

/// Enters a node that the staking module registers, with its first key, which nobody has.
pub(in crate::modules) fn enter_node(
    frame: &mut Frame<'_>,
    node: B256,
    key: B256,
    operator: Address,
    role: u8,
) -> Result<(), Stop> {
    frame.within(ADDRESS, |frame| {
        let epoch = Time::get(frame)?.epoch;
        let listing = Listing::get(frame, node)?;
        let listing = Listing { registered_epoch: epoch, ..listing };
        listing.save(frame)?;
        listing.set_key(frame, key)?;
        frame.log(IRegistry::NodeEntered { node, operator, role, epoch }.encode_log_data())?;
        enter_key(frame, node, role, (key, false), epoch)
    })
}

/// Gives a node another key, which nobody has.
pub(in crate::modules) fn enter_key(
    frame: &mut Frame<'_>,
    node: B256,
    role: u8,
    (key, is_seat): (B256, bool),
    valid_from: u64,
) -> Result<(), Stop> {
    let place = Key::read(frame, key)?;
    if place.is_entered() {
        return Err(Stop::revert(&IRegistry::KeyTaken { key, node: place.node }));
    }
    Key { node, role, is_seat, valid_from, ..place }.save(frame)?;
    Listing::get(frame, node)?.keys().push(frame, key.into())?;
    frame.log(IRegistry::KeyEntered { key, node, role, seat: is_seat, validFrom: valid_from }.encode_log_data())
}
