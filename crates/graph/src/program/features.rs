//! Rows of features, what classifiers make of their scores, and the labels that they give: shared by the classical models.
//!
//! Doubles are computed in binary64, all other numbers (integers by way of binary64) in binary32; results are rounded to binary32 once.

use super::array::Array;
use super::crew::Crew;
use super::element::{Element, Family};
use super::index;
use super::machine::{Context, Inputs, Node};
use super::math;
use super::problem::Problem;
use super::real::Real;

/// Whether a tensor's numbers are computed in binary64.
pub fn is_double(x: &Array) -> bool {
    x.element().family() == Family::Real64
}

/// Rows and features of input 0: a tensor of rank 2, or of rank 1 as one row.
pub fn sizes(inputs: &Inputs) -> Result<(usize, usize), Problem> {
    match *inputs.tensor(0)?.shape() {
        [features] => Ok((1, features)),
        [rows, features] => Ok((rows, features)),
        _ => Err(Problem::shape(0, "rows of features", inputs.tensor(0)?.shape())),
    }
}

/// The numbers of an input in the precision in which they are computed.
pub fn numbers<T: Real>(inputs: &Inputs, input: usize) -> Result<Vec<T>, Problem> {
    let x = inputs.tensor(input)?;
    if let Some(values) = T::read(x) {
        return Ok(values.into_owned());
    }
    let values = x.integers().ok_or_else(|| inputs.element(input, "numbers"))?;
    Ok(values.into_iter().map(|value| T::of(value as f64)).collect())
}

/// Rounds scores to the binary32 that the classical operators give.
pub fn singles<T: Real>(shape: &[usize], values: Vec<T>) -> Result<Array, Problem> {
    Array::f32s(shape, values.into_iter().map(|value| value.wide() as f32).collect())
}

/// What is made of the scores of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transform {
    None,
    Softmax,
    Logistic,
    SoftmaxZero,
    Probit,
}

impl Transform {
    pub fn of(node: &Node) -> Result<Self, Problem> {
        match node.text("post_transform", "NONE")? {
            "NONE" => Ok(Self::None),
            "SOFTMAX" => Ok(Self::Softmax),
            "LOGISTIC" => Ok(Self::Logistic),
            "SOFTMAX_ZERO" => Ok(Self::SoftmaxZero),
            "PROBIT" => Ok(Self::Probit),
            _ => Err(Problem::Attribute {
                name: "post_transform",
                expected: "NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT",
            }),
        }
    }

    /// By the standard's number, as `TreeEnsemble` states it.
    pub fn from_code(code: i64) -> Result<Self, Problem> {
        let all = [Self::None, Self::Softmax, Self::Logistic, Self::SoftmaxZero, Self::Probit];
        let found = usize::try_from(code).ok().and_then(|code| all.get(code)).copied();
        found.ok_or(Problem::Attribute { name: "post_transform", expected: "0 to 4" })
    }

    /// Rewrites a row of scores.
    pub fn apply<T: Real>(self, scores: &mut [T]) {
        match self {
            Self::None => {}
            Self::Softmax => super::ops::softmax_line(scores),
            Self::Logistic => scores.iter_mut().for_each(|score| *score = logistic(*score)),
            Self::SoftmaxZero => softmax_zero(scores),
            Self::Probit => scores.iter_mut().for_each(|score| *score = probit(*score)),
        }
    }

    /// The two scores of a model that has one for two classes. `chance` says that the score is a chance, not a distance. A softmax of both is not
    /// taken: the runtimes that made these models what they are do not.
    pub fn both<T: Real>(self, score: T, chance: bool) -> Vec<T> {
        match self {
            Self::Probit => vec![probit(T::ONE - score), probit(score)],
            Self::Logistic => vec![logistic(-score), logistic(score)],
            Self::None | Self::Softmax | Self::SoftmaxZero if chance => vec![T::ONE - score, score],
            Self::None | Self::Softmax | Self::SoftmaxZero => vec![-score, score],
        }
    }
}

/// `1 / (1 + exp(-|x|))`, subtracted from 1 where x is negative.
pub fn logistic<T: Real>(x: T) -> T {
    let chance = T::ONE / (T::ONE + (-x.magnitude()).exp());
    if x < T::ZERO { T::ONE - chance } else { chance }
}

/// A softmax in which scores within 1e-7 of 0 are not raised to e, but scaled.
fn softmax_zero<T: Real>(scores: &mut [T]) {
    let most = scores.iter().fold(-T::INFINITY, |most, &score| score.greater(most));
    let (least, scale) = (T::of(1e-7), (-most).exp());
    for score in scores.iter_mut() {
        *score = if score.magnitude() > least { (*score - most).exp() } else { *score * scale };
    }
    let sum = scores.iter().fold(T::ZERO, |sum, &score| sum + score);
    let half = T::of(0.5);
    scores.iter_mut().for_each(|score| *score = if sum == T::ZERO { half } else { *score / sum });
}

/// `√2 · erf⁻¹(2x - 1)` by the approximation that the standard's implementations share, in binary64, rounded once.
fn probit<T: Real>(x: T) -> T {
    let x = 2.0 * x.wide() - 1.0;
    let sign = if x < 0.0 { -1.0 } else { 1.0 };
    let log = math::ln((1.0 - x) * (1.0 + x));
    let (one, two) = (2.0 / (std::f64::consts::PI * 0.147) + 0.5 * log, log / 0.147);
    T::of(std::f64::consts::SQRT_2 * sign * ((one * one - two).sqrt() - one).sqrt())
}

/// The labels of a classifier's classes, integers or texts.
pub struct Labels(Array);

impl Labels {
    /// Of the one list of labels that a node states; without any, the classes' numbers.
    pub fn of(node: &Node, names: &[&'static str], classes: usize, context: &Context) -> Result<Self, Problem> {
        match super::lookup::stated_list(node, names, context)? {
            Some(labels) => Ok(Self(labels)),
            None => Ok(Self(Array::i64s(&[classes], (0..classes as i64).collect())?)),
        }
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// In the order of the classes.
    pub fn list(&self) -> &Array {
        &self.0
    }

    /// A label a row, by the numbers of classes. Where a model knows one class only, class 1 is that and class 0 is none: 0, or an empty text.
    pub fn given(&self, classes: &[usize]) -> Result<Array, Problem> {
        let (shape, none) = ([classes.len()], std::sync::Arc::<str>::from(""));
        match (self.0.len(), self.0.as_texts()) {
            (1, Some(texts)) => Array::texts(
                &shape,
                classes.iter().map(|&class| if class == 1 { texts[0].clone() } else { none.clone() }).collect(),
            ),
            (1, None) => {
                let label = self.0.integers().and_then(|labels| labels.first().copied()).ok_or(Problem::Excluded)?;
                Array::i64s(&shape, classes.iter().map(|&class| if class == 1 { label as i64 } else { 0 }).collect())
            }
            _ => self.0.take(&shape, classes),
        }
    }
}

/// The class of the greatest score; the first of equal ones.
pub fn best<T: Real>(scores: &[T]) -> usize {
    let better = |best: usize, place: usize| if scores[place] > scores[best] { place } else { best };
    (1..scores.len()).fold(0, better)
}

/// A list attribute with a value for each of `count`, or one for all.
pub fn each_or_one(node: &Node, name: &'static str, count: usize, default: f32) -> Result<Vec<f32>, Problem> {
    match node.floats(name)?.unwrap_or_default() {
        [] => Ok(vec![default; count]),
        [one] => Ok(vec![*one; count]),
        values if values.len() == count => Ok(values.to_vec()),
        _ => Err(Problem::Attribute { name, expected: "one value, or one a feature" }),
    }
}

/// A matrix product with a bias: each sum a chain by fma from +0 over the features, in order, the bias added last.
pub fn linear<T: Real>(
    x: &[T],
    features: usize,
    (weights, bias): (&[f32], &[f32]),
    outputs: usize,
    crew: &dyn Crew,
) -> Vec<T> {
    let mut all = Vec::new();
    for row in crew.watched(x.chunks_exact(features.max(1)), weights.len() * 2) {
        for output in 0..outputs {
            let weights = &weights[output * features..][..features];
            let sum = row.iter().zip(weights).fold(T::ZERO, |sum, (&x, &w)| x.fma(T::of(w.into()), sum));
            all.push(bias.get(output).map_or(sum, |&bias| sum + T::of(bias.into())));
        }
    }
    all
}

/// Room for a label and `scores` scores a row.
pub fn classified(rows: usize, scores: usize, context: &mut Context) -> Result<(), Problem> {
    context.room(&[rows], Element::I64)?;
    context.room(&[rows, scores], Element::F64)?;
    Ok(())
}

/// A shape with another innermost size.
pub fn with_last(shape: &[usize], size: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    shape.pop();
    shape.push(size);
    shape
}

/// The place of an index counted from either end, of the last axis.
pub fn place(found: i64, size: usize) -> Result<usize, Problem> {
    index::axis(found, size)
}
