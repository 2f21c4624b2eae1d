//! Append-only Merkle tree over all earlier epochs, in the shape of RFC 6962 §2.1.
//!
//! One root commits to every earlier epoch; appending and proving cost a logarithm, because the digests of complete
//! subtrees are kept level by level.

use crate::{
    climb::split,
    digest::{Digest, hash},
};

const LEAF: &str = "og/history/leaf/v1";
const NODE: &str = "og/history/node/v1";
const EMPTY: &str = "og/history/empty/v1";

/// Digests of all complete subtrees: `levels[h][i]` covers the leaves `i·2^h .. (i+1)·2^h`.
#[derive(Clone, Debug, Default)]
pub struct History {
    levels: Vec<Vec<Digest>>,
}

impl History {
    /// Number of leaves.
    pub fn count(&self) -> u64 {
        self.levels.first().and_then(|level| u64::try_from(level.len()).ok()).unwrap_or(0)
    }

    /// Whether this is leaf `index`.
    pub fn has(&self, index: u64, content: &Digest) -> bool {
        let leaf = usize::try_from(index).ok().and_then(|index| self.levels.first()?.get(index));
        leaf == Some(&hash(LEAF, &[&content.0]))
    }

    /// Digests of the complete subtrees of `2^height` leaves, from the first on.
    pub fn subtrees(&self, height: usize) -> &[Digest] {
        self.levels.get(height).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn append(&mut self, content: &Digest) {
        let mut node = hash(LEAF, &[&content.0]);
        let mut height = 0;
        loop {
            if self.levels.len() <= height {
                self.levels.push(Vec::new());
            }
            let Some(level) = self.levels.get_mut(height) else { return };
            level.push(node);
            if level.len() % 2 == 1 {
                return;
            }
            let mut last_two = level.iter().rev();
            let (Some(right), Some(left)) = (last_two.next(), last_two.next()) else { return };
            node = join(left, right);
            height = height.saturating_add(1);
        }
    }

    /// Root over all leaves.
    pub fn root(&self) -> Digest {
        self.subtree(0, self.count()).unwrap_or_else(|| hash(EMPTY, &[]))
    }

    /// Root as it was when the tree had `count` leaves; `None` when it never had so many.
    pub fn root_at(&self, count: u64) -> Option<Digest> {
        if count == 0 {
            return Some(hash(EMPTY, &[]));
        }
        (count <= self.count()).then(|| self.subtree(0, count)).flatten()
    }

    /// Siblings of leaf `index` in the tree of the first `count` leaves, lowest first.
    pub fn path(&self, index: u64, count: u64) -> Option<Vec<Digest>> {
        if index >= count || count > self.count() {
            return None;
        }
        let (mut start, mut size, mut downward) = (0_u64, count, Vec::new());
        while size > 1 {
            let left = split(size)?;
            let middle = start.checked_add(left)?;
            let right = size.checked_sub(left)?;
            if index < middle {
                downward.push(self.subtree(middle, right)?);
                size = left;
            } else {
                downward.push(self.subtree(start, left)?);
                start = middle;
                size = right;
            }
        }
        downward.reverse();
        Some(downward)
    }

    /// Root of the `size` leaves from `start`; `start` is a multiple of the largest power of two in `size`.
    fn subtree(&self, start: u64, size: u64) -> Option<Digest> {
        if size.is_power_of_two() {
            let height = usize::try_from(size.checked_ilog2()?).ok()?;
            let index = usize::try_from(start.checked_div(size)?).ok()?;
            return self.levels.get(height)?.get(index).copied();
        }
        let left = split(size)?;
        let right = self.subtree(start.checked_add(left)?, size.checked_sub(left)?)?;
        Some(join(&self.subtree(start, left)?, &right))
    }
}

/// The root that `content` at `index` of `count` leads to along `siblings`; `None` when the path does not fit.
pub fn climb(content: &Digest, index: u64, count: u64, siblings: &[Digest]) -> Option<Digest> {
    crate::climb::climb(hash(LEAF, &[&content.0]), index, count, siblings, |left, right| Some(join(left, right)))
}

fn join(left: &Digest, right: &Digest) -> Digest {
    hash(NODE, &[&left.0, &right.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(i: u64) -> Digest {
        hash("og/test", &[&i.to_be_bytes()])
    }

    #[test]
    fn every_leaf_climbs_to_every_later_root() {
        let mut history = History::default();
        let mut roots = vec![history.root()];
        for i in 0..40 {
            history.append(&content(i));
            roots.push(history.root());
        }
        for count in 1..=40_u64 {
            assert_eq!(history.root_at(count), Some(roots[count as usize]));
            for index in 0..count {
                let path = history.path(index, count).unwrap();
                assert!(history.has(index, &content(index)) && !history.has(index, &content(index + 1)));
                assert_eq!(climb(&content(index), index, count, &path), Some(roots[count as usize]));
                for other in 0..count {
                    let reached = climb(&content(index), other, count, &path);
                    assert_eq!(reached == Some(roots[count as usize]), other == index, "{index} {other} {count}");
                }
            }
        }
        assert_eq!(history.path(40, 40), None);
        assert_eq!(history.path(0, 41), None);
        assert_eq!(history.root_at(41), None);
    }

    #[test]
    fn a_complete_subtree_is_the_root_of_its_own_leaves() {
        let mut history = History::default();
        (0..13).for_each(|i| history.append(&content(i)));
        let roots: Vec<_> = (0..3)
            .map(|at| {
                let mut own = History::default();
                (4 * at..4 * at + 4).for_each(|i| own.append(&content(i)));
                own.root()
            })
            .collect();
        assert_eq!(history.subtrees(2), roots);
        assert!(history.subtrees(9).is_empty());
    }

    #[test]
    fn a_short_or_long_path_is_refused() {
        let mut history = History::default();
        (0..7).for_each(|i| history.append(&content(i)));
        let path = history.path(2, 7).unwrap();
        assert_eq!(climb(&content(2), 2, 7, &path[..path.len() - 1]), None);
        let long = [path, vec![Digest::ZERO]].concat();
        assert_eq!(climb(&content(2), 2, 7, &long), None);
        assert_eq!(climb(&content(2), 7, 7, &[]), None);
        assert_eq!(climb(&content(2), 0, 0, &[]), None);
    }
}
