//! What blocks overwrote, on the disk beside their index: from it and a later state, the state of any block that is kept.
//!
//! A block's rows lie in the same commit as the block. Each is found by what was overwritten and when, so that a read of an old state
//! is one look for the first row behind it, however many blocks have come since. Whoever has the blocks can make them anew.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use evm::{Account, Changes, Code, StateError, StateRead, World};
use rpc::{NodeError, State};
use storage::{Change, Moment, Store};

use crate::index::{OLD_ACCOUNTS, OLD_CODES, OLD_KEYS, OLD_SLOTS, OLD_SPAN, broken, number, read};
use crate::live::Recent;

const TABLES: &[&str] = &[OLD_ACCOUNTS, OLD_SLOTS, OLD_CODES, OLD_SPAN];
/// Keys of the span's table: the oldest state that there is, and the newest step whose rows there are.
const SINCE: &[u8] = b"since";
const UNTIL: &[u8] = b"until";

const ADDRESS_BYTES: usize = 20;
const SLOT_BYTES: usize = 52;
const HASH_BYTES: usize = 32;

/// How far a state is. A block takes it two steps on: what its chain does before the block's transactions, and those.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Step(u64);

impl Step {
    /// Before the transactions of a block, whatever its chain did since the block before is done.
    pub const fn before(block: u64) -> Self {
        Self(block.saturating_mul(2))
    }

    /// After a block.
    pub const fn after(block: u64) -> Self {
        Self(block.saturating_mul(2).saturating_add(1))
    }

    fn key(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The newest block that is whole by then.
    fn newest(self) -> u64 {
        self.0.saturating_sub(1) >> 1
    }

    /// The first block that is whole by then or later.
    fn first(self) -> u64 {
        self.0 >> 1
    }
}

/// What each step overwrote, in the file of the index.
pub struct Undos {
    store: Store,
    /// The state that this start began with: there or later, but before the next step is done.
    began: Step,
    /// Rows of steps up to here were there before this start.
    until: Step,
    /// The oldest state that is told; only whoever writes moves it.
    since: AtomicU64,
}

impl Undos {
    /// In the file of an index (`Index::TABLES`), for a chain that goes on from a state which is at this step, or on its way to the next.
    /// Where the file does not have what every step up to there overwrote, it begins with that state. Reads and may write the disk.
    pub fn open(store: &Store, began: Step) -> Result<Self, NodeError> {
        let get = |key: &[u8]| store.get(OLD_SPAN, key).map_err(broken)?.map(|bytes| number(&bytes)).transpose();
        let (since, until) = (get(SINCE)?, get(UNTIL)?);
        let (since, until) = match since.zip(until) {
            Some((since, until)) if until >= began.0 => (since, until),
            _ => {
                store.commit_blocking(vec![put_span(SINCE, began), put_span(UNTIL, began)]).map_err(broken)?;
                (began.0, began.0)
            }
        };
        Ok(Self { store: store.clone(), began, until: Step(until), since: AtomicU64::new(since) })
    }

    /// What makes the state before a block's transactions, and the one after its parent, readable for good: to be written with the
    /// block. `parent` is the state after the block before. Nothing for a block that was written before this start: it is executed again,
    /// perhaps from a state on the way to it.
    pub fn put(&self, parent: &World, made: &Recent) -> Result<Vec<Change>, NodeError> {
        let block = made.block.header.number;
        if Step::after(block) <= self.until {
            return Ok(Vec::new());
        }
        let mut changes = rows(Step::before(block), &made.before.changes_back_to(parent).map_err(broken)?);
        changes.extend(rows(Step::after(block), &made.world.changes_back_to(&made.before).map_err(broken)?));
        changes.push(put_span(UNTIL, Step::after(block)));
        Ok(changes)
    }

    /// To be written with a block of which nobody knows what it overwrote: older states are told no more.
    pub fn begin_after(&self, block: u64) -> Vec<Change> {
        let step = Step::after(block);
        vec![put_span(SINCE, self.tell_from(step)), put_span(UNTIL, step)]
    }

    /// What removes the rows of these blocks: the last state before them is the oldest no more.
    pub fn remove(&self, blocks: Range<u64>) -> Result<Vec<Change>, NodeError> {
        let end = Step::before(blocks.end);
        let mut changes = vec![put_span(SINCE, self.tell_from(end))];
        for step in (Step::before(blocks.start).0..end.0).map(Step) {
            let Some(bytes) = self.store.get(OLD_KEYS, &step.key()).map_err(broken)? else { continue };
            let keys: Keys = read(&bytes, "what a block overwrote")?;
            for (table, width, keys) in keys.by_table() {
                let keys = keys.chunks_exact(width).map(|key| [key, &step.key()].concat());
                changes.extend(keys.map(|key| Change::remove(table, key)));
            }
            changes.push(Change::remove(OLD_KEYS, step.key()));
        }
        Ok(changes)
    }

    /// Whether this start began with the state of this block, which may be on its way to the next.
    pub(crate) fn began_with(&self, block: u64) -> bool {
        self.began.newest() == block
    }

    /// The state at a step, by a later one of which everything is on the disk that was overwritten up to there.
    pub(crate) fn as_of(&self, step: Step, later: World) -> Result<State, NodeError> {
        // One moment for all: what is removed meanwhile stays in it.
        let moment = self.store.moment(TABLES).map_err(broken)?;
        let since = moment.get(OLD_SPAN, SINCE).map_err(broken)?.ok_or_else(|| broken("no oldest state"))?;
        let since = Step(number(&since)?);
        if step < since {
            return Err(NodeError::StateGone { asked: step.newest(), oldest: since.first() });
        }
        Ok(Arc::new(Earlier { moment, step, later }))
    }

    fn tell_from(&self, step: Step) -> Step {
        Step(self.since.fetch_max(step.0, Ordering::Relaxed).max(step.0))
    }
}

/// A state of the past.
struct Earlier {
    moment: Moment,
    step: Step,
    later: World,
}

impl Earlier {
    /// What the first step after this state overwrote at a key; nothing where the later state has it unchanged.
    fn overwritten(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let from = [key, &self.step.next().key()].concat();
        let found = self.moment.scan(table, &from, 1, usize::MAX).map_err(unread)?;
        // All keys of a table have one length.
        Ok(found.into_iter().next().filter(|(found, _)| found.starts_with(key)).map(|(_, value)| value))
    }
}

impl StateRead for Earlier {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        match self.overwritten(OLD_ACCOUNTS, address.as_slice())? {
            Some(bytes) => read_account(&bytes),
            None => self.later.account(address),
        }
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        match self.overwritten(OLD_SLOTS, &slot_key(address, slot))? {
            Some(bytes) => U256::try_from_be_slice(&bytes).ok_or_else(|| unread("a slot's value")),
            None => self.later.slot(address, slot),
        }
    }

    fn code(&self, hash: &B256) -> Result<Option<Code>, StateError> {
        if let Some(code) = self.later.code(hash)? {
            return Ok(Some(code));
        }
        let bytes = self.overwritten(OLD_CODES, hash.as_slice())?;
        bytes.map(|bytes| Code::new_raw_checked(bytes.into()).map_err(unread)).transpose()
    }
}

/// An account as it was; one that was not there has no bytes.
#[derive(RlpEncodable, RlpDecodable)]
struct OldAccount {
    nonce: u64,
    balance: U256,
    /// Empty without code.
    code_hash: Bytes,
}

/// What a step overwrote: keys of each table, one behind the other. By them its rows are removed.
#[derive(RlpEncodable, RlpDecodable)]
struct Keys {
    accounts: Bytes,
    slots: Bytes,
    codes: Bytes,
}

impl Keys {
    fn by_table(&self) -> [(&'static str, usize, &Bytes); 3] {
        [
            (OLD_ACCOUNTS, ADDRESS_BYTES, &self.accounts),
            (OLD_SLOTS, SLOT_BYTES, &self.slots),
            (OLD_CODES, HASH_BYTES, &self.codes),
        ]
    }
}

/// The rows of a step, by the changes that lead back from after it to before it.
fn rows(step: Step, back: &Changes) -> Vec<Change> {
    let mut rows = Vec::new();
    let accounts = back.accounts.iter().map(|(address, account)| (address.to_vec(), account_bytes(account.as_ref())));
    let slots = back.slots.iter();
    let slots = slots.map(|((address, slot), value)| (slot_key(address, slot), value.to_be_bytes_trimmed_vec()));
    let codes = back.codes.iter().map(|(hash, code)| (hash.to_vec(), code.original_byte_slice().to_vec()));
    let keys = Keys {
        accounts: add_rows(&mut rows, OLD_ACCOUNTS, step, accounts),
        slots: add_rows(&mut rows, OLD_SLOTS, step, slots),
        codes: add_rows(&mut rows, OLD_CODES, step, codes),
    };
    if !rows.is_empty() {
        rows.push(Change::put(OLD_KEYS, step.key(), alloy_rlp::encode(&keys)));
    }
    rows
}

/// Adds rows of one table; their keys without the step.
fn add_rows(
    rows: &mut Vec<Change>,
    table: &'static str,
    step: Step,
    overwritten: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
) -> Bytes {
    let mut keys = Vec::new();
    for (key, value) in overwritten {
        keys.extend_from_slice(&key);
        rows.push(Change::put(table, [key.as_slice(), &step.key()].concat(), value));
    }
    keys.into()
}

fn put_span(key: &[u8], step: Step) -> Change {
    Change::put(OLD_SPAN, key, step.key())
}

fn slot_key(address: &Address, slot: &U256) -> Vec<u8> {
    [address.as_slice(), &slot.to_be_bytes::<32>()].concat()
}

fn account_bytes(account: Option<&Account>) -> Vec<u8> {
    let Some(account) = account else { return Vec::new() };
    let code_hash =
        if account.has_code() { Bytes::copy_from_slice(account.code_hash.as_slice()) } else { Bytes::new() };
    alloy_rlp::encode(OldAccount { nonce: account.nonce, balance: account.balance, code_hash })
}

fn read_account(bytes: &[u8]) -> Result<Option<Account>, StateError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let OldAccount { nonce, balance, code_hash } = alloy_rlp::decode_exact(bytes).map_err(unread)?;
    let code_hash = if code_hash.is_empty() {
        Account::default().code_hash
    } else {
        B256::try_from(&code_hash[..]).map_err(unread)?
    };
    Ok(Some(Account { nonce, balance, code_hash }))
}

fn unread(what: impl std::fmt::Display) -> StateError {
    StateError(format!("what blocks overwrote: {what}"))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;

    use super::*;

    #[test]
    fn the_steps_of_blocks_follow_each_other() {
        let steps = [Step::after(0), Step::before(1), Step::after(1), Step::before(2)];
        assert!(steps.windows(2).all(|pair| pair[0].next() == pair[1]));
        assert_eq!(steps.map(Step::newest), [0, 0, 1, 1]);
        assert_eq!(steps.map(Step::first), [0, 1, 1, 2]);
    }

    #[test]
    fn what_is_written_is_frozen() {
        let (one, two, code) =
            (Address::repeat_byte(1), Address::repeat_byte(2), Code::new_raw(Bytes::from_static(&[0x00])));
        let hash = B256::repeat_byte(3);
        let plain = Account { nonce: 1, balance: U256::from(5), ..Account::default() };
        let coded = Account { nonce: 0, balance: U256::from(300), code_hash: hash };
        let back = Changes {
            accounts: [(one, Some(plain)), (two, Some(coded)), (Address::repeat_byte(4), None)].into(),
            slots: [((one, U256::from(7)), U256::from(258)), ((two, U256::ZERO), U256::ZERO)].into(),
            codes: [(hash, code)].into(),
        };
        let (a, b, d) = ("01".repeat(20), "02".repeat(20), "04".repeat(20));
        let (seven, zero, c) = (format!("{:064x}", 7), "00".repeat(32), "03".repeat(32));
        let step = "0000000000000013";
        let expected = [
            ("old-accounts", format!("{a}{step}"), "c3010580".to_owned()),
            ("old-accounts", format!("{b}{step}"), format!("e58082012ca0{c}")),
            ("old-accounts", format!("{d}{step}"), String::new()),
            ("old-slots", format!("{a}{seven}{step}"), "0102".to_owned()),
            ("old-slots", format!("{b}{zero}{step}"), String::new()),
            ("old-codes", format!("{c}{step}"), "00".to_owned()),
            ("old-keys", step.to_owned(), format!("f8c9b83c{a}{b}{d}b868{a}{seven}{b}{zero}a0{c}")),
        ];
        let found = rows(Step::after(9), &back)
            .into_iter()
            .map(|row| (row.table, hex::encode(row.key), hex::encode(row.value.unwrap())));
        assert!(found.eq(expected), "the format of what blocks overwrote changed");
        assert!(rows(Step::after(9), &Changes::default()).is_empty());
    }

    #[test]
    fn an_old_account_is_read_as_it_was_and_damaged_bytes_are_an_error() {
        let coded = Account { nonce: 9, balance: U256::MAX, code_hash: B256::repeat_byte(3) };
        for account in [None, Some(coded), Some(Account { nonce: 1, ..Account::default() })] {
            assert_eq!(read_account(&account_bytes(account.as_ref())).unwrap(), account);
        }
        // No list, a list that is short, and a hash of one byte.
        for bytes in [&[0x80][..], &[0xc2, 1, 2], &[0xc3, 1, 2, 3]] {
            let error = read_account(bytes).unwrap_err();
            assert!(error.0.starts_with("what blocks overwrote: "), "{error}");
        }
    }
}
