//! `LRN`: each element divided by `(bias + alpha / size · sum)^beta`, the sum being the chain by fma from +0 of the squares of the
//! `size` channels around, those that exist, in order.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "LRN",
    domain: "",
    versions: &[1, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["alpha", "beta", "bias", "size"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let size = usize::try_from(node.integer("size", 0)?).unwrap_or(0);
    if size == 0 || x.rank() < 2 {
        return Err(Problem::Attribute { name: "size", expected: "1 or more, over an input with channels" });
    }
    let around = Around::new(x.shape(), 1);
    context.room(x.shape(), x.element())?;
    context.spend((x.len() as u64).saturating_mul(size.min(around.size) as u64))?;
    let (before, after) = ((size - 1) / 2, size / 2);
    precision!(x.element(), T => {
        let values = T::read(x).ok_or(Problem::Excluded)?;
        let (alpha, bias) = (T::of(node.float("alpha", 1e-4)?.into()), T::of(node.float("bias", 1.0)?.into()));
        let beta = f64::from(node.float("beta", 0.75)?);
        let y = context.crew().fill(values.len(), size.min(around.size).saturating_add(64), T::ZERO, |at| {
            let (outer, channel, inner) =
                (at / around.inner / around.size, at / around.inner % around.size, at % around.inner);
            let near = channel.saturating_sub(before)..around.size.min(channel.saturating_add(after + 1));
            let sum = near.fold(T::ZERO, |sum, near| {
                let value = values[around.at(outer, near, inner)];
                value.fma(value, sum)
            });
            let base = bias + alpha / T::count(size) * sum;
            values[at] / T::of(math::pow(base.wide(), beta))
        });
        Ok(vec![T::write(x.element(), x.shape(), y)?.into()])
    }, else => Err(inputs.element(0, "floats")))
}
