//! `ReduceMean` in binary32 over the innermost axes: the sums of several lines side by side.

use graph::program::{Array, Context, Data, Element, Inputs, Node, Outcome, reduce};

use super::{Row, global_average_pool::lines, product::Build, row};

pub const ROW: Row = row!("ReduceMean", run);

fn run<B: Build>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let Data::F32(values) = x.data() else { return (node.operator.run)(node, inputs, context) };
    let axes = reduce::axes(node, inputs, x.rank())?;
    if axes.is_empty() || !axes.iter().rev().zip((0..x.rank()).rev()).all(|(&axis, last)| axis == last) {
        return (node.operator.run)(node, inputs, context);
    }
    let groups = reduce::groups(x, &axes, node.flag("keepdims", true)?, context)?;
    context.room(&groups.shape, Element::F32)?;
    let size = groups.offsets.len();
    let mut sums = vec![0.0; groups.bases.len()];
    lines::<B>(context.crew(), values, size, &mut sums);
    sums.iter_mut().for_each(|sum| *sum /= size as f32);
    Ok(vec![Array::f32s(&groups.shape, sums)?.into()])
}
