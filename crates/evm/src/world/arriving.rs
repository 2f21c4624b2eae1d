//! A state that arrives page by page, and the code that its accounts name.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use crypto::Digest;
use pages::{Giver, Row};

use super::base::{CODES, USES};
use super::leaf::{Leaf, PAGES};
use crate::state::{Code, StateError};

/// Bytes of the largest page, and more.
pub const PAGE_BYTES_MAX: usize = 4_096;

/// What is still to come of a state.
#[derive(Debug, Default)]
pub struct Arriving {
    pages: pages::Arriving<Leaf>,
    uses: BTreeMap<B256, u64>,
}

impl Arriving {
    /// A state with this root and so many leaves.
    pub fn new(root: B256, leaves: u64) -> Self {
        Self { pages: pages::Arriving::new(Digest(root.0), leaves), uses: BTreeMap::new() }
    }

    /// Goes on with another state: what came whole of the one before need not come again. Such a walk never finishes, because it has not
    /// seen all that names code.
    pub fn turn_to(&mut self, root: B256, leaves: u64) {
        self.pages.turn_to(Digest(root.0), leaves);
    }

    /// The row of the page that comes next; `None` when all are there.
    pub fn wanted(&self) -> Option<(&'static str, Vec<u8>)> {
        self.pages.wanted().map(|name| (PAGES, name))
    }

    /// Takes that page; its row, and what code it is the first to name.
    pub fn take(&mut self, bytes: &[u8], giver: Giver) -> Result<(Row, Vec<B256>), StateError> {
        let (row, leaves) = self.pages.take(bytes, giver)?;
        let mut codes = Vec::new();
        for hash in leaves.iter().filter_map(|leaf| leaf.code_hash()) {
            let uses = self.uses.entry(hash).or_default();
            if *uses == 0 {
                codes.push(hash);
            }
            *uses = uses.saturating_add(1);
        }
        Ok((row, codes))
    }

    /// What somebody gave did not fit: rows to remove, before its pages are wanted anew; `None` where it is at fault.
    pub fn doubt(&mut self, giver: usize) -> Option<Vec<Row>> {
        self.pages.doubt(giver)
    }

    /// The row of code with this hash, if that is what the bytes are.
    pub fn code(hash: &B256, bytes: &[u8]) -> Result<Row, StateError> {
        let code = Code::new_raw_checked(bytes.to_vec().into()).ok().filter(|code| code.hash_slow() == *hash);
        let code = code.ok_or_else(|| StateError(format!("code {hash} is another")))?;
        let value = code.original_byte_slice().to_vec();
        Ok(Row { table: CODES, key: hash.to_vec(), value: Some(value) })
    }

    /// Whether an account of what came so far names this code.
    pub fn names_code(&self, hash: &[u8]) -> bool {
        B256::try_from(hash).is_ok_and(|hash| self.uses.contains_key(&hash))
    }

    /// What makes a whole of pages and code that are there; `None` while some are not.
    pub fn finish(self) -> Option<Vec<Row>> {
        let root = self.pages.finish()?;
        let uses = self.uses.into_iter();
        let uses =
            uses.map(|(hash, uses)| Row { table: USES, key: hash.to_vec(), value: Some(uses.to_be_bytes().to_vec()) });
        Some(uses.chain([root]).collect())
    }
}
