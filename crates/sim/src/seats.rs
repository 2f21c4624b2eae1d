//! Who sits where: keys, genesis, rules and committee of a simulated network.

use consensus::{
    Chain, CommitteeError, Keys, Pacing, Seat,
    simulation::{Link, Settings},
};
use crypto::{Digest, SigningKey, threshold::GroupKey};
use ledger::{
    FirstTrust, Genesis, GenesisAccount, GenesisModel, GenesisNode, GenesisParameter, GenesisWallet, OPG, Rules,
};
use payments::signing::SignerKey;
use protocol::{Amount, EvmAddress, List, NodeId, Noun as _, Role, Text, Trust, Version, registry::node_id};
use rand::{SeedableRng as _, rngs::StdRng};

use crate::scenario::Scenario;

pub(crate) const CHAIN_ID: u64 = 31_337;
/// What each node starts with: four verdicts make a lying worker fall below the minimum of its role.
const STAKE: Amount = 12_000 * OPG;
const TREASURY: Amount = 1_000_000 * OPG;
/// What each wallet has.
const WALLET: Amount = 1_000 * OPG;
const TICK_MS: u64 = 50;

/// Epochs are short and the window is small, so that a run is.
fn rules(scenario: &Scenario) -> Rules {
    let rules = Rules { epoch_ms: 500, challenge_window: 8, response_epochs: 3, vote_epochs: 20, ..Rules::default() };
    match scenario.terms {
        // So many that nobody is away for the whole of a term of the ledger.
        Some(terms) => Rules { term_blocks: terms.blocks, term_epochs: 12, ..rules },
        None => rules,
    }
}

fn parameters(scenario: &Scenario) -> Vec<GenesisParameter> {
    let Some(terms) = scenario.terms else { return Vec::new() };
    let set = [("seats.count", terms.seats), ("key.terms", terms.key_terms)];
    set.into_iter().map(|(name, value)| GenesisParameter { name: text(name), value: value.into() }).collect()
}

pub(crate) fn validator(index: usize) -> SigningKey {
    key(10, index)
}

pub(crate) fn worker(index: usize) -> SigningKey {
    key(50, index)
}

pub(crate) fn auditor(index: usize) -> SigningKey {
    key(100, index)
}

/// Who has what no node staked.
pub(crate) fn treasury() -> SigningKey {
    key(200, 0)
}

/// Of one who sends transfers one after the other, and of one whose transfers wait behind a gap.
pub(crate) fn wallets() -> Vec<SignerKey> {
    // Neither is one of the few numbers that are no key.
    [230, 231].into_iter().filter_map(|first| SignerKey::from_secret([first; 32])).collect()
}

pub(crate) fn gateway() -> SigningKey {
    key(150, 0)
}

pub(crate) fn node(key: &SigningKey) -> NodeId {
    node_id(&key.public_key())
}

fn key(first: u8, index: usize) -> SigningKey {
    let index = u8::try_from(index).unwrap_or(u8::MAX);
    SigningKey::from_seed(&[first.saturating_add(index); 32])
}

/// The genesis of a run; `model` is what its workers serve.
pub(crate) fn genesis(scenario: &Scenario, model: Digest) -> Genesis {
    let keys = |role, count, key: fn(usize) -> SigningKey| (0..count).map(move |index| (role, key(index)));
    let seats = keys(Role::Validator, scenario.validators, validator)
        .chain(keys(Role::Worker, scenario.workers.len(), worker))
        .chain(keys(Role::Auditor, scenario.auditors.len(), auditor))
        .chain([(Role::Gateway, gateway())]);
    let nodes = seats.map(|(role, key)| GenesisNode {
        role,
        key: key.public_key(),
        // Each is its own operator, so that auditors and workers are strangers to each other.
        operator: key.public_key(),
        endpoint: Text::default(),
        stake: STAKE,
        models: bounded(if role == Role::Worker { vec![model] } else { Vec::new() }),
    });
    let treasury = treasury().public_key();
    let wallet = |key: SignerKey| GenesisWallet { address: EvmAddress(key.address().into_array()), balance: WALLET };
    Genesis {
        version: Version,
        chain_id: CHAIN_ID,
        time_ms: 0,
        accounts: bounded(vec![GenesisAccount { key: treasury, balance: TREASURY }]),
        nodes: bounded(nodes.collect()),
        wallets: bounded(wallets().into_iter().map(wallet).collect()),
        allocations: bounded(Vec::new()),
        models: bounded(vec![GenesisModel {
            root: model,
            name: text("model"),
            publisher: treasury,
            float_manifest: None,
        }]),
        reward_pool: 0,
        parameters: bounded(parameters(scenario)),
        bridged: 0,
        rules: rules(scenario),
        trust: FirstTrust::default(),
    }
}

/// The committee on its simulated network, and what a stranger pins.
pub(crate) fn committee(scenario: &Scenario, genesis: &Genesis) -> Result<(Settings, Trust), CommitteeError> {
    let signers: Vec<SigningKey> = (0..scenario.validators).map(validator).collect();
    let validators: Vec<[u8; 32]> = signers.iter().map(|key| key.public_key().0).collect();
    let dealing = consensus::deal(&mut StdRng::seed_from_u64(scenario.dealing), &validators)?;
    let keys = signers.iter().zip(dealing.shares).map(|(key, share)| Keys::sole(key.seed(), Some(share)));
    let settings = Settings {
        seed: scenario.seed,
        keys: keys.collect(),
        chain: Chain {
            chain_id: CHAIN_ID,
            genesis: consensus::Genesis { digest: genesis.digest().0, time_ms: genesis.time_ms },
            seats: validators.into_iter().map(Seat::sole).collect(),
            polynomial: dealing.polynomial,
            pacing: Pacing { idle_ms: 100 },
            term_blocks: scenario.terms.map(|terms| terms.blocks.into()),
        },
        link: Link { latency_ms: 10, jitter_ms: 3, loss_percent: scenario.loss_percent },
        tick_ms: TICK_MS,
        limit_ms: scenario.limit_ms,
    };
    let network_key = GroupKey(dealing.group_key);
    Ok((settings, Trust { version: Version, network: text("simulated"), chain_id: CHAIN_ID, network_key }))
}

/// The seats of a run are few; a list that is too long comes out empty and is refused as a genesis.
fn bounded<T, const MAX: usize>(items: Vec<T>) -> List<T, MAX> {
    List::new(items).unwrap_or_default()
}

fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).unwrap_or_default()
}
