//! How two states differ: what has to be written beside the pages (new code, and how many accounts name it; code that none names any
//! more is removed), and what leads from the later one back to the earlier one.

use std::collections::BTreeMap;

use alloy_primitives::{B256, U256};
use pages::Row;

use super::World;
use super::base::{CODES, USES};
use super::leaf::Entry;
use crate::state::{Changes, Code, StateError, StateRead as _};

/// All rows that differ, to be written in one commit.
pub(super) fn rows(old: &World, new: &World) -> Result<Vec<Row>, StateError> {
    // By how much the accounts became more that name a code.
    let mut uses = BTreeMap::<B256, i64>::new();
    let mut rows = new.tree.rows_and_leaves_since(&old.tree, |leaf, by| {
        if let Some(hash) = leaf.code_hash() {
            let uses = uses.entry(hash).or_default();
            *uses = uses.saturating_add(by);
        }
    })?;
    for (hash, by) in uses.into_iter().filter(|(_, by)| *by != 0) {
        let before = old.base.as_ref().map_or(Ok(0), |base| base.uses(&hash))?;
        let after = before.saturating_add_signed(by);
        let mut put = |table, value| rows.push(Row { table, key: hash.to_vec(), value });
        put(USES, (after > 0).then(|| after.to_be_bytes().to_vec()));
        if after == 0 {
            put(CODES, None);
        } else if before == 0 {
            put(CODES, Some(named(new, &hash)?.original_byte_slice().to_vec()));
        }
    }
    Ok(rows)
}

/// The changes that lead from `later` back to `earlier`; with code that an account named there and the same account no longer does.
pub(super) fn back(earlier: &World, later: &World) -> Result<Changes, StateError> {
    let mut back = Changes::default();
    for (old, new) in later.tree.replaced_since(&earlier.tree)? {
        let Some(leaf) = old.as_ref().or(new.as_ref()) else { continue };
        match leaf.entry {
            Entry::Account(address, account) => {
                back.accounts.insert(address, old.as_ref().map(|_| account));
            }
            Entry::Slot(address, slot, value) => {
                back.slots.insert((address, slot), old.as_ref().map_or(U256::ZERO, |_| value));
            }
        }
        let (old, new) = (old.and_then(|leaf| leaf.code_hash()), new.and_then(|leaf| leaf.code_hash()));
        if let Some(hash) = old.filter(|_| old != new) {
            back.codes.insert(hash, named(earlier, &hash)?);
        }
    }
    Ok(back)
}

/// Code that an account of the state names.
fn named(world: &World, hash: &B256) -> Result<Code, StateError> {
    world.code(hash)?.ok_or_else(|| StateError(format!("no code with hash {hash}")))
}
