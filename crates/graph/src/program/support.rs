//! What the support vector machines share: their kernels, and chances from the distances of pairs of classes.

use super::features::logistic;
use super::machine::Node;
use super::math;
use super::problem::Problem;
use super::real::Real;

enum Kind {
    Linear,
    Poly,
    Rbf,
    Sigmoid,
}

/// A kernel with its parameters.
pub struct Kernel {
    kind: Kind,
    gamma: f32,
    offset: f32,
    degree: f32,
}

impl Kernel {
    pub fn of(node: &Node) -> Result<Self, Problem> {
        let kind = match node.text("kernel_type", "LINEAR")? {
            "LINEAR" => Kind::Linear,
            "POLY" => Kind::Poly,
            "RBF" => Kind::Rbf,
            "SIGMOID" => Kind::Sigmoid,
            _ => return Err(Problem::Attribute { name: "kernel_type", expected: "LINEAR, POLY, RBF or SIGMOID" }),
        };
        let [gamma, offset, degree] = match node.floats("kernel_params")?.unwrap_or_default() {
            [] => [0.0; 3],
            &[gamma, offset, degree] => [gamma, offset, degree],
            _ => return Err(Problem::Attribute { name: "kernel_params", expected: "gamma, offset and degree" }),
        };
        Ok(Self { kind, gamma, offset, degree })
    }

    pub fn linear() -> Self {
        Self { kind: Kind::Linear, gamma: 0.0, offset: 0.0, degree: 0.0 }
    }

    /// A chain by fma from +0 over the features: of the squared differences (RBF) or of the products.
    pub fn of_pair<T: Real>(&self, x: &[T], y: &[f32]) -> T {
        let pairs = x.iter().zip(y).map(|(&x, &y)| (x, T::of(y.into())));
        let (gamma, offset) = (T::of(self.gamma.into()), T::of(self.offset.into()));
        if let Kind::Rbf = self.kind {
            let sum = pairs.fold(T::ZERO, |sum, (x, y)| (x - y).fma(x - y, sum));
            return (-gamma * sum).exp();
        }
        let sum = pairs.fold(T::ZERO, |sum, (x, y)| x.fma(y, sum));
        match self.kind {
            Kind::Poly => T::of(math::pow((sum * gamma + offset).wide(), self.degree.into())),
            Kind::Sigmoid => (sum * gamma + offset).tanh(),
            Kind::Linear | Kind::Rbf => sum,
        }
    }
}

/// The chance of the first class of a pair, from its distance: kept 1e-7 away from 0 and 1.
pub fn pair_chance<T: Real>(score: T, a: f32, b: f32) -> T {
    let chance = T::ONE - logistic(score * T::of(a.into()) + T::of(b.into()));
    let least = T::of(1e-7);
    chance.greater(least).lesser(T::ONE - least)
}

/// The chances of all classes that fit the chances of all pairs best: Wu, Lin and Weng's second method, at most 100 rounds (or as many as classes),
/// until no class is further off than `0.005 / classes`.
pub fn chances<T: Real>(pairs: &[Vec<T>]) -> Vec<T> {
    let count = pairs.len();
    let mut matrix = vec![vec![T::ZERO; count]; count];
    for (row, line) in matrix.iter_mut().enumerate() {
        for (column, value) in line.iter_mut().enumerate() {
            *value = match row == column {
                true => (0..count)
                    .filter(|&other| other != row)
                    .fold(T::ZERO, |sum, other| sum + pairs[other][row] * pairs[other][row]),
                false => -pairs[column][row] * pairs[row][column],
            };
        }
    }
    let mut found = vec![T::ONE / T::count(count); count];
    let enough = T::of(0.005) / T::count(count);
    for _ in 0..count.max(100) {
        let mut products: Vec<T> =
            matrix.iter().map(|line| line.iter().zip(&found).fold(T::ZERO, |sum, (&q, &p)| sum + q * p)).collect();
        let mut all = found.iter().zip(&products).fold(T::ZERO, |sum, (&p, &q)| sum + p * q);
        let far = products.iter().fold(T::ZERO, |far, &product| (product - all).magnitude().greater(far));
        if far < enough {
            break;
        }
        for class in 0..count {
            let own = matrix[class][class];
            let change = (all - products[class]) / own;
            let whole = T::ONE + change;
            found[class] += change;
            all = (all + change * (change * own + T::of(2.0) * products[class])) / (whole * whole);
            found.iter_mut().for_each(|p| *p = *p / whole);
            products
                .iter_mut()
                .zip(&matrix[class])
                .for_each(|(product, &q)| *product = (*product + change * q) / whole);
        }
    }
    found
}
