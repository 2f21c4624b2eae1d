//! Sparse Merkle tree over 256-bit keys: proves what a key holds, and that a key holds nothing.
//!
//! A subtree with one leaf *is* that leaf, so proofs are about log2(n) digests long. Nodes are shared, so a snapshot
//! of the whole tree is one pointer. Keys must be digests: chosen keys would make paths long.

use std::sync::Arc;

use crate::digest::{Digest, hash};

const LEAF: &str = "og/sparse/leaf/v1";
const BRANCH: &str = "og/sparse/branch/v1";
const VALUE: &str = "og/sparse/value/v1";
/// Bits in a key, hence the longest path.
pub const DEPTH_MAX: usize = 256;

/// A key with the digest of what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    pub key: Digest,
    pub value: Digest,
}

/// Digests along the way from the root (first) to where the key would be, and what stands there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    pub siblings: Vec<Digest>,
    /// The leaf found there: the key itself, another key in its place, or nothing.
    pub found: Option<Leaf>,
}

#[derive(Debug)]
enum Node {
    Leaf(Leaf, Digest),
    Branch(Tree, Tree, Digest),
}

/// An immutable tree; changing it makes a new one that shares what did not change.
#[derive(Clone, Debug, Default)]
pub struct Tree(Option<Arc<Node>>);

/// Digest of the bytes that a key holds.
pub fn value_digest(value: &[u8]) -> Digest {
    hash(VALUE, &[value])
}

impl Tree {
    /// The root; zero for the empty tree.
    pub fn root(&self) -> Digest {
        match self.0.as_deref() {
            None => Digest::ZERO,
            Some(Node::Leaf(_, digest) | Node::Branch(_, _, digest)) => *digest,
        }
    }

    /// The tree in which `key` holds `value` (a digest), or nothing.
    #[must_use]
    pub fn with(&self, key: Digest, value: Option<Digest>) -> Self {
        match value {
            Some(value) => self.insert(Leaf { key, value }, 0),
            None => self.remove(&key, 0),
        }
    }

    /// The tree after many changes, in strict order of their keys: what lies on the way to several is hashed once.
    #[must_use]
    pub fn with_all(&self, changes: &[(Digest, Option<Digest>)]) -> Self {
        self.changed(changes, 0)
    }

    fn changed(&self, changes: &[(Digest, Option<Digest>)], depth: usize) -> Self {
        let (key, value) = match changes {
            [] => return self.clone(),
            [(key, value), ..] => (key, value),
        };
        if changes.len() == 1 {
            return match value {
                Some(value) => self.insert(Leaf { key: *key, value: *value }, depth),
                None => self.remove(key, depth),
            };
        }
        match self.0.as_deref() {
            None => Self::built(&leaves(changes), depth),
            Some(Node::Leaf(old, _)) => {
                let mut all = leaves(changes);
                if let Err(place) = changes.binary_search_by(|(key, _)| key.cmp(&old.key)) {
                    let before = changes.iter().take(place).filter(|(_, value)| value.is_some()).count();
                    all.insert(before, *old);
                }
                Self::built(&all, depth)
            }
            Some(Node::Branch(left, right, _)) => {
                let below = depth.saturating_add(1);
                let (low, high) = changes.split_at(changes.partition_point(|(key, _)| !bit(key, depth)));
                Self::collapsed(left.changed(low, below), right.changed(high, below))
            }
        }
    }

    /// The tree of these leaves, in order of their keys.
    fn built(leaves: &[Leaf], depth: usize) -> Self {
        match leaves {
            [] => Self::default(),
            [leaf] => Self::leaf(*leaf),
            more => {
                let below = depth.saturating_add(1);
                let (low, high) = more.split_at(more.partition_point(|leaf| !bit(&leaf.key, depth)));
                Self::branch(Self::built(low, below), Self::built(high, below))
            }
        }
    }

    /// Proof of what `key` holds in this tree.
    pub fn prove(&self, key: &Digest) -> Proof {
        let (mut node, mut siblings) = (self, Vec::new());
        loop {
            match node.0.as_deref() {
                None => return Proof { siblings, found: None },
                Some(Node::Leaf(leaf, _)) => return Proof { siblings, found: Some(*leaf) },
                Some(Node::Branch(left, right, _)) => {
                    let (next, sibling) = if bit(key, siblings.len()) { (right, left) } else { (left, right) };
                    siblings.push(sibling.root());
                    node = next;
                }
            }
        }
    }

    fn insert(&self, leaf: Leaf, depth: usize) -> Self {
        match self.0.as_deref() {
            None => Self::leaf(leaf),
            Some(Node::Leaf(old, _)) if old.key == leaf.key => Self::leaf(leaf),
            Some(Node::Leaf(old, _)) if old.key < leaf.key => Self::built(&[*old, leaf], depth),
            Some(Node::Leaf(old, _)) => Self::built(&[leaf, *old], depth),
            Some(Node::Branch(left, right, _)) => {
                let below = depth.saturating_add(1);
                if bit(&leaf.key, depth) {
                    Self::branch(left.clone(), right.insert(leaf, below))
                } else {
                    Self::branch(left.insert(leaf, below), right.clone())
                }
            }
        }
    }

    fn remove(&self, key: &Digest, depth: usize) -> Self {
        match self.0.as_deref() {
            None => self.clone(),
            Some(Node::Leaf(leaf, _)) => {
                if leaf.key == *key {
                    Self::default()
                } else {
                    self.clone()
                }
            }
            Some(Node::Branch(left, right, _)) => {
                let below = depth.saturating_add(1);
                let (left, right) = if bit(key, depth) {
                    (left.clone(), right.remove(key, below))
                } else {
                    (left.remove(key, below), right.clone())
                };
                Self::collapsed(left, right)
            }
        }
    }

    fn leaf(leaf: Leaf) -> Self {
        Self(Some(Arc::new(Node::Leaf(leaf, leaf_digest(&leaf)))))
    }

    fn branch(left: Self, right: Self) -> Self {
        let digest = branch_digest(&left.root(), &right.root());
        Self(Some(Arc::new(Node::Branch(left, right, digest))))
    }

    /// A branch, unless one leaf is all that is left below it: then that leaf.
    fn collapsed(left: Self, right: Self) -> Self {
        match (left.0.as_deref(), right.0.as_deref()) {
            (None, None | Some(Node::Leaf(..))) => right,
            (Some(Node::Leaf(..)), None) => left,
            (None | Some(Node::Leaf(..) | Node::Branch(..)), None | Some(Node::Leaf(..) | Node::Branch(..))) => {
                Self::branch(left, right)
            }
        }
    }
}

impl Proof {
    /// True only if, under `root`, `key` holds exactly `value` (a digest), or nothing when `value` is `None`.
    pub fn holds(&self, root: &Digest, key: &Digest, value: Option<&Digest>) -> bool {
        if self.siblings.len() > DEPTH_MAX {
            return false;
        }
        let claimed = self.found.filter(|leaf| leaf.key == *key).map(|leaf| leaf.value);
        claimed.as_ref() == value
            && self.found.is_none_or(|leaf| self.lies_on_path(&leaf.key, key))
            && self.root(key) == *root
    }

    fn lies_on_path(&self, found: &Digest, key: &Digest) -> bool {
        (0..self.siblings.len()).all(|depth| bit(found, depth) == bit(key, depth))
    }

    /// The root that the proof leads to on the way to `key`.
    pub fn root(&self, key: &Digest) -> Digest {
        climb(self.found.as_ref().map_or(Digest::ZERO, leaf_digest), key, 0, &self.siblings)
    }
}

/// The node at this depth on the way to `key`, from what stands at its end and the siblings below that depth.
pub(crate) fn climb(bottom: Digest, key: &Digest, depth: usize, siblings: &[Digest]) -> Digest {
    siblings.iter().enumerate().rev().fold(bottom, |node, (below, sibling)| {
        let is_right = bit(key, depth.saturating_add(below));
        if is_right { branch_digest(sibling, &node) } else { branch_digest(&node, sibling) }
    })
}

fn leaves(changes: &[(Digest, Option<Digest>)]) -> Vec<Leaf> {
    changes.iter().filter_map(|(key, value)| Some(Leaf { key: *key, value: (*value)? })).collect()
}

/// Digest of a leaf, and of any subtree that holds nothing else.
pub fn leaf_digest(leaf: &Leaf) -> Digest {
    hash(LEAF, &[&leaf.key.0, &leaf.value.0])
}

/// Digest of a subtree of two leaves or more, from its halves.
pub fn branch_digest(left: &Digest, right: &Digest) -> Digest {
    hash(BRANCH, &[&left.0, &right.0])
}

/// Bit `depth` of the key, most significant first; false beyond the last.
pub fn bit(key: &Digest, depth: usize) -> bool {
    let byte = key.0.get(depth >> 3).copied().unwrap_or(0);
    byte & (0x80_u8 >> (depth & 7)) != 0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn key(i: u16) -> Digest {
        hash("og/test", &[&i.to_be_bytes()])
    }

    fn tree(entries: &BTreeMap<u16, u8>) -> Tree {
        entries.iter().fold(Tree::default(), |tree, (k, v)| tree.with(key(*k), Some(value_digest(&[*v]))))
    }

    proptest! {
        #[test]
        fn the_root_depends_on_the_content_and_not_on_the_history(
            steps in prop::collection::vec((0_u16..60, any::<Option<u8>>()), 0..120)
        ) {
            let (mut entries, mut grown) = (BTreeMap::new(), Tree::default());
            for (k, v) in steps {
                match v {
                    Some(v) => entries.insert(k, v),
                    None => entries.remove(&k),
                };
                grown = grown.with(key(k), v.map(|v| value_digest(&[v])));
            }
            let fresh = tree(&entries);
            prop_assert_eq!(grown.root(), fresh.root());
            for k in 0..60 {
                let value = entries.get(&k).map(|v| value_digest(&[*v]));
                let proof = grown.prove(&key(k));
                prop_assert!(proof.holds(&fresh.root(), &key(k), value.as_ref()));
                prop_assert!(!proof.holds(&fresh.root(), &key(k), Some(&Digest::ZERO)));
                if value.is_some() {
                    prop_assert!(!proof.holds(&fresh.root(), &key(k), None));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn many_changes_at_once_come_to_the_same_as_one_after_the_other(
            batches in prop::collection::vec(prop::collection::btree_map(0_u16..90, any::<Option<u8>>(), 0..70), 1..6)
        ) {
            let (mut one_by_one, mut at_once) = (Tree::default(), Tree::default());
            for batch in batches {
                let mut changes: Vec<_> =
                    batch.into_iter().map(|(k, v)| (key(k), v.map(|v| value_digest(&[v])))).collect();
                changes.sort_unstable();
                one_by_one = changes.iter().fold(one_by_one, |tree, (k, v)| tree.with(*k, *v));
                at_once = at_once.with_all(&changes);
                prop_assert_eq!(at_once.root(), one_by_one.root());
                for k in 0..90 {
                    prop_assert_eq!(at_once.prove(&key(k)), one_by_one.prove(&key(k)));
                }
            }
        }
    }

    #[test]
    fn a_foreign_leaf_proves_no_absence_where_it_does_not_lie() {
        let entries: BTreeMap<u16, u8> = (0..50).map(|k| (k, 1)).collect();
        let tree = tree(&entries);
        for present in 0..50 {
            for other in 0..50 {
                let proof = tree.prove(&key(other));
                assert!(!proof.holds(&tree.root(), &key(present), None));
            }
        }
    }

    #[test]
    fn a_path_longer_than_a_key_is_refused() {
        let proof = Proof { siblings: vec![Digest::ZERO; DEPTH_MAX + 1], found: None };
        assert!(!proof.holds(&Digest::ZERO, &key(1), None));
    }

    #[test]
    fn a_snapshot_stays_as_it_was() {
        let before = tree(&(0..9).map(|k| (k, 1)).collect());
        let root = before.root();
        let after = before.with(key(3), None);
        assert_ne!(after.root(), root);
        assert_eq!(before.root(), root);
    }
}
