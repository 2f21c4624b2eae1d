//! `Gemm` in binary32: its product of matrices by the kernel.

use graph::program::{
    Context, Element, Inputs, Node, Outcome,
    gemm::{finish, turned},
};

use super::Row;
use super::matmul::multiplied;
use super::product::{Avx2, Avx512, Build, Portable};

pub const ROW: Row = Row { name: "Gemm", portable: run::<Portable>, avx2: run::<Avx2>, avx512: run::<Avx512> };

fn run<B: Build>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (one, other) = (inputs.tensor(0)?, inputs.tensor(1)?);
    if one.element() != Element::F32 || other.element() != Element::F32 {
        return (node.operator.run)(node, inputs, context);
    }
    let one = turned(one, node.flag("transA", false)?, context)?;
    let other = turned(other, node.flag("transB", false)?, context)?;
    let product = multiplied::<B>(&one, &other, context)?;
    Ok(vec![finish(node, inputs, product, context)?.into()])
}
