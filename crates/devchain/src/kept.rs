//! What lies on the disk, and how: blocks, the state that they led to, and what waits. One commit for what belongs together.

use std::sync::Arc;

use alloy_consensus::{Header, ReceiptEnvelope, Sealable as _, Sealed, Transaction as _};
use alloy_eips::eip2718::{Decodable2718 as _, Encodable2718 as _};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use evm::{Account, Block, Chain, Changes, Code, Receipt, StateRead as _, Transaction, World};
use rpc::{NodeError, Place};
use storage::{Change, Store};

use crate::undo::Undo;

const HEADERS: &str = "headers";
const BODIES: &str = "bodies";
const UNDOS: &str = "undos";
const NUMBERS: &str = "numbers";
const PLACES: &str = "places";
const ACCOUNTS: &str = "accounts";
const SLOTS: &str = "slots";
const CODES: &str = "codes";
const WAITING: &str = "waiting";

pub(crate) const TABLES: &[&str] = &[HEADERS, BODIES, UNDOS, NUMBERS, PLACES, ACCOUNTS, SLOTS, CODES, WAITING];

/// Entries that one read takes from a table.
const PAGE: usize = 16_384;
const ACCOUNT_BYTES: usize = 72;
const SLOT_KEY_BYTES: usize = 52;

#[derive(RlpEncodable, RlpDecodable)]
struct Body {
    transactions: Vec<Bytes>,
    /// Typed envelopes, as the receipts root commits to them.
    receipts: Vec<Bytes>,
}

fn broken(what: impl std::fmt::Display) -> NodeError {
    NodeError::Read(format!("what is kept cannot be read: {what}"))
}

fn read<T: alloy_rlp::Decodable>(bytes: &[u8], what: &str) -> Result<T, NodeError> {
    alloy_rlp::decode_exact(bytes).map_err(|error| broken(format!("{what}: {error}")))
}

/// The file of one chain.
#[derive(Clone)]
pub(crate) struct Kept {
    pub store: Store,
    pub chain: Chain,
}

impl Kept {
    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, NodeError> {
        self.store.get(table, key).map_err(broken)
    }

    pub fn head(&self) -> Result<Option<u64>, NodeError> {
        let last = self.store.last(HEADERS).map_err(broken)?;
        last.map(|(key, _)| number(&key)).transpose()
    }

    pub fn header(&self, number: u64) -> Result<Option<Sealed<Header>>, NodeError> {
        let bytes = self.get(HEADERS, &number.to_be_bytes())?;
        bytes.map(|bytes| Ok(read::<Header>(&bytes, "a header")?.seal_slow())).transpose()
    }

    pub fn block(&self, number: u64) -> Result<Option<Arc<Block>>, NodeError> {
        let Some(header) = self.header(number)? else { return Ok(None) };
        let body = self.get(BODIES, &number.to_be_bytes())?.ok_or_else(|| broken("a block without a body"))?;
        let body: Body = read(&body, "a body")?;
        let decoded = body.transactions.iter().map(|raw| Transaction::decode(raw, &self.chain).map_err(broken));
        let transactions: Vec<Transaction> = decoded.collect::<Result<_, _>>()?;
        let receipts = receipts(&transactions, &body.receipts, header.base_fee_per_gas.unwrap_or_default())?;
        Ok(Some(Arc::new(Block { header, transactions, receipts })))
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

    pub fn undo(&self, number: u64) -> Result<Changes, NodeError> {
        let bytes = self.get(UNDOS, &number.to_be_bytes())?.ok_or_else(|| broken("a block without its undo"))?;
        Ok(read::<Undo>(&bytes, "an undo")?.changes())
    }

    /// All that waited, in no order that matters.
    pub fn waiting(&self) -> Result<Vec<Transaction>, NodeError> {
        let all = self.all(WAITING)?;
        all.iter().map(|(_, raw)| Transaction::decode(raw, &self.chain).map_err(broken)).collect()
    }

    /// The state after the newest block.
    pub fn world(&self) -> Result<World, NodeError> {
        let mut changes = Changes::default();
        for (hash, bytes) in self.all(CODES)? {
            let code = Code::new_raw_checked(bytes.into()).map_err(broken)?;
            changes.codes.insert(B256::try_from(hash.as_slice()).map_err(broken)?, code);
        }
        for (address, bytes) in self.all(ACCOUNTS)? {
            changes.accounts.insert(Address::try_from(address.as_slice()).map_err(broken)?, Some(account(&bytes)?));
        }
        for (key, bytes) in self.all(SLOTS)? {
            let place = slot_place(&key)?;
            changes.slots.insert(place, U256::try_from_be_slice(&bytes).ok_or_else(|| broken("a slot's value"))?);
        }
        let mut world = World::default();
        world.apply(&changes);
        Ok(world)
    }

    fn all(&self, table: &'static str) -> Result<Vec<storage::Entry>, NodeError> {
        let (mut all, mut from) = (Vec::new(), Vec::new());
        loop {
            let page = self.store.scan(table, &from, PAGE).map_err(broken)?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            let Some((last, _)) = all.last().filter(|_| !is_last) else { return Ok(all) };
            from.clone_from(last);
            from.push(0);
        }
    }
}

/// The first block with everything that its state holds.
pub(crate) fn first(block: &Block, world: &World) -> Vec<Change> {
    let mut changes = Changes::default();
    for (address, account) in world.accounts() {
        changes.accounts.insert(*address, Some(*account));
        changes.slots.extend(world.slots(*address).map(|(slot, value)| ((*address, *slot), *value)));
        if let Ok(Some(code)) = world.code(&account.code_hash) {
            changes.codes.insert(account.code_hash, code);
        }
    }
    block_changes(block, &changes, &Undo::default())
}

/// A block, the state that it led to, and the way back.
pub(crate) fn block_changes(block: &Block, changes: &Changes, undo: &Undo) -> Vec<Change> {
    let number = block.header.number.to_be_bytes();
    let body = Body {
        transactions: block.transactions.iter().map(|transaction| transaction.raw().clone()).collect(),
        receipts: block.receipts.iter().map(|receipt| receipt.envelope.encoded_2718().into()).collect(),
    };
    let mut put = vec![
        Change::put(HEADERS, number, alloy_rlp::encode(block.header.inner())),
        Change::put(BODIES, number, alloy_rlp::encode(&body)),
        Change::put(UNDOS, number, alloy_rlp::encode(undo)),
        Change::put(NUMBERS, block.header.hash().as_slice(), number),
    ];
    for (index, transaction) in block.transactions.iter().enumerate() {
        let place = [number, (index as u64).to_be_bytes()].concat();
        put.push(Change::put(PLACES, transaction.hash().as_slice(), place));
        put.push(no_longer_waiting(&transaction.hash()));
    }
    put.extend(state_changes(changes));
    put
}

fn state_changes(changes: &Changes) -> Vec<Change> {
    let mut put = Vec::new();
    for (hash, code) in &changes.codes {
        put.push(Change::put(CODES, hash.as_slice(), code.original_byte_slice()));
    }
    for (address, account) in &changes.accounts {
        let account = account.filter(|account| !account.is_empty());
        let value = account.map(|account| account_bytes(&account));
        put.push(Change { table: ACCOUNTS, key: address.to_vec(), value });
    }
    for ((address, slot), value) in &changes.slots {
        let key = [address.as_slice(), &slot.to_be_bytes::<32>()].concat();
        let value = (!value.is_zero()).then(|| value.to_be_bytes::<32>().to_vec());
        put.push(Change { table: SLOTS, key, value });
    }
    put
}

pub(crate) fn waiting(transaction: &Transaction) -> Change {
    Change::put(WAITING, transaction.hash().as_slice(), transaction.raw().to_vec())
}

pub(crate) fn no_longer_waiting(hash: &B256) -> Change {
    Change::remove(WAITING, hash.as_slice())
}

fn number(bytes: &[u8]) -> Result<u64, NodeError> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| broken("a number"))
}

fn account_bytes(account: &Account) -> Vec<u8> {
    let (nonce, balance) = (account.nonce.to_be_bytes(), account.balance.to_be_bytes::<32>());
    [nonce.as_slice(), &balance, account.code_hash.as_slice()].concat()
}

fn account(bytes: &[u8]) -> Result<Account, NodeError> {
    let bytes: &[u8; ACCOUNT_BYTES] = bytes.try_into().map_err(|_| broken("an account"))?;
    let (nonce, rest) = bytes.split_at(8);
    let (balance, code_hash) = rest.split_at(32);
    let balance = U256::from_be_slice(balance);
    Ok(Account { nonce: number(nonce)?, balance, code_hash: B256::from_slice(code_hash) })
}

fn slot_place(key: &[u8]) -> Result<(Address, U256), NodeError> {
    let key: &[u8; SLOT_KEY_BYTES] = key.try_into().map_err(|_| broken("a slot"))?;
    let (address, slot) = key.split_at(20);
    Ok((Address::from_slice(address), U256::from_be_slice(slot)))
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
