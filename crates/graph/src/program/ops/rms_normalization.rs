//! `RMSNormalization`: over all axes from `axis` on, `(x / √(chain of squares by fma from +0 / count + epsilon))·scale`.

use super::layer_normalization::onto;
use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "RMSNormalization",
    domain: "",
    versions: &[23],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["axis", "epsilon", "stash_type"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, scale) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let axis = index::axis(node.integer("axis", -1)?, x.rank())?;
    let size: usize = x.shape()[axis..].iter().product();
    context.room(x.shape(), x.element())?;
    context.spend((x.len() as u64).saturating_mul(3))?;
    let places = onto(scale, x, 1, context)?;
    // The output has the element of the scale, which may differ from the input's.
    let element = scale.element();
    if x.element().family() != element.family() {
        return Err(inputs.element(1, "the floats of input 0"));
    }
    precision!(x.element(), T => {
        let (Some(values), Some(scale)) = (T::read(x), T::read(scale)) else { return Err(Problem::Excluded) };
        let epsilon = T::of(node.float("epsilon", 1e-5)?.into());
        let crew = context.crew();
        let root = |row: usize| {
            let squares = values[row * size..][..size].iter().fold(T::ZERO, |sum, &value| value.fma(value, sum));
            (squares / T::count(size) + epsilon).square_root()
        };
        let roots = crew.fill(values.len() / size.max(1), size.saturating_mul(2), T::ZERO, root);
        let y = crew.fill(values.len(), 4, T::ZERO, |at| (values[at] / roots[at / size]) * scale[places[at]]);
        Ok(vec![T::write(element, x.shape(), y)?.into()])
    }, else => Err(inputs.element(0, "floats")))
}
