//! What changes the records, whoever asks: methods for wallets and system calls for the ledger do it by the same functions.

use alloy_primitives::{B256, U256};
use alloy_sol_types::SolEvent as _;
use protocol::Role;

use crate::modules::models;
use crate::modules::registered::{ADDRESS, IRegistry, Key, Listing, Time, enter_key};
use crate::modules::staking::{self, number_of};
use crate::modules::{Frame, Stop, SystemCall};

const ENDPOINT_BYTES_MAX: usize = 256;
const MODELS_MAX: usize = 64;
const CAPABILITIES_MAX: usize = 16;

/// The ledger opened an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeginEpoch(pub u64);

/// What the registry begins with: for how many epochs a worker's key answers for its receipts after it is retired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoundRegistry {
    pub grace: u64,
}

/// A node's own key, or a genesis, says where the node is and what it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListNode {
    pub node: B256,
    pub endpoint: String,
    pub models: Vec<B256>,
}

/// A key whose possession the ledger has checked becomes its node's newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotate {
    pub node: B256,
    pub key: B256,
}

/// Keys whose possession the ledger has checked become a validator's for seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnterSeats {
    pub node: B256,
    pub keys: Vec<B256>,
}

impl SystemCall for BeginEpoch {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.within(ADDRESS, |frame| {
            let time = Time::get(frame)?;
            Time { epoch: self.0, ..time }.save(frame)
        })
    }
}

impl SystemCall for FoundRegistry {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.within(ADDRESS, |frame| Time { epoch: 0, grace: self.grace }.save(frame))
    }
}

impl SystemCall for ListNode {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.within(ADDRESS, |frame| list(frame, self.node, &self.endpoint, &self.models))
    }
}

impl SystemCall for Rotate {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.within(ADDRESS, |frame| rotate(frame, self.node, self.key))
    }
}

impl SystemCall for EnterSeats {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.within(ADDRESS, |frame| {
            let epoch = Time::get(frame)?.epoch;
            let role = staking::seen(frame, self.node)?.role;
            self.keys.iter().try_for_each(|key| enter_key(frame, self.node, role, (*key, true), epoch))
        })
    }
}

/// The old key acts to the end of this epoch and the new one from the next: no epoch is without a key, none has two. Receipts that
/// a worker's old key signed are anchored a while longer, or it could rotate away from them.
pub(super) fn rotate(frame: &mut Frame<'_>, node: B256, key: B256) -> Result<(), Stop> {
    let (time, role) = (Time::get(frame)?, staking::seen(frame, node)?.role);
    let listing = Listing::get(frame, node)?;
    let newest = listing.key(frame)?;
    let old = Key::get(frame, newest)?;
    if old.valid_from > time.epoch {
        return Err(Stop::revert(&IRegistry::RotatedAlready { node, validFrom: old.valid_from }));
    }
    let acts_until = time.epoch.saturating_add(1);
    let grace = if role == number_of(Role::Worker) { time.grace } else { 0 };
    let valid_until = acts_until.saturating_add(grace);
    enter_key(frame, node, role, (key, false), acts_until)?;
    listing.set_key(frame, key)?;
    let retired = IRegistry::KeyRetired { key: old.key, node, actsUntil: acts_until, validUntil: valid_until };
    Key { acts_until, valid_until, ..old }.save(frame)?;
    frame.log(retired.encode_log_data())
}

pub(super) fn list(frame: &mut Frame<'_>, node: B256, endpoint: &str, models: &[B256]) -> Result<(), Stop> {
    let most = U256::from(ENDPOINT_BYTES_MAX);
    if endpoint.len() > ENDPOINT_BYTES_MAX {
        return Err(Stop::revert(&IRegistry::EndpointTooLong { bytesFound: U256::from(endpoint.len()), most }));
    }
    if models.len() > MODELS_MAX {
        let (count, most) = (U256::from(models.len()), U256::from(MODELS_MAX));
        return Err(Stop::revert(&IRegistry::TooManyModels { count, most }));
    }
    for (index, root) in models.iter().enumerate() {
        if models.iter().take(index).any(|before| before == root) {
            return Err(Stop::revert(&IRegistry::ModelRepeated { root: *root }));
        }
        models::must_be_published(frame, *root)?;
    }
    let listing = Listing::get(frame, node)?;
    listing.endpoint().set(frame, endpoint)?;
    listing.models().replace(frame, models)?;
    let (endpoint, models) = (endpoint.to_owned(), models.to_vec());
    frame.log(IRegistry::NodeListed { node, endpoint, models }.encode_log_data())
}

/// What a node says of its machine. Nothing is concluded from it: what has to hold is attested, and what is slow loses its calls.
pub(super) fn describe(frame: &mut Frame<'_>, node: B256, capabilities: &[B256]) -> Result<(), Stop> {
    if capabilities.len() > CAPABILITIES_MAX {
        let (count, most) = (U256::from(capabilities.len()), U256::from(CAPABILITIES_MAX));
        return Err(Stop::revert(&IRegistry::TooManyCapabilities { count, most }));
    }
    for (index, word) in capabilities.iter().enumerate() {
        if !is_capability(word) {
            return Err(Stop::revert(&IRegistry::CapabilityInvalid { word: *word }));
        }
        if capabilities.iter().take(index).any(|before| before == word) {
            return Err(Stop::revert(&IRegistry::CapabilityRepeated { word: *word }));
        }
    }
    Listing::get(frame, node)?.capabilities().replace(frame, capabilities)?;
    frame.log(IRegistry::NodeDescribed { node, capabilities: capabilities.to_vec() }.encode_log_data())
}

/// One spelling for each thing: small letters, digits and a few signs, and nothing but zeros behind them.
pub fn is_capability(word: &B256) -> bool {
    let is_sign = |byte: &&u8| matches!(**byte, b'a'..=b'z' | b'0'..=b'9' | b'=' | b'.' | b'_' | b'-');
    !word.is_zero() && word.iter().skip_while(is_sign).all(|byte| *byte == 0)
}
