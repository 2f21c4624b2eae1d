//! What stands elsewhere in two trees: leaf by leaf, without a look at what they share.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::failure::PageError;
use crate::leaf::Leaf;
use crate::page::{Link, Page};
use crate::path::Path;
use crate::tree::Tree;

/// What stood at a key in the earlier tree, and what stands there in the later one. They differ.
pub type Replaced<L> = (Option<Arc<L>>, Option<Arc<L>>);

impl<L: Leaf> Tree<L> {
    /// All keys at which this tree holds something else than `earlier`, in order.
    pub fn replaced_since(&self, earlier: &Self) -> Result<Vec<Replaced<L>>, PageError> {
        let mut difference = Difference { earlier, later: self, replaced: Vec::new() };
        difference.between(&Path::ROOT, earlier.root.as_ref(), self.root.as_ref())?;
        Ok(difference.replaced)
    }

    /// All leaves from a path on, whose page this is.
    fn leaves_from(&self, path: &Path, page: Option<&Page<L>>) -> Result<Vec<Arc<L>>, PageError> {
        let mut leaves = Vec::new();
        page.map_or(Ok(()), |page| self.gather(page, path, &mut leaves))?;
        Ok(leaves)
    }
}

struct Difference<'a, L: Leaf> {
    earlier: &'a Tree<L>,
    later: &'a Tree<L>,
    replaced: Vec<Replaced<L>>,
}

impl<L: Leaf> Difference<'_, L> {
    fn between(&mut self, path: &Path, old: Option<&Link<L>>, new: Option<&Link<L>>) -> Result<(), PageError> {
        if old.map(|old| old.digest) == new.map(|new| new.digest) {
            return Ok(());
        }
        let before = old.map(|old| self.earlier.page(path, old)).transpose()?;
        let after = new.map(|new| self.later.page(path, new)).transpose()?;
        if let (Some(Page::Branch(before)), Some(Page::Branch(after))) = (before.as_deref(), after.as_deref()) {
            for (way, (old, new)) in before.links.iter().zip(&after.links).enumerate() {
                self.between(&path.child(way), old.as_ref(), new.as_ref())?;
            }
            return Ok(());
        }
        let before = self.earlier.leaves_from(path, before.as_deref())?;
        let after = self.later.leaves_from(path, after.as_deref())?;
        self.compare(before, after);
        Ok(())
    }

    /// Takes what differs of these leaves, both in order.
    fn compare(&mut self, before: Vec<Arc<L>>, after: Vec<Arc<L>>) {
        let (mut before, mut after) = (before.into_iter().peekable(), after.into_iter().peekable());
        loop {
            let order = match (before.peek(), after.peek()) {
                (Some(old), Some(new)) => old.key().cmp(new.key()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return,
            };
            let old = before.next_if(|_| order.is_le());
            let new = after.next_if(|_| order.is_ge());
            if old.as_ref().map(|old| old.digest()) != new.as_ref().map(|new| new.digest()) {
                self.replaced.push((old, new));
            }
        }
    }
}
