//! `CumSum`: running sums along an axis, from its first place or with `reverse` from its last; `exclusive` leaves out the place itself.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "CumSum",
    domain: "",
    versions: &[11, 14],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["exclusive", "reverse"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    context.room(x.shape(), x.element())?;
    let axis = index::axis(inputs.integer(1)?, x.rank())?;
    let around = Around::new(x.shape(), axis);
    let (exclusive, reverse) = (node.flag("exclusive", false)?, node.flag("reverse", false)?);
    let result = precision!(x.element(), T => {
        let one = T::of(0.0);
        T::write(x.element(), x.shape(), running(&T::read(x).ok_or(Problem::Excluded)?, around, one, exclusive, reverse, |a, b| a + b))
    }, else => {
        let values = x.integers().ok_or_else(|| inputs.element(0, "numbers"))?;
        let all = running(&values, around, 0_i128, exclusive, reverse, i128::wrapping_add);
        Array::wholes(x.element(), x.shape(), all.into_iter())
    });
    Ok(vec![result?.into()])
}

fn running<T: Copy>(values: &[T], around: Around, first: T, exclusive: bool, reverse: bool, join: fn(T, T) -> T) -> Vec<T> {
    let mut all = values.to_vec();
    for outer in 0..around.outer {
        for inner in 0..around.inner {
            let mut held = first;
            for step in 0..around.size {
                let at = around.at(outer, if reverse { around.size - 1 - step } else { step }, inner);
                let next = join(held, values[at]);
                all[at] = if exclusive { held } else { next };
                held = next;
            }
        }
    }
    all
}
