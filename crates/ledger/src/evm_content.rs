//! The EVM's state in a snapshot: header, accounts, slots, code, each in order. The ledger's own root binds all of it.

use alloy_consensus::{Header, Sealable as _};
use alloy_primitives::{Address, B256, U256};
use evm::{Account, Changes, Code, StateRead as _, World};
use protocol::{Bytes, Canonical as _, Digest, EvmAddress, List, record};

use crate::{
    content::{MANY, RestoreError, ensure, mismatch, write_list},
    purse::Head,
};

record! {
    EvmAccount { address: EvmAddress, nonce: u64, balance: Digest, code_hash: Digest, }
}
record! {
    EvmSlot { address: EvmAddress, slot: Digest, value: Digest, }
}
record! {
    EvmContent {
        /// In RLP.
        header: Bytes<MANY>,
        accounts: List<EvmAccount, MANY>,
        slots: List<EvmSlot, MANY>,
        /// In order of their hashes.
        codes: List<Bytes<MANY>, MANY>,
    }
}

/// Writes what `EvmContent` reads.
pub(crate) fn write_evm(head: &Head, out: &mut Vec<u8>) {
    let world = &head.world;
    write_list(&alloy_rlp::encode(head.header.inner()), out, |byte, out| out.push(*byte));
    let accounts: Vec<_> = world.accounts().collect();
    write_list(&accounts, out, |(address, account), out| {
        EvmAddress(address.into_array()).write(out);
        account.nonce.write(out);
        word(account.balance).write(out);
        Digest(account.code_hash.0).write(out);
    });
    let slots: Vec<_> = accounts
        .iter()
        .flat_map(|(address, _)| world.slots(**address).map(|(slot, value)| (**address, *slot, *value)))
        .collect();
    write_list(&slots, out, |(address, slot, value), out| {
        EvmAddress(address.into_array()).write(out);
        word(*slot).write(out);
        word(*value).write(out);
    });
    let mut hashes: Vec<B256> =
        accounts.iter().filter(|(_, account)| account.has_code()).map(|(_, a)| a.code_hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    let codes: Vec<Code> = hashes.iter().filter_map(|hash| world.code(hash).ok().flatten()).collect();
    write_list(&codes, out, |code, out| write_list(code.original_byte_slice(), out, |byte, out| out.push(*byte)));
}

fn word(number: U256) -> Digest {
    Digest(number.to_be_bytes())
}

fn number(word: Digest) -> U256 {
    U256::from_be_bytes(word.0)
}

/// Reads it back: nothing twice, nothing out of order, nothing that no account names.
pub(crate) fn restore_evm(content: EvmContent) -> Result<Head, RestoreError> {
    let header: Header = alloy_rlp::decode_exact(&content.header[..]).map_err(|_| mismatch("the newest EVM header"))?;
    let mut changes = Changes::default();
    for code in content.codes.into_inner() {
        let code = Code::new_raw_checked(code.into_inner().into()).map_err(|_| mismatch("code of the EVM"))?;
        let hash = code.hash_slow();
        ensure(changes.codes.last_key_value().is_none_or(|(last, _)| *last < hash), "the order of the EVM's code")?;
        changes.codes.insert(hash, code);
    }
    let mut named = std::collections::BTreeSet::new();
    for row in content.accounts.into_inner() {
        let (address, code_hash) = (Address::from(row.address.0), B256::from(row.code_hash.0));
        let account = Account { nonce: row.nonce, balance: number(row.balance), code_hash };
        let is_next = changes.accounts.last_key_value().is_none_or(|(last, _)| *last < address);
        ensure(is_next && !account.is_empty(), "the order of the EVM's accounts")?;
        ensure(!account.has_code() || changes.codes.contains_key(&code_hash), "the code of an EVM account")?;
        named.extend(account.has_code().then_some(code_hash));
        changes.accounts.insert(address, Some(account));
    }
    ensure(named.len() == changes.codes.len(), "the number of the EVM's codes")?;
    for row in content.slots.into_inner() {
        let (address, value) = (Address::from(row.address.0), number(row.value));
        let place = (address, number(row.slot));
        let is_next = changes.slots.last_key_value().is_none_or(|(last, _)| *last < place);
        ensure(is_next && !value.is_zero() && changes.accounts.contains_key(&address), "the order of the EVM's slots")?;
        changes.slots.insert(place, value);
    }
    let mut world = World::default();
    world.apply(&changes);
    Ok(Head { world, header: header.seal_slow() })
}
