//! Keys: whose each is, from when to when, for ever.

use alloy_primitives::Bytes;

use super::change::rotate;
use super::nodes::{operated, roots};
use crate::modules::registered::{IRegistry, Key, Listing, Time};
use crate::modules::staking::{self, IStaking};
use crate::modules::{Frame, Method, Stop};

pub(super) const ROTATE: Method = Method::write::<IRegistry::rotateCall>(|frame| {
    let call = frame.arguments::<IRegistry::rotateCall>()?;
    let seen = operated(frame, call.node)?;
    if !staking::agrees(frame, call.key, seen.operator, seen.role, &call.possession)? {
        return Err(Stop::revert(&IStaking::PossessionInvalid { key: call.key, operator: seen.operator }));
    }
    rotate(frame, call.node, call.key)?;
    Ok(Bytes::new())
});
pub(super) const EPOCH: Method = Method::view::<IRegistry::epochCall>(|frame| {
    let epoch = Time::get(frame)?.epoch;
    frame.returns::<IRegistry::epochCall>(&epoch)
});
pub(super) const KEY: Method = Method::view::<IRegistry::keyCall>(key);
pub(super) const KEYS_OF: Method = Method::view::<IRegistry::keysOfCall>(|frame| {
    let call = frame.arguments::<IRegistry::keysOfCall>()?;
    let page = Listing::get(frame, call.node)?.keys().page(frame, call.from, call.count)?;
    frame.returns::<IRegistry::keysOfCall>(&roots(page))
});
pub(super) const IS_VALID: Method = Method::view::<IRegistry::isValidCall>(|frame| {
    let call = frame.arguments::<IRegistry::isValidCall>()?;
    let key = Key::read(frame, call.id)?;
    let is_valid = key.is_entered() && (key.valid_from..key.valid_until).contains(&call.inEpoch);
    frame.returns::<IRegistry::isValidCall>(&is_valid)
});

fn key(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IRegistry::keyCall>()?;
    let key = Key::get(frame, call.id)?;
    let told = IRegistry::Key {
        node: key.node,
        role: key.role,
        seat: key.is_seat,
        validFrom: key.valid_from,
        actsUntil: key.acts_until,
        validUntil: key.valid_until,
    };
    frame.returns::<IRegistry::keyCall>(&told)
}
