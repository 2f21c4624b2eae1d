//! `TreeEnsemble`: for each target the votes of all trees, summed from +0 in the order of the trees (or their mean, least, greatest), then the transform.

use super::prelude::*;
use crate::program::features::Transform;
use crate::program::trees::{Aggregate, Mode, Next, Split, Trees, Vote, numbers};

pub static OPERATOR: Operator = Operator {
    name: "TreeEnsemble",
    domain: DOMAIN,
    versions: &[5],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[
        "aggregate_function",
        "leaf_targetids",
        "leaf_weights",
        "membership_values",
        "n_targets",
        "nodes_falseleafs",
        "nodes_falsenodeids",
        "nodes_featureids",
        "nodes_hitrates",
        "nodes_missing_value_tracks_true",
        "nodes_modes",
        "nodes_splits",
        "nodes_trueleafs",
        "nodes_truenodeids",
        "post_transform",
        "tree_roots",
    ],
    run: |node, inputs, context| {
        let plan = node.derived.get(|| plan(node, context))?;
        precision!(inputs.tensor(0)?.element(), T => predict::<T>(&plan, inputs, context), else => Err(inputs.element(0, "floats")))
    },
};

/// What the attributes describe.
pub(crate) struct Plan {
    pub trees: Trees,
    pub targets: usize,
    pub aggregate: Aggregate,
    pub transform: Transform,
}

fn predict<T: Real>(plan: &Plan, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (rows, features) = features::sizes(inputs)?;
    if plan.trees.features() > features {
        return Err(Problem::shape(0, format!("{} features or more", plan.trees.features()), inputs.tensor(0)?.shape()));
    }
    let element = inputs.tensor(0)?.element();
    context.room(&[rows, plan.targets], element)?;
    context.spend((rows as u64).saturating_mul(plan.trees.steps.saturating_add(plan.targets as u64)))?;
    let x: Vec<T> = features::numbers(inputs, 0)?;
    let mut scores = Vec::new();
    for row in context.crew().watched(x.chunks_exact(features.max(1)), plan.trees.steps as usize * 8) {
        let sums = plan.aggregate.of::<T>(&plan.trees, row, plan.targets);
        let mut sums: Vec<T> = sums.into_iter().map(|sum| sum.unwrap_or(T::ZERO)).collect();
        if plan.targets > 1 || plan.transform == Transform::Probit {
            plan.transform.apply(&mut sums);
        }
        scores.extend(sums);
    }
    Ok(vec![T::write(element, &[rows, plan.targets], scores)?.into()])
}

fn plan(node: &Node, context: &Context) -> Result<Plan, Problem> {
    let targets = index::size(node.integer_or_none("n_targets")?.unwrap_or(1))?;
    let aggregates = [Aggregate::Average, Aggregate::Sum, Aggregate::Least, Aggregate::Most];
    let aggregate = usize::try_from(node.integer("aggregate_function", 1)?).ok().and_then(|code| aggregates.get(code)).copied();
    let aggregate = aggregate.ok_or(Problem::Attribute { name: "aggregate_function", expected: "0 to 3" })?;
    let mut trees = Trees { splits: splits(node, context)?, ..Trees::default() };
    set_members(&mut trees, &numbers(node, &["membership_values"], context)?)?;
    let weights = numbers(node, &["leaf_weights"], context)?;
    let refused = |name| Problem::Attribute { name, expected: "numbers of nodes, leaves and targets that exist" };
    let votes = node.integers("leaf_targetids")?.unwrap_or_default();
    if votes.len() != weights.len() {
        return Err(refused("leaf_targetids"));
    }
    for (at, (&target, &weight)) in votes.iter().zip(&weights).enumerate() {
        trees.votes.push(Vote { target: u32::try_from(target).map_err(|_| refused("leaf_targetids"))?, weight });
        trees.leaves.push((at as u32, at as u32 + 1));
    }
    for &root in node.integers("tree_roots")?.unwrap_or_default() {
        let split = usize::try_from(root).ok().and_then(|root| trees.splits.get(root)).ok_or_else(|| refused("tree_roots"))?;
        // A tree that is one leaf is written as a split both of whose branches are that leaf.
        trees.roots.push(match split.yes {
            Next::Leaf(_) if split.yes == split.no => split.yes,
            _ => Next::Split(root as u32),
        });
    }
    let transform = Transform::from_code(node.integer("post_transform", 0)?)?;
    Ok(Plan { trees: trees.checked(targets)?, targets, aggregate, transform })
}

fn splits(node: &Node, context: &Context) -> Result<Vec<Split>, Problem> {
    let values = numbers(node, &["nodes_splits"], context)?;
    let list = |name: &'static str| match node.integers(name)? {
        Some(list) if list.len() == values.len() => Ok(list),
        _ => Err(Problem::Attribute { name, expected: "a number for each node" }),
    };
    let modes = numbers(node, &["nodes_modes"], context)?;
    let (yes, no) = (list("nodes_truenodeids")?, list("nodes_falsenodeids")?);
    let (yes_leaf, no_leaf) = (list("nodes_trueleafs")?, list("nodes_falseleafs")?);
    let features = list("nodes_featureids")?;
    let missing = node.integers("nodes_missing_value_tracks_true")?.filter(|list| !list.is_empty());
    if modes.len() != values.len() || missing.is_some_and(|missing| missing.len() != values.len()) {
        return Err(Problem::Attribute { name: "nodes_modes", expected: "a number for each node" });
    }
    let next = |id: i64, leaf: i64| {
        let id = u32::try_from(id).map_err(|_| Problem::Attribute { name: "nodes_truenodeids", expected: "nodes that exist" })?;
        Ok(if leaf != 0 { Next::Leaf(id) } else { Next::Split(id) })
    };
    let mut splits = Vec::with_capacity(values.len());
    for (at, &value) in values.iter().enumerate() {
        let mode = Mode::from_code(modes[at] as u8).ok_or(Problem::Attribute { name: "nodes_modes", expected: "0 to 6" })?;
        let feature = u32::try_from(features[at]);
        splits.push(Split {
            feature: feature.map_err(|_| Problem::Attribute { name: "nodes_featureids", expected: "0 or more" })?,
            mode,
            missing: missing.is_some_and(|missing| missing[at] != 0),
            value,
            set: (0, 0),
            yes: next(yes[at], yes_leaf[at])?,
            no: next(no[at], no_leaf[at])?,
        });
    }
    Ok(splits)
}

/// The sets that nodes compare with: one list, each set's end marked by a NaN, for the nodes that ask for one in their order.
fn set_members(trees: &mut Trees, members: &[f64]) -> Result<(), Problem> {
    let mut start = 0;
    for split in trees.splits.iter_mut().filter(|split| split.mode == Mode::Member) {
        let refused = Problem::Attribute { name: "membership_values", expected: "a set for each node that asks for one" };
        let end = members[start..].iter().position(|value| value.is_nan()).ok_or(refused)? + start;
        split.set = (start as u32, end as u32);
        start = end + 1;
    }
    trees.members = members.to_vec();
    Ok(())
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, context: &Context) -> Result<(), Problem> {
    node.derived.get(|| plan(node, context)).map(|_| ())
}
