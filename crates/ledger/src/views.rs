//! What may be asked of the ledger; answers are as of the newest executed block, unless they name an epoch.

use std::sync::Arc;

use evm::modules::{
    parameters::{KEY_TERMS, Parameter},
    staking::{self, Staked},
};
use protocol::{
    AllocationRecord, Amount, BridgeRecord, CertifiedRotation, Digest, DuesRecord, EpochRecord, EvmAddress, KeyRecord,
    ModelRecord, NodeId, NodeRecord, Payout, PublicKey, ReceiptStatus, Role, SettlementRecord, ShareRecord,
    SignedReceipt,
    service::{ChallengeView, GatewayCredit, ReceiptView, VerdictRecord},
    share::Parts,
};

use crate::{
    ledger::Ledger,
    purse::{Head, address_of},
    records::{
        AuditRecord, BurnRecord, ChallengeRecord, CreditRecord, EquivocationRecord, NamedKeyRecord, NetworkRecord,
    },
    rules::Rules,
    sight::{ChallengeSight, receipt_views},
};

/// An ed25519 key's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    pub address: EvmAddress,
    pub balance: Amount,
    /// The next native transaction's.
    pub nonce: u64,
}

impl Ledger {
    /// Height of the newest executed block, zero at genesis.
    pub fn height(&self) -> u64 {
        self.height
    }

    /// The epoch that is open.
    pub fn open_epoch(&self) -> u64 {
        self.present.open.epoch
    }

    /// Time of the newest executed block; never goes back.
    pub fn time_ms(&self) -> u64 {
        self.present.open.time_ms
    }

    pub fn chain_id(&self) -> u64 {
        self.present.state.network.chain_id
    }

    /// Digest of the genesis that this ledger started from.
    pub fn genesis(&self) -> Digest {
        self.present.state.network.genesis
    }

    pub fn network(&self) -> &NetworkRecord {
        &self.present.state.network
    }

    pub fn rules(&self) -> &Rules {
        &self.present.state.network.rules
    }

    /// Seats that decide, in challenges and about Base.
    pub fn quorum(&self) -> usize {
        self.present.state.network.quorum()
    }

    /// The account of an ed25519 key; an empty one where there is none.
    pub fn account(&self, key: &PublicKey) -> Account {
        let state = &self.present.state;
        Account { address: address_of(key), balance: state.balance(key), nonce: state.nonce(key) }
    }

    /// The next nonce of native transactions of `key`.
    pub fn nonce(&self, key: &PublicKey) -> u64 {
        self.present.state.nonce(key)
    }

    /// What an account of the EVM holds.
    pub fn balance(&self, address: &EvmAddress) -> Amount {
        self.present.state.purse.balance(address)
    }

    /// What is burned for ever.
    pub fn burned(&self) -> Amount {
        self.present.state.purse.burned()
    }

    /// The EVM after the newest block.
    pub fn evm(&self) -> &Head {
        self.present.state.purse.head()
    }

    /// Nodes with their stakes, in the order of their ids.
    pub fn nodes(&self) -> impl Iterator<Item = NodeRecord> + '_ {
        self.present.state.nodes.rows().filter_map(|listed| self.node(&listed.node))
    }

    pub fn node(&self, node: &NodeId) -> Option<NodeRecord> {
        self.present.state.node(node)
    }

    /// A node's stake and standing, as the staking module has them.
    pub fn staked(&self, node: &NodeId) -> Option<Staked> {
        self.present.state.staked(node)
    }

    /// What governance may change, as it holds now.
    pub fn parameter(&self, parameter: &Parameter) -> Amount {
        self.present.state.parameter(parameter)
    }

    pub fn key(&self, key: &PublicKey) -> Option<&KeyRecord> {
        self.present.state.keys.get(key)
    }

    pub fn keys(&self) -> impl Iterator<Item = &KeyRecord> {
        self.present.state.keys.rows()
    }

    pub fn models(&self) -> impl Iterator<Item = &ModelRecord> {
        self.present.state.models.rows()
    }

    /// At most `count` models, in the order of their roots, behind `after`.
    pub fn models_after(&self, after: Option<Digest>, count: usize) -> Vec<ModelRecord> {
        let rows = self.present.state.models.range(after.unwrap_or(Digest::ZERO)..=Digest([u8::MAX; 32]));
        rows.filter(|row| Some(row.root) != after).take(count).cloned().collect()
    }

    pub fn model(&self, root: &Digest) -> Option<&ModelRecord> {
        self.present.state.models.get(root)
    }

    pub fn receipt(&self, id: &Digest) -> Option<Arc<SignedReceipt>> {
        self.present.receipt(id)
    }

    pub fn status(&self, id: &Digest) -> Option<ReceiptStatus> {
        self.present.state.statuses.get(id)
    }

    pub fn receipt_view(&self, id: &Digest) -> Option<ReceiptView> {
        let status = self.status(id)?;
        Some(ReceiptView { receipt: SignedReceipt::clone(self.present.receipt_at(&status)?.as_ref()), status })
    }

    pub fn challenges(&self) -> impl Iterator<Item = &ChallengeRecord> {
        self.present.state.challenges.rows()
    }

    /// Open challenges, with what the validators need to decide them.
    pub fn open_challenges(&self) -> Vec<ChallengeView> {
        let view = |sight: ChallengeSight| Some(sight.with(self.receipt(&sight.receipt)?.as_ref()));
        self.challenge_sights(None, usize::MAX).into_iter().filter_map(view).collect()
    }

    /// Allocations of the genesis, in the order of their beneficiaries.
    pub fn allocations(&self) -> impl Iterator<Item = &AllocationRecord> {
        self.present.state.allocations.rows()
    }

    /// Where the ledger stands with Base.
    pub fn bridge(&self) -> BridgeRecord {
        self.present.state.bridge()
    }

    /// What is owed on Base and stands in no settlement yet.
    pub fn credits(&self) -> impl Iterator<Item = &CreditRecord> {
        self.present.state.credits.rows()
    }

    /// What a gateway owes of what its receipts charged, and has paid.
    pub fn dues(&self, gateway: &NodeId) -> DuesRecord {
        self.present.state.dues_of(gateway)
    }

    /// How far a gateway may owe, and how far it does.
    pub fn credit(&self, gateway: &NodeId) -> GatewayCredit {
        self.present.state.credit_of(gateway)
    }

    /// At most `count` of those whom a gateway owes, in their order, behind `after`; each by how much.
    pub fn shares(&self, gateway: &NodeId, after: Option<EvmAddress>, count: usize) -> Vec<ShareRecord> {
        let first = (*gateway, after.unwrap_or(EvmAddress([0; 20])));
        let rows = self.present.state.shares.range(first..=(*gateway, EvmAddress([u8::MAX; 20])));
        rows.filter(|row| Some(row.payee) != after).take(count).cloned().collect()
    }

    /// What each gateway owes an account, in the order of gateways.
    pub fn owed_to(&self, payee: &EvmAddress) -> Vec<ShareRecord> {
        let state = &self.present.state;
        let gateways = state.nodes.rows().filter(|node| node.role == Role::Gateway);
        gateways.filter_map(|node| state.shares.get(&(node.node, *payee)).cloned()).collect()
    }

    /// What of a charge goes to whom but the worker.
    pub fn parts(&self) -> Parts {
        self.present.state.parts()
    }

    /// Where on Base an account's shares are paid; `None` where they are paid here.
    pub fn home(&self, account: &EvmAddress) -> Option<EvmAddress> {
        self.present.state.homes.get(account).map(|home| home.base)
    }

    pub fn settlements(&self) -> impl Iterator<Item = &SettlementRecord> {
        self.present.state.settlements.rows()
    }

    /// Payouts of a settlement, in the order of its tree.
    pub fn payouts(&self, number: u64) -> Option<&[Payout]> {
        self.present.state.payouts.get(&number).map(Vec::as_slice)
    }

    /// Burns on Base that are not credited yet.
    pub fn burns(&self) -> impl Iterator<Item = &BurnRecord> {
        self.present.state.burns.rows()
    }

    /// Keys that validators want the network to have next, while no quorum has named one.
    pub fn named_keys(&self) -> impl Iterator<Item = &NamedKeyRecord> {
        self.present.state.named_keys.rows()
    }

    /// Every rotation of the network's key, in order.
    pub fn rotations(&self) -> impl Iterator<Item = &CertifiedRotation> {
        self.present.state.rotations.rows()
    }

    /// The term by which stake is bound. A state that cannot be read has the first one; whoever keeps it finds out.
    pub fn term(&self) -> u32 {
        self.present.state.purse.read(staking::term).unwrap_or_default()
    }

    /// After how many terms a key of the network is old, from when those were named who made it.
    pub fn key_terms(&self) -> u64 {
        self.present.state.small(&KEY_TERMS).into()
    }

    /// Reports whose receipts can still be refuted.
    pub fn audits(&self) -> impl Iterator<Item = &AuditRecord> {
        self.present.state.audits.rows()
    }

    pub fn equivocations(&self) -> impl Iterator<Item = &EquivocationRecord> {
        self.present.state.equivocations.rows()
    }

    /// The newest closed epoch.
    pub fn closed_epoch(&self) -> Option<&EpochRecord> {
        self.present.state.epochs.newest()
    }

    /// The record of a closed epoch.
    pub fn epoch(&self, epoch: u64) -> Option<EpochRecord> {
        self.present.state.epochs.record(epoch)
    }

    /// Receipts anchored in `epoch`, in the order of its tree; of the open epoch too, `None` of later ones.
    pub fn epoch_receipts(&self, epoch: u64) -> Option<Vec<ReceiptView>> {
        let (open, state) = (&self.present.open, &self.present.state);
        if epoch == open.epoch {
            return receipt_views(&open.receipts, &open.ids, &state.statuses).ok();
        }
        let closed = state.epochs.closed(epoch)?;
        receipt_views(&closed.receipts, &closed.leaves, &state.statuses).ok()
    }

    /// Verdicts given in a closed epoch, in the order of its tree.
    pub fn epoch_verdicts(&self, epoch: u64) -> Option<Vec<VerdictRecord>> {
        self.present.state.epochs.verdicts(epoch)
    }

    /// About how many bytes of both states no disk has.
    pub fn held_bytes(&self) -> usize {
        self.evm().world.held_bytes().saturating_add(self.present.state.statuses.tree.held_bytes())
    }

    /// About how many bytes of closed epochs no disk has.
    pub fn ahead_bytes(&self) -> usize {
        self.present.state.epochs.unwritten_bytes()
    }

    /// All balances and what is burned, added up; always the supply of the genesis.
    pub fn money(&self) -> Option<Amount> {
        self.present.state.purse.total()
    }

    /// Allocations that are not free yet and what is held for gateways' debts, added up; never more than `LOCKED` holds.
    pub fn locked(&self) -> Amount {
        self.present.state.locked()
    }
}
