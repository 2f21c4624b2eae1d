//! A tree that arrives page by page, each checked against the page before it, up to a root that is believed for other reasons.
//!
//! Pages come in the order of a walk from the root, left to right, which is the order of their names. Whoever sends them can only send
//! what the root commits to, or nothing.

use std::sync::Arc;

use crypto::Digest;

use crate::base::{ROOT, write_root};
use crate::difference::Row;
use crate::failure::PageError;
use crate::leaf::Leaf;
use crate::page::{Link, Page};
use crate::path::Path;

/// What is still to come of a tree.
#[derive(Debug)]
pub struct Arriving<L: Leaf> {
    root: Option<Link<L>>,
    /// The next one last.
    wanted: Vec<(Path, Link<L>)>,
}

impl<L: Leaf> Arriving<L> {
    /// A tree with this root and so many leaves.
    pub fn new(root: Digest, leaves: u64) -> Self {
        let root = (leaves > 0).then_some(Link { digest: root, leaves, held: None });
        Self { wanted: root.iter().map(|root| (Path::ROOT, root.clone())).collect(), root }
    }

    /// The name of the page that comes next; `None` when all are there.
    pub fn wanted(&self) -> Option<Vec<u8>> {
        self.wanted.last().map(|(path, _)| path.name())
    }

    /// Takes that page; its row, and the leaves in it.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(Row, Vec<Arc<L>>), PageError> {
        let Some((path, link)) = self.wanted.last() else {
            return Err(PageError("a page came after the last".to_owned()));
        };
        let page = Page::read(bytes, path).filter(|page| link.names(page, path));
        let Some(page) = page else {
            return Err(PageError(format!("page {path} is not the one with digest {}", link.digest)));
        };
        let path = *path;
        self.wanted.pop();
        let leaves = match page {
            Page::Branch(branch) => {
                let below = branch.links.into_iter().enumerate().rev();
                self.wanted.extend(below.filter_map(|(way, link)| Some((path.child(way), link?))));
                Vec::new()
            }
            Page::Bucket(leaves) => leaves,
        };
        Ok((Row { table: L::PAGES, key: path.name(), value: Some(bytes.to_vec()) }, leaves))
    }

    /// What makes a whole of pages that are there; `None` while some are not.
    pub fn finish(self) -> Option<Row> {
        let root = self.root.as_ref().map(write_root);
        self.wanted.is_empty().then(|| Row { table: L::ROOTS, key: ROOT.to_vec(), value: root })
    }
}
