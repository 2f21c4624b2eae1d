//! The genesis: who owns what, who serves and votes, and by which rules, before the first block.
//!
//! Its digest is what consensus commits to at height zero. Whoever writes a genesis vouches for its keys: it holds no
//! proofs of possession.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, U256};
use evm::{
    Chain, Founding,
    modules::{
        models::EnterModel,
        parameters::{self, Misfit, Parameter, SetParameter},
        registry::{FoundRegistry, ListNode},
        staking,
    },
};
use protocol::{
    AllocationRecord, Amount, Digest, EvmAddress, KeyRecord, List, Milliseconds, ModelRecord, Noun as _, PublicKey,
    Role, Text, Version, record,
    registry::{ModelKind, OPEN_END, form, node_id},
};
use thiserror::Error;

use crate::{
    actions::founding_of,
    allocation::GenesisAllocation,
    purse::{Head, LOCKED, STAKING, address_of, locked_at_genesis},
    records::{AccountRecord, COMMITTEE_MAX, ListedNode, NetworkRecord, SeatRecord},
    rules::{MILLION, Rules},
    state::State,
    trusted::{FirstTrust, TrustError},
};

record! {
    GenesisAccount { key: PublicKey, balance: Amount, }
}
record! {
    /// An account of the EVM that is no ed25519 key's: a wallet.
    GenesisWallet { address: EvmAddress, balance: Amount, }
}
record! {
    /// A node; its stake comes on top of the accounts.
    GenesisNode {
        role: Role,
        key: PublicKey,
        operator: PublicKey,
        endpoint: Text<256>,
        stake: Amount,
        models: List<Digest, 64>,
    }
}
record! {
    GenesisModel {
        root: Digest,
        name: Text<128>,
        publisher: PublicKey,
        /// Of a model without an exact form: its manifest's digest, from which its root follows.
        float_manifest: Option<Digest>,
    }
}
record! {
    /// A number that differs from the table of the parameters module.
    GenesisParameter { name: Text<32>, value: Amount, }
}
record! {
    /// What the network starts from.
    Genesis in "og/genesis/v3" {
        version: Version<3>,
        chain_id: u64,
        time_ms: Milliseconds,
        accounts: List<GenesisAccount, 65_536>,
        wallets: List<GenesisWallet, 65_536>,
        allocations: List<GenesisAllocation, 256>,
        nodes: List<GenesisNode, 4_096>,
        models: List<GenesisModel, 4_096>,
        /// What nodes are rewarded from, beside what is allocated to the staking module.
        reward_pool: Amount,
        parameters: List<GenesisParameter, 256>,
        /// What is on Base from the beginning, and locked here.
        bridged: Amount,
        rules: Rules,
        /// Whom and what it trusts; a genesis that says nothing of it ends here.
        trust: FirstTrust,
    }
}

/// Why no ledger can start from a genesis.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GenesisError {
    #[error("failed to read genesis: rule {0} cannot be meant")]
    Rule(&'static str),
    #[error("failed to read genesis: account {0} is listed twice")]
    RepeatedAccount(PublicKey),
    #[error("failed to read genesis: address {} is listed twice, or has a listed key", alloy_primitives::Address::from(.0.0))]
    RepeatedWallet(EvmAddress),
    #[error(
        "failed to read genesis: allocation {0:?} is empty, has a share above one million, or a beneficiary that is nobody or has one already"
    )]
    Allocation(String),
    #[error("failed to read genesis: {0}")]
    Evm(#[from] evm::GenesisError),
    #[error("failed to read genesis: key {0} is registered twice")]
    RepeatedKey(PublicKey),
    #[error("failed to read genesis: model {0} is listed twice")]
    RepeatedModel(Digest),
    #[error("failed to read genesis: root {0} does not follow from the float manifest beside it")]
    NotAFloatRoot(Digest),
    #[error("failed to read genesis: node {node} serves model {model}, which is not listed")]
    UnknownModel { node: PublicKey, model: Digest },
    #[error("failed to read genesis: node {node} has a stake of {stake}, its role needs {minimum}")]
    StakeTooLow { node: PublicKey, stake: Amount, minimum: Amount },
    #[error("failed to read genesis: {found} validators, between 1 and {limit} expected")]
    Validators { found: usize, limit: usize },
    #[error("failed to read genesis: parameter {0:?} is unknown, listed twice or out of its bounds")]
    Parameter(String),
    #[error("failed to read genesis: {0}")]
    Misfit(#[from] Misfit),
    #[error("failed to read genesis: {0}")]
    Trust(#[from] TrustError),
    #[error("failed to read genesis: the supply is over the limit of {limit}")]
    Supply { limit: Amount },
}

impl Genesis {
    /// The state that the genesis describes.
    pub(crate) fn state(&self) -> Result<State, GenesisError> {
        if let Some(rule) = self.rules.fault() {
            return Err(GenesisError::Rule(rule));
        }
        let network = self.network()?;
        self.check_allocations()?;
        self.check_parameters()?;
        self.check_models()?;
        self.check_nodes()?;
        let mut state = State::new(network, self.evm()?);
        for account in self.accounts.iter() {
            if state.accounts.contains(&account.key) {
                return Err(GenesisError::RepeatedAccount(account.key));
            }
            state.accounts.put(AccountRecord { key: account.key, nonce: 0 });
        }
        for allocation in self.allocations.iter() {
            state.allocations.put(allocation.record(self.time_ms));
        }
        for model in self.models.iter() {
            state.models.put(model.record(self.time_ms));
        }
        for node in self.nodes.iter() {
            // An operator without a balance still has to be known, to rotate its node's key.
            if !state.accounts.contains(&node.operator) {
                state.accounts.put(AccountRecord { key: node.operator, nonce: 0 });
            }
            state.nodes.put(node.listed());
            let (key, role) = (node.key, node.role);
            state.add_key(KeyRecord { key, node: node_id(&key), role, valid_from: 0, valid_until: OPEN_END });
        }
        Ok(state)
    }

    fn network(&self) -> Result<NetworkRecord, GenesisError> {
        let validators = self.nodes.iter().filter(|node| node.role == Role::Validator);
        let seats: Vec<_> = validators.map(|node| SeatRecord { key: node.key, node: node_id(&node.key) }).collect();
        let committee: Vec<_> = seats.iter().map(|seat| seat.node).collect();
        let found = committee.len();
        let refused = GenesisError::Validators { found, limit: COMMITTEE_MAX };
        if committee.is_empty() {
            return Err(refused);
        }
        Ok(NetworkRecord {
            chain_id: self.chain_id,
            genesis: self.digest(),
            genesis_time_ms: self.time_ms,
            rules: self.rules.clone(),
            committee: List::new(committee).map_err(|_| refused.clone())?,
            term: 0,
            seats: List::new(seats).map_err(|_| refused)?,
            seats_before: List::default(),
            newcomers: List::default(),
            supply: self.supply()?,
        })
    }

    fn check_allocations(&self) -> Result<(), GenesisError> {
        let mut seen = BTreeSet::new();
        let is_bad = |allocation: &&GenesisAllocation| !allocation.is_meant() || !seen.insert(allocation.beneficiary);
        let bad = self.allocations.iter().find(is_bad);
        bad.map_or(Ok(()), |allocation| Err(GenesisError::Allocation(allocation.name.to_string())))
    }

    /// The EVM as the network begins: all money is in it.
    fn evm(&self) -> Result<Head, GenesisError> {
        let allocated: Vec<_> = self.allocations.iter().map(|allocation| allocation.record(self.time_ms)).collect();
        let locked = allocated.iter().map(AllocationRecord::locked).fold(0, Amount::saturating_add);
        let mut accounts: BTreeMap<_, _> = canonical_accounts().collect();
        accounts.insert(Address::from(LOCKED.0), locked_at_genesis(locked));
        let keys = self.accounts.iter().map(|account| (address_of(&account.key), account.balance));
        // A key that is listed twice is refused as such.
        let keys: BTreeMap<_, _> = keys.filter(|(_, balance)| *balance > 0).collect();
        let wallets = self.wallets.iter().map(|wallet| (wallet.address, wallet.balance));
        let is_pool = |row: &AllocationRecord| row.beneficiary == STAKING;
        let free = allocated.iter().filter(|row| row.released > 0);
        let first = free.clone().filter(|row| !is_pool(row)).map(|row| (row.beneficiary, row.released));
        for (address, balance) in keys.into_iter().chain(wallets).chain(first) {
            let account = evm::GenesisAccount { balance: U256::from(balance), ..evm::GenesisAccount::default() };
            if accounts.insert(Address::from(address.0), account).is_some() {
                return Err(GenesisError::RepeatedWallet(address));
            }
        }
        let timestamp = self.time_ms.checked_div(1_000).unwrap_or_default();
        let pooled =
            free.filter(|row| is_pool(row)).fold(self.reward_pool, |sum, row| sum.saturating_add(row.released));
        let genesis = evm::Genesis { timestamp, accounts, founding: self.founding(pooled)? };
        let (world, header) = genesis.build(&Chain::network(self.chain_id))?;
        Ok(Head { world, header })
    }

    /// What the modules begin with.
    fn founding(&self, reward_pool: Amount) -> Result<Founding, GenesisError> {
        let nodes = self.nodes.iter().map(|node| founding_of(node.role, &node.key, &node.operator, node.stake));
        let set = |set: &GenesisParameter| SetParameter { name: set.name.to_string(), value: set.value };
        let parameters = self.parameters.iter().map(set).collect();
        let registry = FoundRegistry { grace: self.rules.retired_epochs() };
        let models = self.models.iter().map(GenesisModel::entered).collect();
        let listings = self.nodes.iter().map(GenesisNode::listing).collect();
        let (nodes, bridged, limits) = (nodes.collect(), self.bridged, self.rules.limits());
        let trust = self.trust.found()?;
        Ok(Founding { parameters, limits, nodes, models, listings, registry, reward_pool, bridged, trust })
    }

    /// What a parameter is in the beginning.
    fn parameter(&self, parameter: &Parameter) -> Amount {
        let set = self.parameters.iter().find(|set| *set.name == *parameter.name);
        set.map_or(parameter.default, |set| set.value)
    }

    fn check_parameters(&self) -> Result<(), GenesisError> {
        let mut seen = BTreeSet::new();
        let is_meant = |set: &GenesisParameter| {
            let row = parameters::TABLE.iter().find(|row| *row.name == *set.name);
            row.is_some_and(|row| (row.least..=row.most).contains(&set.value))
        };
        let bad = self.parameters.iter().find(|set| !seen.insert(set.name.clone()) || !is_meant(set));
        if let Some(set) = bad {
            return Err(GenesisError::Parameter(set.name.to_string()));
        }
        let misfit = self.rules.limits().misfit(|parameter| Ok::<_, GenesisError>(self.parameter(parameter)))?;
        misfit.map_or(Ok(()), |misfit| Err(misfit.into()))
    }

    /// Models, before their module sees them.
    fn check_models(&self) -> Result<(), GenesisError> {
        let mut roots = BTreeSet::new();
        for model in self.models.iter() {
            if !roots.insert(model.root) {
                return Err(GenesisError::RepeatedModel(model.root));
            }
            model.kind().ok_or(GenesisError::NotAFloatRoot(model.root))?;
        }
        Ok(())
    }

    /// Keys, stakes and what is served, before the modules see them.
    fn check_nodes(&self) -> Result<(), GenesisError> {
        let mut keys = BTreeSet::new();
        for node in self.nodes.iter() {
            if !keys.insert(node.key) {
                return Err(GenesisError::RepeatedKey(node.key));
            }
            let minimum = self.parameter(staking::self_stake(node.role));
            if node.stake < minimum {
                return Err(GenesisError::StakeTooLow { node: node.key, stake: node.stake, minimum });
            }
            let mut models = BTreeSet::new();
            for model in node.models.iter() {
                if !self.models.iter().any(|listed| listed.root == *model) {
                    return Err(GenesisError::UnknownModel { node: node.key, model: *model });
                }
                if !models.insert(model) {
                    return Err(GenesisError::RepeatedModel(*model));
                }
            }
        }
        Ok(())
    }

    /// All money, bounded so that a millionth share of any part of it is computed exactly.
    fn supply(&self) -> Result<Amount, GenesisError> {
        let limit = Amount::MAX.checked_div(Amount::from(MILLION)).unwrap_or(0);
        let balances = self.accounts.iter().map(|account| account.balance);
        let wallets = self.wallets.iter().map(|wallet| wallet.balance);
        let allocated = self.allocations.iter().map(|allocation| allocation.amount);
        let mut parts = balances.chain(wallets).chain(allocated).chain(self.nodes.iter().map(|node| node.stake));
        let supply = parts.try_fold(self.reward_pool, Amount::checked_add);
        let supply = supply.and_then(|supply| supply.checked_add(self.bridged));
        supply.filter(|supply| *supply <= limit).ok_or(GenesisError::Supply { limit })
    }
}

impl GenesisModel {
    /// As the models module enters it.
    fn entered(&self) -> EnterModel {
        EnterModel {
            root: B256::from(self.root.0),
            publisher: Address::from(address_of(&self.publisher).0),
            // Which was checked.
            kind: self.kind().unwrap_or(ModelKind::Exact),
            name: self.name.to_string(),
        }
    }

    fn kind(&self) -> Option<ModelKind> {
        form(&self.root, self.float_manifest.as_ref())
    }

    /// As the ledger's table has it.
    fn record(&self, time_ms: Milliseconds) -> ModelRecord {
        ModelRecord {
            root: self.root,
            name: self.name.clone(),
            kind: self.kind().unwrap_or(ModelKind::Exact),
            publisher: address_of(&self.publisher),
            published_epoch: 0,
            published_at_ms: time_ms,
        }
    }
}

impl GenesisNode {
    /// As the ledger's table has it.
    fn listed(&self) -> ListedNode {
        let operator = address_of(&self.operator);
        ListedNode {
            node: node_id(&self.key),
            role: self.role,
            operator,
            payout: operator,
            endpoint: self.endpoint.clone(),
            registered_epoch: 0,
            models: self.models.clone(),
            agreement: Text::default(),
            seat_keys: List::default(),
        }
    }

    /// As the registry lists it.
    fn listing(&self) -> ListNode {
        let models = self.models.iter().map(|root| B256::from(root.0)).collect();
        ListNode { node: B256::from(node_id(&self.key).0), endpoint: self.endpoint.to_string(), models }
    }
}

/// What clients of x402 and of wallets' libraries look for at the same addresses on every chain. A contract's nonce is one.
fn canonical_accounts() -> impl Iterator<Item = (Address, evm::GenesisAccount)> {
    contracts::CANONICAL.iter().map(|placed| {
        let code = Bytes::from_static(placed.contract.code);
        (placed.address, evm::GenesisAccount { nonce: 1, code, ..evm::GenesisAccount::default() })
    })
}
