//! What modules refused, in the words of their interfaces.

use alloy_primitives::{U256, hex};

use super::bridge::IBridge;
use super::governance::IGovernance;
use super::models::IModels;
use super::opg::IOPG;
use super::parameters::IParameters;
use super::registered::IRegistry;
use super::seats::ISeats;
use super::staking::{IStakedVotes, IStaking};
use super::{IModule, SystemError};

/// A refusal in the words of the interfaces: which error, and what stood in it.
pub fn explain(error: &SystemError) -> String {
    let SystemError::Refused(bytes) = error else { return error.to_string() };
    let Some((selector, arguments)) = bytes.split_first_chunk::<4>() else {
        return "no such module, or too few coins".to_owned();
    };
    let names = [
        IModule::IModuleErrors::name_by_selector,
        IOPG::IOPGErrors::name_by_selector,
        IStaking::IStakingErrors::name_by_selector,
        IStakedVotes::IStakedVotesErrors::name_by_selector,
        ISeats::ISeatsErrors::name_by_selector,
        IParameters::IParametersErrors::name_by_selector,
        IGovernance::IGovernanceErrors::name_by_selector,
        IModels::IModelsErrors::name_by_selector,
        IBridge::IBridgeErrors::name_by_selector,
        IRegistry::IRegistryErrors::name_by_selector,
    ];
    let name = names.iter().find_map(|name| name(*selector)).unwrap_or("an unknown error");
    let words: Vec<String> = arguments.chunks(32).map(readable).collect();
    format!("{name}({})", words.join(", "))
}

/// A word as people read it: a number, or bytes where it is none.
fn readable(word: &[u8]) -> String {
    let number = U256::try_from_be_slice(word).unwrap_or_default();
    if number < U256::from(u128::MAX) { number.to_string() } else { format!("0x{}", hex::encode(word)) }
}
