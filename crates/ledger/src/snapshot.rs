//! The ledger as of the newest closed epoch: the small tables as bytes, `tables ‖ EVM's header ‖ SHA-256 over both`, beside trees and
//! receipts, which lie in pages and rows of their own (`kept`).
//!
//! Everything in a snapshot but the receipts' signatures is bound by its newest epoch record: each row of the bytes stands in the tree, and
//! there are no more leaves than rows and receipts. Whoever takes a snapshot from a stranger checks that record's certificate and those
//! signatures. What happened since that close is executed again from the blocks.

use std::sync::Arc;

use crypto::{hash, history::History};
use evm::World;
use pages::Tree;
use protocol::{
    AllocationRecord, BridgeRecord, Canonical, CertifiedRotation, Digest, DuesRecord, EpochRecord, KeyRecord, List,
    ModelRecord, Noun as _, Opening, Payout, SettlementRecord, ShareRecord, Version, record,
};

use crate::{
    archive::Archive,
    base::Base,
    closed::ClosedEpoch,
    content::{MANY, RestoreError, ensure, mismatch, write_list},
    epochs::{EPOCHS_A_GROUP, Epochs, NewestReceipt},
    evm_content::{EvmContent, restore_evm, write_evm},
    kept::{Ahead, Kept},
    leaf::Leaf,
    ledger::Ledger,
    present::{OpenEpoch, Present},
    records::{
        AccountRecord, AuditRecord, BurnRecord, ChallengeRecord, CreditRecord, DeedsRecord, DutyRecord,
        EquivocationRecord, HomeRecord, ListedNode, NamedKeyRecord, NetworkRecord,
    },
    state::State,
    statuses::Statuses,
    table::{Row, Table},
};

const CHECKSUM: &str = "og/ledger/snapshot/v11";

record! {
    ReceiptOpening { receipt: Digest, opening: Opening, }
}
record! {
    SettlementPayouts { payouts: List<Payout, MANY>, }
}
record! {
    Content {
        version: Version<11>,
        network: NetworkRecord,
        /// What the next block writes down of what was done before.
        deeds: DeedsRecord,
        accounts: List<AccountRecord, MANY>,
        allocations: List<AllocationRecord, MANY>,
        nodes: List<ListedNode, MANY>,
        duties: List<DutyRecord, MANY>,
        keys: List<KeyRecord, MANY>,
        models: List<ModelRecord, MANY>,
        challenges: List<ChallengeRecord, MANY>,
        audits: List<AuditRecord, MANY>,
        equivocations: List<EquivocationRecord, MANY>,
        bridge: List<BridgeRecord, MANY>,
        credits: List<CreditRecord, MANY>,
        burns: List<BurnRecord, MANY>,
        settlements: List<SettlementRecord, MANY>,
        named_keys: List<NamedKeyRecord, MANY>,
        rotations: List<CertifiedRotation, MANY>,
        dues: List<DuesRecord, MANY>,
        shares: List<ShareRecord, MANY>,
        homes: List<HomeRecord, MANY>,
        /// Of each settlement.
        payouts: List<SettlementPayouts, MANY>,
        openings: List<ReceiptOpening, MANY>,
        /// Of each worker, in order.
        newest: List<NewestReceipt, MANY>,
        /// Of all closed epochs.
        receipts: u64,
        /// Records behind the last whole group of them, at least the newest.
        tail: List<EpochRecord, EPOCHS_A_GROUP>,
        evm: EvmContent,
    }
}

/// The ledger as of an epoch's end: small tables as bytes, and all else as it is, shared.
#[derive(Clone, Debug)]
pub struct Snapshot {
    bytes: Vec<u8>,
    height: u64,
    world: World,
    kept: Kept,
    groups: Vec<Digest>,
}

impl Snapshot {
    /// Number of the newest block in it.
    pub fn height(&self) -> u64 {
        self.height
    }

    /// The small tables.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The EVM's state.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// What commits to each whole group of `EPOCHS_A_GROUP` epochs.
    pub fn groups(&self) -> &[Digest] {
        &self.groups
    }

    /// The ledger's tree, and what no disk has of its epochs.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }
}

/// Records of a snapshot's newest epochs, as its bytes tell them: those behind the last whole group.
pub fn told_epochs(bytes: &[u8]) -> Result<Vec<EpochRecord>, RestoreError> {
    let content = read_content(bytes)?;
    if content.tail.is_empty() { Err(mismatch("the newest epoch")) } else { Ok(content.tail.into_inner()) }
}

fn read_content(bytes: &[u8]) -> Result<Content, RestoreError> {
    let short = RestoreError::Short { found: bytes.len() };
    let (content, checksum) = bytes.split_last_chunk::<32>().ok_or(short)?;
    if hash(CHECKSUM, &[content]).0 != *checksum {
        return Err(RestoreError::Checksum);
    }
    Content::decode(content).map_err(RestoreError::Malformed)
}

impl Ledger {
    /// The ledger as of the newest closed epoch; `None` while none is closed. Its height is that epoch's last: blocks
    /// after it are to be executed again.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let state = &self.present.state;
        let evm = state.evm_at_close()?;
        let mut bytes = Vec::new();
        self.write_tables(&mut bytes)?;
        write_evm(evm, &mut bytes);
        let checksum = hash(CHECKSUM, &[&bytes]);
        bytes.extend_from_slice(&checksum.0);
        let kept = Kept::new(self.archive.trees(), state.epochs.unwritten(), state.epochs.base().cloned())?;
        let groups = state.epochs.groups().to_vec();
        Some(Snapshot { bytes, height: evm.header.number, world: evm.world.clone(), kept, groups })
    }

    /// A snapshot's bytes, which tell the whole state by its root.
    pub fn snapshot_bytes(&self) -> Option<Vec<u8>> {
        self.snapshot().map(|snapshot| snapshot.bytes)
    }

    /// Lets go of what the disk has: a snapshot was written there from which the newest state comes.
    pub fn rest_on(&mut self, world: &evm::Base, own: &Base) {
        self.present.state.rest_on(world, own);
        self.archive.rest_on(world, own);
    }

    /// Epochs that no disk has, to be written before the next snapshot.
    pub fn ahead(&self) -> Ahead {
        Ahead(self.present.state.epochs.unwritten())
    }

    /// Lets go of epochs that the disk has ahead of a snapshot.
    pub fn rest_ahead_on(&mut self, own: &Base) {
        self.present.state.epochs.rest_on(own);
    }

    /// Writes what `Content` reads but for the EVM.
    fn write_tables(&self, out: &mut Vec<u8>) -> Option<()> {
        let state = &self.present.state;
        Version::<11>.write(out);
        state.network_at_close()?.write(out);
        state.deeds_at_close().write(out);
        write_list(&state.accounts.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.allocations.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.nodes.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.duties.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.keys.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.models.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.challenges.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.audits.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.equivocations.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.bridge.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.credits.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.burns.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.settlements.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.named_keys.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.rotations.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.dues.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.shares.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.homes.rows_at_close(), out, |row, out| row.write(out));
        // Settlements are made as epochs close, so there are none that are newer than the close.
        let payouts: Vec<_> = state.payouts.values().collect();
        write_list(&payouts, out, |payouts, out| write_list(payouts, out, Canonical::write));
        let open = |id: &Digest| state.challenges.at_close(id).is_some_and(|row| row.opening.is_some());
        let openings: Vec<_> = state.openings.iter().filter(|(receipt, _)| open(receipt)).collect();
        write_list(&openings, out, |(receipt, opening), out| {
            receipt.write(out);
            opening.write(out);
        });
        write_list(&state.epochs.newest_at_close(), out, |newest, out| newest.write(out));
        state.epochs.receipts.write(out);
        write_list(&state.epochs.tail(), out, |record, out| record.write(out));
        Some(())
    }

    /// Reads a snapshot's bytes and checks all that they claim, beside what they speak of.
    pub fn restore(bytes: &[u8], world: World, kept: Kept) -> Result<Self, RestoreError> {
        let content = read_content(bytes)?;
        let newest = content.tail.last().cloned().ok_or(mismatch("the newest epoch"))?;
        let evm = restore_evm(&content.evm, world)?;
        let world_at_close = evm.world.clone();
        ensure(evm.header.number == newest.last_height, "the number of the newest EVM block")?;
        let mut state = State::closed(content.network, evm, content.deeds);
        state.accounts = table(content.accounts, "accounts")?;
        state.allocations = table(content.allocations, "allocations")?;
        state.nodes = table(content.nodes, "nodes")?;
        state.duties = table(content.duties, "duties")?;
        state.keys = table(content.keys, "keys")?;
        state.models = table(content.models, "models")?;
        state.challenges = table(content.challenges, "challenges")?;
        state.audits = table(content.audits, "audits")?;
        state.equivocations = table(content.equivocations, "equivocations")?;
        state.bridge = table(content.bridge, "where the ledger stands with Base")?;
        state.credits = table(content.credits, "credits")?;
        state.burns = table(content.burns, "burns")?;
        state.settlements = table(content.settlements, "settlements")?;
        state.named_keys = table(content.named_keys, "keys named for the network")?;
        state.rotations = table(content.rotations, "rotations of the network's key")?;
        state.dues = table(content.dues, "what gateways owe")?;
        state.shares = table(content.shares, "whom gateways owe")?;
        state.homes = table(content.homes, "homes on Base")?;
        restore_payouts(&mut state, content.payouts.into_inner())?;
        let Kept { tree, recent, held, base } = kept;
        ensure(newest.state_root == tree.root(), "the state root")?;
        state.statuses = Statuses::closed(tree.clone());
        restore_rows(&state, content.receipts)?;
        let base = base.map(|base| base.with(newest.epoch.saturating_add(1)));
        let history = restore_history(&content.tail, (&held, base.as_ref()), content.receipts, state.network.chain_id)?;
        let workers = (content.receipts, content.newest.into_inner());
        let epochs = Epochs::kept((history, newest.clone()), held, workers, base);
        state.epochs = epochs.ok_or(mismatch("the order of workers"))?;
        restore_derived(&mut state, content.openings.into_inner())?;
        let open = OpenEpoch::after(newest.epoch, newest.last_height, newest.time_ms);
        let mut trees = restore_recent(&state, recent)?;
        // What is made from now on is not in the tree that lies on the disk.
        trees.push(state.statuses.tree.mark());
        Ok(Self {
            present: Present::new(state, open),
            archive: Archive::of(newest.epoch, trees, world_at_close),
            height: newest.last_height,
        })
    }
}

fn table<R: Row>(rows: List<R, MANY>, what: &'static str) -> Result<Table<R>, RestoreError> {
    Table::closed(rows.into_inner()).ok_or(mismatch(what))
}

/// Every row stands in the tree, and nothing else but one status for each receipt.
fn restore_rows(state: &State, receipts: u64) -> Result<(), RestoreError> {
    let (tree, mut rows) = (&state.statuses.tree, 0_u64);
    for (key, bytes) in state.rows() {
        let leaf = tree.find(&key).map_err(RestoreError::Unreadable)?;
        ensure(leaf.is_some_and(|leaf| leaf.row_bytes() == bytes), "a row of the state")?;
        rows = rows.saturating_add(1);
    }
    ensure(rows.checked_add(receipts) == Some(tree.leaves()), "the number of receipts and rows")
}

/// The digests of all epochs, each record in its place behind the others. That their receipts and verdicts are what the records commit to
/// is seen when they are read.
fn restore_history(
    tail: &[EpochRecord],
    (held, base): (&[Arc<ClosedEpoch>], Option<&Base>),
    receipts: u64,
    chain_id: u64,
) -> Result<History, RestoreError> {
    let count = tail.last().map_or(0, |newest| newest.epoch.saturating_add(1));
    let (first_held, first_told) = (held.first().map_or(count, |closed| closed.record.epoch), tail.first());
    let (mut history, mut next_height, mut sum, mut held) = (History::default(), 0, 0_u64, held.iter());
    let mut told = tail.iter();
    for epoch in 0..count {
        let record = match base {
            Some(base) if epoch < first_held => base.record(epoch).map_err(RestoreError::Unreadable)?,
            _ => held.next().ok_or(mismatch("the number of epochs"))?.record.clone(),
        };
        ensure(record.chain_id == chain_id && record.epoch == epoch, "an epoch's place")?;
        ensure(record.first_height == next_height && record.last_height >= next_height, "an epoch's heights")?;
        ensure(record.history_root == history.root(), "a history root")?;
        let is_told = first_told.is_some_and(|first| first.epoch <= epoch);
        ensure(!is_told || told.next() == Some(&record), "one of the newest epochs")?;
        next_height = record.last_height.saturating_add(1);
        sum = sum.checked_add(record.receipts_count).ok_or(mismatch("the number of receipts"))?;
        history.append(&record.digest());
    }
    ensure(told.next().is_none() && held.next().is_none() && sum == receipts, "the number of receipts")?;
    Ok(history)
}

/// The trees before the newest, each the one of its epoch.
fn restore_recent(state: &State, recent: Vec<Tree<Leaf>>) -> Result<Vec<Tree<Leaf>>, RestoreError> {
    let newest = state.epochs.count().saturating_sub(1);
    for (behind, tree) in (1_u64..).zip(recent.iter().rev()) {
        let record = newest.checked_sub(behind).and_then(|epoch| state.epochs.record(epoch));
        ensure(record.is_some_and(|record| record.state_root == tree.root()), "a recent state root")?;
    }
    Ok(recent)
}

/// Payouts in the order of their settlements, each list under the root that the settlement names.
fn restore_payouts(state: &mut State, contents: Vec<SettlementPayouts>) -> Result<(), RestoreError> {
    let records: Vec<_> = state.settlements.rows().cloned().collect();
    ensure(records.len() == contents.len(), "the number of settlements")?;
    for (record, content) in records.iter().zip(contents) {
        let payouts = content.payouts.into_inner();
        let root = Payout::root(&payouts);
        let same = root.is_some_and(|root| root.digest == record.payouts_root && root.sum == record.payouts_sum);
        ensure(same && u64::try_from(payouts.len()) == Ok(record.payouts_count), "a payouts root")?;
        state.keep_payouts(record.number, payouts);
    }
    Ok(())
}

/// What follows from the tables, and the openings that they name by digest.
fn restore_derived(state: &mut State, openings: Vec<ReceiptOpening>) -> Result<(), RestoreError> {
    state.keys_of = state.keys.rows().map(|key| ((key.node, key.valid_from), key.key)).collect();
    let seats = state.nodes.rows().flat_map(|node| node.seat_keys.iter().map(|key| (*key, node.node)));
    state.seat_keys = seats.collect();
    state.turns = state.shares.rows().map(|row| (row.since, row.gateway, row.payee)).collect();
    let mut previous = None;
    for ReceiptOpening { receipt, opening } in openings {
        let named = state.challenges.get(&receipt).and_then(|challenge| challenge.opening);
        ensure(previous < Some(receipt) && named == Some(opening.digest()), "an opening")?;
        previous = Some(receipt);
        state.openings.insert(receipt, Arc::new(opening));
    }
    let owed = state.challenges.rows().filter(|challenge| challenge.opening.is_some());
    ensure(owed.count() == state.openings.len(), "the number of openings")
}
