//! Proofs out of pages: the same as `crypto::sparse` gives for the same leaves.

use std::sync::Arc;

use crypto::Digest;
use crypto::sparse::{self, Proof, bit};

use crate::failure::PageError;
use crate::leaf::Leaf;
use crate::page::{Branch, Page, bucket_digest};
use crate::path::{Path, WAYS};
use crate::tree::Tree;

impl<L: Leaf> Tree<L> {
    /// Proof of what stands at a key.
    pub fn prove(&self, key: &Digest) -> Result<Proof, PageError> {
        let (mut link, mut path, mut siblings) = (self.root.clone(), Path::ROOT, Vec::new());
        while let Some(next) = link {
            let page = self.page(&path, &next)?;
            link = match &*page {
                Page::Bucket(bucket) => {
                    let found = down_bucket(bucket.leaves(), path.depth(), key, &mut siblings);
                    return Ok(Proof { siblings, found });
                }
                Page::Branch(branch) => match down_branch(branch, path.depth(), key, &mut siblings) {
                    Down::Way(way) => {
                        let next = branch.links.get(way).and_then(Option::as_ref).cloned();
                        path = path.child(way);
                        next
                    }
                    Down::Nothing => return Ok(Proof { siblings, found: None }),
                    Down::Alone => {
                        let found = self.lone(branch, &path, key, siblings.len())?;
                        return Ok(Proof { siblings, found });
                    }
                },
            };
        }
        Ok(Proof { siblings, found: None })
    }

    /// The only leaf of a branch whose first `depth` bits are the key's.
    fn lone(
        &self,
        branch: &Branch<L>,
        path: &Path,
        key: &Digest,
        depth: usize,
    ) -> Result<Option<sparse::Leaf>, PageError> {
        for (way, link) in branch.links.iter().enumerate() {
            let Some(link) = link.as_ref().filter(|link| link.leaves == 1) else { continue };
            if let Page::Bucket(bucket) = &*self.page(&path.child(way), link)?
                && let Some(leaf) = bucket.leaves().first()
                && (path.depth()..depth).all(|depth| bit(leaf.key(), depth) == bit(key, depth))
            {
                return Ok(Some(leaf.proven()));
            }
        }
        Ok(None)
    }
}

/// Where a branch leads.
enum Down {
    Way(usize),
    Nothing,
    Alone,
}

fn down_branch<L: Leaf>(branch: &Branch<L>, depth: usize, key: &Digest, siblings: &mut Vec<Digest>) -> Down {
    let (mut node, mut depth) = (1_usize, depth);
    while node < WAYS {
        match branch.below(node).1 {
            0 => return Down::Nothing,
            1 => return Down::Alone,
            _ => {}
        }
        let left = node.saturating_mul(2);
        let right = left.saturating_add(1);
        let (next, other) = if bit(key, depth) { (right, left) } else { (left, right) };
        siblings.push(branch.below(other).0);
        (node, depth) = (next, depth.saturating_add(1));
    }
    Down::Way(node.saturating_sub(WAYS))
}

fn down_bucket<L: Leaf>(
    leaves: &[Arc<L>],
    depth: usize,
    key: &Digest,
    siblings: &mut Vec<Digest>,
) -> Option<sparse::Leaf> {
    match leaves {
        [] => None,
        [leaf] => Some(leaf.proven()),
        more => {
            let below = depth.saturating_add(1);
            let (low, high) = more.split_at(more.partition_point(|leaf| !bit(leaf.key(), depth)));
            let (own, other) = if bit(key, depth) { (high, low) } else { (low, high) };
            siblings.push(bucket_digest(other, below));
            down_bucket(own, below, key, siblings)
        }
    }
}
