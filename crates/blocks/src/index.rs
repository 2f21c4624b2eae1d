//! Blocks on the disk, by number, by hash and by what is in them: transactions, and whose logs. Beside them, what became of the native
//! transactions that were ordered with theirs.
//!
//! Whoever has the blocks can make it anew, all of it. What is read from it was written here, so senders are kept and not recovered again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use alloy_consensus::proofs::{calculate_receipt_root, ordered_trie_root_with_encoder};
use alloy_consensus::{Header, ReceiptEnvelope, Sealable as _, Sealed, Transaction as _};
use alloy_eips::eip2718::{Decodable2718 as _, Encodable2718 as _};
use alloy_primitives::{Address, B256, Bytes, Log};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use evm::{Block, Chain, LEDGER, Receipt, Transaction};
use rpc::{LogKey, NodeError, Place};
use storage::{Change, Store};

const HEADERS: &str = "headers";
const BODIES: &str = "bodies";
const NUMBERS: &str = "numbers";
const PLACES: &str = "places";
/// A row for each key of each block's logs: the key, then the block; and under `NEWEST_LOGGED` the newest block whose rows are here, with
/// those of all before it.
const LOGS: &str = "logs";

/// What became of a native transaction, by its id: the block that ended it, then why that refused it, or nothing.
const NATIVES: &str = "natives";
/// The ids of those that a block ended, so that they go with it.
const NATIVE_IDS: &str = "native-ids";

const OF_ADDRESS: u8 = 0;
const OF_FIRST_TOPIC: u8 = 1;
const NEWEST_LOGGED: [u8; 1] = [2];

/// Blocks whose rows are made up for with one commit.
const MADE_UP_AT_ONCE: usize = 64;
/// Of what blocks overwrote (`undo`).
pub(crate) const OLD_ACCOUNTS: &str = "old-accounts";
pub(crate) const OLD_SLOTS: &str = "old-slots";
pub(crate) const OLD_CODES: &str = "old-codes";
pub(crate) const OLD_KEYS: &str = "old-keys";
pub(crate) const OLD_SPAN: &str = "old-span";

/// Entries that one read takes from a table.
const PAGE: usize = 16_384;

/// What became of a native transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeOutcome {
    /// The number of the block that ended it.
    pub block: u64,
    /// Why the block refused it; absent where it was executed. Not empty.
    pub refusal: Option<String>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct Body {
    transactions: Vec<Bytes>,
    senders: Vec<Address>,
    /// Typed envelopes, as the receipts root commits to them.
    receipts: Vec<Bytes>,
}

/// What cannot be read although it was written here.
pub(crate) fn broken(what: impl std::fmt::Display) -> NodeError {
    NodeError::Read(format!("what is kept cannot be read: {what}"))
}

pub(crate) fn read<T: alloy_rlp::Decodable>(bytes: &[u8], what: &str) -> Result<T, NodeError> {
    alloy_rlp::decode_exact(bytes).map_err(|error| broken(format!("{what}: {error}")))
}

/// The tables of one chain in a file, which may hold others beside.
#[derive(Clone)]
pub struct Index {
    store: Store,
    chain: Chain,
}

impl Index {
    /// What its file must have been opened with.
    pub const TABLES: &[&str] = &[
        HEADERS,
        BODIES,
        NUMBERS,
        PLACES,
        LOGS,
        NATIVES,
        NATIVE_IDS,
        OLD_ACCOUNTS,
        OLD_SLOTS,
        OLD_CODES,
        OLD_KEYS,
        OLD_SPAN,
    ];

    pub fn new(store: Store, chain: Chain) -> Self {
        Self { store, chain }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, NodeError> {
        self.store.get(table, key).map_err(broken)
    }

    /// Number of the newest block.
    pub fn head(&self) -> Result<Option<u64>, NodeError> {
        let last = self.store.last(HEADERS).map_err(broken)?;
        last.map(|(key, _)| number(&key)).transpose()
    }

    /// The oldest block that is here with all after it. The first block stays for ever, whatever is removed behind it.
    pub fn oldest(&self) -> Result<u64, NodeError> {
        let after_first = self.store.scan(HEADERS, &1_u64.to_be_bytes(), 1).map_err(broken)?;
        let oldest = after_first.first().map(|(key, _)| number(key)).transpose()?;
        Ok(oldest.filter(|oldest| *oldest > 1).unwrap_or(0))
    }

    /// What removes these blocks, and whatever leads to them.
    pub fn remove(&self, numbers: Range<u64>) -> Result<Vec<Change>, NodeError> {
        let mut changes = Vec::new();
        for block in numbers.start.max(1)..numbers.end {
            let key = block.to_be_bytes();
            let Some(header) = self.header(block)? else { continue };
            changes.push(Change::remove(NUMBERS, header.hash().as_slice()));
            if let Some(body) = self.get(BODIES, &key)? {
                let body: Body = read(&body, "a body")?;
                let hashes = body.transactions.iter().map(|raw| evm::hash_of(raw));
                changes.extend(hashes.map(|hash| Change::remove(PLACES, hash.as_slice())));
                let rows = body.log_rows(block)?;
                changes.extend(rows.into_iter().map(|row| Change::remove(LOGS, row)));
            }
            if let Some(ids) = self.get(NATIVE_IDS, &key)? {
                changes.extend(ids.chunks(B256::len_bytes()).map(|id| Change::remove(NATIVES, id)));
                changes.push(Change::remove(NATIVE_IDS, key));
            }
            changes.push(Change::remove(BODIES, key));
            changes.push(Change::remove(HEADERS, key));
        }
        Ok(changes)
    }

    pub fn header(&self, number: u64) -> Result<Option<Sealed<Header>>, NodeError> {
        let bytes = self.get(HEADERS, &number.to_be_bytes())?;
        bytes.map(|bytes| Ok(read::<Header>(&bytes, "a header")?.seal_slow())).transpose()
    }

    pub fn block(&self, number: u64) -> Result<Option<Arc<Block>>, NodeError> {
        let Some(header) = self.header(number)? else { return Ok(None) };
        let body = self.get(BODIES, &number.to_be_bytes())?.ok_or_else(|| broken("a block without a body"))?;
        let body: Body = read(&body, "a body")?;
        if body.senders.len() != body.transactions.len() {
            return Err(broken("a transaction without a sender"));
        }
        let known = body.transactions.iter().zip(body.senders);
        let recalled = known.map(|(raw, sender)| Transaction::recall(raw, sender, &self.chain).map_err(broken));
        let transactions: Vec<Transaction> = recalled.collect::<Result<_, _>>()?;
        let receipts = receipts(&transactions, &body.receipts, header.base_fee_per_gas.unwrap_or_default())?;
        Ok(Some(Arc::new(Block { header, transactions, receipts })))
    }

    /// A body as it is kept here.
    pub fn body(&self, number: u64) -> Result<Option<Vec<u8>>, NodeError> {
        self.get(BODIES, &number.to_be_bytes())
    }

    /// The block that a stranger's body and a header that is known to be right make: senders are recovered, roots compared.
    pub fn checked(chain: &Chain, header: &Sealed<Header>, body: &[u8]) -> Result<Block, NodeError> {
        let body: Body = read(body, "a body")?;
        let decoded = body.transactions.iter().enumerate().map(|(index, raw)| {
            // The ledger's own comes first, and nobody signs it.
            let own = (index == 0).then(|| Transaction::recall(raw, LEDGER, chain).ok()).flatten();
            own.map_or_else(|| Transaction::decode(raw, chain), Ok).map_err(broken)
        });
        let transactions: Vec<Transaction> = decoded.collect::<Result<_, _>>()?;
        let receipts = receipts(&transactions, &body.receipts, header.base_fee_per_gas.unwrap_or_default())?;
        let raw: Vec<&Bytes> = transactions.iter().map(Transaction::raw).collect();
        let transactions_root = ordered_trie_root_with_encoder(&raw, |raw, out| out.extend_from_slice(raw));
        let envelopes: Vec<_> = receipts.iter().map(|receipt| receipt.envelope.clone()).collect();
        if (transactions_root, calculate_receipt_root(&envelopes)) != (header.transactions_root, header.receipts_root) {
            return Err(broken("a body that is not its header's"));
        }
        Ok(Block { header: header.clone(), transactions, receipts })
    }

    pub fn number_of(&self, hash: &B256) -> Result<Option<u64>, NodeError> {
        self.get(NUMBERS, hash.as_slice())?.map(|bytes| number(&bytes)).transpose()
    }

    pub fn place_of(&self, hash: &B256) -> Result<Option<Place>, NodeError> {
        let Some(bytes) = self.get(PLACES, hash.as_slice())? else { return Ok(None) };
        let (block, index) = bytes.split_at_checked(8).ok_or_else(|| broken("a place"))?;
        let index = usize::try_from(number(index)?).map_err(broken)?;
        Ok(Some(Place { block: number(block)?, index }))
    }

    /// What became of a native transaction; nothing where no block that is here brought it to an end.
    pub fn native(&self, id: &B256) -> Result<Option<NativeOutcome>, NodeError> {
        let Some(bytes) = self.get(NATIVES, id.as_slice())? else { return Ok(None) };
        let (block, refusal) = bytes.split_at_checked(8).ok_or_else(|| broken("a native transaction"))?;
        let refusal = std::str::from_utf8(refusal).map_err(broken)?;
        let refusal = Some(refusal.to_owned()).filter(|refusal| !refusal.is_empty());
        Ok(Some(NativeOutcome { block: number(block)?, refusal }))
    }

    /// The first block whose logs have no rows here, nor those of any after it: all that are here from it on may have logs of any key.
    pub fn unlogged_from(&self) -> Result<u64, NodeError> {
        let newest = self.get(LOGS, &NEWEST_LOGGED)?.map(|bytes| number(&bytes)).transpose()?;
        Ok(newest.map_or(0, |newest| newest.saturating_add(1)))
    }

    /// Blocks among `within` that have logs of this key, in order, at most `most`.
    pub fn logged(&self, key: &LogKey, within: Range<u64>, most: usize) -> Result<Vec<u64>, NodeError> {
        let prefix = log_prefix(key);
        let from = [&prefix[..], &within.start.to_be_bytes()].concat();
        let rows = self.store.scan(LOGS, &from, most).map_err(broken)?;
        let numbers = rows.iter().map_while(|(row, _)| row.strip_prefix(&prefix[..]).map(number));
        let numbers = numbers.take_while(|number| !matches!(number, Ok(number) if *number >= within.end));
        numbers.collect()
    }

    /// Makes up for rows of logs that are not here, because an earlier program wrote the blocks: before anything more is written.
    pub fn make_up(&self) -> Result<(), NodeError> {
        loop {
            let from = self.unlogged_from()?.to_be_bytes();
            let bodies = self.store.scan(BODIES, &from, MADE_UP_AT_ONCE).map_err(broken)?;
            let mut changes = Vec::new();
            for (key, body) in &bodies {
                let body: Body = read(body, "a body")?;
                changes.extend(logged(number(key)?, body.log_rows(number(key)?)?));
            }
            if changes.is_empty() {
                return Ok(());
            }
            self.store.commit_blocking(changes).map_err(broken)?;
        }
    }

    /// All entries of a table.
    pub fn all(&self, table: &'static str) -> Result<Vec<storage::Entry>, NodeError> {
        entries(&self.store, table)
    }

    /// What makes a block readable here.
    pub fn put(block: &Block) -> Vec<Change> {
        let number = block.header.number.to_be_bytes();
        let body = Body {
            transactions: block.transactions.iter().map(|transaction| transaction.raw().clone()).collect(),
            senders: block.transactions.iter().map(Transaction::sender).collect(),
            receipts: block.receipts.iter().map(|receipt| receipt.envelope.encoded_2718().into()).collect(),
        };
        let mut put = vec![
            Change::put(HEADERS, number, alloy_rlp::encode(block.header.inner())),
            Change::put(BODIES, number, alloy_rlp::encode(&body)),
            Change::put(NUMBERS, block.header.hash().as_slice(), number),
        ];
        for (index, transaction) in block.transactions.iter().enumerate() {
            let place = [number, (index as u64).to_be_bytes()].concat();
            put.push(Change::put(PLACES, transaction.hash().as_slice(), place));
        }
        let logs = block.receipts.iter().flat_map(|receipt| receipt.logs());
        put.extend(logged(block.header.number, log_rows(block.header.number, logs)));
        put
    }

    /// What tells of a block's native transactions, each with why it was refused if it was: to be written with the block.
    pub fn put_natives(block: u64, natives: &BTreeMap<B256, Option<String>>) -> Vec<Change> {
        if natives.is_empty() {
            return Vec::new();
        }
        let block = block.to_be_bytes();
        let ids: Vec<u8> = natives.keys().flat_map(|id| id.0).collect();
        let mut put = vec![Change::put(NATIVE_IDS, block, ids)];
        for (id, refusal) in natives {
            let words = refusal.as_deref().unwrap_or_default();
            put.push(Change::put(NATIVES, id.as_slice(), [block.as_slice(), words.as_bytes()].concat()));
        }
        put
    }
}

impl Body {
    /// The rows that this block's logs have.
    fn log_rows(&self, block: u64) -> Result<BTreeSet<Vec<u8>>, NodeError> {
        let mut rows = BTreeSet::new();
        for bytes in &self.receipts {
            let envelope = ReceiptEnvelope::decode_2718_exact(bytes).map_err(broken)?;
            rows.append(&mut log_rows(block, envelope.logs()));
        }
        Ok(rows)
    }
}

/// One for each key that these logs of a block have, however many have it.
fn log_rows<'a>(block: u64, logs: impl IntoIterator<Item = &'a Log>) -> BTreeSet<Vec<u8>> {
    let keys = logs.into_iter().flat_map(|log| {
        let first = log.topics().first().copied().map(LogKey::FirstTopic);
        [Some(LogKey::Address(log.address)), first].into_iter().flatten()
    });
    keys.map(|key| [log_prefix(&key), block.to_be_bytes().to_vec()].concat()).collect()
}

fn log_prefix(key: &LogKey) -> Vec<u8> {
    match key {
        LogKey::Address(address) => [[OF_ADDRESS].as_slice(), address.as_slice()].concat(),
        LogKey::FirstTopic(topic) => [[OF_FIRST_TOPIC].as_slice(), topic.as_slice()].concat(),
    }
}

/// What puts a block's rows, and says that they are here.
fn logged(block: u64, rows: BTreeSet<Vec<u8>>) -> impl Iterator<Item = Change> {
    let rows = rows.into_iter().map(|row| Change::put(LOGS, row, Vec::new()));
    rows.chain([Change::put(LOGS, NEWEST_LOGGED, block.to_be_bytes())])
}

/// All entries of a table, in the order of keys.
pub(crate) fn entries(store: &Store, table: &'static str) -> Result<Vec<storage::Entry>, NodeError> {
    let (mut all, mut from) = (Vec::new(), Vec::new());
    loop {
        let page = store.scan(table, &from, PAGE).map_err(broken)?;
        let is_last = page.len() < PAGE;
        all.extend(page);
        match all.last() {
            Some((key, _)) if !is_last => {
                from.clone_from(key);
                from.push(0);
            }
            _ => return Ok(all),
        }
    }
}

pub(crate) fn number(bytes: &[u8]) -> Result<u64, NodeError> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| broken("a number"))
}

/// What follows from the envelopes is not kept: gas, price, where logs begin, which contract was made.
fn receipts(transactions: &[Transaction], kept: &[Bytes], base_fee: u64) -> Result<Vec<Receipt>, NodeError> {
    let (mut gas_before, mut logs_before) = (0_u64, 0_u64);
    let mut receipts = Vec::with_capacity(kept.len());
    for (transaction, bytes) in transactions.iter().zip(kept) {
        let envelope = ReceiptEnvelope::decode_2718_exact(bytes).map_err(broken)?;
        let makes = transaction.envelope().is_create() && envelope.status();
        let (gas, logs) = (envelope.cumulative_gas_used(), envelope.logs().len() as u64);
        receipts.push(Receipt {
            gas_used: gas.saturating_sub(gas_before),
            effective_gas_price: transaction.gas_price(base_fee),
            contract: makes.then(|| transaction.sender().create(transaction.nonce())),
            logs_before,
            output: Bytes::new(),
            halt: None,
            envelope,
        });
        gas_before = gas;
        logs_before = logs_before.saturating_add(logs);
    }
    if receipts.len() != transactions.len() { Err(broken("a transaction without a receipt")) } else { Ok(receipts) }
}
