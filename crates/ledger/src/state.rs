//! The state: every table, the EVM beside them, and the money that is locked.
//!
//! Stakes, bonds and rewards are the staking module's, in the EVM. What is allocated and not free yet is at `LOCKED` there, and what is held
//! for gateways' debts: each moves only together with the record that says whose it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use alloy_primitives::{B256, Log};
use evm::{
    Chain, World,
    modules::{
        parameters::Parameter,
        staking::{self, Staked},
    },
};
use pages::Change;
use protocol::{
    AllocationRecord, Amount, BridgeRecord, Canonical as _, CertifiedRotation, Digest, DuesRecord, EvmAddress,
    EvmRecord, KeyRecord, ModelRecord, NodeId, NodeRecord, Opening, Payout, PublicKey, SettlementRecord, ShareRecord,
    registry::{OPEN_END, node_id},
};

use crate::{
    base::Base,
    epochs::Epochs,
    leaf::Leaf,
    purse::{Head, Purse, address_of},
    records::{
        AccountRecord, AuditRecord, BurnRecord, ChallengeRecord, CreditRecord, DeedsRecord, DutyRecord,
        EquivocationRecord, HomeRecord, ListedNode, NamedKeyRecord, NetworkRecord, key_of,
    },
    statuses::Statuses,
    table::Table,
};

#[derive(Clone, Debug)]
pub(crate) struct State {
    pub network: NetworkRecord,
    /// The network record as it was when the last epoch closed; `None` before the first.
    network_at_close: Option<NetworkRecord>,
    pub purse: Purse,
    /// The EVM as it was when the last epoch closed; `None` before the first.
    evm_at_close: Option<Head>,
    /// What modules had logged when the last epoch closed, and no block had written down.
    deeds_at_close: DeedsRecord,
    pub accounts: Table<AccountRecord>,
    pub allocations: Table<AllocationRecord>,
    pub nodes: Table<ListedNode>,
    pub duties: Table<DutyRecord>,
    pub keys: Table<KeyRecord>,
    pub models: Table<ModelRecord>,
    pub statuses: Statuses,
    pub challenges: Table<ChallengeRecord>,
    pub audits: Table<AuditRecord>,
    pub equivocations: Table<EquivocationRecord>,
    pub bridge: Table<BridgeRecord>,
    pub credits: Table<CreditRecord>,
    pub burns: Table<BurnRecord>,
    pub settlements: Table<SettlementRecord>,
    pub named_keys: Table<NamedKeyRecord>,
    pub rotations: Table<CertifiedRotation>,
    pub dues: Table<DuesRecord>,
    pub shares: Table<ShareRecord>,
    pub homes: Table<HomeRecord>,
    /// Closed epochs, with their receipts.
    pub epochs: Epochs,
    /// What the following hold is bound by the tables above. Openings of challenges, until the epoch after their end closes.
    pub openings: BTreeMap<Digest, Arc<Opening>>,
    /// Each node's keys by the epochs from which they act.
    pub keys_of: BTreeMap<(NodeId, u64), PublicKey>,
    /// Whose the keys for seats are.
    pub seat_keys: BTreeMap<PublicKey, NodeId>,
    /// Since when each share has been due, oldest first.
    pub turns: BTreeSet<(u64, NodeId, EvmAddress)>,
    /// Payouts by settlement, and where each account has some.
    pub payouts: BTreeMap<u64, Vec<Payout>>,
    pub payees: BTreeMap<EvmAddress, Vec<(u64, u64)>>,
}

impl State {
    /// An empty state under `network`, beside the EVM's.
    pub fn new(network: NetworkRecord, evm: Head) -> Self {
        let chain = Chain::network(network.chain_id);
        Self {
            network,
            network_at_close: None,
            purse: Purse::new(chain, evm),
            evm_at_close: None,
            deeds_at_close: DeedsRecord::default(),
            accounts: Table::default(),
            allocations: Table::default(),
            nodes: Table::default(),
            duties: Table::default(),
            keys: Table::default(),
            models: Table::default(),
            statuses: Statuses::default(),
            challenges: Table::default(),
            audits: Table::default(),
            equivocations: Table::default(),
            bridge: Table::default(),
            credits: Table::default(),
            burns: Table::default(),
            settlements: Table::default(),
            named_keys: Table::default(),
            rotations: Table::default(),
            dues: Table::default(),
            shares: Table::default(),
            homes: Table::default(),
            epochs: Epochs::default(),
            openings: BTreeMap::new(),
            keys_of: BTreeMap::new(),
            seat_keys: BTreeMap::new(),
            turns: BTreeSet::new(),
            payouts: BTreeMap::new(),
            payees: BTreeMap::new(),
        }
    }

    /// An empty state whose network record, EVM and deeds are committed to already.
    pub fn closed(network: NetworkRecord, evm: Head, deeds: DeedsRecord) -> Self {
        let (network_at_close, evm_at_close) = (Some(network.clone()), Some(evm.clone()));
        let mut state = Self { network_at_close, evm_at_close, ..Self::new(network, evm) };
        state.purse.set_logs(deeds.logs());
        state.deeds_at_close = deeds;
        state
    }

    /// What stands in the tree beside receipts' statuses, as of the last close: a key and canonical bytes each.
    pub fn rows(&self) -> impl Iterator<Item = (Digest, Vec<u8>)> {
        let single = [
            (key_of::network(), self.network.encode()),
            (EvmRecord::state_key(), evm_record(self.purse.head()).encode()),
        ];
        single
            .into_iter()
            .chain(self.deeds_at_close.entry())
            .chain(self.accounts.entries())
            .chain(self.allocations.entries())
            .chain(self.nodes.entries())
            .chain(self.duties.entries())
            .chain(self.keys.entries())
            .chain(self.models.entries())
            .chain(self.challenges.entries())
            .chain(self.audits.entries())
            .chain(self.equivocations.entries())
            .chain(self.bridge.entries())
            .chain(self.credits.entries())
            .chain(self.burns.entries())
            .chain(self.settlements.entries())
            .chain(self.named_keys.entries())
            .chain(self.rotations.entries())
            .chain(self.dues.entries())
            .chain(self.shares.entries())
            .chain(self.homes.entries())
    }

    /// Takes what changed since the last close into the tree; after it nothing has changed. The EVM's state as the tree then binds it.
    pub fn close(&mut self) -> World {
        let mut changes: Vec<Change<Leaf>> = Vec::new();
        let mut put = |key: Digest, bytes: Option<Vec<u8>>| {
            changes.push((key, bytes.map(|bytes| Arc::new(Leaf::row(key, bytes)))));
        };
        if self.network_at_close.as_ref() != Some(&self.network) {
            put(key_of::network(), Some(self.network.encode()));
            self.network_at_close = Some(self.network.clone());
        }
        let evm = self.purse.mark();
        put(EvmRecord::state_key(), Some(evm_record(&evm).encode()));
        let world = evm.world.clone();
        self.evm_at_close = Some(evm);
        let deeds = DeedsRecord::of(self.purse.logs());
        if deeds != self.deeds_at_close {
            put(key_of::deeds(), deeds.entry().map(|(_, bytes)| bytes));
            self.deeds_at_close = deeds;
        }
        self.statuses.close(&mut changes);
        self.accounts.close(&mut changes);
        self.allocations.close(&mut changes);
        self.nodes.close(&mut changes);
        self.duties.close(&mut changes);
        self.keys.close(&mut changes);
        self.models.close(&mut changes);
        self.challenges.close(&mut changes);
        self.audits.close(&mut changes);
        self.equivocations.close(&mut changes);
        self.bridge.close(&mut changes);
        self.credits.close(&mut changes);
        self.burns.close(&mut changes);
        self.settlements.close(&mut changes);
        self.named_keys.close(&mut changes);
        self.rotations.close(&mut changes);
        self.dues.close(&mut changes);
        self.shares.close(&mut changes);
        self.homes.close(&mut changes);
        let challenges = &self.challenges;
        self.openings.retain(|receipt, _| challenges.contains(receipt));
        // The stable one takes runs as they are, and statuses, most of all, are one.
        changes.sort_by_key(|(key, _)| *key);
        // A failure to read is its base's to tell: whoever keeps the ledger on a disk stops, and nothing of this block counts.
        let _: Result<Digest, _> = self.statuses.tree.apply(&changes);
        world
    }

    /// The network record as the last close committed to it.
    pub fn network_at_close(&self) -> Option<&NetworkRecord> {
        self.network_at_close.as_ref()
    }

    /// The EVM as the last close committed to it.
    pub fn evm_at_close(&self) -> Option<&Head> {
        self.evm_at_close.as_ref()
    }

    /// Lets go of what the disk has of the EVM's state, and of the ledger's own.
    pub fn rest_on(&mut self, world: &evm::Base, own: &Base) {
        self.purse.rest_on(world);
        if let Some(evm) = &mut self.evm_at_close {
            evm.world.rest_on(world);
        }
        self.statuses.tree.rest_on(&own.pages);
        self.epochs.rest_on(own);
    }

    /// What modules had logged at the last close.
    pub fn deeds_at_close(&self) -> &DeedsRecord {
        &self.deeds_at_close
    }

    /// The EVM for the next block, and what that block has to write down.
    pub fn settle(&mut self) -> (Head, Vec<Log>) {
        let logs = self.purse.take_logs();
        (self.purse.settle().clone(), logs)
    }

    /// Adds a node's newest key.
    pub fn add_key(&mut self, key: KeyRecord) {
        self.keys_of.insert((key.node, key.valid_from), key.key);
        self.keys.put(key);
    }

    /// First epoch in which the node of a key acts by the next one.
    pub fn acts_until(&self, key: &KeyRecord) -> u64 {
        let later = key.valid_from.saturating_add(1);
        self.keys_of.range((key.node, later)..=(key.node, OPEN_END)).next().map_or(OPEN_END, |((_, from), _)| *from)
    }

    pub fn nonce(&self, key: &PublicKey) -> u64 {
        self.accounts.get(key).map_or(0, |account| account.nonce)
    }

    pub fn balance(&self, key: &PublicKey) -> Amount {
        self.purse.balance(&address_of(key))
    }

    /// Whether the sender is anybody: it has acted, has a key, or owns something in this purse, which is the state's own or one aside.
    pub fn knows(&self, key: &PublicKey, purse: &Purse) -> bool {
        self.accounts.contains(key) || self.keys.contains(key) || purse.contains(&address_of(key))
    }

    /// Uses up the sender's next nonce.
    pub fn count(&mut self, key: &PublicKey) {
        if !self.accounts.contains(key) {
            self.accounts.put(AccountRecord { key: *key, nonce: 0 });
        }
        self.accounts.change(key, |account| account.nonce = account.nonce.saturating_add(1));
    }

    /// What is locked, added up from the records that say whose it is.
    pub fn locked(&self) -> Amount {
        let held = self.dues.rows().map(|dues| dues.held);
        self.allocations.rows().map(AllocationRecord::locked).chain(held).fold(0, Amount::saturating_add)
    }

    /// What governance may change, as it holds now.
    pub fn parameter(&self, parameter: &Parameter) -> Amount {
        self.purse.read(|state| parameter.of(state)).unwrap_or(parameter.default)
    }

    /// The same for shares and counts.
    pub fn small(&self, parameter: &Parameter) -> u32 {
        u32::try_from(self.parameter(parameter)).unwrap_or(u32::MAX)
    }

    /// A node's stake and standing, as the staking module has them.
    pub fn staked(&self, node: &NodeId) -> Option<Staked> {
        self.purse.read(|state| staking::staked(state, B256::from(node.0))).flatten()
    }

    /// Whether a key is somebody's: a node's, of now or once, or a seat's.
    pub fn is_key_taken(&self, key: &PublicKey) -> bool {
        // A wallet may have registered it in the staking module.
        self.keys.contains(key) || self.seat_keys.contains_key(key) || self.staked(&node_id(key)).is_some()
    }

    /// Whether a node may neither act nor earn. One of which no stake is known never may.
    pub fn is_jailed(&self, node: &NodeId) -> bool {
        self.staked(node).is_none_or(|staked| staked.jailed)
    }

    /// A node as others read it: what is listed here, and its stake.
    pub fn node(&self, node: &NodeId) -> Option<NodeRecord> {
        let listed = self.nodes.get(node)?.clone();
        Some(listed.with(self.staked(node)))
    }
}

impl ListedNode {
    /// As others read it.
    pub fn with(self, staked: Option<Staked>) -> NodeRecord {
        NodeRecord {
            node: self.node,
            role: self.role,
            operator: self.operator,
            payout: self.payout,
            endpoint: self.endpoint,
            stake: staked.map_or(0, |staked| staked.coins),
            slashed: staked.map_or(0, |staked| staked.slashed),
            jailed: staked.is_none_or(|staked| staked.jailed),
            registered_epoch: self.registered_epoch,
            models: self.models,
        }
    }
}

/// Where the EVM stands.
fn evm_record(head: &Head) -> EvmRecord {
    let (hash, state_root) = (Digest(head.header.hash().0), Digest(head.world.root().0));
    EvmRecord { number: head.header.number, hash, state_root }
}
