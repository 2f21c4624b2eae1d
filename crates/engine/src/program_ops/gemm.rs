//! `Gemm` in binary32: its product of matrices by the kernel; a right side of the model's own is turned once.

use std::sync::Arc;

use graph::program::{Array, Context, Data, Element, Inputs, Node, Outcome, Problem, Source, gemm::finish};

use super::matmul::multiplied;
use super::{Row, product::Build, row};

pub const ROW: Row = row!("Gemm", run);

fn run<B: Build>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (one, other) = (inputs.tensor(0)?, inputs.tensor(1)?);
    if one.element() != Element::F32 || other.element() != Element::F32 {
        return (node.operator.run)(node, inputs, context);
    }
    let one = turned(one, node.flag("transA", false)?, context, None)?;
    let kept = matches!(node.inputs.get(1), Some(Source::Constant(_))).then_some(node);
    let other = turned(other, node.flag("transB", false)?, context, kept)?;
    let product = multiplied::<B>(&one, &other, context)?;
    Ok(vec![finish(node, inputs, product, context)?.into()])
}

/// A matrix, transposed where a flag says so; kept where it never changes, for all nodes that turn it.
fn turned(x: &Array, flag: bool, context: &mut Context, kept: Option<&Node>) -> Result<Array, Problem> {
    let &[rows, columns] = x.shape() else { return Err(Problem::shape(0, "a matrix", x.shape())) };
    if !flag {
        return Ok(x.clone());
    }
    let places = context.room(&[columns, rows], Element::F32)?;
    context.bytes(places as u64 * 8)?;
    let turn = || {
        let Data::F32(values) = x.data() else { return Err(Problem::Excluded) };
        let mut turned = vec![0.0; places];
        for (row, line) in values.chunks_exact(columns.max(1)).enumerate() {
            line.iter().enumerate().for_each(|(column, &value)| turned[column * rows + row] = value);
        }
        Array::f32s(&[columns, rows], turned)
    };

    match kept {
        Some(node) => node.derived.get(turn).map(|array: Arc<Array>| array.as_ref().clone()),
        None => turn(),
    }
}
