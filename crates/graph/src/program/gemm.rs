//! What `Gemm` does before and after its product of matrices.

use super::array::Array;
use super::index;
use super::machine::Context;
use super::machine::Inputs;
use super::machine::Node;
use super::problem::Problem;
use super::real::{Real, precision};

/// A matrix, transposed where a flag says so.
pub fn turned(x: &Array, flag: bool, context: &mut Context) -> Result<Array, Problem> {
    let &[rows, columns] = x.shape() else { return Err(Problem::shape(0, "a matrix", x.shape())) };
    if !flag {
        return Ok(x.clone());
    }
    let places = context.room(&[columns, rows], x.element())?;
    context.bytes(places as u64 * 8)?;
    x.take(&[columns, rows], &index::walk(&[columns, rows], &[1, columns]))
}

/// What follows the product of the matrices.
pub fn finish(node: &Node, inputs: &Inputs, product: Array, context: &mut Context) -> Result<Array, Problem> {
    let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
    let c = inputs.tensor_or_none(2)?;
    let places = match c {
        Some(c) if index::broadcast(c.shape(), product.shape())? == product.shape() => {
            context.bytes(product.len() as u64 * 8)?;
            Some(index::spread(c.shape(), product.shape()))
        }
        Some(c) => return Err(Problem::shape(2, format!("what spreads to {:?}", product.shape()), c.shape())),
        None => None,
    };
    let element = product.element();
    context.room(product.shape(), element)?;
    precision!(element, T => {
        let (alpha, beta) = (T::of(alpha.into()), T::of(beta.into()));
        let scaled = |value: T, factor: T| if factor == T::ONE { value } else { value * factor };
        let sums = T::read(&product).ok_or(Problem::Excluded)?;
        let mut sums: Vec<T> = sums.iter().map(|&sum| scaled(sum, alpha)).collect();
        if let (Some(c), Some(places)) = (c, places) {
            let c = T::read(c).ok_or_else(|| inputs.element(2, "the floats of input 0"))?;
            sums.iter_mut().zip(places).for_each(|(sum, place)| *sum += scaled(c[place], beta));
        }
        T::write(element, product.shape(), sums)
    }, else => {
        let sums = product.integers().ok_or(Problem::Excluded)?;
        let of = |value: i128, factor: f32| if factor == 1.0 { value } else { (value as f64 * f64::from(factor)) as i128 };
        let mut sums: Vec<i128> = sums.into_iter().map(|sum| of(sum, alpha)).collect();
        if let (Some(c), Some(places)) = (c, places) {
            let c = c.integers().ok_or_else(|| inputs.element(2, "the integers of input 0"))?;
            sums.iter_mut().zip(places).for_each(|(sum, place)| *sum = sum.wrapping_add(of(c[place], beta)));
        }
        Array::wholes(element, product.shape(), sums.into_iter())
    })
}
