//! The first state and the first header of a chain.

use std::collections::BTreeMap;

use alloy_consensus::constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_WITHDRAWALS};
use alloy_consensus::{EMPTY_ROOT_HASH, Header, Sealable as _, Sealed};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_evm::Evm as _;
use alloy_primitives::{Address, B256, Bytes, U256};
use revm::bytecode::BytecodeDecodeError;
use thiserror::Error;

use crate::chain::Chain;
use crate::history;
use crate::machine;
use crate::modules::governance::FoundTrust;
use crate::modules::models::EnterModel;
use crate::modules::parameters::{FoundLimits, SetParameter};
use crate::modules::registry::{FoundRegistry, ListNode};
use crate::modules::staking::{self, FoundNode, FoundPool, FoundTerms};
use crate::modules::{self, SystemError, bridge, opg};
use crate::overlay::Overlay;
use crate::state::{Account, Changes, Code, StateError};
use crate::system;
use crate::world::World;

/// Where EIP-1559 starts.
const BASE_FEE: u64 = 1_000_000_000;

/// An account as a chain begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenesisAccount {
    pub balance: U256,
    pub nonce: u64,
    pub code: Bytes,
    pub storage: BTreeMap<U256, U256>,
}

/// How a chain begins. Native modules and the contract of block hashes are added by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Genesis {
    pub timestamp: u64,
    pub accounts: BTreeMap<Address, GenesisAccount>,
    pub founding: Founding,
}

/// What a network's modules begin with. The coins are coins of the genesis beside those of its accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Founding {
    /// Numbers that differ from the table of parameters.
    pub parameters: Vec<SetParameter>,
    /// What the network's rules ask of them.
    pub limits: FoundLimits,
    /// Nodes with their operators' stake, in the order of their registration.
    pub nodes: Vec<FoundNode>,
    /// Models with a name, published before the nodes that serve them are listed.
    pub models: Vec<EnterModel>,
    /// Where these nodes are and what they serve.
    pub listings: Vec<ListNode>,
    /// How long retired keys answer for what they signed.
    pub registry: FoundRegistry,
    /// Coins from which nodes are rewarded.
    pub reward_pool: u128,
    /// Coins that are on Base from the beginning, and locked here.
    pub bridged: u128,
    /// Whom and what it trusts, and who may take that back at once.
    pub trust: FoundTrust,
}

#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum GenesisError {
    #[error("account {0} has a place that the chain itself fills")]
    Taken(Address),
    #[error("the balances of the genesis do not fit 256 bits")]
    Supply,
    #[error("account {0} has code that begins as a delegation and is none")]
    Code(Address),
    #[error("account {0} has storage but neither nonce, balance nor code, so it would count as empty")]
    Empty(Address),
    #[error("failed to found the network: {0}")]
    Founding(#[from] SystemError),
    #[error("a chain without native modules has nothing to found")]
    NothingToFound,
    #[error(transparent)]
    State(#[from] StateError),
}

impl Genesis {
    /// Where the contract of block hashes is (EIP-2935).
    pub const HISTORY: Address = history::ADDRESS;

    /// State and header of block 0.
    pub fn build(&self, chain: &Chain) -> Result<(World, Sealed<Header>), GenesisError> {
        let mut changes = Changes::default();
        let mut supply = U256::ZERO;
        for (address, account) in &self.accounts {
            supply = supply.checked_add(account.balance).ok_or(GenesisError::Supply)?;
            place(&mut changes, *address, account).map_err(|_| GenesisError::Code(*address))?;
            let is_empty = changes.accounts.get(address).copied().flatten().is_none_or(|account| account.is_empty());
            if is_empty && !account.storage.is_empty() {
                return Err(GenesisError::Empty(*address));
            }
        }
        let staked = self.founding.coins().ok_or(GenesisError::Supply)?;
        let founded = staked.checked_add(U256::from(self.founding.bridged)).ok_or(GenesisError::Supply)?;
        supply = supply.checked_add(founded).ok_or(GenesisError::Supply)?;
        for (address, account) in fixtures(chain, supply, staked, U256::from(self.founding.bridged)) {
            if self.accounts.contains_key(&address) {
                return Err(GenesisError::Taken(address));
            }
            place(&mut changes, address, &account).map_err(|_| GenesisError::Code(address))?;
        }
        let mut world = World::default();
        world.apply(&changes)?;
        if !chain.modules.is_empty() {
            let founded = self.found(chain, &world)?;
            world.apply(&founded)?;
        } else if self.founding != Founding::default() {
            return Err(GenesisError::NothingToFound);
        }
        let state_root = world.root();
        Ok((world, self.header(chain, state_root).seal_slow()))
    }

    /// The modules' own first deeds, by the ways in which they act later.
    fn found(&self, chain: &Chain, world: &World) -> Result<Changes, GenesisError> {
        let surroundings = Chain::surroundings(&self.header(chain, B256::ZERO));
        let mut machine = machine::build(chain, chain.rules(), surroundings, Overlay::over(world));
        for parameter in &self.founding.parameters {
            system::run(&mut machine, chain, parameter)?;
        }
        system::run(&mut machine, chain, &self.founding.limits)?;
        system::run(&mut machine, chain, &self.founding.registry)?;
        for model in &self.founding.models {
            system::run(&mut machine, chain, model)?;
        }
        for node in &self.founding.nodes {
            system::run(&mut machine, chain, node)?;
        }
        for listing in &self.founding.listings {
            system::run(&mut machine, chain, listing)?;
        }
        system::run(&mut machine, chain, &FoundPool { coins: self.founding.reward_pool })?;
        system::run(&mut machine, chain, &FoundTerms)?;
        system::run(&mut machine, chain, &self.founding.trust)?;
        Ok(machine.finish().0.into_changes())
    }

    fn header(&self, chain: &Chain, state_root: B256) -> Header {
        Header {
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            state_root,
            transactions_root: EMPTY_ROOT_HASH,
            receipts_root: EMPTY_ROOT_HASH,
            gas_limit: chain.gas_limit,
            timestamp: self.timestamp,
            base_fee_per_gas: Some(BASE_FEE),
            withdrawals_root: Some(EMPTY_WITHDRAWALS),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        }
    }
}

impl Founding {
    fn coins(&self) -> Option<U256> {
        let staked = self.nodes.iter().try_fold(0_u128, |sum, node| sum.checked_add(node.coins))?;
        U256::from(staked).checked_add(U256::from(self.reward_pool))
    }
}

/// What every chain of this kind has from the start.
fn fixtures(chain: &Chain, supply: U256, staked: U256, bridged: U256) -> Vec<(Address, GenesisAccount)> {
    let history = GenesisAccount { nonce: 1, code: history::code(), ..GenesisAccount::default() };
    let mut fixtures = vec![(history::ADDRESS, history)];
    for module in chain.modules {
        // Code, because Solidity asks for it before a call; a nonce, because an account with storage alone counts as empty.
        let code = Bytes::from_static(modules::CODE);
        let storage = if module.address == opg::ADDRESS { opg::genesis_storage(supply) } else { BTreeMap::new() };
        let balance = match module.address {
            staking::ADDRESS => staked,
            bridge::ADDRESS => bridged,
            _ => U256::ZERO,
        };
        fixtures.push((module.address, GenesisAccount { nonce: 1, code, storage, balance }));
    }
    fixtures
}

fn place(changes: &mut Changes, address: Address, account: &GenesisAccount) -> Result<(), BytecodeDecodeError> {
    let code = Code::new_raw_checked(account.code.clone())?;
    let code_hash = if account.code.is_empty() { Account::default().code_hash } else { code.hash_slow() };
    if !account.code.is_empty() {
        changes.codes.insert(code_hash, code);
    }
    let placed = Account { nonce: account.nonce, balance: account.balance, code_hash };
    changes.accounts.insert(address, Some(placed));
    changes.slots.extend(account.storage.iter().map(|(slot, value)| ((address, *slot), *value)));
    Ok(())
}
