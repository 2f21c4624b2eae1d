//! What has to be written beside the pages: new code, and how many accounts name it; code that none names any more is removed.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use pages::Row;

use super::World;
use super::base::{CODES, USES};
use crate::state::{StateError, StateRead as _};

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
            let code = new.code(&hash)?.ok_or_else(|| StateError(format!("no code with hash {hash}")))?;
            put(CODES, Some(code.original_byte_slice().to_vec()));
        }
    }
    Ok(rows)
}
