//! What must fit: some numbers of the table each other, and some what the rules of the genesis ask of them.
//!
//! A bound is a number's own and never changes. What stands here depends on other numbers, so it is looked at over the whole table, as it
//! would be once everything is done that is to be done together.

use alloy_primitives::{B256, U256};
use thiserror::Error;

use super::{ADDRESS, IParameters, KEY_TERMS, Parameter, SEATS, SEATS_MIN, UNBONDING_TERMS, name_of, slots};
use crate::modules::layout::{Reader, Writer};
use crate::modules::{Frame, Stop, SystemCall};

/// By which rule of the genesis an offence may take longest until it is established.
const OFFENCES: &str = "rules.vote_epochs";

/// Numbers that others, or the rules, ask something of, and those that ask.
static RELATED: [&Parameter; 4] = [&UNBONDING_TERMS, &KEY_TERMS, &SEATS, &SEATS_MIN];

/// What the rules of the genesis ask of the table, in terms of the ledger; by default nothing. Kept by the module, because they never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoundLimits {
    /// Fewest terms for which stake that left has to be bound: in fewer, an offence may not be established.
    pub unbonding: u32,
    /// Most terms that may pass from when a key is old until another one signs; zero where keys are for ever.
    pub key_delay: u32,
}

/// A number that is too small for another one, or for the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "{name} is {value}, and {other} asks for {least} or more; hint: they must fit each other: raise the one or lower the other"
)]
pub struct Misfit {
    pub name: &'static str,
    pub value: u128,
    /// What asks for more: a parameter, or a rule of the genesis.
    pub other: &'static str,
    pub least: u128,
}

impl FoundLimits {
    /// The first number that is smaller than another one asks for, if any; `value` says what each is, or would be.
    ///
    /// # Errors
    /// Those of `value`.
    pub fn misfit<E>(&self, mut value: impl FnMut(&'static Parameter) -> Result<u128, E>) -> Result<Option<Misfit>, E> {
        let (unbonding, key) = (value(&UNBONDING_TERMS)?, value(&KEY_TERMS)?);
        let key_least = if self.key_delay == 0 { 0 } else { key.saturating_add(self.key_delay.into()) };
        let asked = [
            Misfit { name: UNBONDING_TERMS.name, value: unbonding, other: OFFENCES, least: self.unbonding.into() },
            Misfit { name: UNBONDING_TERMS.name, value: unbonding, other: KEY_TERMS.name, least: key_least },
            Misfit { name: SEATS.name, value: value(&SEATS)?, other: SEATS_MIN.name, least: value(&SEATS_MIN)? },
        ];
        Ok(asked.into_iter().find(|asked| asked.value < asked.least))
    }

    fn get(frame: &mut Frame<'_>) -> Result<Self, Stop> {
        frame.within(ADDRESS, |frame| {
            let mut word = Reader(frame.load(slots::LIMITS)?);
            Ok(Self { unbonding: word.u32(), key_delay: word.u32() })
        })
    }
}

impl SystemCall for FoundLimits {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        frame.within(ADDRESS, |frame| {
            frame.store(slots::LIMITS, Writer::default().u32(self.unbonding).u32(self.key_delay).word())
        })?;
        check(frame, &[])
    }
}

/// Refuses to set these together, if the table would not fit then. The last value of a name counts.
pub(in crate::modules) fn must_fit(frame: &mut Frame<'_>, set: &[(B256, U256)]) -> Result<(), Stop> {
    let is_related = |name: &B256| RELATED.iter().any(|parameter| parameter.key() == *name);
    if set.iter().any(|(name, _)| is_related(name)) { check(frame, set) } else { Ok(()) }
}

fn check(frame: &mut Frame<'_>, set: &[(B256, U256)]) -> Result<(), Stop> {
    let limits = FoundLimits::get(frame)?;
    let misfit = limits.misfit(|parameter| {
        let name = parameter.key();
        match set.iter().rev().find(|(found, _)| *found == name) {
            Some((_, value)) => Ok(value.saturating_to()),
            None => parameter.value(frame),
        }
    })?;
    let Some(Misfit { name, value, other, least }) = misfit else { return Ok(()) };
    Err(Stop::revert(&IParameters::ParameterMisfit {
        name: name_of(name),
        value: U256::from(value),
        other: name_of(other),
        least: U256::from(least),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misfit(limits: FoundLimits, set: &[(&Parameter, u128)]) -> Option<(&'static str, u128, &'static str, u128)> {
        let value = |parameter: &'static Parameter| {
            let set = set.iter().find(|(found, _)| *found == parameter);
            Ok::<_, Stop>(set.map_or(parameter.default, |(_, value)| *value))
        };
        let misfit = limits.misfit(value).unwrap()?;
        Some((misfit.name, misfit.value, misfit.other, misfit.least))
    }

    #[test]
    fn the_table_fits_itself_and_what_a_usual_genesis_asks() {
        assert_eq!(misfit(FoundLimits::default(), &[]), None);
        assert_eq!(misfit(FoundLimits { unbonding: 12, key_delay: 15 }, &[]), None);
    }

    #[test]
    fn what_asks_for_more_is_named() {
        let limits = FoundLimits { unbonding: 12, key_delay: 15 };
        let unbonding = UNBONDING_TERMS.name;
        let early = misfit(limits, &[(&UNBONDING_TERMS, 11), (&KEY_TERMS, 2)]);
        assert_eq!(early, Some((unbonding, 11, OFFENCES, 12)));
        assert_eq!(misfit(limits, &[(&KEY_TERMS, 7)]), Some((unbonding, 21, KEY_TERMS.name, 22)));
        assert_eq!(misfit(limits, &[(&KEY_TERMS, 7), (&UNBONDING_TERMS, 22)]), None);
        // A key that is for ever is older than any stake.
        assert_eq!(misfit(FoundLimits { key_delay: 0, ..limits }, &[(&KEY_TERMS, 1_000_000)]), None);
        let few = misfit(limits, &[(&SEATS, 10), (&SEATS_MIN, 11)]);
        assert_eq!(few, Some((SEATS.name, 10, SEATS_MIN.name, 11)));
    }
}
