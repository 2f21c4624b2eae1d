//! `SVMClassifier`: for each pair of classes a distance, `rho` plus the two chains of `coefficient·kernel` (products added from +0) over the vectors of
//! both; the class that wins most pairs. With `prob_a` the chances of `support.rs`. Without vectors a linear score a class.

use super::prelude::*;
use crate::program::support::{Kernel, chances, pair_chance};

pub static OPERATOR: Operator = Operator {
    name: "SVMClassifier",
    domain: DOMAIN,
    versions: &[1],
    inputs: (1, 1),
    outputs: (2, 2),
    attributes: &[
        "classlabels_ints",
        "classlabels_strings",
        "coefficients",
        "kernel_params",
        "kernel_type",
        "post_transform",
        "prob_a",
        "prob_b",
        "rho",
        "support_vectors",
        "vectors_per_class",
    ],
    run: |node, inputs, context| match features::is_double(inputs.tensor(0)?) {
        true => classify::<f64>(node, inputs, context),
        false => classify::<f32>(node, inputs, context),
    },
};

fn classify<T: Real>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (rows, features) = features::sizes(inputs)?;
    let labels = features::Labels::of(node, &["classlabels_ints", "classlabels_strings"], 1, context)?;
    let machine = Machine::of(node, features, labels.count())?;
    features::classified(rows, machine.classes * machine.classes, context)?;
    context.spend((rows as u64).saturating_mul(machine.cost()))?;
    let x: Vec<T> = features::numbers(inputs, 0)?;
    let transform = features::Transform::of(node)?;
    let positive = machine.weights.iter().all(|&weight| weight >= 0.0);
    let (mut classes, mut scores, mut columns) = (Vec::new(), Vec::new(), machine.columns());
    for row in context.crew().watched(x.chunks_exact(features.max(1)), machine.cost() as usize) {
        let (mut row, votes) = machine.scores(row);
        let winner = votes.as_ref().map_or_else(|| features::best(&row), |votes| features::best(votes));
        let most = votes.as_ref().map_or_else(|| row[winner], |votes| votes[winner]);
        classes.push(match (machine.rho.len(), labels.count()) {
            (1, 2) if machine.chance.is_none() && positive && most >= T::of(0.5) => 1,
            (1, 1) => usize::from(most > T::ZERO),
            _ => winner,
        });
        if let [score] = row[..] {
            row = if labels.count() == 2 { transform.both(score, false) } else { vec![score] };
        } else {
            transform.apply(&mut row);
        }
        columns = row.len();
        scores.extend(row);
    }
    Ok(vec![labels.given(&classes)?.into(), features::singles(&[rows, columns], scores)?.into()])
}

struct Machine<'n> {
    kernel: Kernel,
    features: usize,
    classes: usize,
    /// Vectors of each class, and where the first is; empty for a linear model.
    vectors: Vec<(usize, usize)>,
    count: usize,
    held: &'n [f32],
    weights: &'n [f32],
    rho: &'n [f32],
    chance: Option<(&'n [f32], &'n [f32])>,
}

impl<'n> Machine<'n> {
    fn of(node: &'n Node, features: usize, classes: usize) -> Result<Self, Problem> {
        let list = |name| node.floats(name).map(Option::unwrap_or_default);
        let mut count = 0_usize;
        let mut vectors = Vec::new();
        for &size in node.integers("vectors_per_class")?.unwrap_or_default() {
            let size = index::size(size)?;
            vectors.push((count, size));
            count = count.saturating_add(size);
        }
        let (held, weights, rho) = (list("support_vectors")?, list("coefficients")?, list("rho")?);
        let pairs = classes * classes.saturating_sub(1) / 2;
        let fits = match count {
            0 => weights.len() == classes * features && !rho.is_empty(),
            _ => {
                let lines = (classes - 1).checked_mul(count);
                vectors.len() == classes && Some(held.len()) == count.checked_mul(features) && lines == Some(weights.len()) && rho.len() == pairs
            }
        };
        if !fits || features == 0 {
            return Err(Problem::Attribute { name: "support_vectors", expected: "a number a feature for each vector, rho and coefficients for each pair" });
        }
        let (a, b) = (list("prob_a")?, list("prob_b")?);
        let chance = match (a.len(), b.len()) {
            (0, _) => None,
            _ if count == 0 => None,
            (one, other) if one == pairs && other == pairs => Some((a, b)),
            _ => return Err(Problem::Attribute { name: "prob_a", expected: "a number a pair, and prob_b" }),
        };
        let kernel = if count > 0 { Kernel::of(node)? } else { Kernel::linear() };
        Ok(Self { kernel, features, classes, vectors, count, held, weights, rho, chance })
    }

    fn columns(&self) -> usize {
        match (self.count, self.chance) {
            (0, _) | (_, Some(_)) => self.classes,
            (_, None) if self.classes == 2 => 2,
            (_, None) => self.rho.len(),
        }
    }

    fn cost(&self) -> u64 {
        let rounds = if self.chance.is_some() { self.classes.max(100) as u64 } else { 1 };
        let classes = self.classes as u64;
        let kernels = (self.held.len() + self.weights.len()) as u64;
        kernels.saturating_add(classes.saturating_mul(classes).saturating_mul(classes).saturating_mul(rounds))
    }

    /// The scores of a row, and the votes of its pairs where there are any.
    fn scores<T: Real>(&self, x: &[T]) -> (Vec<T>, Option<Vec<T>>) {
        if self.count == 0 {
            let rho = T::of(self.rho[0].into());
            return (self.weights.chunks_exact(self.features).map(|line| rho + self.kernel.of_pair(x, line)).collect(), None);
        }
        let kernels: Vec<T> = self.held.chunks_exact(self.features).map(|vector| self.kernel.of_pair(x, vector)).collect();
        let chain = |line: usize, (start, size): (usize, usize)| {
            let weights = &self.weights[line * self.count + start..][..size];
            weights.iter().zip(&kernels[start..][..size]).fold(T::ZERO, |sum, (&w, &k)| sum + T::of(w.into()) * k)
        };
        let (mut votes, mut scores) = (vec![T::ZERO; self.classes], Vec::new());
        let mut pairs = vec![vec![T::ZERO; self.classes]; self.classes];
        for one in 0..self.classes {
            for other in one + 1..self.classes {
                let place = scores.len();
                let score = (T::of(self.rho[place].into()) + chain(other - 1, self.vectors[one])) + chain(one, self.vectors[other]);
                votes[if score > T::ZERO { one } else { other }] += T::ONE;
                if let Some((a, b)) = self.chance {
                    pairs[one][other] = pair_chance(score, a[place], b[place]);
                    pairs[other][one] = T::ONE - pairs[one][other];
                }
                scores.push(score);
            }
        }
        match self.chance {
            Some(_) => (chances(&pairs), Some(votes)),
            None => (scores, Some(votes)),
        }
    }
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    // A linear machine has no kernel.
    match node.integers("vectors_per_class")?.unwrap_or_default().iter().any(|&size| size > 0) {
        true => Kernel::of(node).map(|_| ()),
        false => Ok(()),
    }
}
