//! `trees`: for each target the sum of the votes of the leaves at which a row's walks through all trees end.
//!
//! A reference r is split r where `r ≥ 0`, else leaf `-1 - r`. A split is `(feature, value, yes, no)`: where
//! `x[feature] ≤ value` the walk goes on at `yes`, else at `no`, both of which are leaves or later splits, so every walk ends.
//! Leaf i has the votes from `leaves[i]` up to `leaves[i + 1]`, each a target and a weight.

use std::sync::Arc;

use super::{excluded, integer_tensor, integers, linear::ACCUMULATOR_MAX, sizes_with_width, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    loading::Account,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site, with_width},
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "trees",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (5, 5),
    attributes: &["targets"],
    shape,
    bounds,
    work,
    meaning,
};

/// Numbers of a split.
pub const SPLIT: usize = 4;
/// Numbers of a vote.
pub const VOTE: usize = 2;
const TARGETS_MAX: i64 = 1 << 16;
/// Splits, leaves and votes that can be reached from all roots, counted once for each root: what a check of the bounds visits.
pub const REACHED_MAX: usize = 1 << 24;

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_integer(0)?;
    if x.element == Element::I64 {
        return Err(Refusal::Element { input: 0, expected: "integers of at most 32 bits", found: x.element });
    }
    let features = site.width(0)?;
    let targets = site.attributes.integer_in("targets", 1, TARGETS_MAX)? as usize;
    for input in 1..5 {
        site.expect_element(input, Element::I32)?;
        site.expect_constant(input)?;
    }
    let forest = forest(site)?;
    if forest.features > features {
        return Err(odd(1, FEATURES));
    }
    if forest.targets > targets {
        return Err(odd(3, TARGETS));
    }
    Ok(Form { element: Element::I32, shape: with_width(&x.shape, targets) })
}

/// The least and greatest sum: each tree's extremes, added up.
fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let (forest, targets) = (forest(site)?, site.attributes.integer("targets")? as usize);
    if u128::from(forest.worst) > ACCUMULATOR_MAX {
        return Err(Refusal::Overflow { what: "the accumulator's 2^30", magnitude: forest.worst });
    }
    let Interval { low, high } = forest.sums;
    // Of a target that nobody votes for the sum is 0.
    Ok(if targets > forest.targets { Interval { low: low.min(0), high: high.max(0) } } else { forest.sums })
}

/// What the rules know of the constants: found out once for all nodes that share them.
struct Forest {
    /// Features that a row has at least, and targets that there are at least.
    features: usize,
    targets: usize,
    /// The least and greatest sum of a target that is voted for, and the greatest magnitude on the way to one.
    sums: Interval,
    worst: u64,
    /// Units of work of the longest walk through each tree, all together.
    longest: u64,
}

fn forest(site: &Site) -> Result<Arc<Forest>, Refusal> {
    site.derived(&[1, 2, 3, 4], || {
        let numbers = |input: usize| site.expect_constant(input).map_or(0, |tensor| tensor.len() as u64);
        // Widened, looked at, and for the longest walks once more.
        site.account.walk((1..5).map(numbers).fold(0, u64::saturating_add).saturating_mul(3))?;
        let tables = Tables::of(site)?;
        let (features, targets) = tables.check()?;
        let extremes = tables.extremes(site.account, targets)?;
        let low = extremes.iter().map(|extreme| extreme.0).min().unwrap_or(0);
        let high = extremes.iter().map(|extreme| extreme.1).max().unwrap_or(0);
        let worst = extremes.iter().map(|extreme| extreme.2).max().unwrap_or(0);
        Ok(Forest { features, targets, sums: Interval { low, high }, worst, longest: tables.longest() })
    })
}

const FEATURES: &str = "features that the row has";
const TARGETS: &str = "targets that there are";

fn odd(input: usize, expected: &'static str) -> Refusal {
    Refusal::Constant { input, expected, found: "others".to_owned() }
}

/// The four constants.
struct Tables {
    splits: Vec<i64>,
    leaves: Vec<i64>,
    votes: Vec<i64>,
    roots: Vec<i64>,
}

impl Tables {
    fn of(site: &Site) -> Result<Self, Refusal> {
        let list = |input: usize, columns: Option<usize>| {
            let tensor = site.expect_constant(input)?;
            let expected = columns.map_or("[numbers]".to_owned(), |columns| format!("[numbers, {columns}]"));
            let fits = match (tensor.shape(), columns) {
                ([_], None) => true,
                ([_, found], Some(columns)) => *found == columns,
                _ => false,
            };
            let values = tensor.integers().filter(|_| fits);
            values.ok_or_else(|| site.shape_refusal(input, &expected))
        };
        Ok(Self {
            splits: list(1, Some(SPLIT))?,
            leaves: list(2, None)?,
            votes: list(3, Some(VOTE))?,
            roots: list(4, None)?,
        })
    }

    /// Splits lead to leaves or later splits, leaves have votes in rising order, and all that is named is there. Says how many features and targets there have
    /// to be.
    fn check(&self) -> Result<(usize, usize), Refusal> {
        let (splits, leaves) = ((self.splits.len() / SPLIT) as i64, self.leaves.len() as i64 - 1);
        let leads = |next: i64, after: i64| if next < 0 { -1 - next < leaves } else { next > after && next < splits };
        let (mut features, mut targets) = (0_usize, 0_usize);
        for (at, split) in self.splits.chunks_exact(SPLIT).enumerate() {
            let &[feature, _, yes, no] = split else { return Err(odd(1, "four numbers a split")) };
            features = features.max(usize::try_from(feature).map_err(|_| odd(1, FEATURES))? + 1);
            if !leads(yes, at as i64) || !leads(no, at as i64) {
                return Err(odd(1, "leaves and later splits"));
            }
        }
        let rise = self.leaves.is_sorted() && self.leaves.first() == Some(&0);
        if !rise || self.leaves.last() != Some(&((self.votes.len() / VOTE) as i64)) {
            return Err(odd(2, "starts that rise from 0 to the number of votes"));
        }
        for vote in self.votes.chunks_exact(VOTE) {
            let target = vote.first().copied().unwrap_or(-1);
            if !(0..TARGETS_MAX).contains(&target) {
                return Err(odd(3, TARGETS));
            }
            targets = targets.max(target as usize + 1);
        }
        if !self.roots.iter().all(|&root| leads(root, -1)) {
            return Err(odd(4, "splits and leaves that there are"));
        }
        Ok((features, targets))
    }

    /// For each target the least and the greatest sum, and the greatest magnitude on the way to it.
    fn extremes(&self, account: &Account, targets: usize) -> Result<Vec<(i64, i64, u64)>, Refusal> {
        let mut sums = vec![(0_i64, 0_i64, 0_u64); targets];
        let mut reached = 0_usize;
        let mut seen = vec![u32::MAX; self.splits.len() / SPLIT];
        for (number, &root) in self.roots.iter().enumerate() {
            let mut stack = vec![root];
            // Of each target: least, greatest, and in how many leaves.
            let mut tree = std::collections::BTreeMap::<usize, (i64, i64, usize)>::new();
            let mut leaves = 0_usize;
            while let Some(next) = stack.pop() {
                let met = 1 + if next < 0 { self.votes_of((-1 - next) as usize).len() } else { 0 };
                account.walk(met as u64)?;
                reached += met;
                if reached > REACHED_MAX {
                    return Err(Refusal::Overflow { what: "2^24 nodes and votes of trees", magnitude: reached as u64 });
                }
                if next < 0 {
                    leaves += 1;
                    for (target, sum) in self.leaf((-1 - next) as usize) {
                        let found = tree.entry(target).or_insert((sum, sum, 0));
                        *found = (found.0.min(sum), found.1.max(sum), found.2 + 1);
                    }
                } else if let Some(mark) = seen.get_mut(next as usize).filter(|mark| **mark != number as u32) {
                    *mark = number as u32;
                    stack.extend(self.splits.get(next as usize * SPLIT + 2..next as usize * SPLIT + 4).unwrap_or(&[]));
                }
            }
            for (target, (low, high, count)) in tree {
                // A leaf without a vote for a target votes 0.
                let (low, high) = if count < leaves { (low.min(0), high.max(0)) } else { (low, high) };
                if let Some(sum) = sums.get_mut(target) {
                    let most = low.unsigned_abs().max(high.unsigned_abs());
                    *sum = (sum.0.saturating_add(low), sum.1.saturating_add(high), sum.2.saturating_add(most));
                }
            }
        }
        Ok(sums)
    }

    /// Units of work of the longest walk through each tree, all together.
    fn longest(&self) -> u64 {
        let leaf = |leaf: usize| (self.votes_of(leaf).len() / VOTE) as u64 * walk::ALONE;
        // A split leads to leaves and later splits alone.
        let mut after = vec![0_u64; self.splits.len() / SPLIT];
        let of = |after: &[u64], next: i64| match usize::try_from(next) {
            Ok(split) => after.get(split).copied().unwrap_or(0),
            Err(_) => leaf(next.unsigned_abs() as usize - 1),
        };
        for (at, split) in self.splits.chunks_exact(SPLIT).enumerate().rev() {
            let longer = of(&after, split[2]).max(of(&after, split[3]));
            after[at] = longer.saturating_add(walk::STEP);
        }
        self.roots.iter().fold(0, |all, &root| all.saturating_add(of(&after, root)))
    }

    fn votes_of(&self, leaf: usize) -> &[i64] {
        let at = |index: usize| self.leaves.get(index).copied().unwrap_or(0) as usize * VOTE;
        self.votes.get(at(leaf)..at(leaf + 1)).unwrap_or(&[])
    }

    /// A leaf's votes, one sum for each target.
    fn leaf(&self, leaf: usize) -> std::collections::BTreeMap<usize, i64> {
        let mut sums = std::collections::BTreeMap::new();
        for vote in self.votes_of(leaf).chunks_exact(VOTE) {
            if let &[target, weight] = vote {
                let sum: &mut i64 = sums.entry(target as usize).or_default();
                *sum = sum.saturating_add(weight);
            }
        }
        sums
    }
}

/// Each tree's longest walk, the votes at its end among it.
fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let rows = walk::inner_rows(site)?;
    Ok(Work::of_row(rows.saturating_mul(forest(site)?.longest)).and(walk::beside(site, form)?))
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let targets = attributes.integer("targets").map_err(|_| excluded("trees"))? as usize;
    let read = |input: usize| integers("trees", inputs, input);
    let (x, splits, leaves, votes, roots) = (read(0)?, read(1)?, read(2)?, read(3)?, read(4)?);
    let (_, features) = inputs[0].rows_and_width();
    let mut values = Vec::new();
    for row in x.chunks_exact(features) {
        let mut sums = vec![0_i64; targets];
        for &root in &roots {
            let mut next = root;
            while next >= 0 {
                let split = &splits[next as usize * SPLIT..][..SPLIT];
                next = if row[split[0] as usize] <= split[1] { split[2] } else { split[3] };
            }
            let leaf = (-1 - next) as usize;
            for vote in leaves[leaf]..leaves[leaf + 1] {
                sums[votes[vote as usize * VOTE] as usize] += votes[vote as usize * VOTE + 1];
            }
        }
        values.extend(sums);
    }
    integer_tensor("trees", Element::I32, &sizes_with_width(inputs[0].shape(), targets), values)
}
