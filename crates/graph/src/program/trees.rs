//! Ensembles of decision trees: what a node's attributes describe, checked once, and where a row of features ends in each tree.
//!
//! Each node compares one feature with its value (a NaN goes where the node says); each tree gives the votes of one leaf. Nothing is
//! shared in a circle, so every walk ends.

use std::collections::BTreeMap;

use super::machine::{Context, Node};
use super::problem::Problem;
use super::real::Real;

/// How a node compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    AtMost,
    Below,
    AtLeast,
    Above,
    Equal,
    Other,
    /// Whether the feature is one of a set.
    Member,
}

impl Mode {
    /// By the standard's number, as `TreeEnsemble` states it.
    pub fn from_code(code: u8) -> Option<Self> {
        let all = [Self::AtMost, Self::Below, Self::AtLeast, Self::Above, Self::Equal, Self::Other, Self::Member];
        all.get(usize::from(code)).copied()
    }

    /// By the older operators' word; `None` for a leaf.
    fn from_word(word: &str) -> Result<Option<Self>, Problem> {
        Ok(Some(match word {
            "BRANCH_LEQ" => Self::AtMost,
            "BRANCH_LT" => Self::Below,
            "BRANCH_GTE" => Self::AtLeast,
            "BRANCH_GT" => Self::Above,
            "BRANCH_EQ" => Self::Equal,
            "BRANCH_NEQ" => Self::Other,
            "LEAF" => return Ok(None),
            _ => {
                return Err(Problem::Attribute {
                    name: "nodes_modes", expected: "BRANCH_LEQ, …, BRANCH_NEQ or LEAF"
                });
            }
        }))
    }
}

/// Where a branch leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    Split(u32),
    Leaf(u32),
}

#[derive(Clone, Debug)]
pub struct Split {
    pub feature: u32,
    pub mode: Mode,
    /// Where a NaN goes.
    pub missing: bool,
    pub value: f64,
    /// The members of a set, a range of `Trees::members`.
    pub set: (u32, u32),
    pub yes: Next,
    pub no: Next,
}

/// What a leaf adds to one target or class.
#[derive(Clone, Copy, Debug)]
pub struct Vote {
    pub target: u32,
    pub weight: f64,
}

#[derive(Clone, Debug, Default)]
pub struct Trees {
    pub splits: Vec<Split>,
    /// Of each leaf, a range of `votes`.
    pub leaves: Vec<(u32, u32)>,
    pub votes: Vec<Vote>,
    pub members: Vec<f64>,
    pub roots: Vec<Next>,
    /// The most steps that all trees together take for one row.
    pub steps: u64,
}

impl Trees {
    /// Refuses what leads nowhere or in a circle, features beyond the last and targets beyond `targets`; counts the steps.
    pub fn checked(mut self, targets: usize) -> Result<Self, Problem> {
        let refused = || Problem::Attribute { name: "nodes_truenodeids", expected: "nodes that exist, in no circle" };
        let within = |next: Next| match next {
            Next::Split(split) => (split as usize) < self.splits.len(),
            Next::Leaf(leaf) => (leaf as usize) < self.leaves.len(),
        };
        if !self.splits.iter().all(|split| within(split.yes) && within(split.no))
            || !self.roots.iter().all(|&root| within(root))
        {
            return Err(refused());
        }
        if self.votes.iter().any(|vote| vote.target as usize >= targets) {
            return Err(Problem::value("a target of a leaf", format!("below {targets}"), "another"));
        }
        let depths = self.depths().ok_or_else(refused)?;
        let depth = |next: &Next| if let Next::Split(split) = next { depths[*split as usize] } else { 0 };
        self.steps = self.roots.iter().map(|root| depth(root) + 1).sum();
        Ok(self)
    }

    /// The longest walk from each split; `None` where one leads back to itself.
    fn depths(&self) -> Option<Vec<u64>> {
        const UNSEEN: u64 = u64::MAX;
        const OPEN: u64 = u64::MAX - 1;
        let mut depths = vec![UNSEEN; self.splits.len()];
        for start in 0..self.splits.len() {
            let mut stack = vec![start];
            while let Some(&at) = stack.last() {
                if depths[at] < OPEN {
                    stack.pop();
                    continue;
                }
                depths[at] = OPEN;
                let below = [self.splits[at].yes, self.splits[at].no];
                let mut deepest = 0;
                let mut ready = true;
                for next in below {
                    let Next::Split(split) = next else { continue };
                    match depths[split as usize] {
                        UNSEEN => {
                            stack.push(split as usize);
                            ready = false;
                        }
                        OPEN => return None,
                        depth => deepest = deepest.max(depth),
                    }
                }
                if ready {
                    depths[at] = deepest + 1;
                    stack.pop();
                }
            }
        }
        Some(depths)
    }

    /// The greatest feature that a split reads, and one more.
    pub fn features(&self) -> usize {
        self.splits.iter().map(|split| split.feature as usize + 1).max().unwrap_or(0)
    }

    /// The votes of a tree for a row.
    pub fn votes_of<T: Real>(&self, root: Next, row: &[T]) -> &[Vote] {
        let mut next = root;
        loop {
            match next {
                Next::Split(at) => {
                    let split = &self.splits[at as usize];
                    let x = row[split.feature as usize].wide();
                    let goes = if x.is_nan() { split.missing } else { self.holds(split, x) };
                    next = if goes { split.yes } else { split.no };
                }
                Next::Leaf(leaf) => {
                    let (from, to) = self.leaves[leaf as usize];
                    return &self.votes[from as usize..to as usize];
                }
            }
        }
    }

    /// Whether a number goes on at `yes`.
    pub fn holds(&self, split: &Split, x: f64) -> bool {
        match split.mode {
            Mode::AtMost => x <= split.value,
            Mode::Below => x < split.value,
            Mode::AtLeast => x >= split.value,
            Mode::Above => x > split.value,
            Mode::Equal => x == split.value,
            Mode::Other => x != split.value,
            Mode::Member => self.members[split.set.0 as usize..split.set.1 as usize].contains(&x),
        }
    }
}

/// Lists of one length: the attributes of the older operators.
struct Lists<'n> {
    node: &'n Node,
    size: usize,
}

impl<'n> Lists<'n> {
    fn integers(&self, name: &'static str) -> Result<&'n [i64], Problem> {
        let list = self.node.integers(name)?.unwrap_or_default();
        if list.len() == self.size {
            Ok(list)
        } else {
            Err(Problem::Attribute { name, expected: "a number for each node" })
        }
    }

    fn numbers(&self, name: &'static str, tensor: &'static str, context: &Context) -> Result<Vec<f64>, Problem> {
        let list = numbers(self.node, &[name, tensor], context)?;
        if list.len() == self.size { Ok(list) } else { Err(Problem::Attribute { name, expected: "a number for each" }) }
    }
}

/// A list of numbers under one of these names, as binary64; empty where there is none.
pub fn numbers(node: &Node, names: &[&'static str], context: &Context) -> Result<Vec<f64>, Problem> {
    let Some(list) = super::lookup::stated_list(node, names, context)? else { return Ok(Vec::new()) };
    let refused = Problem::Attribute { name: names.first().copied().unwrap_or(""), expected: "numbers" };
    match (list.doubles(), list.integers()) {
        (Some(values), _) => Ok(values.into_owned()),
        (_, Some(values)) => Ok(values.into_iter().map(|value| value as f64).collect()),
        (None, None) => Err(refused),
    }
}

/// The names of the lists that say what leaves vote.
pub struct Ballot {
    pub trees: &'static str,
    pub nodes: &'static str,
    pub targets: &'static str,
    pub weights: [&'static str; 2],
}

/// The trees of the older operators: nodes named by tree and number, the trees in rising order; a leaf's votes in the order in which they are listed.
pub fn named(node: &Node, ballot: &Ballot, targets: usize, context: &Context) -> Result<Trees, Problem> {
    let modes = node.texts("nodes_modes")?.unwrap_or_default();
    let lists = Lists { node, size: modes.len() };
    let (trees, ids) = (lists.integers("nodes_treeids")?, lists.integers("nodes_nodeids")?);
    let modes: Result<Vec<Option<Mode>>, Problem> = modes.iter().map(|word| Mode::from_word(word)).collect();
    let (mut all, mut places, mut roots) = (Trees::default(), BTreeMap::new(), BTreeMap::new());
    let modes = modes?;
    let (mut splits, mut leaves) = (0_u32, 0_u32);
    for ((&tree, &id), mode) in trees.iter().zip(ids).zip(&modes) {
        let count = if mode.is_some() { &mut splits } else { &mut leaves };
        let next = if mode.is_some() { Next::Split(*count) } else { Next::Leaf(*count) };
        *count += 1;
        if places.insert((tree, id), next).is_some() {
            return Err(Problem::Attribute { name: "nodes_nodeids", expected: "each node of a tree once" });
        }
        roots.entry(tree).or_insert(next);
    }
    all.roots = roots.into_values().collect();
    let votes = votes(node, ballot, &places, leaves as usize, context)?;
    for votes in votes {
        let from = all.votes.len() as u32;
        all.votes.extend(votes);
        all.leaves.push((from, all.votes.len() as u32));
    }
    let (yes, no) = (lists.integers("nodes_truenodeids")?, lists.integers("nodes_falsenodeids")?);
    let features = lists.integers("nodes_featureids")?;
    let values = lists.numbers("nodes_values", "nodes_values_as_tensor", context)?;
    let missing = node.integers("nodes_missing_value_tracks_true")?.filter(|list| !list.is_empty());
    if missing.is_some_and(|missing| missing.len() != lists.size) {
        return Err(Problem::Attribute { name: "nodes_missing_value_tracks_true", expected: "a number for each node" });
    }
    let refused = |name| Problem::Attribute { name, expected: "numbers of nodes and features that exist" };
    for (at, mode) in modes.iter().enumerate() {
        let Some(mode) = *mode else { continue };
        let next = |id: i64| places.get(&(trees[at], id)).copied();
        all.splits.push(Split {
            feature: u32::try_from(features[at]).map_err(|_| refused("nodes_featureids"))?,
            mode,
            missing: missing.is_some_and(|missing| missing[at] != 0),
            value: values[at],
            set: (0, 0),
            yes: next(yes[at]).ok_or_else(|| refused("nodes_truenodeids"))?,
            no: next(no[at]).ok_or_else(|| refused("nodes_falsenodeids"))?,
        });
    }
    all.checked(targets)
}

/// The votes of each leaf.
fn votes(
    node: &Node,
    ballot: &Ballot,
    places: &BTreeMap<(i64, i64), Next>,
    leaves: usize,
    context: &Context,
) -> Result<Vec<Vec<Vote>>, Problem> {
    let targets = node.integers(ballot.targets)?.unwrap_or_default();
    let lists = Lists { node, size: targets.len() };
    let (trees, ids) = (lists.integers(ballot.trees)?, lists.integers(ballot.nodes)?);
    let weights = lists.numbers(ballot.weights[0], ballot.weights[1], context)?;
    let mut votes = vec![Vec::new(); leaves];
    for (((&tree, &id), &target), &weight) in trees.iter().zip(ids).zip(targets).zip(&weights) {
        let target =
            u32::try_from(target).map_err(|_| Problem::Attribute { name: ballot.targets, expected: "0 or more" })?;
        match places.get(&(tree, id)) {
            Some(Next::Leaf(leaf)) => votes[*leaf as usize].push(Vote { target, weight }),
            // A weight at a branch is never reached.
            Some(Next::Split(_)) => {}
            None => return Err(Problem::Attribute { name: ballot.nodes, expected: "nodes that exist" }),
        }
    }
    Ok(votes)
}

/// How the votes for a target become one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aggregate {
    Average,
    Sum,
    Least,
    Most,
}

impl Aggregate {
    /// The votes of all trees for a row, in the order of the trees; `None` for a target without any.
    pub fn of<T: Real>(self, trees: &Trees, row: &[T], targets: usize) -> Vec<Option<T>> {
        let mut sums = vec![None; targets];
        for &root in &trees.roots {
            for vote in trees.votes_of(root, row) {
                let weight = T::of(vote.weight);
                let sum = &mut sums[vote.target as usize];
                *sum = Some(match (*sum, self) {
                    (None, Self::Sum | Self::Average) => T::ZERO + weight,
                    (None, Self::Least | Self::Most) => weight,
                    (Some(sum), Self::Sum | Self::Average) => sum + weight,
                    (Some(sum), Self::Least) => weight.lesser(sum),
                    (Some(sum), Self::Most) => weight.greater(sum),
                });
            }
        }
        if self == Self::Average {
            let count = T::count(trees.roots.len().max(1));
            sums.iter_mut().flatten().for_each(|sum| *sum = *sum / count);
        }
        sums
    }
}
