//! Ensembles of trees as the operator `trees`: comparisons are exact, votes are rounded to a unit that is finer than a float's.

use std::collections::BTreeMap;

use super::super::emit::{Emitter, Held, name, refuse};
use super::columns::{Columns, Missing, columns, result, rows};
use super::labels;
use super::scores::{self, Scores};
use crate::graph::Source;
use crate::onnx::error::CompileError;
use crate::onnx::integer::encoding::Encoding;
use crate::ops::order;
use crate::ops::quantise::power_of_two;
use crate::ops::trees::{REACHED_MAX, SPLIT};
use crate::program::features::Transform;
use crate::program::ops::ml::{Ensemble, EnsembleClassifier, EnsembleRegressor};
use crate::program::trees::{Aggregate, Mode, Next, Split, Trees, Vote};
use crate::program::{Node, Problem};
use crate::tensor::Element;
use crate::{Attributes, ops};

/// No sum of votes passes this many units.
const SUM_MAX: f64 = 536_870_912.0;

pub fn ensemble(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let plan = node.derived.get::<Ensemble>(|| Err(Problem::Excluded)).map_err(|_| refuse(node, "was never run"))?;
    targets(emitter, node, &plan.trees, &vec![0.0; plan.targets], plan.aggregate, plan.transform)
}

pub fn regressor(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let plan =
        node.derived.get::<EnsembleRegressor>(|| Err(Problem::Excluded)).map_err(|_| refuse(node, "was never run"))?;
    targets(emitter, node, &plan.trees, &plan.base, plan.aggregate, plan.transform)
}

fn targets(
    emitter: &mut Emitter,
    node: &Node,
    trees: &Trees,
    base: &[f64],
    aggregate: Aggregate,
    transform: Transform,
) -> Result<(), CompileError> {
    let share = match aggregate {
        Aggregate::Sum => 1.0,
        Aggregate::Average => 1.0 / trees.roots.len().max(1) as f64,
        Aggregate::Least | Aggregate::Most => {
            return Err(refuse(node, "takes the least or greatest of its votes: expected their sum or mean"));
        }
    };
    // A single target knows one transform only, which has no integer form.
    let transform = if base.len() == 1 && transform != Transform::Probit { Transform::None } else { transform };
    let ballot = Ballot { width: base.len(), base: base.to_vec(), share, places: &|target| vec![(target, 1.0)] };
    let sums = sums(emitter, node, trees, &ballot)?;
    let slot = result(node)?;
    scores::finish(emitter, node, slot, Scores { sums, transform, most: f64::INFINITY })
}

pub fn classifier(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let plan =
        node.derived.get::<EnsembleClassifier>(|| Err(Problem::Excluded)).map_err(|_| refuse(node, "was never run"))?;
    let classes = plan.labels.count();
    if classes < 2 {
        return Err(refuse(node, "knows one class only"));
    }
    // In front the scores, then, where they do not say it themselves, two numbers whose greater one is the class.
    let base = |class: usize| plan.base.get(class).copied().unwrap_or(0.0);
    let distance = [(0, -1.0), (1, 1.0)];
    let (width, places, start): (usize, Vec<(usize, f64)>, Vec<f64>) = match (plan.only, plan.chance) {
        (None, _) => (classes, Vec::new(), (0..classes).map(base).collect()),
        (Some(0), false) => (2, distance.to_vec(), vec![-base(0), base(0)]),
        (Some(0), true) if plan.transform == Transform::Logistic => {
            let all = distance.into_iter().chain([(2, -1.0), (3, 1.0)]).collect();
            (4, all, vec![-base(0), base(0), 1.0 - base(0), base(0)])
        }
        (Some(0), true) => (2, distance.to_vec(), vec![1.0 - base(0), base(0)]),
        (Some(_), chance) => {
            let middle = if chance { 0.5 } else { 0.0 };
            (4, vec![(1, 1.0), (3, 1.0)], vec![0.0, base(0), middle, base(0)])
        }
    };
    let spread = |target: usize| if places.is_empty() { vec![(target, 1.0)] } else { places.clone() };
    let all = sums(emitter, node, &plan.trees, &Ballot { width, base: start, share: 1.0, places: &spread })?;
    let (scored, deciding) = match width {
        4 if plan.only.is_some() => (part(emitter, node, &all, 0), part(emitter, node, &all, 2)),
        _ => (all.clone(), all),
    };
    if let Some(slot) = node.outputs.first().copied().flatten() {
        labels::greatest(emitter, node, slot, &deciding, plan.labels.list())?;
    }
    let Some(slot) = node.outputs.get(1).copied().flatten() else { return Ok(()) };
    // A softmax of one score is none; of two that stand for two classes, it is one.
    let none = plan.only == Some(0) && plan.transform != Transform::Logistic && plan.transform != Transform::Probit;
    let transform = if none { Transform::None } else { plan.transform };
    scores::finish(emitter, node, slot, Scores { sums: scored, transform, most: f64::INFINITY })
}

/// Two of four columns.
fn part(emitter: &mut Emitter, node: &Node, all: &Held, start: i64) -> Held {
    let attributes = Attributes::new().with("axis", 1).with("start", start).with("step", 1).with("count", 2);
    let name = format!("{}/{}", name(node), if start == 0 { "scores" } else { "deciding" });
    let source = emitter.add(&name, &ops::slice::OPERATOR, attributes, &[all.source]);
    let mut shape = all.shape.clone();
    if let Some(last) = shape.0.last_mut() {
        *last = crate::shape::Dimension::Fixed(2);
    }
    Held { source, shape, ..all.clone() }
}

/// How votes become sums.
struct Ballot<'a> {
    /// How many sums there are.
    width: usize,
    /// What each sum begins with.
    base: Vec<f64>,
    /// What a vote counts.
    share: f64,
    /// To which sums a vote for a target is added, and with what factor.
    places: &'a dyn Fn(usize) -> Vec<(usize, f64)>,
}

impl Ballot<'_> {
    fn votes(&self, votes: &[Vote]) -> Vec<(usize, f64)> {
        let each = |vote: &Vote| {
            let weight = vote.weight * self.share;
            (self.places)(vote.target as usize).into_iter().map(move |(place, factor)| (place, weight * factor))
        };
        votes.iter().flat_map(each).collect()
    }
}

/// The sums `[rows, width]` as integers of a unit that is a power of two, within ± 2^30.
fn sums(emitter: &mut Emitter, node: &Node, trees: &Trees, ballot: &Ballot) -> Result<Held, CompileError> {
    let columns = columns(emitter, node)?;
    let most = magnitude(trees, ballot).ok_or_else(|| refuse(node, "has trees that share too many nodes"))?;
    if !most.is_finite() {
        return Err(refuse(node, "has votes that are not finite"));
    }
    let mut fraction = 40;
    while fraction > -40 && most * power_of_two(fraction) > SUM_MAX {
        fraction -= 1;
    }
    let tables = Writer { trees, columns: &columns, ballot, scale: power_of_two(fraction) }.tables();
    let Tables { splits, leaves, votes, roots } =
        tables.ok_or_else(|| refuse(node, "reads features that are not there"))?;
    let name = name(node);
    let mut list = |word: &str, columns: usize, values: Vec<i64>| {
        let shape = if columns == 1 { vec![values.len()] } else { vec![values.len() / columns, columns] };
        emitter.constant(&format!("{name}/{word}"), Element::I32, &shape, values)
    };
    let inputs: [Source; 5] = [
        columns.source,
        list("splits", SPLIT, splits),
        list("leaves", 1, leaves),
        list("votes", 2, votes),
        list("roots", 1, roots),
    ];
    let attributes = Attributes::new().with("targets", ballot.width as i64);
    let source = emitter.add(&format!("{name}/sums"), &ops::trees::OPERATOR, attributes, &inputs);
    let slot = node.outputs.iter().rev().flatten().next().copied().unwrap_or(0);
    // Each vote is rounded by half a unit at most.
    let limit = (most * power_of_two(fraction)).ceil() as i64 + trees.roots.len() as i64 + 1;
    let unit = power_of_two(-fraction);
    let encoding = Encoding { element: Element::I32, unit, low: -limit, high: limit };
    let shape = match node.outputs.as_slice() {
        [_, Some(_)] | [Some(_)] => rows(emitter, slot, ballot.width),
        // Only labels are read: they have the rows, and no axis behind.
        _ => {
            let mut shape = emitter.net.shape(slot);
            shape.0.push(crate::shape::Dimension::Fixed(ballot.width));
            shape
        }
    };
    Ok(Held { source, encoding, shape, last: false })
}

/// The greatest magnitude that a sum can have on its way; `None` where counting it would take too long.
fn magnitude(trees: &Trees, ballot: &Ballot) -> Option<f64> {
    let mut sums: Vec<f64> = ballot.base.iter().map(|base| base.abs()).collect();
    let mut seen = vec![usize::MAX; trees.splits.len()];
    let mut reached = 0;
    for (number, &root) in trees.roots.iter().enumerate() {
        let (mut stack, mut tree) = (vec![root], BTreeMap::<usize, f64>::new());
        while let Some(next) = stack.pop() {
            reached += 1;
            match next {
                Next::Leaf(leaf) => {
                    let &(from, to) = trees.leaves.get(leaf as usize)?;
                    reached += (to - from) as usize;
                    let mut leaf = BTreeMap::<usize, f64>::new();
                    for (place, weight) in ballot.votes(trees.votes.get(from as usize..to as usize)?) {
                        *leaf.entry(place).or_default() += weight.abs();
                    }
                    for (place, weight) in leaf {
                        let most = tree.entry(place).or_default();
                        *most = most.max(weight);
                    }
                }
                Next::Split(split) if seen.get(split as usize) != Some(&number) => {
                    *seen.get_mut(split as usize)? = number;
                    let split = trees.splits.get(split as usize)?;
                    stack.extend([split.yes, split.no]);
                }
                Next::Split(_) => {}
            }
            if reached > REACHED_MAX {
                return None;
            }
        }
        tree.into_iter().for_each(|(place, most)| sums[place] += most);
    }
    Some(sums.into_iter().fold(0.0, f64::max))
}

/// The constants of `trees`.
#[derive(Default)]
struct Tables {
    splits: Vec<i64>,
    leaves: Vec<i64>,
    votes: Vec<i64>,
    roots: Vec<i64>,
}

struct Writer<'a> {
    trees: &'a Trees,
    columns: &'a Columns,
    ballot: &'a Ballot<'a>,
    /// Units of a vote of 1.
    scale: f64,
}

impl Writer<'_> {
    fn tables(&self) -> Option<Tables> {
        let order = self.order()?;
        // Where the comparisons of each split begin.
        let (mut entries, mut next) = (vec![0_i64; self.trees.splits.len()], 0);
        for &split in &order {
            *entries.get_mut(split)? = next;
            let split = self.trees.splits.get(split)?;
            next += self.count(split) + i64::from(self.guard(split)?.is_some());
        }
        let mut tables = Tables { leaves: vec![0], ..Tables::default() };
        for &split in &order {
            self.split(&mut tables.splits, self.trees.splits.get(split)?, &entries)?;
        }
        for &(from, to) in &self.trees.leaves {
            let votes = self.ballot.votes(self.trees.votes.get(from as usize..to as usize)?);
            tables.leaf(&votes, self.scale);
        }
        let base: Vec<(usize, f64)> =
            self.ballot.base.iter().copied().enumerate().filter(|base| base.1 != 0.0).collect();
        tables.roots = self.trees.roots.iter().map(|&root| reference(root, &entries)).collect();
        if !base.is_empty() || tables.roots.is_empty() {
            tables.leaf(&base, self.scale);
            tables.roots.push(-(self.trees.leaves.len() as i64) - 1);
        }
        Some(tables)
    }

    /// All splits that a root leads to, each before those that it leads to.
    fn order(&self) -> Option<Vec<usize>> {
        let mut order = Vec::new();
        let mut known = vec![false; self.trees.splits.len()];
        for &root in self.trees.roots.iter().rev() {
            let mut stack = vec![(root, false)];
            while let Some((next, done)) = stack.pop() {
                let Next::Split(split) = next else { continue };
                let split = split as usize;
                if done {
                    order.push(split);
                } else if !std::mem::replace(known.get_mut(split)?, true) {
                    let below = self.trees.splits.get(split)?;
                    stack.extend([(next, true), (below.yes, false), (below.no, false)]);
                }
            }
        }
        order.reverse();
        Some(order)
    }

    /// How many comparisons a split takes.
    fn count(&self, split: &Split) -> i64 {
        match split.mode {
            Mode::AtMost | Mode::Below | Mode::AtLeast | Mode::Above => 1,
            Mode::Equal | Mode::Other => 2,
            Mode::Member => 2 * i64::from(split.set.1 - split.set.0).max(1),
        }
    }

    /// Where a missing value goes on, and its column, if the comparisons of a split would not take it there: its place is behind
    /// those of all numbers, so that every `x ≤ value` fails for it.
    fn guard(&self, split: &Split) -> Option<Option<(usize, Next)>> {
        let (column, missing, turned) = self.columns.missing(split.feature)?;
        let wanted = match missing {
            Missing::Never => return Some(None),
            Missing::Nan => split.missing,
            Missing::Replaced(value) => self.trees.holds(split, value.into()),
        };
        let led = match split.mode {
            Mode::AtMost | Mode::Below => turned,
            Mode::AtLeast | Mode::Above => !turned,
            Mode::Equal | Mode::Member => false,
            Mode::Other => true,
        };
        Some((wanted != led).then_some((column, if wanted { split.yes } else { split.no })))
    }

    fn split(&self, splits: &mut Vec<i64>, split: &Split, entries: &[i64]) -> Option<()> {
        let (yes, no) = (reference(split.yes, entries), reference(split.no, entries));
        let value = split.value;
        if let Some((column, wanted)) = self.guard(split)? {
            let numbers = (splits.len() / SPLIT) as i64 + 1;
            splits.extend([column as i64, order::MOST - 1, numbers, reference(wanted, entries)]);
        }
        match split.mode {
            Mode::AtMost => self.compare(splits, split, &|x| x <= value, yes, no),
            Mode::Above => self.compare(splits, split, &|x| x <= value, no, yes),
            Mode::Below => self.compare(splits, split, &|x| x < value, yes, no),
            Mode::AtLeast => self.compare(splits, split, &|x| x < value, no, yes),
            Mode::Equal => self.equal(splits, split, value, yes, no),
            Mode::Other => self.equal(splits, split, value, no, yes),
            Mode::Member => {
                let members = self.trees.members.get(split.set.0 as usize..split.set.1 as usize)?;
                let last = members.len().saturating_sub(1);
                for (at, &member) in members.iter().enumerate() {
                    let next = (splits.len() / SPLIT) as i64 + 2;
                    self.equal(splits, split, member, yes, if at == last { no } else { next })?;
                }
                // An empty set has no member: two comparisons that both lead to the same place.
                if members.is_empty() {
                    self.equal(splits, split, 0.0, no, no)?;
                }
                Some(())
            }
        }
    }

    fn equal(&self, splits: &mut Vec<i64>, split: &Split, value: f64, yes: i64, no: i64) -> Option<()> {
        let next = (splits.len() / SPLIT) as i64 + 1;
        self.compare(splits, split, &|x| x <= value, next, no)?;
        self.compare(splits, split, &|x| x < value, no, yes)
    }

    fn compare(
        &self,
        splits: &mut Vec<i64>,
        split: &Split,
        holds: &dyn Fn(f64) -> bool,
        yes: i64,
        no: i64,
    ) -> Option<()> {
        let found = self.columns.compare(split.feature, holds)?;
        let (yes, no) = if found.turned { (no, yes) } else { (yes, no) };
        splits.extend([found.column as i64, found.value, yes, no]);
        Some(())
    }
}

fn reference(next: Next, entries: &[i64]) -> i64 {
    match next {
        Next::Split(split) => entries.get(split as usize).copied().unwrap_or(0),
        Next::Leaf(leaf) => -1 - i64::from(leaf),
    }
}

impl Tables {
    fn leaf(&mut self, votes: &[(usize, f64)], scale: f64) {
        for &(place, weight) in votes {
            self.votes.extend([place as i64, (weight * scale).round_ties_even() as i64]);
        }
        self.leaves.push((self.votes.len() / 2) as i64);
    }
}
