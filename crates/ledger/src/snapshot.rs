//! The ledger as bytes, as of the newest closed epoch: `tables ‖ EVM's header ‖ SHA-256 over both`, beside the EVM's state, which is a tree of
//! its own.
//!
//! Everything in a snapshot but the receipts' signatures is bound by its newest epoch record, and restoring recomputes
//! every root from the content: whoever takes a snapshot from a stranger checks that record's certificate and those
//! signatures. What happened since that close is executed again from the blocks.

use std::collections::{BTreeMap, VecDeque};

use crypto::{
    hash,
    history::History,
    merkle::SumNode,
    sparse::{Tree, value_digest},
};
use evm::{Base, World};
use protocol::{
    BridgeRecord, Bytes, Canonical, CertifiedRotation, Digest, DuesRecord, EpochRecord, KeyRecord, List, ModelRecord,
    Noun as _, Opening, Payout, ReceiptStatus, SettlementRecord, ShareRecord, SignedReceipt, Version, record,
    service::VerdictRecord,
};

use crate::{
    allocation::AllocationRecord,
    archive::{Archive, ClosedEpoch, RECENT_EPOCHS, Recent, Undo, sum_root, verdicts_root},
    content::{MANY, RestoreError, ensure, mismatch, write_list},
    evm_content::{EvmContent, restore_evm, write_evm},
    ledger::Ledger,
    present::{OpenEpoch, Present},
    records::{
        AccountRecord, AuditRecord, BurnRecord, ChallengeRecord, CreditRecord, DeedsRecord, DutyRecord,
        EquivocationRecord, HomeRecord, ListedNode, NamedKeyRecord, NetworkRecord,
    },
    state::State,
    table::{Row, Table},
};

const CHECKSUM: &str = "og/ledger/snapshot/v8";

record! {
    EpochContent {
        record: EpochRecord,
        receipts: List<SignedReceipt, MANY>,
        verdicts: List<VerdictRecord, MANY>,
    }
}
record! {
    ReceiptOpening { receipt: Digest, opening: Opening, }
}
record! {
    Replaced { key: Digest, before: Option<Bytes<MANY>>, }
}
record! {
    EpochUndo { replaced: List<Replaced, MANY>, }
}
record! {
    SettlementPayouts { payouts: List<Payout, MANY>, }
}
record! {
    Content {
        version: Version<8>,
        network: NetworkRecord,
        /// What the next block writes down of what was done before.
        deeds: DeedsRecord,
        accounts: List<AccountRecord, MANY>,
        allocations: List<AllocationRecord, MANY>,
        nodes: List<ListedNode, MANY>,
        duties: List<DutyRecord, MANY>,
        keys: List<KeyRecord, MANY>,
        models: List<ModelRecord, MANY>,
        statuses: List<ReceiptStatus, MANY>,
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
        epochs: List<EpochContent, MANY>,
        /// Of the recent epochs but the oldest, oldest first.
        undo: List<EpochUndo, RECENT_EPOCHS>,
        evm: EvmContent,
    }
}

/// The ledger as of an epoch's end: the EVM's state as it is, shared, and all else as bytes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    bytes: Vec<u8>,
    height: u64,
    world: World,
}

impl Snapshot {
    /// Number of the newest block in it.
    pub fn height(&self) -> u64 {
        self.height
    }

    /// All but the EVM's state.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The EVM's state.
    pub fn world(&self) -> &World {
        &self.world
    }
}

impl Ledger {
    /// The ledger as of the newest closed epoch; `None` while none is closed. Its height is that epoch's last: blocks
    /// after it are to be executed again.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let evm = self.present.state.evm_at_close()?;
        let mut bytes = Vec::new();
        self.write_tables(&mut bytes)?;
        write_evm(evm, &mut bytes);
        let checksum = hash(CHECKSUM, &[&bytes]);
        bytes.extend_from_slice(&checksum.0);
        Some(Snapshot { bytes, height: evm.header.number, world: evm.world.clone() })
    }

    /// A snapshot's bytes, which tell the whole state by its root.
    pub fn snapshot_bytes(&self) -> Option<Vec<u8>> {
        self.snapshot().map(|snapshot| snapshot.bytes)
    }

    /// Lets go of what the disk has of the EVM's state: a marked state was written there from which the newest one comes.
    pub fn rest_on(&mut self, base: &Base) {
        self.present.state.rest_on(base);
    }

    /// Writes what `Content` reads but for the EVM.
    fn write_tables(&self, out: &mut Vec<u8>) -> Option<()> {
        let (state, archive) = (&self.present.state, &self.archive);
        Version::<8>.write(out);
        state.network_at_close()?.write(out);
        state.deeds_at_close().write(out);
        write_list(&state.accounts.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.allocations.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.nodes.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.duties.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.keys.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.models.rows_at_close(), out, |row, out| row.write(out));
        write_list(&state.statuses.rows_at_close(), out, |row, out| row.write(out));
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
        write_list(&archive.epochs, out, |closed, out| write_epoch(state, closed, out));
        let undo: Vec<_> = archive.recent.iter().skip(1).map(|recent| &recent.undo).collect();
        write_list(&undo, out, |undo, out| write_undo(undo, out));
        Some(())
    }

    /// Reads a snapshot's bytes and recomputes all that they claim, beside the state that they speak of.
    pub fn restore(bytes: &[u8], world: World) -> Result<Self, RestoreError> {
        let short = RestoreError::Short { found: bytes.len() };
        let (content, checksum) = bytes.split_last_chunk::<32>().ok_or(short)?;
        if hash(CHECKSUM, &[content]).0 != *checksum {
            return Err(RestoreError::Checksum);
        }
        let content = Content::decode(content).map_err(RestoreError::Malformed)?;
        let newest = content.epochs.last().map(|epoch| epoch.record.clone()).ok_or(mismatch("the newest epoch"))?;
        let (epochs, history, receipts) = restore_epochs(content.epochs.into_inner(), content.network.chain_id)?;
        let evm = restore_evm(&content.evm, world)?;
        ensure(evm.header.number == newest.last_height, "the number of the newest EVM block")?;
        let mut state = State::closed(content.network, evm, content.deeds);
        state.accounts = table(content.accounts, "accounts")?;
        state.allocations = table(content.allocations, "allocations")?;
        state.nodes = table(content.nodes, "nodes")?;
        state.duties = table(content.duties, "duties")?;
        state.keys = table(content.keys, "keys")?;
        state.models = table(content.models, "models")?;
        state.statuses = table(content.statuses, "statuses")?;
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
        let tree = state.tree();
        state.receipts = receipts;
        restore_derived(&mut state, content.openings.into_inner())?;
        let recent = restore_recent(&epochs, tree, content.undo.into_inner())?;
        let open = OpenEpoch::after(newest.epoch, newest.last_height, newest.time_ms);
        let present = Present { state, open, events: Vec::new(), call_gas: 0 };
        Ok(Self { present, archive: Archive { epochs, history, recent }, height: newest.last_height })
    }
}

fn write_epoch(state: &State, closed: &ClosedEpoch, out: &mut Vec<u8>) {
    closed.record.write(out);
    let receipts: Vec<_> = closed.receipts.iter().filter_map(|id| state.receipts.get(id)).collect();
    write_list(&receipts, out, |receipt, out| receipt.write(out));
    write_list(&closed.verdicts, out, Canonical::write);
}

fn write_undo(undo: &Undo, out: &mut Vec<u8>) {
    let replaced: Vec<_> = undo.iter().collect();
    write_list(&replaced, out, |(key, before), out| {
        key.write(out);
        before.is_some().write(out);
        if let Some(bytes) = before {
            write_list(bytes, out, |byte, out| out.push(*byte));
        }
    });
}

fn table<R: Row>(rows: List<R, MANY>, what: &'static str) -> Result<Table<R>, RestoreError> {
    Table::closed(rows.into_inner()).ok_or(mismatch(what))
}

type Epochs = (Vec<ClosedEpoch>, History, BTreeMap<Digest, Box<SignedReceipt>>);

/// Epochs in order, each record's roots recomputed from its content.
fn restore_epochs(contents: Vec<EpochContent>, chain_id: u64) -> Result<Epochs, RestoreError> {
    let (mut epochs, mut history, mut receipts) = (Vec::new(), History::default(), BTreeMap::new());
    let mut next_height = 0;
    for content in contents {
        let record = content.record;
        ensure(record.chain_id == chain_id && record.epoch == history.count(), "an epoch's place")?;
        ensure(record.first_height == next_height && record.last_height >= next_height, "an epoch's heights")?;
        ensure(record.history_root == history.root(), "a history root")?;
        let (mut ids, mut leaves) = (Vec::new(), Vec::new());
        for receipt in content.receipts.into_inner() {
            let id = receipt.receipt.id();
            leaves.push(SumNode::leaf(&id, receipt.receipt.charge));
            ids.push(id);
            ensure(receipts.insert(id, Box::new(receipt)).is_none(), "a receipt anchored twice")?;
        }
        let (root, count) = (sum_root(&leaves), u64::try_from(leaves.len()));
        let same = root.digest == record.receipts_root && root.sum == record.receipts_sum;
        ensure(same && count == Ok(record.receipts_count), "a receipts root")?;
        let verdicts = content.verdicts.into_inner();
        ensure(verdicts_root(&verdicts) == record.verdicts_root, "a verdicts root")?;
        next_height = record.last_height.saturating_add(1);
        history.append(&record.digest());
        epochs.push(ClosedEpoch { record, receipts: ids, verdicts });
    }
    Ok((epochs, history, receipts))
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
    for (id, signed) in &state.receipts {
        let place = (signed.receipt.worker, signed.receipt.sequence);
        ensure(state.sequences.insert(place, *id).is_none(), "a sequence number")?;
        ensure(state.statuses.contains(id), "a receipt's status")?;
    }
    state.keys_of = state.keys.rows().map(|key| ((key.node, key.valid_from), key.key)).collect();
    let seats = state.nodes.rows().flat_map(|node| node.seat_keys.iter().map(|key| (*key, node.node)));
    state.seat_keys = seats.collect();
    state.turns = state.shares.rows().map(|row| (row.since, row.gateway, row.payee)).collect();
    let mut previous = None;
    for ReceiptOpening { receipt, opening } in openings {
        let named = state.challenges.get(&receipt).and_then(|challenge| challenge.opening);
        ensure(previous < Some(receipt) && named == Some(opening.digest()), "an opening")?;
        previous = Some(receipt);
        state.openings.insert(receipt, opening);
    }
    let owed = state.challenges.rows().filter(|challenge| challenge.opening.is_some());
    ensure(owed.count() == state.openings.len(), "the number of openings")
}

/// The recent trees, going back from the newest, each checked against its epoch's root.
fn restore_recent(epochs: &[ClosedEpoch], tree: Tree, undo: Vec<EpochUndo>) -> Result<VecDeque<Recent>, RestoreError> {
    let mut roots = epochs.iter().rev().map(|closed| closed.record.state_root);
    ensure(roots.next() == Some(tree.root()), "the state root")?;
    ensure(undo.len().saturating_add(1) == epochs.len().min(RECENT_EPOCHS), "the number of recent epochs")?;
    let (mut recent, mut tree) = (VecDeque::new(), tree);
    for epoch in undo.into_iter().rev() {
        let (mut replaced, mut earlier) = (Undo::new(), tree.clone());
        for Replaced { key, before } in epoch.replaced.into_inner() {
            let before = before.map(Bytes::into_inner);
            earlier = earlier.with(key, before.as_deref().map(value_digest));
            ensure(replaced.last_key_value().is_none_or(|(last, _)| *last < key), "the order of what was replaced")?;
            replaced.insert(key, before);
        }
        ensure(roots.next() == Some(earlier.root()), "a recent state root")?;
        recent.push_front(Recent { tree, undo: replaced });
        tree = earlier;
    }
    recent.push_front(Recent { tree, undo: Undo::new() });
    Ok(recent)
}
