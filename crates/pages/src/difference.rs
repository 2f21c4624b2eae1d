//! What has to be written so that the disk has this tree in place of the one that it has: pages whose digests differ, and paths that
//! lead nowhere any more.

use crate::base::{ROOT, write_root};
use crate::failure::PageError;
use crate::leaf::Leaf;
use crate::page::{BUCKET_MAX, Branch, Link, Page};
use crate::path::{Path, WAYS};
use crate::tree::Tree;

/// One row of one table; without a value it is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub table: &'static str,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

impl<L: Leaf> Tree<L> {
    /// All rows that make the disk hold this tree, where it held `older`, in one commit. Of what lies there, only branches are read.
    pub fn rows_since(&self, older: &Self) -> Result<Vec<Row>, PageError> {
        Difference::of(older, self, None::<fn(&L, i64)>)
    }

    /// The same rows. `count` is told of every leaf that is no longer in its page, by -1, and that came to a page, by 1; so what moved is
    /// told of twice, and buckets that are replaced are read as well.
    pub fn rows_and_leaves_since(&self, older: &Self, count: impl FnMut(&L, i64)) -> Result<Vec<Row>, PageError> {
        Difference::of(older, self, Some(count))
    }
}

struct Difference<'a, L: Leaf, F> {
    old: &'a Tree<L>,
    new: &'a Tree<L>,
    rows: Vec<Row>,
    /// Where somebody wants to be told.
    count: Option<F>,
}

impl<'a, L: Leaf, F: FnMut(&L, i64)> Difference<'a, L, F> {
    /// All rows that differ, in the order of a walk.
    pub fn of(old: &'a Tree<L>, new: &'a Tree<L>, count: Option<F>) -> Result<Vec<Row>, PageError> {
        let mut difference = Self { old, new, rows: Vec::new(), count };
        if old.root() == new.root() {
            return Ok(Vec::new());
        }
        difference.between(&Path::ROOT, old.root.as_ref(), new.root.as_ref())?;
        let root = new.root.as_ref().map(write_root);
        difference.rows.push(Row { table: L::ROOTS, key: ROOT.to_vec(), value: root });
        Ok(difference.rows)
    }

    fn between(&mut self, path: &Path, old: Option<&Link<L>>, new: Option<&Link<L>>) -> Result<(), PageError> {
        if old.map(|old| old.digest) == new.map(|new| new.digest) {
            return Ok(());
        }
        // What a bucket held is of no matter to the rows: its own is replaced or removed.
        let is_read = |old: &&Link<L>| self.count.is_some() || old.leaves > BUCKET_MAX;
        let before = old.filter(is_read).map(|old| self.old.page(path, old)).transpose()?;
        let after = new.map(|new| self.new.page(path, new)).transpose()?;
        self.tell(before.as_deref(), -1);
        self.tell(after.as_deref(), 1);
        self.rows.push(Row { table: L::PAGES, key: path.name(), value: after.as_deref().map(Page::write) });
        let (before, after) = (before.as_deref().and_then(branch), after.as_deref().and_then(branch));
        for way in 0..WAYS {
            let of = |branch: Option<&'_ Branch<L>>| branch.and_then(|branch| branch.links.get(way).cloned().flatten());
            let (old, new) = (of(before), of(after));
            self.between(&path.child(way), old.as_ref(), new.as_ref())?;
        }
        Ok(())
    }

    fn tell(&mut self, page: Option<&Page<L>>, by: i64) {
        if let (Some(count), Some(Page::Bucket(bucket))) = (&mut self.count, page) {
            bucket.leaves().iter().for_each(|leaf| count(leaf.as_ref(), by));
        }
    }
}

fn branch<L: Leaf>(page: &Page<L>) -> Option<&Branch<L>> {
    match page {
        Page::Branch(branch) => Some(branch),
        Page::Bucket(_) => None,
    }
}
