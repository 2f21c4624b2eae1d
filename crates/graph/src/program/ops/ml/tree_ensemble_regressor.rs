//! `TreeEnsembleRegressor`: for each target the votes of all trees, summed from +0 in the order of the trees (or their mean, least, greatest); then
//! the base value; then the transform, of which a single target knows only PROBIT.

use super::prelude::*;
use crate::program::features::Transform;
use crate::program::trees::{Aggregate, Ballot, Trees, named, numbers};

pub static OPERATOR: Operator = Operator {
    name: "TreeEnsembleRegressor",
    domain: DOMAIN,
    versions: &[1, 3, 5],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[
        "aggregate_function",
        "base_values",
        "base_values_as_tensor",
        "n_targets",
        "nodes_falsenodeids",
        "nodes_featureids",
        "nodes_hitrates",
        "nodes_hitrates_as_tensor",
        "nodes_missing_value_tracks_true",
        "nodes_modes",
        "nodes_nodeids",
        "nodes_treeids",
        "nodes_truenodeids",
        "nodes_values",
        "nodes_values_as_tensor",
        "post_transform",
        "target_ids",
        "target_nodeids",
        "target_treeids",
        "target_weights",
        "target_weights_as_tensor",
    ],
    run: |node, inputs, context| match features::is_double(inputs.tensor(0)?) {
        true => regress::<f64>(node, inputs, context),
        false => regress::<f32>(node, inputs, context),
    },
};

static BALLOT: Ballot = Ballot {
    trees: "target_treeids",
    nodes: "target_nodeids",
    targets: "target_ids",
    weights: ["target_weights", "target_weights_as_tensor"],
};

/// What the attributes describe.
pub(crate) struct Plan {
    pub trees: Trees,
    pub targets: usize,
    pub base: Vec<f64>,
    pub aggregate: Aggregate,
    pub transform: Transform,
}

fn plan(node: &Node, context: &Context) -> Result<Plan, Problem> {
    let targets = index::size(node.integer("n_targets", 1)?)?;
    let aggregate = match node.text("aggregate_function", "SUM")? {
        "SUM" => Aggregate::Sum,
        "AVERAGE" => Aggregate::Average,
        "MIN" => Aggregate::Least,
        "MAX" => Aggregate::Most,
        _ => return Err(Problem::Attribute { name: "aggregate_function", expected: "SUM, AVERAGE, MIN or MAX" }),
    };
    let base = match numbers(node, &["base_values", "base_values_as_tensor"], context)?.as_slice() {
        [] => vec![0.0; targets],
        [one] => vec![*one; targets],
        values if values.len() == targets => values.to_vec(),
        _ => return Err(Problem::Attribute { name: "base_values", expected: "a number a target" }),
    };
    Ok(Plan { trees: named(node, &BALLOT, targets, context)?, targets, base, aggregate, transform: Transform::of(node)? })
}

fn regress<T: Real>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let plan = node.derived.get(|| plan(node, context))?;
    let (rows, features) = features::sizes(inputs)?;
    if plan.trees.features() > features {
        return Err(Problem::shape(0, format!("{} features or more", plan.trees.features()), inputs.tensor(0)?.shape()));
    }
    context.room(&[rows, plan.targets], Element::F64)?;
    context.spend((rows as u64).saturating_mul(plan.trees.steps.saturating_add(plan.targets as u64)))?;
    let x: Vec<T> = features::numbers(inputs, 0)?;
    let mut scores = Vec::new();
    for row in context.crew().watched(x.chunks_exact(features.max(1)), plan.trees.steps as usize * 8) {
        let sums = plan.aggregate.of::<T>(&plan.trees, row, plan.targets);
        let mut sums: Vec<T> =
            sums.into_iter().zip(&plan.base).map(|(sum, &base)| sum.unwrap_or(T::ZERO) + T::of(base)).collect();
        if plan.targets > 1 || plan.transform == Transform::Probit {
            plan.transform.apply(&mut sums);
        }
        scores.extend(sums);
    }
    Ok(vec![features::singles(&[rows, plan.targets], scores)?.into()])
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, context: &Context) -> Result<(), Problem> {
    node.derived.get(|| plan(node, context)).map(|_| ())
}
