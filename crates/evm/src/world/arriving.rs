//! A state that arrives page by page, each checked against the page before it, up to a root that is believed for other reasons.
//!
//! Pages come in the order of a walk from the root, left to right, which is the order of their names. Whoever sends them can only send
//! what the root commits to, or nothing.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use crypto::Digest;

use super::base::{CODES, PAGES, ROOT, ROOTS, USES, write_root};
use super::difference::Row;
use super::page::{Link, Page};
use super::path::Path;
use crate::state::{Code, StateError};

/// Bytes of the largest page, and more.
pub const PAGE_BYTES_MAX: usize = 4_096;

/// What is still to come of a state.
#[derive(Debug)]
pub struct Arriving {
    root: Option<Link>,
    /// The next one last.
    wanted: Vec<(Path, Link)>,
    uses: BTreeMap<B256, u64>,
}

impl Arriving {
    /// A state with this root and so many leaves.
    pub fn new(root: B256, leaves: u64) -> Self {
        let root = (leaves > 0).then_some(Link { digest: Digest(root.0), leaves, held: None });
        Self { wanted: root.iter().map(|root| (Path::ROOT, root.clone())).collect(), root, uses: BTreeMap::new() }
    }

    /// The row of the page that comes next; `None` when all are there.
    pub fn wanted(&self) -> Option<(&'static str, Vec<u8>)> {
        self.wanted.last().map(|(path, _)| (PAGES, path.name()))
    }

    /// Takes that page; its row, and what code it is the first to name.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(Row, Vec<B256>), StateError> {
        let Some((path, link)) = self.wanted.last() else {
            return Err(StateError("a page came after the last".to_owned()));
        };
        let page = Page::read(bytes, path).filter(|page| link.names(page, path));
        let Some(page) = page else {
            return Err(StateError(format!("page {path} is not the one with digest {}", link.digest)));
        };
        let path = *path;
        self.wanted.pop();
        let mut codes = Vec::new();
        match page {
            Page::Branch(branch) => {
                let below = branch.links.into_iter().enumerate().rev();
                self.wanted.extend(below.filter_map(|(way, link)| Some((path.child(way), link?))));
            }
            Page::Bucket(leaves) => {
                for hash in leaves.iter().filter_map(|leaf| leaf.code_hash()) {
                    let uses = self.uses.entry(hash).or_default();
                    if *uses == 0 {
                        codes.push(hash);
                    }
                    *uses = uses.saturating_add(1);
                }
            }
        }
        Ok((Row { table: PAGES, key: path.name(), value: Some(bytes.to_vec()) }, codes))
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
        if !self.wanted.is_empty() {
            return None;
        }
        let uses = self.uses.into_iter();
        let uses =
            uses.map(|(hash, uses)| Row { table: USES, key: hash.to_vec(), value: Some(uses.to_be_bytes().to_vec()) });
        let root = Row { table: ROOTS, key: ROOT.to_vec(), value: self.root.as_ref().map(write_root) };
        Some(uses.chain([root]).collect())
    }
}
