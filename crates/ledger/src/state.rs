//! The state: every table, the EVM beside them, and the money that is locked.
//!
//! What is locked in stakes, bonds and the reward pool is at `LOCKED` in the EVM: it moves only through the functions of this
//! file, together with the record that says whose it is.

use std::collections::BTreeMap;

use crypto::sparse::{Tree, value_digest};
use protocol::{
    Amount, Canonical as _, Digest, EvmAddress, KeyRecord, ModelRecord, NodeId, NodeRecord, Opening, PublicKey,
    ReceiptStatus, SignedReceipt, registry::OPEN_END,
};

use crate::{
    allocation::AllocationRecord,
    purse::{Head, LOCKED, Purse, address_of},
    records::{AccountRecord, AuditRecord, ChallengeRecord, EquivocationRecord, EvmRecord, NetworkRecord, key_of},
    refusal::Refusal,
    rules::part,
    table::{Change, Table},
};

#[derive(Clone, Debug)]
pub(crate) struct State {
    pub network: NetworkRecord,
    /// The network record as it was when the last epoch closed; `None` before the first.
    network_at_close: Option<NetworkRecord>,
    pub purse: Purse,
    /// The EVM as it was when the last epoch closed; `None` before the first.
    evm_at_close: Option<Head>,
    pub accounts: Table<AccountRecord>,
    pub allocations: Table<AllocationRecord>,
    pub nodes: Table<NodeRecord>,
    pub keys: Table<KeyRecord>,
    pub models: Table<ModelRecord>,
    pub statuses: Table<ReceiptStatus>,
    pub challenges: Table<ChallengeRecord>,
    pub audits: Table<AuditRecord>,
    pub equivocations: Table<EquivocationRecord>,
    /// What the following hold is bound by the roots above: ids by receipts, openings by their digests.
    pub receipts: BTreeMap<Digest, SignedReceipt>,
    /// Which receipt is anchored under a worker's sequence number.
    pub sequences: BTreeMap<(NodeId, u64), Digest>,
    /// Openings of challenges, until the epoch after their end closes.
    pub openings: BTreeMap<Digest, Opening>,
    /// Each node's newest key.
    pub newest_keys: BTreeMap<NodeId, PublicKey>,
}

impl State {
    /// An empty state under `network`, beside the EVM's.
    pub fn new(network: NetworkRecord, evm: Head) -> Self {
        Self {
            network,
            network_at_close: None,
            purse: Purse::new(evm),
            evm_at_close: None,
            accounts: Table::default(),
            allocations: Table::default(),
            nodes: Table::default(),
            keys: Table::default(),
            models: Table::default(),
            statuses: Table::default(),
            challenges: Table::default(),
            audits: Table::default(),
            equivocations: Table::default(),
            receipts: BTreeMap::new(),
            sequences: BTreeMap::new(),
            openings: BTreeMap::new(),
            newest_keys: BTreeMap::new(),
        }
    }

    /// An empty state whose network record and EVM are committed to already.
    pub fn closed(network: NetworkRecord, evm: Head) -> Self {
        let (network_at_close, evm_at_close) = (Some(network.clone()), Some(evm.clone()));
        Self { network_at_close, evm_at_close, ..Self::new(network, evm) }
    }

    /// The authenticated tree over everything, made anew.
    pub fn tree(&self) -> Tree {
        let single =
            [(key_of::network(), self.network.encode()), (key_of::evm(), EvmRecord::of(self.purse.head()).encode())];
        let rows = single
            .into_iter()
            .chain(self.accounts.entries())
            .chain(self.allocations.entries())
            .chain(self.nodes.entries())
            .chain(self.keys.entries())
            .chain(self.models.entries())
            .chain(self.statuses.entries())
            .chain(self.challenges.entries())
            .chain(self.audits.entries())
            .chain(self.equivocations.entries());
        rows.fold(Tree::default(), |tree, (key, value)| tree.with(key, Some(value_digest(&value))))
    }

    /// What changed since the last close, by state key; after it nothing has changed.
    pub fn close(&mut self) -> BTreeMap<Digest, Change> {
        let mut changes = BTreeMap::new();
        if self.network_at_close.as_ref() != Some(&self.network) {
            let before = self.network_at_close.as_ref().map(|network| network.encode());
            changes.insert(key_of::network(), Change { before, after: Some(self.network.encode()) });
            self.network_at_close = Some(self.network.clone());
        }
        let evm = self.purse.settle().clone();
        let (before, after) = (self.evm_at_close.as_ref().map(EvmRecord::of), EvmRecord::of(&evm));
        if before.as_ref() != Some(&after) {
            let before = before.map(|record| record.encode());
            changes.insert(key_of::evm(), Change { before, after: Some(after.encode()) });
        }
        self.evm_at_close = Some(evm);
        self.accounts.close(&mut changes);
        self.allocations.close(&mut changes);
        self.nodes.close(&mut changes);
        self.keys.close(&mut changes);
        self.models.close(&mut changes);
        self.statuses.close(&mut changes);
        self.challenges.close(&mut changes);
        self.audits.close(&mut changes);
        self.equivocations.close(&mut changes);
        let challenges = &self.challenges;
        self.openings.retain(|receipt, _| challenges.contains(receipt));
        changes
    }

    /// The network record as the last close committed to it.
    pub fn network_at_close(&self) -> Option<&NetworkRecord> {
        self.network_at_close.as_ref()
    }

    /// The EVM as the last close committed to it.
    pub fn evm_at_close(&self) -> Option<&Head> {
        self.evm_at_close.as_ref()
    }

    /// Enters a node with its first key.
    pub fn enter(&mut self, node: NodeRecord, key: KeyRecord) {
        self.nodes.put(node);
        self.add_key(key);
    }

    /// Adds a node's newest key.
    pub fn add_key(&mut self, key: KeyRecord) {
        if key.valid_until == OPEN_END {
            self.newest_keys.insert(key.node, key.key);
        }
        self.keys.put(key);
    }

    pub fn nonce(&self, key: &PublicKey) -> u64 {
        self.accounts.get(key).map_or(0, |account| account.nonce)
    }

    pub fn balance(&self, key: &PublicKey) -> Amount {
        self.purse.balance(&address_of(key))
    }

    /// Whether the sender is anybody: it has acted, has a key, or owns something.
    pub fn knows(&self, key: &PublicKey) -> bool {
        self.accounts.contains(key) || self.keys.contains(key) || self.purse.contains(&address_of(key))
    }

    /// Uses up the sender's next nonce.
    pub fn count(&mut self, key: &PublicKey) {
        if !self.accounts.contains(key) {
            self.accounts.put(AccountRecord { key: *key, nonce: 0 });
        }
        self.accounts.change(key, |account| account.nonce = account.nonce.saturating_add(1));
    }

    /// Locks `amount` of an account, all or nothing; the caller writes down for what.
    pub fn lock(&mut self, key: &PublicKey, amount: Amount) -> Result<(), Refusal> {
        self.purse.pay(&address_of(key), &LOCKED, amount)
    }

    /// Gives so much of what is locked to a key's account; the caller has written it off before.
    pub fn release(&mut self, key: &PublicKey, amount: Amount) {
        self.give(&address_of(key), amount);
    }

    /// The same to any account.
    pub fn give(&mut self, address: &EvmAddress, amount: Amount) {
        if amount > 0 {
            // What is written off is there: the records add up to what is locked.
            let _: Result<(), _> = self.purse.pay(&LOCKED, address, amount);
        }
    }

    /// Burns so much of what is locked; the caller has written it off before.
    pub fn burn(&mut self, amount: Amount) {
        if amount > 0 {
            self.purse.burn(amount);
        }
    }

    /// What is locked, added up from the records that say whose it is.
    pub fn locked(&self) -> Amount {
        let (bonded, pool) = (self.network.bonded, self.network.reward_pool);
        let stakes = self.nodes.rows().map(|node| node.stake);
        let allocated = self.allocations.rows().map(AllocationRecord::locked);
        stakes.chain(allocated).fold(bonded.saturating_add(pool), Amount::saturating_add)
    }

    /// Moves a bond out of a node's stake.
    pub fn bond(&mut self, node: &NodeId, amount: Amount) -> Result<(), Refusal> {
        let available = self.nodes.get(node).map_or(0, |node| node.stake);
        let short = Refusal::InsufficientStake { available, wanted: amount };
        let rest = available.checked_sub(amount).ok_or(short)?;
        self.nodes.change(node, |node| node.stake = rest);
        self.network.bonded = self.network.bonded.saturating_add(amount);
        Ok(())
    }

    /// Ends a bond: `forfeit` of it is the caller's to place, the rest returns to the stake. Gives what was forfeited.
    pub fn unbond(&mut self, node: &NodeId, bond: Amount, forfeit: Amount) -> Amount {
        let forfeit = forfeit.min(bond);
        self.network.bonded = self.network.bonded.saturating_sub(bond);
        self.nodes.change(node, |node| {
            node.stake = node.stake.saturating_add(bond.saturating_sub(forfeit));
        });
        forfeit
    }

    /// Takes `share` millionths of a node's stake, never more than there is; the caller places it.
    pub fn slash(&mut self, node: &NodeId, share: u32) -> Amount {
        let stake = self.nodes.get(node).map_or(0, |node| node.stake);
        let amount = part(stake, share).min(stake);
        self.nodes.change(node, |node| {
            node.stake = node.stake.saturating_sub(amount);
            node.slashed = node.slashed.saturating_add(amount);
        });
        amount
    }

    /// Pays at most `amount` from the reward pool.
    pub fn reward(&mut self, key: &PublicKey, amount: Amount) {
        let paid = amount.min(self.network.reward_pool);
        self.network.reward_pool = self.network.reward_pool.saturating_sub(paid);
        self.release(key, paid);
    }

    /// Stake and open bonds of a node.
    pub fn backing(&self, node: &NodeId) -> Amount {
        let stake = self.nodes.get(node).map_or(0, |node| node.stake);
        let own = self.challenges.rows().filter(|challenge| challenge.auditor == *node);
        own.fold(stake, |sum, challenge| sum.saturating_add(challenge.bond))
    }
}

impl EvmRecord {
    pub fn of(head: &Head) -> Self {
        Self { number: head.header.number, hash: Digest(head.header.hash().0), state_root: Digest(head.world.root().0) }
    }
}
