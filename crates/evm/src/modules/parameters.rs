//! Parameters: every number that the network decides by and that governance may change, within bounds that it may not.
//!
//! The table is code; storage holds only what differs from it. Other modules read a value through `Parameter::value`, in the
//! storage of this module, so that one vote changes it for all.

mod faces;
mod relations;
mod table;

use alloy_primitives::{Address, B256, U256, address};
use alloy_sol_types::{SolEvent as _, sol};

use super::layout::place_in;
use super::{Frame, Method, Module, Stop, SystemCall};
use crate::state::{StateError, StateRead};

pub(super) use relations::must_fit;
pub use relations::{FoundLimits, Misfit};
pub use table::*;

sol!("../../contracts/IParameters.sol");

/// Where the module lives.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000000a04");

/// The module.
pub const MODULE: Module = Module { name: "parameters", address: ADDRESS, methods: METHODS };

static METHODS: &[Method] = &[faces::VALUE, faces::PARAMETER, faces::PARAMETERS, faces::SINCE];

/// Places in the module's storage.
mod slots {
    use alloy_primitives::U256;

    /// `mapping(bytes32 name => uint256)`: the value with its highest bit set; zero where the default holds.
    pub const VALUES: U256 = U256::from_limbs([0, 0, 0, 0]);
    /// `mapping(bytes32 name => uint64)`: when the value was set; zero where it is the table's.
    pub const TIMES: U256 = U256::from_limbs([1, 0, 0, 0]);
    /// Terms that stake has to be bound for (32) ‖ terms that a key may be late by (32), as the rules of the genesis ask.
    pub const LIMITS: U256 = U256::from_limbs([2, 0, 0, 0]);
}

/// Tells a value of zero from none.
const SET_BIT: usize = 255;

/// One number.
#[derive(Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: &'static str,
    pub default: u128,
    pub least: u128,
    pub most: u128,
}

impl Parameter {
    /// The parameter of this name.
    pub fn named(name: B256) -> Option<&'static Self> {
        TABLE.iter().copied().find(|parameter| parameter.key() == name)
    }

    /// The name as contracts write it.
    pub fn key(&self) -> B256 {
        name_of(self.name)
    }

    /// What holds in a state.
    pub fn of(&self, state: &dyn StateRead) -> Result<u128, StateError> {
        let word = state.slot(&ADDRESS, &place_in(slots::VALUES, self.key()))?;
        Ok(self.held(word))
    }

    fn held(&self, word: U256) -> u128 {
        if word.bit(SET_BIT) { word.wrapping_shl(1).wrapping_shr(1).saturating_to() } else { self.default }
    }

    /// What holds now.
    pub(super) fn value(&self, frame: &mut Frame<'_>) -> Result<u128, Stop> {
        frame.within(ADDRESS, |frame| {
            let slot = frame.mapping(slots::VALUES, self.key())?;
            let word = frame.load(slot)?;
            Ok(self.held(word))
        })
    }

    /// When it was last set, in seconds; zero where the table's value holds.
    pub(super) fn since(&self, frame: &mut Frame<'_>) -> Result<u64, Stop> {
        frame.within(ADDRESS, |frame| {
            let slot = frame.mapping(slots::TIMES, self.key())?;
            Ok(frame.load(slot)?.saturating_to())
        })
    }

    /// What holds now, of small numbers.
    pub(super) fn small(&self, frame: &mut Frame<'_>) -> Result<u32, Stop> {
        Ok(u32::try_from(self.value(frame)?).unwrap_or(u32::MAX))
    }

    /// Refuses a value outside of the bounds.
    pub(super) fn check(&self, value: U256) -> Result<u128, Stop> {
        let (least, most) = (U256::from(self.least), U256::from(self.most));
        if value < least || value > most {
            return Err(Stop::revert(&IParameters::ParameterOutOfBounds { name: self.key(), value, least, most }));
        }
        Ok(value.saturating_to())
    }

    /// Sets it, if the value is within the bounds.
    pub(super) fn set(&self, frame: &mut Frame<'_>, value: U256) -> Result<(), Stop> {
        self.check(value)?;
        let before = U256::from(self.value(frame)?);
        frame.within(ADDRESS, |frame| {
            let slot = frame.mapping(slots::VALUES, self.key())?;
            let mut word = value;
            word.set_bit(SET_BIT, true);
            frame.store(slot, word)?;
            let time = frame.mapping(slots::TIMES, self.key())?;
            frame.store(time, U256::from(frame.now()))?;
            frame.log(IParameters::ParameterSet { name: self.key(), before, value }.encode_log_data())
        })
    }
}

/// A network begins with another value than the table's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetParameter {
    pub name: String,
    pub value: u128,
}

impl SystemCall for SetParameter {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        let parameter = TABLE.iter().find(|parameter| parameter.name == self.name);
        let unknown = || Stop::revert(&IParameters::ParameterUnknown { name: name_of(&self.name) });
        parameter.ok_or_else(unknown)?.set(frame, U256::from(self.value))
    }
}

/// A name as contracts write it, cut to what a word holds.
fn name_of(name: &str) -> B256 {
    let mut key = [0; 32];
    for (place, byte) in key.iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    B256::from(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_lies_within_its_bounds_and_every_name_fits_and_is_alone() {
        for (index, parameter) in TABLE.iter().enumerate() {
            assert!(parameter.least <= parameter.default && parameter.default <= parameter.most, "{}", parameter.name);
            assert!(parameter.name.len() <= 32 && parameter.name.is_ascii(), "{}", parameter.name);
            assert_eq!(TABLE.iter().position(|other| other.name == parameter.name), Some(index));
            assert_eq!(Parameter::named(parameter.key()), Some(*parameter));
        }
        assert_eq!(Parameter::named(B256::ZERO), None);
    }
}
