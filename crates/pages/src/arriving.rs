//! A tree that arrives page by page, each checked against the page before it, up to a root that is believed for other reasons.
//!
//! Pages come in the order of a walk from the root, left to right, which is the order of their names. A branch's digest binds the digests
//! below it, but neither how many leaves are there nor, where those numbers are false, which way they are: that is certain only once the
//! subtree has come down to its leaves. So a page that does not fit the branches above it says that one of its givers lied, and who did
//! is known where all of them came of one (`doubt`).

use std::collections::BTreeMap;
use std::sync::Arc;

use crypto::Digest;

use crate::base::{ROOT, write_root};
use crate::difference::Row;
use crate::failure::PageError;
use crate::leaf::Leaf;
use crate::page::{Link, Page};
use crate::path::Path;

/// Which of those that are asked gave a page; `None` for what was there before.
pub type Giver = Option<usize>;

/// What is still to come of a tree.
#[derive(Debug)]
pub struct Arriving<L: Leaf> {
    root: Option<Link<L>>,
    /// The next one last.
    wanted: Vec<(Path, Link<L>)>,
    /// The branches above the next one, from the root on.
    above: Vec<Above<L>>,
    /// Branches of which all came, by their names: digest, and leaves. What lies there is good for every tree that names it.
    whole: BTreeMap<Vec<u8>, (Digest, u64)>,
}

/// A branch of which some is still to come.
#[derive(Debug)]
struct Above<L: Leaf> {
    path: Path,
    link: Link<L>,
    giver: Giver,
}

impl<L: Leaf> Default for Arriving<L> {
    fn default() -> Self {
        Self { root: None, wanted: Vec::new(), above: Vec::new(), whole: BTreeMap::new() }
    }
}

impl<L: Leaf> Arriving<L> {
    /// A tree with this root and so many leaves.
    pub fn new(root: Digest, leaves: u64) -> Self {
        let mut arriving = Self::default();
        arriving.turn_to(root, leaves);
        arriving
    }

    /// Goes on with another tree: what came whole of the one before need not come again.
    pub fn turn_to(&mut self, root: Digest, leaves: u64) {
        self.root = (leaves > 0).then_some(Link { digest: root, leaves, held: None });
        self.above.clear();
        let root = self.root.iter().map(|root| (Path::ROOT, root.clone()));
        self.wanted = root.filter(|(path, root)| !is_whole(&self.whole, path, root)).collect();
    }

    /// The name of the page that comes next; `None` when all are there.
    pub fn wanted(&self) -> Option<Vec<u8>> {
        self.wanted.last().map(|(path, _)| path.name())
    }

    /// Takes that page; its row, and the leaves in it.
    pub fn take(&mut self, bytes: &[u8], giver: Giver) -> Result<(Row, Vec<Arc<L>>), PageError> {
        let Some((path, link)) = self.wanted.last() else {
            return Err(PageError("a page came after the last".to_owned()));
        };
        let page = Page::read(bytes, path).filter(|page| link.names(page));
        let Some(page) = page else {
            return Err(PageError(format!("page {path} is not the one with digest {}", link.digest)));
        };
        let (path, link) = (*path, link.clone());
        self.wanted.pop();
        self.whole.remove(&path.name());
        let leaves = match page {
            Page::Branch(branch) => {
                self.above.push(Above { path, link, giver });
                let below = branch.links.into_iter().enumerate().rev();
                let below = below.filter_map(|(way, link)| Some((path.child(way), link?)));
                self.wanted.extend(below.filter(|(path, link)| !is_whole(&self.whole, path, link)));
                Vec::new()
            }
            Page::Bucket(bucket) => bucket.into_leaves(),
        };
        self.end_branches();
        Ok((Row { table: L::PAGES, key: path.name(), value: Some(bytes.to_vec()) }, leaves))
    }

    /// Remembers branches of which nothing is to come any more.
    fn end_branches(&mut self) {
        let next = self.wanted.last().map(|(path, _)| *path);
        let has_ended = |above: &mut Above<L>| !next.is_some_and(|next| above.path.leads_on_to(&next));
        while let Some(Above { path, link, .. }) = self.above.pop_if(has_ended) {
            self.whole.insert(path.name(), (link.digest, link.leaves));
        }
    }

    /// What somebody gave did not fit. Where not all the branches above came of the same giver, it need not be at fault: from the first
    /// that came of another one on, pages are wanted anew, and these rows are to be removed. `None` where it is at fault.
    pub fn doubt(&mut self, giver: usize) -> Option<Vec<Row>> {
        let first = self.above.iter().position(|above| above.giver != Some(giver))?;
        let doubted = self.above.split_off(first);
        let (top, link) = doubted.first().map(|above| (above.path, above.link.clone()))?;
        while self.wanted.pop_if(|(path, _)| top.leads_on_to(path)).is_some() {}
        self.wanted.push((top, link));
        Some(doubted.iter().map(|above| Row { table: L::PAGES, key: above.path.name(), value: None }).collect())
    }

    /// What makes a whole of pages that are there; `None` while some are not.
    pub fn finish(self) -> Option<Row> {
        let root = self.root.as_ref().map(write_root);
        self.wanted.is_empty().then(|| Row { table: L::ROOTS, key: ROOT.to_vec(), value: root })
    }
}

fn is_whole<L: Leaf>(whole: &BTreeMap<Vec<u8>, (Digest, u64)>, path: &Path, link: &Link<L>) -> bool {
    whole.get(&path.name()) == Some(&(link.digest, link.leaves))
}
