//! Storage with which a genesis places what a deployment would have constructed, in Solidity's layout.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue as _;

/// Slots by their numbers.
pub type Storage = BTreeMap<U256, U256>;

/// Places in a token: OpenZeppelin's `ERC20`, then `SignedToken`, then `BridgedOPG`.
const BALANCES: u64 = 0;
const TOTAL_SUPPLY: u64 = 2;
const SETTLEMENT: u64 = 7;

/// A token that begins with these balances; `None` if they do not fit 256 bits together.
pub fn token(balances: &[(Address, U256)]) -> Option<Storage> {
    let mut storage = Storage::new();
    let mut supply = U256::ZERO;
    for (account, balance) in balances {
        let slot = U256::from_be_bytes(keccak256((*account, U256::from(BALANCES)).abi_encode()).0);
        let held = storage.entry(slot).or_insert(U256::ZERO);
        *held = held.checked_add(*balance)?;
        supply = supply.checked_add(*balance)?;
    }
    storage.insert(U256::from(TOTAL_SUPPLY), supply);
    Some(storage)
}

/// OPG on Base under `settlement`, with these balances, each of which must be locked on the ledger.
pub fn bridged_opg(settlement: Address, balances: &[(Address, U256)]) -> Option<Storage> {
    let mut storage = token(balances)?;
    storage.insert(U256::from(SETTLEMENT), U256::from_be_bytes(settlement.into_word().0));
    Some(storage)
}

/// How a settlement begins.
#[derive(Clone, Copy, Debug)]
pub struct SettlementStart {
    pub token: Address,
    pub ledger_chain_id: u64,
    /// The network's key, uncompressed, the real part of each coordinate first.
    pub key: [u8; 192],
}

/// Where `Settlement` keeps what its constructor is given: token and chain id together, the namespace, the key's digest.
pub fn settlement(start: &SettlementStart) -> Storage {
    let token_and_chain = (U256::from(start.ledger_chain_id) << 160) | U256::from_be_bytes(start.token.into_word().0);
    let namespace = format!("og-{}_EPOCH", start.ledger_chain_id);
    // The length of the namespace, in one byte, is a part of what is kept; at most 29 bytes, so all of it is in one slot.
    let kept: Vec<u8> =
        std::iter::once(u8::try_from(namespace.len()).unwrap_or(u8::MAX)).chain(namespace.bytes()).collect();
    let mut word = [0; 32];
    word.iter_mut().zip(&kept).for_each(|(place, byte)| *place = *byte);
    let short = U256::from_be_bytes(word) | U256::from(kept.len() * 2);
    let digest: B256 = keccak256(start.key);
    Storage::from([
        (U256::from(0), token_and_chain),
        (U256::from(1), short),
        (U256::from(2), U256::from_be_bytes(digest.0)),
    ])
}
