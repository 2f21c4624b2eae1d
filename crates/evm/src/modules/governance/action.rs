//! What a vote can do: a closed set of typed actions, each checked when it is proposed and again when it is done.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolEvent as _;

use super::trust::{self, Vendor};
use super::{IGovernance, slots};
use crate::modules::layout::List;
use crate::modules::parameters::{self, IParameters, Parameter, must_fit};
use crate::modules::{Frame, Stop};

/// One thing to do. New rules hold from their height, or from where their notice ends if that comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    SetParameter { name: B256, value: U256 },
    AcceptMeasurement { measurement: B256, vendor: Vendor },
    RevokeMeasurement { measurement: B256 },
    AcceptVendor(Vendor),
    RevokeVendor(Vendor),
    Upgrade { rules: B256, height: U256 },
    CancelUpgrade { rules: B256 },
    SetGuardian(Address),
}

impl Action {
    /// What the interface says, if it is a thing to do.
    pub fn known(action: &IGovernance::Action) -> Option<Self> {
        Self::read(action).ok()
    }

    /// As the interface says it.
    pub fn written(&self) -> IGovernance::Action {
        let (kind, subject, value) = match *self {
            Self::SetParameter { name, value } => (1, name, value),
            Self::AcceptMeasurement { measurement, vendor } => (2, measurement, U256::from(vendor.number())),
            Self::RevokeMeasurement { measurement } => (3, measurement, U256::ZERO),
            Self::AcceptVendor(vendor) => (4, B256::ZERO, U256::from(vendor.number())),
            Self::RevokeVendor(vendor) => (5, B256::ZERO, U256::from(vendor.number())),
            Self::Upgrade { rules, height } => (6, rules, height),
            Self::CancelUpgrade { rules } => (6, rules, U256::ZERO),
            Self::SetGuardian(guardian) => (7, guardian.into_word(), U256::ZERO),
        };
        IGovernance::Action { kind, subject, value }
    }

    /// Reads what the interface says, strictly.
    pub(super) fn read(action: &IGovernance::Action) -> Result<Self, Stop> {
        let (kind, subject, value) = (action.kind, action.subject, action.value);
        let malformed = || Stop::revert(&IGovernance::ActionMalformed { kind });
        let read = match kind {
            1 => Self::SetParameter { name: subject, value },
            2 => Self::AcceptMeasurement { measurement: subject, vendor: Vendor::numbered(value)? },
            3 if value.is_zero() => Self::RevokeMeasurement { measurement: subject },
            4 if subject.is_zero() => Self::AcceptVendor(Vendor::numbered(value)?),
            5 if subject.is_zero() => Self::RevokeVendor(Vendor::numbered(value)?),
            6 if value.is_zero() => Self::CancelUpgrade { rules: subject },
            6 => Self::Upgrade { rules: subject, height: value },
            7 if value.is_zero() => {
                let guardian = Address::from_word(subject);
                if guardian.into_word() != subject {
                    return Err(malformed());
                }
                Self::SetGuardian(guardian)
            }
            3..=5 | 7 => return Err(malformed()),
            _ => return Err(Stop::revert(&IGovernance::ActionUnknown { kind })),
        };
        Ok(read)
    }

    /// The number that it sets, if it sets one.
    fn set(&self) -> Option<(B256, U256)> {
        if let Self::SetParameter { name, value } = self { Some((*name, *value)) } else { None }
    }

    /// Refuses what may not be proposed: new rules without their notice, and what could not be done as things are.
    pub(super) fn check_proposed(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        if let Self::Upgrade { height, .. } = *self {
            let least = least_height(frame)?;
            if height < least {
                return Err(Stop::revert(&IGovernance::UpgradeTooSoon { height, least }));
            }
        }
        self.check(frame)
    }

    /// Refuses what could not be done as things are.
    fn check(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        match self {
            Self::SetParameter { name, value } => named(*name)?.check(*value).map(|_| ()),
            Self::Upgrade { rules, .. } => must_not_be_in_force(frame, *rules),
            Self::CancelUpgrade { rules } => must_be_ahead(frame, *rules).map(|_| ()),
            Self::RevokeMeasurement { measurement } => trust::must_be_accepted(frame, *measurement),
            Self::RevokeVendor(vendor) => trust::vendor_must_be_accepted(frame, *vendor),
            Self::AcceptMeasurement { .. } | Self::AcceptVendor(_) | Self::SetGuardian(_) => Ok(()),
        }
    }

    /// Does it.
    pub(super) fn apply(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        self.check(frame)?;
        match self {
            Self::SetParameter { name, value } => named(*name)?.set(frame, *value),
            Self::AcceptMeasurement { measurement, vendor } => trust::accept(frame, *measurement, *vendor),
            Self::RevokeMeasurement { measurement } => trust::revoke(frame, *measurement),
            Self::AcceptVendor(vendor) => trust::accept_vendor(frame, *vendor),
            Self::RevokeVendor(vendor) => trust::revoke_vendor(frame, *vendor),
            Self::Upgrade { rules, height } => schedule(frame, *rules, *height),
            Self::CancelUpgrade { rules } => take_back(frame, *rules),
            Self::SetGuardian(guardian) => trust::set_guardian(frame, *guardian),
        }
    }
}

/// Reads what is to be done together, and refuses numbers that would not fit each other then.
pub(super) fn read_all(frame: &mut Frame<'_>, actions: &[IGovernance::Action]) -> Result<Vec<Action>, Stop> {
    let actions = actions.iter().map(Action::read).collect::<Result<Vec<_>, _>>()?;
    let set: Vec<(B256, U256)> = actions.iter().filter_map(Action::set).collect();
    must_fit(frame, &set)?;
    Ok(actions)
}

fn named(name: B256) -> Result<&'static Parameter, Stop> {
    Parameter::named(name).ok_or_else(|| Stop::revert(&IParameters::ParameterUnknown { name }))
}

/// The first height that new rules may have now: they need notice, so that everybody who runs a node can bring theirs along.
fn least_height(frame: &mut Frame<'_>) -> Result<U256, Stop> {
    let notice = parameters::UPGRADE_NOTICE.value(frame)?;
    Ok(frame.number().saturating_add(U256::from(notice)))
}

fn must_not_be_in_force(frame: &mut Frame<'_>, rules: B256) -> Result<(), Stop> {
    let slot = frame.mapping(slots::UPGRADES, rules)?;
    let height = frame.load(slot)?;
    if !height.is_zero() && height <= frame.number() {
        return Err(Stop::revert(&IGovernance::UpgradeInForce { rules, height }));
    }
    Ok(())
}

/// The height of rules that are scheduled and not in force.
fn must_be_ahead(frame: &mut Frame<'_>, rules: B256) -> Result<U256, Stop> {
    let slot = frame.mapping(slots::UPGRADES, rules)?;
    let height = frame.load(slot)?;
    if height.is_zero() {
        return Err(Stop::revert(&IGovernance::UpgradeUnknown { rules }));
    }
    if height <= frame.number() {
        return Err(Stop::revert(&IGovernance::UpgradeInForce { rules, height }));
    }
    Ok(slot)
}

/// From the height that was asked for, or from the least there is now: blocks have no length in time, and whoever makes them faster
/// than was thought only puts off what was decided, by no more than the notice.
fn schedule(frame: &mut Frame<'_>, rules: B256, asked: U256) -> Result<(), Stop> {
    let slot = frame.mapping(slots::UPGRADES, rules)?;
    // Decided twice, it stays where everybody expects it.
    if frame.load(slot)? == asked {
        return Ok(());
    }
    let height = asked.max(least_height(frame)?);
    let list = List(slots::UPGRADE_LIST);
    let known = list.page(frame, U256::ZERO, U256::MAX)?;
    if !known.contains(&rules.into()) {
        list.push(frame, rules.into())?;
    }
    frame.store(slot, height)?;
    frame.log(IGovernance::UpgradeScheduled { rules, height }.encode_log_data())
}

fn take_back(frame: &mut Frame<'_>, rules: B256) -> Result<(), Stop> {
    let slot = must_be_ahead(frame, rules)?;
    frame.store(slot, U256::ZERO)?;
    frame.log(IGovernance::UpgradeCanceled { rules }.encode_log_data())
}
