//! Merkle-sum tree in the shape of RFC 6962 §2.1: each node carries a digest and the sum of the amounts below it.
//!
//! The root therefore binds the leaves, their order, their count (by the shape) and the total. A path is checked
//! without recursion and refuses a wrong length, so one leaf has exactly one valid path.

use crate::digest::{Digest, hash};

const LEAF: &str = "og/merkle-sum/leaf/v1";
const NODE: &str = "og/merkle-sum/node/v1";
/// The root of a tree without leaves.
const EMPTY: &str = "og/merkle-sum/empty/v1";

/// A digest and the sum of the amounts below it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SumNode {
    pub digest: Digest,
    pub sum: u128,
}

impl SumNode {
    /// The leaf for `content` with its own `amount`.
    pub fn leaf(content: &Digest, amount: u128) -> Self {
        Self { digest: hash(LEAF, &[&content.0, &amount.to_be_bytes()]), sum: amount }
    }

    /// `None` when the sum does not fit in 128 bits.
    fn parent(left: &Self, right: &Self) -> Option<Self> {
        let parts: [&[u8]; 4] = [&left.digest.0, &left.sum.to_be_bytes(), &right.digest.0, &right.sum.to_be_bytes()];
        Some(Self { digest: hash(NODE, &parts), sum: left.sum.checked_add(right.sum)? })
    }
}

/// Root over `leaves`; `None` when their sum does not fit in 128 bits.
pub fn root(leaves: &[SumNode]) -> Option<SumNode> {
    match leaves {
        [] => Some(SumNode { digest: hash(EMPTY, &[]), sum: 0 }),
        [leaf] => Some(*leaf),
        _ => {
            let (left, right) = leaves.split_at_checked(split(leaves.len())?)?;
            SumNode::parent(&root(left)?, &root(right)?)
        }
    }
}

/// The siblings from leaf `index` up to the root, lowest first; `None` when there is no such leaf.
pub fn path(leaves: &[SumNode], index: usize) -> Option<Vec<SumNode>> {
    if leaves.len() <= 1 {
        return (index < leaves.len()).then(Vec::new);
    }
    let middle = split(leaves.len())?;
    let (left, right) = leaves.split_at_checked(middle)?;
    let (mut below, sibling) = match index.checked_sub(middle) {
        None => (path(left, index)?, root(right)?),
        Some(index) => (path(right, index)?, root(left)?),
    };
    below.push(sibling);
    Some(below)
}

/// The root that `leaf` at `index` of `count` leaves leads to along `siblings`; `None` when the path does not fit.
pub fn climb(leaf: &SumNode, index: u64, count: u64, siblings: &[SumNode]) -> Option<SumNode> {
    crate::climb::climb(*leaf, index, count, siblings, SumNode::parent)
}

fn split(count: usize) -> Option<usize> {
    usize::try_from(crate::climb::split(u64::try_from(count).ok()?)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(count: u64) -> Vec<SumNode> {
        (0..count).map(|i| SumNode::leaf(&hash("og/test", &[&i.to_be_bytes()]), u128::from(i))).collect()
    }

    #[test]
    fn every_leaf_of_every_small_tree_climbs_to_the_root() {
        for count in 1..=40 {
            let leaves = leaves(count);
            let root = root(&leaves).unwrap();
            assert_eq!(root.sum, u128::from(count * (count - 1) / 2));
            for index in 0..count {
                let path = path(&leaves, index as usize).unwrap();
                assert_eq!(climb(&leaves[index as usize], index, count, &path), Some(root), "{index} of {count}");
            }
        }
    }

    #[test]
    fn the_empty_tree_has_a_root_and_no_paths() {
        assert_eq!(root(&[]).unwrap().sum, 0);
        assert_eq!(path(&[], 0), None);
        assert_eq!(path(&leaves(3), 3), None);
    }

    #[test]
    fn a_sum_beyond_128_bits_is_refused() {
        let leaf = |amount| SumNode::leaf(&Digest::ZERO, amount);
        assert_eq!(root(&[leaf(u128::MAX), leaf(1)]), None);
    }

    proptest! {
        #[test]
        fn a_changed_path_never_reaches_the_root(count in 2_u64..40, at in any::<u64>(), what in 0_u8..6) {
            let leaves = leaves(count);
            let index = at % count;
            let expected = root(&leaves).unwrap();
            let mut siblings = path(&leaves, index as usize).unwrap();
            let (mut leaf, mut index, mut size) = (leaves[index as usize], index, count);
            match what {
                0 => siblings[0].digest.0[3] ^= 1,
                1 => siblings[0].sum += 1,
                2 => { siblings.pop(); }
                3 => siblings.push(leaf),
                4 => leaf.sum += 1,
                _ => { index = (index + 1) % size; if index == at % count { size += 1; } }
            }
            let reached = climb(&leaf, index, size, &siblings);
            prop_assert_ne!(reached, Some(expected));
        }
    }
}
