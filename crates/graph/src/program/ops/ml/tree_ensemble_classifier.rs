//! `TreeEnsembleClassifier`: for each class the votes of all trees, summed from +0 in the order of the trees, plus its base value; the transform of a
//! row, and the label of the greatest sum. Votes for the first of two classes alone are the score of the second: a chance where no weight is
//! negative (above 0.5 it wins), else a distance (above 0).

use super::prelude::*;
use crate::program::features::{Labels, Transform};
use crate::program::trees::{Aggregate, Ballot, Trees, named, numbers};

pub static OPERATOR: Operator = Operator {
    name: "TreeEnsembleClassifier",
    domain: DOMAIN,
    versions: &[1, 3, 5],
    inputs: (1, 1),
    outputs: (2, 2),
    attributes: &[
        "base_values",
        "base_values_as_tensor",
        "class_ids",
        "class_nodeids",
        "class_treeids",
        "class_weights",
        "class_weights_as_tensor",
        "classlabels_int64s",
        "classlabels_strings",
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
    ],
    run: |node, inputs, context| match features::is_double(inputs.tensor(0)?) {
        true => classify::<f64>(node, inputs, context),
        false => classify::<f32>(node, inputs, context),
    },
};

static BALLOT: Ballot = Ballot {
    trees: "class_treeids",
    nodes: "class_nodeids",
    targets: "class_ids",
    weights: ["class_weights", "class_weights_as_tensor"],
};

/// What the attributes describe.
pub(crate) struct Plan {
    pub trees: Trees,
    pub labels: Labels,
    /// The one class that votes are for, where two are told apart by one score.
    pub only: Option<usize>,
    pub base: Vec<f64>,
    /// Whether no vote counts against a class.
    pub chance: bool,
    pub transform: Transform,
}

fn plan(node: &Node, context: &Context) -> Result<Plan, Problem> {
    let labels = Labels::of(node, &["classlabels_int64s", "classlabels_strings"], 0, context)?;
    let classes = labels.count();
    let trees = named(node, &BALLOT, classes, context)?;
    let first = trees.votes.first().map(|vote| vote.target);
    let alone = classes == 2 && trees.votes.iter().all(|vote| Some(vote.target) == first);
    let base = numbers(node, &["base_values", "base_values_as_tensor"], context)?;
    let only = first.filter(|_| alone && base.len() < 2).map(|class| class as usize);
    if !(base.is_empty() || base.len() == classes || base.len() == 1 && only.is_some()) {
        return Err(Problem::Attribute { name: "base_values", expected: "a number a class" });
    }
    let chance = trees.votes.iter().all(|vote| vote.weight >= 0.0);
    Ok(Plan { trees, labels, only, base, chance, transform: Transform::of(node)? })
}

fn classify<T: Real>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let plan = node.derived.get(|| plan(node, context))?;
    let (rows, features) = features::sizes(inputs)?;
    if plan.trees.features() > features {
        return Err(Problem::shape(0, format!("{} features or more", plan.trees.features()), inputs.tensor(0)?.shape()));
    }
    let columns = plan.labels.count();
    features::classified(rows, columns, context)?;
    context.spend((rows as u64).saturating_mul(plan.trees.steps.saturating_add(columns as u64)))?;
    let x: Vec<T> = features::numbers(inputs, 0)?;
    let (mut classes, mut scores) = (Vec::new(), Vec::new());
    for row in context.crew().watched(x.chunks_exact(features.max(1)), plan.trees.steps as usize * 8) {
        let (class, row) = plan.row(row);
        classes.push(class);
        scores.extend(row);
    }
    Ok(vec![plan.labels.given(&classes)?.into(), features::singles(&[rows, columns], scores)?.into()])
}

impl Plan {
    /// The class of a row, and the scores of all.
    fn row<T: Real>(&self, row: &[T]) -> (usize, Vec<T>) {
        let sums = Aggregate::Sum.of::<T>(&self.trees, row, self.labels.count());
        let base = |class: usize| self.base.get(class).map_or(T::ZERO, |&base| T::of(base));
        let middle = if self.chance { T::of(0.5) } else { T::ZERO };
        if let Some(class) = self.only {
            let score = sums[class].unwrap_or(T::ZERO) + base(0);
            if class == 0 {
                return (usize::from(score > middle), self.transform.both(score, self.chance));
            }
            let mut both = vec![T::ZERO, score];
            self.transform.apply(&mut both);
            return (usize::from(score > middle), both);
        }
        let mut sums: Vec<T> = sums.into_iter().enumerate().map(|(class, sum)| sum.unwrap_or(T::ZERO) + base(class)).collect();
        if let [score] = sums[..] {
            return (usize::from(score > T::ZERO), if self.transform == Transform::Probit { self.transform.both(score, true)[1..].to_vec() } else { sums });
        }
        let class = features::best(&sums);
        self.transform.apply(&mut sums);
        (class, sums)
    }
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, context: &Context) -> Result<(), Problem> {
    node.derived.get(|| plan(node, context)).map(|_| ())
}
