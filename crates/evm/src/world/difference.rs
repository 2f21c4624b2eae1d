//! What has to be written so that the disk has this state in place of the one that it has: pages whose digests differ, paths that lead
//! nowhere any more, new code, and code that no account names any more.

use std::collections::BTreeMap;

use alloy_primitives::B256;

use super::World;
use super::base::{CODES, PAGES, ROOT, ROOTS, USES, write_root};
use super::page::{Branch, Link, Page};
use super::path::Path;
use crate::state::{StateError, StateRead as _};

/// One row of one table; without a value it is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub table: &'static str,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

pub(super) struct Difference<'a> {
    old: &'a World,
    new: &'a World,
    rows: Vec<Row>,
    /// By how much the accounts became more that name a code.
    uses: BTreeMap<B256, i64>,
}

impl<'a> Difference<'a> {
    /// All rows that differ, to be written in one commit.
    pub fn of(old: &'a World, new: &'a World) -> Result<Vec<Row>, StateError> {
        let mut difference = Self { old, new, rows: Vec::new(), uses: BTreeMap::new() };
        if old.root() == new.root() {
            return Ok(Vec::new());
        }
        difference.between(&Path::ROOT, old.root.as_ref(), new.root.as_ref())?;
        difference.put(ROOTS, ROOT.to_vec(), new.root.as_ref().map(write_root));
        difference.codes()?;
        Ok(difference.rows)
    }

    fn put(&mut self, table: &'static str, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.rows.push(Row { table, key, value });
    }

    fn between(&mut self, path: &Path, old: Option<&Link>, new: Option<&Link>) -> Result<(), StateError> {
        if old.map(|old| old.digest) == new.map(|new| new.digest) {
            return Ok(());
        }
        let before = old.map(|old| self.old.page(path, old)).transpose()?;
        let after = new.map(|new| self.new.page(path, new)).transpose()?;
        if let Some(page) = before.as_deref() {
            self.count(page, -1);
        }
        if let Some(page) = after.as_deref() {
            self.count(page, 1);
        }
        self.put(PAGES, path.name(), after.as_deref().map(Page::write));
        let (before, after) = (before.as_deref().and_then(branch), after.as_deref().and_then(branch));
        for way in 0..super::path::WAYS {
            let of = |branch: Option<&'_ Branch>| branch.and_then(|branch| branch.links.get(way).cloned().flatten());
            let (old, new) = (of(before), of(after));
            self.between(&path.child(way), old.as_ref(), new.as_ref())?;
        }
        Ok(())
    }

    fn count(&mut self, page: &Page, by: i64) {
        let Page::Bucket(leaves) = page else { return };
        for hash in leaves.iter().filter_map(|leaf| leaf.code_hash()) {
            let uses = self.uses.entry(hash).or_default();
            *uses = uses.saturating_add(by);
        }
    }

    fn codes(&mut self) -> Result<(), StateError> {
        for (hash, by) in std::mem::take(&mut self.uses) {
            if by == 0 {
                continue;
            }
            let before = self.old.base.as_ref().map_or(Ok(0), |base| base.uses(&hash))?;
            let after = before.saturating_add_signed(by);
            self.put(USES, hash.to_vec(), (after > 0).then(|| after.to_be_bytes().to_vec()));
            if after == 0 {
                self.put(CODES, hash.to_vec(), None);
            } else if before == 0 {
                let code = self.new.code(&hash)?.ok_or_else(|| StateError(format!("no code with hash {hash}")))?;
                self.put(CODES, hash.to_vec(), Some(code.original_byte_slice().to_vec()));
            }
        }
        Ok(())
    }
}

fn branch(page: &Page) -> Option<&Branch> {
    match page {
        Page::Branch(branch) => Some(branch),
        Page::Bucket(_) => None,
    }
}
