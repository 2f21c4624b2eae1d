//! `MatMul` in binary32.

use graph::program::{Array, Context, Data, Element, Inputs, Node, Outcome, Problem, product::plan};

use super::product::{Build, product};
use super::{Row, row};

pub const ROW: Row = row!("MatMul", run);

fn run<B: Build>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (one, other) = (inputs.tensor(0)?, inputs.tensor(1)?);
    if one.element() != Element::F32 || other.element() != Element::F32 {
        return (node.operator.run)(node, inputs, context);
    }
    Ok(vec![multiplied::<B>(one, other, context)?.into()])
}

/// The product of two tensors of binary32.
pub fn multiplied<B: Build>(one: &Array, other: &Array, context: &mut Context) -> Result<Array, Problem> {
    let plan = plan(one.shape(), other.shape(), context)?;
    let places = context.room(&plan.shape, Element::F32)?;
    let (Data::F32(a), Data::F32(b)) = (one.data(), other.data()) else { return Err(Problem::Excluded) };
    let (rows, inner, columns) = (plan.rows, plan.inner, plan.columns);
    let mut sums = vec![0.0; places];
    for (&(i, j), sums) in plan.pairs.iter().zip(sums.chunks_exact_mut((rows * columns).max(1))) {
        product::<B>(&a[i..][..rows * inner], &b[j..][..inner * columns], rows, inner, columns, sums);
    }
    Array::f32s(&plan.shape, sums)
}
