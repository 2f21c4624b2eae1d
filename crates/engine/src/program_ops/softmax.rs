//! `Softmax` in binary32 along the innermost axis: the exponentials of a line side by side, their sum in order.

use graph::program::{Array, Context, Data, Element, Inputs, Node, Outcome, index};

use super::{Row, floats::exp, product::Build, row};

pub const ROW: Row = row!("Softmax", run);

fn run<B: Build>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let innermost =
        node.version >= 13 && index::axis(node.integer("axis", -1)?, x.rank()).is_ok_and(|axis| axis + 1 == x.rank());
    let (Data::F32(values), true) = (x.data(), innermost) else {
        return (node.operator.run)(node, inputs, context);
    };
    context.room(x.shape(), Element::F32)?;
    context.spend((x.len() as u64).saturating_mul(4))?;
    let mut y = values.clone();
    let size = x.shape()[x.rank() - 1].max(1);
    context.crew().rows(&mut y, size, size.saturating_mul(4), |_, y| {
        B::plain(|| {
            for line in y.chunks_exact_mut(size) {
                softmax(line);
            }
        });
    });
    Ok(vec![Array::f32s(x.shape(), y)?.into()])
}

#[inline(always)]
fn softmax(line: &mut [f32]) {
    // The greatest of all is the same in any order; a NaN among them makes every exponential one.
    let most = line.iter().fold(f32::NEG_INFINITY, |most, &x| if x > most { x } else { most });
    let most = if line.iter().any(|x| x.is_nan()) { f32::NAN } else { most };
    line.iter_mut().for_each(|x| *x = exp(*x - most));
    let sum = line.iter().fold(0.0, |sum, &x| sum + x);
    line.iter_mut().for_each(|x| *x /= sum);
}
