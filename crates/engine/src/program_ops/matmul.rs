//! `MatMul` in binary32.

use graph::program::{Array, Context, Data, Element, Inputs, Node, Outcome, Problem, price::Price, product::plan};

use super::product::{Build, FAST, product};
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
    let plan = plan(one.shape(), other.shape(), Price::of([one, other]), context)?;
    let places = context.room(&plan.shape, Element::F32)?;
    let (Data::F32(a), Data::F32(b)) = (one.data(), other.data()) else { return Err(Problem::Excluded) };
    let (rows, inner, columns) = (plan.rows, plan.inner, plan.columns);
    let mut sums = vec![0.0; places];
    let (crew, size) = (context.crew(), (rows * columns).max(1));
    let one = |pair: usize, sums: &mut [f32]| {
        let (i, j) = plan.pairs[pair];
        product::<B>(crew, (&a[i..][..rows * inner], &b[j..][..inner * columns]), [rows, inner, columns], sums);
    };
    // Many small products are shared whole, few large ones in pieces.
    if plan.pairs.len() >= 2 * crew.count() {
        crew.rows(&mut sums, size, size.saturating_mul(inner) / FAST, |first, sums| {
            sums.chunks_exact_mut(size).enumerate().for_each(|(at, sums)| one(first + at, sums));
        });
    } else {
        sums.chunks_exact_mut(size).enumerate().for_each(|(pair, sums)| one(pair, sums));
    }
    Array::f32s(&plan.shape, sums)
}
