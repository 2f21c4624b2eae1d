//! What lies on the disk beside the index of blocks and what they overwrote, and how: the newest state. One commit for what belongs
//! together.

use alloy_primitives::{Address, B256, U256};
use blocks::{Index, waiting};
use evm::{Account, Block, Chain, Changes, Code, World};
use rpc::NodeError;
use storage::{Change, Store, StoreError};

const ACCOUNTS: &str = "accounts";
const SLOTS: &str = "slots";
const CODES: &str = "codes";

const TABLES: &[&str] = &[ACCOUNTS, SLOTS, CODES];

const ACCOUNT_BYTES: usize = 72;
const SLOT_KEY_BYTES: usize = 52;

fn broken(what: impl std::fmt::Display) -> NodeError {
    NodeError::Read(format!("what is kept cannot be read: {what}"))
}

/// The file of one chain.
#[derive(Clone)]
pub(crate) struct Kept {
    pub index: Index,
}

impl Kept {
    pub fn open(path: &std::path::Path, chain: Chain) -> Result<Self, StoreError> {
        let tables: Vec<&'static str> = [Index::TABLES, TABLES, &[waiting::TABLE]].concat();
        Ok(Self { index: Index::new(Store::open(path, &tables)?, chain) })
    }

    pub fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.index.store().commit_blocking(changes)
    }

    /// The state after the newest block.
    pub fn world(&self) -> Result<World, NodeError> {
        let mut changes = Changes::default();
        for (hash, bytes) in self.index.all(CODES)? {
            let code = Code::new_raw_checked(bytes.into()).map_err(broken)?;
            changes.codes.insert(B256::try_from(hash.as_slice()).map_err(broken)?, code);
        }
        for (address, bytes) in self.index.all(ACCOUNTS)? {
            changes.accounts.insert(Address::try_from(address.as_slice()).map_err(broken)?, Some(account(&bytes)?));
        }
        for (key, bytes) in self.index.all(SLOTS)? {
            let place = slot_place(&key)?;
            changes.slots.insert(place, U256::try_from_be_slice(&bytes).ok_or_else(|| broken("a slot's value"))?);
        }
        let mut world = World::default();
        world.apply(&changes).map_err(broken)?;
        Ok(world)
    }
}

/// The first block with everything that its state holds.
pub(crate) fn first(block: &Block, world: &World) -> Result<Vec<Change>, NodeError> {
    Ok(block_changes(block, &world.content().map_err(broken)?))
}

/// A block, and the state that it led to.
pub(crate) fn block_changes(block: &Block, changes: &Changes) -> Vec<Change> {
    let mut put = Index::put(block);
    put.extend(block.transactions.iter().map(|transaction| waiting::remove(&transaction.hash().0)));
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
