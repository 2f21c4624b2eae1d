//! `BatchNormalization` in binary32 as models use it: each channel by its own mean, deviation, scale and bias.

use graph::program::{Array, Context, Data, Element, Inputs, Node, Outcome, normal::placed};

use super::{Row, product::Build, row};

pub const ROW: Row = row!("BatchNormalization", run);

fn run<B: Build>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let channels = if x.rank() > 1 { x.shape()[1] } else { 1 };
    let single = |input: usize| match inputs.tensor(input).map(|array| array.data()) {
        Ok(Data::F32(values)) if values.len() == channels => Some(values),
        _ => None,
    };
    let plain =
        !node.flag("training_mode", false)? && node.integer("spatial", 1)? != 0 && x.rank() > 1 && !node.wants(1);
    let (Data::F32(values), true, Some(scale), Some(bias), Some(mean), Some(variance)) =
        (x.data(), plain, single(1), single(2), single(3), single(4))
    else {
        return (node.operator.run)(node, inputs, context);
    };
    context.room(x.shape(), Element::F32)?;
    context.spend((x.len() as u64).saturating_mul(4))?;
    let epsilon = node.float("epsilon", 1e-5)?;
    let plane: usize = x.shape()[2..].iter().product();
    let mut y = values.clone();
    context.crew().rows(&mut y, plane, plane, |first, y| {
        B::plain(|| {
            for (line, values) in y.chunks_exact_mut(plane.max(1)).enumerate() {
                let channel = (first + line) % channels;
                let inverse = 1.0 / (variance[channel] + epsilon).sqrt();
                let (mean, scale, bias) = (mean[channel], scale[channel], bias[channel]);
                values.iter_mut().for_each(|x| *x = placed(*x, (mean, inverse), scale, Some(bias)));
            }
        });
    });
    Ok(vec![Array::f32s(x.shape(), y)?.into()])
}
