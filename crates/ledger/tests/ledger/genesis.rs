//! What a ledger starts from, and what it refuses to start from.

use alloy_primitives::B256;
use evm::StateRead as _;
use evm::modules::governance::{self, IGovernance};
use evm::modules::parameters::Misfit;
use ledger::{
    FirstTrust, Genesis, GenesisError, GenesisMeasurement, GenesisParameter, GenesisTrust, GenesisWallet, Ledger, OPG,
    Rules, TrustError, address_of,
};
use protocol::{Canonical as _, DecodeError, Digest, EvmAddress, List, Noun as _, Role, Text};

use crate::world::{ALICE, BOB, WORKER, World, genesis, model, module_call, public};

fn set(name: &str, value: u128) -> List<GenesisParameter, 256> {
    List::new(vec![GenesisParameter { name: Text::new(name).unwrap(), value }]).unwrap()
}

fn refused(change: impl FnOnce(&mut Genesis)) -> GenesisError {
    let mut genesis = genesis(Rules::default());
    change(&mut genesis);
    Ledger::new(&genesis).unwrap_err()
}

#[test]
fn a_genesis_has_one_encoding_and_the_ledger_knows_its_digest() {
    let genesis = genesis(Rules::default());
    assert_eq!(Genesis::decode(&genesis.encode()).unwrap(), genesis);
    assert_eq!(Genesis::from_value(&genesis.to_value()).unwrap(), genesis);
    let ledger = Ledger::new(&genesis).unwrap();
    assert_eq!(ledger.genesis(), genesis.digest());
    assert_eq!(ledger.money(), Some(ledger.network().supply));
    assert_eq!(ledger.quorum(), 3);
    assert_eq!(ledger.height(), 0);
}

#[test]
fn a_genesis_that_repeats_something_is_refused() {
    let account = refused(|genesis| {
        let twice = [genesis.accounts.to_vec(), genesis.accounts.to_vec()].concat();
        genesis.accounts = List::new(twice).unwrap();
    });
    assert_eq!(account, GenesisError::RepeatedAccount(public(ALICE)));
    let wallet = refused(|genesis| {
        let taken = GenesisWallet { address: address_of(&public(ALICE)), balance: 1 };
        genesis.wallets = List::new(vec![taken]).unwrap();
    });
    assert_eq!(wallet, GenesisError::RepeatedWallet(address_of(&public(ALICE))));
    let twice = refused(|genesis| {
        genesis.allocations = List::new([genesis.allocations.to_vec(), genesis.allocations.to_vec()].concat()).unwrap();
    });
    assert_eq!(twice, GenesisError::Allocation("foundation".to_owned()));
    let module = refused(|genesis| {
        let taken = GenesisWallet { address: EvmAddress(evm::modules::opg::ADDRESS.into_array()), balance: 1 };
        genesis.wallets = List::new(vec![taken]).unwrap();
    });
    assert!(matches!(module, GenesisError::Evm(evm::GenesisError::Taken(_))));
    let key = refused(|genesis| {
        let mut nodes = genesis.nodes.to_vec();
        nodes.push(nodes[4].clone());
        genesis.nodes = List::new(nodes).unwrap();
    });
    assert_eq!(key, GenesisError::RepeatedKey(public(WORKER)));
    let listed = refused(|genesis| {
        let twice = [genesis.models.to_vec(), genesis.models.to_vec()].concat();
        genesis.models = List::new(twice).unwrap();
    });
    assert_eq!(listed, GenesisError::RepeatedModel(model()));
    let served = refused(|genesis| {
        let mut nodes = genesis.nodes.to_vec();
        nodes[4].models = List::new(vec![model(), model()]).unwrap();
        genesis.nodes = List::new(nodes).unwrap();
    });
    assert_eq!(served, GenesisError::RepeatedModel(model()));
}

#[test]
fn a_genesis_without_enough_is_refused() {
    let validators = refused(|genesis| {
        let nodes = genesis.nodes.iter().filter(|node| node.role != Role::Validator).cloned();
        genesis.nodes = List::new(nodes.collect()).unwrap();
    });
    assert!(matches!(validators, GenesisError::Validators { found: 0, .. }));
    let stake = refused(|genesis| genesis.parameters = set("stake.self.worker", 1_000_000 * OPG));
    assert!(matches!(stake, GenesisError::StakeTooLow { node, .. } if node == public(WORKER)));
    let models = refused(|genesis| genesis.models = List::default());
    assert_eq!(models, GenesisError::UnknownModel { node: public(WORKER), model: model() });
}

#[test]
fn a_genesis_with_impossible_numbers_is_refused() {
    assert_eq!(refused(|genesis| genesis.rules.challenge_window = 0), GenesisError::Rule("challenge_window"));
    let empty = refused(|genesis| {
        let mut allocations = genesis.allocations.to_vec();
        allocations[0].amount = 0;
        genesis.allocations = List::new(allocations).unwrap();
    });
    assert!(matches!(empty, GenesisError::Allocation(_)));
    for nobodys in [ledger::BRIDGE, ledger::LOCKED, protocol::EvmAddress([0; 20])] {
        let lost = refused(|genesis| {
            let mut allocations = genesis.allocations.to_vec();
            allocations[0].beneficiary = nobodys;
            genesis.allocations = List::new(allocations).unwrap();
        });
        assert!(matches!(lost, GenesisError::Allocation(_)), "{lost}");
    }
    let twice = [set("slash.false_vote.jail", 1).to_vec(), set("slash.false_vote.jail", 1).to_vec()].concat();
    let bad = [set("slash.false_vote.share", 1_000_001), set("nothing", 1), List::new(twice).unwrap()];
    for parameters in bad {
        let name = parameters[0].name.to_string();
        assert_eq!(refused(|genesis| genesis.parameters = parameters), GenesisError::Parameter(name));
    }
    assert!(matches!(refused(|genesis| genesis.reward_pool = u128::MAX), GenesisError::Supply { .. }));
    assert!(matches!(refused(|genesis| genesis.reward_pool = u128::MAX / 1_000_000), GenesisError::Supply { .. }));
}

#[test]
fn a_genesis_whose_numbers_do_not_fit_each_other_is_refused_by_both_names() {
    let misfit =
        |value, other, least| GenesisError::Misfit(Misfit { name: "stake.unbonding_terms", value, other, least });
    // Who leaves before its verdict would be slashed of nothing.
    let early = refused(|genesis| genesis.parameters = set("stake.unbonding_terms", 11));
    assert_eq!(early, misfit(11, "rules.vote_epochs", 12));
    assert!(early.to_string().contains("hint: "), "{early}");
    let long = refused(|genesis| genesis.rules.vote_epochs = 1_300);
    assert_eq!(long, misfit(21, "rules.vote_epochs", 23));
    // Who leaves before the key does could sign with it what it likes.
    let old = refused(|genesis| {
        genesis.rules.term_blocks = 300;
        genesis.parameters = set("key.terms", 7);
    });
    assert_eq!(old, misfit(21, "key.terms", 22));
    let slow = refused(|genesis| genesis.rules.term_blocks = 301);
    assert_eq!(slow, misfit(21, "key.terms", 22));
    let both = [set("seats.count", 5).to_vec(), set("seats.minimum", 6).to_vec()].concat();
    let few = refused(|genesis| genesis.parameters = List::new(both).unwrap());
    let seats = Misfit { name: "seats.count", value: 5, other: "seats.minimum", least: 6 };
    assert_eq!(few, GenesisError::Misfit(seats));
    let mut good = genesis(Rules { term_blocks: 300, ..Rules::default() });
    good.parameters = set("stake.unbonding_terms", 21);
    assert!(Ledger::new(&good).is_ok());
}

#[test]
fn what_clients_look_for_at_canonical_addresses_is_there_from_the_beginning() {
    let ledger = Ledger::new(&genesis(Rules::default())).unwrap();
    for placed in contracts::CANONICAL {
        let account = ledger.evm().world.account(&placed.address).unwrap().unwrap();
        assert_eq!((account.nonce, account.code_hash), (1, alloy_primitives::keccak256(placed.contract.code)));
    }
    let taken = EvmAddress(contracts::addresses::PERMIT2.into_array());
    let refusal = refused(|genesis| {
        genesis.wallets = List::new(vec![GenesisWallet { address: taken, balance: 1 }]).unwrap();
    });
    assert_eq!(refusal, GenesisError::RepeatedWallet(taken));
}

#[test]
fn what_is_on_base_from_the_beginning_is_locked_here() {
    let ledger = Ledger::new(&genesis(Rules::default())).unwrap();
    assert_eq!(ledger.balance(&ledger::BRIDGE), genesis(Rules::default()).bridged);
}

fn trusting(vendors: &[u8], measurements: &[(u8, u8)]) -> GenesisTrust {
    let measured = |&(digest, vendor): &(u8, u8)| GenesisMeasurement { digest: Digest([digest; 32]), vendor };
    GenesisTrust {
        guardian: Some(address_of(&public(BOB))),
        vendors: List::new(vendors.to_vec()).unwrap(),
        measurements: List::new(measurements.iter().map(measured).collect()).unwrap(),
    }
}

fn with(trust: GenesisTrust) -> Genesis {
    Genesis { trust: FirstTrust(Some(trust)), ..genesis(Rules::default()) }
}

#[test]
fn a_genesis_that_trusts_nobody_has_the_bytes_that_it_had_before_it_could() {
    let silent = genesis(Rules::default());
    let said = with(trusting(&[1, 4], &[(7, 1)]));
    let (before, after) = (silent.encode(), said.encode());
    assert!(after.starts_with(&before) && before.ends_with(&silent.rules.encode()));
    assert_ne!(silent.digest(), said.digest());
    assert_eq!(Genesis::decode(&after).unwrap(), said);
    assert_eq!(Genesis::from_value(&said.to_value()).unwrap(), said);
    // An empty trust is said, and is another genesis than one that says nothing.
    let empty = with(GenesisTrust { guardian: None, vendors: List::default(), measurements: List::default() });
    assert_eq!(Genesis::decode(&empty.encode()).unwrap(), empty);
    assert_ne!(empty.digest(), silent.digest());
    assert!(matches!(Genesis::decode(&after[..after.len() - 1]), Err(DecodeError::Short { .. })));
    assert_eq!(Genesis::decode(&[after, vec![0]].concat()), Err(DecodeError::Trailing { count: 1 }));
}

#[test]
fn a_network_begins_with_what_its_genesis_trusts_and_its_guardian_takes_it_back() {
    let mut world = World::of(&with(trusting(&[1, 4], &[(7, 1), (8, 2)])));
    let trusts =
        |world: &World, digest: u8| governance::trusts(&world.ledger.evm().world, &B256::repeat_byte(digest)).unwrap();
    assert!(trusts(&world, 7));
    assert!(!trusts(&world, 8), "accepted, but nothing of its vendor counts");
    let revoke = IGovernance::revokeMeasurementCall { measurement: B256::repeat_byte(7) };
    assert!(world.send(ALICE, module_call(governance::ADDRESS, 0, &revoke)).is_err());
    world.send(BOB, module_call(governance::ADDRESS, 0, &revoke)).unwrap();
    assert!(!trusts(&world, 7));
}

#[test]
fn a_genesis_that_trusts_what_is_not_there_is_refused() {
    let refused = |trust: GenesisTrust| Ledger::new(&with(trust)).unwrap_err();
    let nobody = GenesisTrust { guardian: Some(EvmAddress([0; 20])), ..trusting(&[], &[]) };
    assert_eq!(refused(nobody), GenesisError::Trust(TrustError::Guardian));
    for (vendors, measurements, vendor) in [([5].as_slice(), [].as_slice(), 5), (&[1, 1], &[], 1), (&[], &[(7, 0)], 0)]
    {
        assert_eq!(refused(trusting(vendors, measurements)), GenesisError::Trust(TrustError::Vendor(vendor)));
    }
    let twice = GenesisError::Trust(TrustError::Measurement(Digest([7; 32])));
    assert_eq!(refused(trusting(&[1], &[(7, 1), (7, 1)])), twice);
}
