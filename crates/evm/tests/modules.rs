//! What holds for all native modules: their tables are their interfaces, their places are their own.
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

mod common;
mod stage;

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, U256};
use common::{Net, OPG, address, event, plain, refused, table_is_whole, told, transaction};
use evm::modules::parameters::{self, FoundLimits, IParameters, Parameter, SetParameter, TABLE};
use evm::modules::{ALL, IModule, SystemError, governance, models, seats, staking, votes};
use evm::{Chain, Founding, Genesis, GenesisAccount, GenesisError, StateRead as _};
use proptest::prelude::*;

#[test]
fn the_tables_have_a_row_for_every_function_of_the_interfaces() {
    table_is_whole(&staking::MODULE, include_str!("../../../contracts/IStaking.sol"));
    table_is_whole(&votes::MODULE, include_str!("../../../contracts/IStakedVotes.sol"));
    table_is_whole(&seats::MODULE, include_str!("../../../contracts/ISeats.sol"));
    table_is_whole(&governance::MODULE, include_str!("../../../contracts/IGovernance.sol"));
    table_is_whole(&models::MODULE, include_str!("../../../contracts/IModels.sol"));
    table_is_whole(&parameters::MODULE, include_str!("../../../contracts/IParameters.sol"));
}

#[test]
fn modules_have_places_of_their_own() {
    let mut addresses: Vec<Address> = ALL.iter().map(|module| module.address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), ALL.len());
    let mut genesis = Genesis::default();
    for taken in addresses {
        genesis.accounts = [(taken, GenesisAccount { balance: OPG, ..GenesisAccount::default() })].into();
        assert_eq!(genesis.build(&common::CHAIN).err(), Some(GenesisError::Taken(taken)));
    }
}

#[test]
fn only_a_payable_method_takes_coins() {
    let mut net = Net::founded(Founding::default());
    let call = staking::IStaking::termCall {};
    refused(&net.call(0, staking::ADDRESS, &call, OPG), &IModule::NotPayable { value: OPG });
    let receipt = net.call(0, staking::ADDRESS, &staking::IStaking::fundCall {}, OPG);
    assert!(receipt.succeeded());
    assert_eq!(net.balance(staking::ADDRESS), OPG);
}

#[test]
fn every_parameter_can_be_read_with_its_bounds() {
    let net = Net::founded(Founding::default());
    let all = net.ask(parameters::ADDRESS, &IParameters::parametersCall {}).unwrap();
    assert_eq!(all.len(), TABLE.len());
    for (told, parameter) in all.iter().zip(TABLE) {
        assert_eq!((told.name, told.value), (parameter.key(), U256::from(parameter.default)));
        assert_eq!((told.least, told.most), (U256::from(parameter.least), U256::from(parameter.most)));
        let name = parameter.key();
        assert_eq!(net.ask(parameters::ADDRESS, &IParameters::valueCall { name }).unwrap(), told.value);
        let one = net.ask(parameters::ADDRESS, &IParameters::parameterCall { name }).unwrap();
        assert_eq!(one.name, name);
    }
}

#[test]
fn a_parameter_that_does_not_exist_is_refused_by_name() {
    let mut net = Net::founded(Founding::default());
    let name = U256::from(7).into();
    let receipt = net.call(0, parameters::ADDRESS, &IParameters::valueCall { name }, U256::ZERO);
    refused(&receipt, &IParameters::ParameterUnknown { name });
    let unknown = net.system(&SetParameter { name: "no.such".to_owned(), value: 1 });
    assert!(matches!(unknown, Err(SystemError::Refused(_))));
}

#[test]
fn a_network_may_begin_with_other_numbers_within_the_bounds() {
    let set = |value| SetParameter { name: "stake.unbonding_terms".to_owned(), value };
    let mut net = Net::founded(Founding { parameters: vec![set(2)], ..Founding::default() });
    let name = parameters::UNBONDING_TERMS.key();
    let receipt = net.call(1, parameters::ADDRESS, &IParameters::valueCall { name }, U256::ZERO);
    assert_eq!(told::<IParameters::valueCall>(&receipt), U256::from(2));
    let (_, logs) = net.system(&set(64)).unwrap();
    let event: IParameters::ParameterSet = event(&logs);
    assert_eq!((event.before, event.value), (U256::from(2), U256::from(64)));
    let Parameter { least, most, .. } = parameters::UNBONDING_TERMS;
    for value in [least - 1, most + 1] {
        let error = IParameters::ParameterOutOfBounds {
            name,
            value: U256::from(value),
            least: U256::from(least),
            most: U256::from(most),
        };
        common::system_refused(net.system(&set(value)), &error);
        let founding = Founding { parameters: vec![set(value)], ..Founding::default() };
        let genesis = Genesis { founding, ..Genesis::default() };
        assert!(matches!(genesis.build(&common::CHAIN), Err(GenesisError::Founding(_))));
    }
}

#[test]
fn a_network_does_not_begin_with_numbers_that_do_not_fit_its_rules() {
    let begins = |unbonding, key_delay| {
        let founding = Founding { limits: FoundLimits { unbonding, key_delay }, ..Founding::default() };
        Genesis { founding, ..Genesis::default() }.build(&common::CHAIN).map(|_| ())
    };
    assert_eq!(begins(21, 15), Ok(()));
    for (unbonding, key_delay) in [(22, 0), (0, 16)] {
        assert!(matches!(begins(unbonding, key_delay), Err(GenesisError::Founding(SystemError::Refused(_)))));
    }
}

#[test]
fn a_chain_without_modules_has_nothing_to_found() {
    let founding = Founding { reward_pool: 1, ..Founding::default() };
    let genesis = Genesis { founding, ..Genesis::default() };
    assert_eq!(genesis.build(&Chain::plain(8453)).err(), Some(GenesisError::NothingToFound));
}

/// Words that calls are made of: numbers, offsets, ids, addresses, and what is none of them.
fn word() -> impl Strategy<Value = U256> {
    prop_oneof![
        (0_u64..10).prop_map(U256::from),
        (0_u64..12).prop_map(|number| U256::from(number * 32)),
        (0_u64..12).prop_map(|number| address(number).into_word().into()),
        Just(stage::worker().into()),
        Just(stage::validator().into()),
        Just(parameters::LAZY_AUDIT_SHARE.key().into()),
        Just(OPG),
        Just(U256::MAX),
        any::<[u8; 32]>().prop_map(U256::from_be_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever stands behind whatever selector: a block, and books that hold.
    #[test]
    fn nothing_behind_any_selector_ends_a_block(
        calls in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::collection::vec(word(), 0..14), 0_usize..32, 0_u64..4),
            1..16,
        ),
    ) {
        let mut stage = stage::Stage::new();
        for (module, method, words, cut, value) in calls {
            let module = &ALL[module.index(ALL.len())];
            let method = &module.methods[method.index(module.methods.len())];
            let mut input = method.selector.to_vec();
            words.iter().for_each(|word| input.extend_from_slice(&word.to_be_bytes::<32>()));
            // Often whole, sometimes cut off in a word.
            input.truncate(input.len() - if cut > 24 { cut.min(input.len()) } else { 0 });
            let value = if method.takes_value { OPG * U256::from(value) } else { U256::ZERO };
            let nonce = stage.net.world.account(&address(3)).unwrap().unwrap().nonce;
            let unsigned = TxEip1559 { input: input.into(), value, gas_limit: 3_000_000, ..plain(module.address, nonce) };
            stage.net.send(transaction(3, unsigned));
            stage.sound();
        }
    }
}

#[test]
fn a_parameter_says_since_when_its_value_holds() {
    let mut net = Net::founded(Founding::default());
    let name = parameters::RATE_USD_PER_OPG.key();
    let since = |net: &Net| net.ask(parameters::ADDRESS, &IParameters::sinceCall { name }).unwrap();
    assert_eq!(since(&net), 0, "the network began with it");
    net.wait(60);
    net.does(&SetParameter { name: "rate.usd_per_opg".to_owned(), value: 123_000_000_000_000_000 });
    assert_eq!(since(&net), net.header.timestamp);
    let unknown = U256::from(7).into();
    let receipt = net.call(0, parameters::ADDRESS, &IParameters::sinceCall { name: unknown }, U256::ZERO);
    refused(&receipt, &IParameters::ParameterUnknown { name: unknown });
}
