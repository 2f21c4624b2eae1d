//! Two paths in one sparse tree, with what follows from the other one left out.
//!
//! Above the place where two keys part, their paths have the same siblings; at that place each path's sibling is what the other leads to.
//! Both proofs have one root by construction.

use crate::{
    digest::Digest,
    sparse::{self, DEPTH_MAX, Leaf, Proof, bit, leaf_digest},
};

/// The siblings on the ways to two leaves of one tree, each once, from the root on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fork {
    /// Those on the way to the first leaf, without the one at the place where the second's way parts from it.
    pub first: Vec<Digest>,
    /// Those on the way to the second leaf below that place.
    pub second: Vec<Digest>,
}

impl Fork {
    /// What is left of two proofs of the same tree; `None` where one finds nothing, or both find the same key.
    pub fn of(first: &Proof, second: &Proof) -> Option<Self> {
        let parting = parting(&first.found?.key, &second.found?.key)?;
        let (above, from) = first.siblings.split_at_checked(parting)?;
        let (_, below) = from.split_first()?;
        let (_, second) = second.siblings.get(parting..)?.split_first()?;
        Some(Self { first: [above, below].concat(), second: second.to_vec() })
    }

    /// Both proofs, whole; `None` where the leaves have one key, or the first way ends before they part.
    pub fn proofs(&self, first: Leaf, second: Leaf) -> Option<(Proof, Proof)> {
        let parting = parting(&first.key, &second.key)?;
        let (above, below) = self.first.split_at_checked(parting)?;
        let depth = parting.saturating_add(1);
        let towards_first = sparse::climb(leaf_digest(&first), &first.key, depth, below);
        let towards_second = sparse::climb(leaf_digest(&second), &second.key, depth, &self.second);
        let proof = |leaf: Leaf, sibling: Digest, below: &[Digest]| Proof {
            siblings: above.iter().chain([&sibling]).chain(below).copied().collect(),
            found: Some(leaf),
        };
        Some((proof(first, towards_second, below), proof(second, towards_first, &self.second)))
    }
}

/// The first bit in which two keys differ; `None` where they are one.
fn parting(one: &Digest, other: &Digest) -> Option<usize> {
    (0..DEPTH_MAX).find(|depth| bit(one, *depth) != bit(other, *depth))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{hash, sparse::Tree};

    fn key(number: u16) -> Digest {
        hash("og/test", &[&number.to_be_bytes()])
    }

    fn tree(leaves: u16) -> Tree {
        (0..leaves).fold(Tree::default(), |tree, number| tree.with(key(number), Some(value(number))))
    }

    fn value(number: u16) -> Digest {
        sparse::value_digest(&number.to_be_bytes())
    }

    fn leaf(number: u16) -> Leaf {
        Leaf { key: key(number), value: value(number) }
    }

    #[test]
    fn any_two_leaves_of_any_tree_have_their_proofs_back() {
        for leaves in [2, 3, 9, 40] {
            let tree = tree(leaves);
            for one in 0..leaves {
                for other in (0..leaves).filter(|other| *other != one) {
                    let (first, second) = (tree.prove(&key(one)), tree.prove(&key(other)));
                    let fork = Fork::of(&first, &second).unwrap();
                    let said = fork.first.len() + fork.second.len();
                    let parting = parting(&key(one), &key(other)).unwrap();
                    assert_eq!(said + parting + 2, first.siblings.len() + second.siblings.len());
                    assert_eq!(fork.proofs(leaf(one), leaf(other)), Some((first, second)));
                }
            }
        }
    }

    #[test]
    fn whatever_is_said_both_proofs_lead_to_one_root_and_only_the_truth_to_the_trees() {
        let tree = tree(40);
        let (one, other) = (leaf(3), leaf(8));
        let fork = Fork::of(&tree.prove(&one.key), &tree.prove(&other.key)).unwrap();
        let roots = |fork: &Fork, one: Leaf, other: Leaf| {
            let (first, second) = fork.proofs(one, other).unwrap();
            let root = first.root(&one.key);
            assert!(first.holds(&root, &one.key, Some(&one.value)));
            assert!(second.holds(&root, &other.key, Some(&other.value)));
            root
        };
        assert_eq!(roots(&fork, one, other), tree.root());
        assert_ne!(roots(&fork, Leaf { value: value(9), ..one }, other), tree.root());
        assert_ne!(roots(&fork, one, Leaf { value: value(9), ..other }), tree.root());
        for place in 0..fork.first.len() + fork.second.len() {
            let mut changed = fork.clone();
            changed.first.iter_mut().chain(&mut changed.second).nth(place).unwrap().0[0] ^= 1;
            assert_ne!(roots(&changed, one, other), tree.root());
        }
        for longer in [
            Fork { first: [&fork.first[..], &[Digest::ZERO]].concat(), ..fork.clone() },
            Fork { second: [&fork.second[..], &[Digest::ZERO]].concat(), ..fork.clone() },
        ] {
            assert_ne!(roots(&longer, one, other), tree.root());
        }
    }

    #[test]
    fn what_is_no_fork_is_none() {
        let tree = tree(9);
        let (first, nothing) = (tree.prove(&key(1)), Tree::default().prove(&key(2)));
        assert_eq!(Fork::of(&first, &first), None);
        assert_eq!(Fork::of(&first, &nothing), None);
        assert_eq!(Fork::of(&nothing, &first), None);
        let bare = Proof { siblings: Vec::new(), ..tree.prove(&key(2)) };
        assert_eq!((Fork::of(&first, &bare), Fork::of(&bare, &first)), (None, None));
        let fork = Fork { first: Vec::new(), second: Vec::new() };
        assert_eq!(fork.proofs(leaf(1), leaf(1)), None);
        let near = Leaf { key: Digest::ZERO, value: value(1) };
        let mut nearest = Leaf { value: value(2), ..near };
        nearest.key.0[31] = 1;
        assert_eq!(fork.proofs(near, nearest), None, "they part at the last bit");
    }
}
