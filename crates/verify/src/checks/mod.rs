//! The checks, one file each, in the order in which they run.

mod assurance;
pub(crate) mod certificate;
mod chain;
mod charge;
mod format;
mod history;
mod inclusion;
mod key;
mod opening;
mod signature;
mod standing;
mod status;
mod times;
mod window;

use crate::check::Check;

/// Every check; each needs only earlier ones.
pub(crate) static CHECKS: &[Check] = &[
    format::CHECK,
    chain::CHECK,
    signature::CHECK,
    opening::CHECK,
    charge::CHECK,
    inclusion::CHECK,
    history::CHECK,
    certificate::CHECK,
    key::CHECK,
    status::CHECK,
    times::CHECK,
    assurance::CHECK,
    standing::CHECK,
    window::CHECK,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_its_own_name_and_needs_only_earlier_ones() {
        for (place, check) in CHECKS.iter().enumerate() {
            let earlier: Vec<_> = CHECKS[..place].iter().map(|earlier| earlier.name).collect();
            assert!(!earlier.contains(&check.name), "{} is there twice", check.name);
            assert!(check.needs.iter().all(|need| earlier.contains(need)), "{} runs too early", check.name);
        }
    }
}
