//! `Range`: `start + i·delta` for i from 0 to below `ceil((limit - start) / delta)`: a product, then a sum.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Range",
    domain: "",
    versions: &[11, 27],
    inputs: (3, 3),
    outputs: (1, 1),
    attributes: &["stash_type"],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let element = inputs.tensor(0)?.element();
    for input in 1..3 {
        if inputs.tensor(input)?.element() != element {
            return Err(inputs.element(input, element.name()));
        }
    }
    if element.family() == Family::Whole {
        let (start, limit, delta) = (inputs.integer(0)?, inputs.integer(1)?, inputs.integer(2)?);
        let (start, limit, delta) = (i128::from(start), i128::from(limit), i128::from(delta));
        let span = limit - start;
        let steps = if delta == 0 { return Err(Problem::DivisionByZero) } else { span.div_euclid(delta) };
        let whole = steps * delta == span;
        let steps = match delta > 0 {
            true => if whole { steps } else { steps + 1 },
            // Rounding toward the greater quotient, whatever the sign of the remainder.
            false => span.checked_div(delta).unwrap_or(0) + i128::from(span % delta != 0 && (span < 0) == (delta < 0)),
        };
        let steps = usize::try_from(steps.max(0)).unwrap_or(usize::MAX);
        context.room(&[steps], element)?;
        return Ok(vec![Array::wholes(element, &[steps], (0..steps as i128).map(|i| start + i * delta))?.into()]);
    }
    let (start, limit, delta) = (inputs.number(0)?, inputs.number(1)?, inputs.number(2)?);
    let steps = ((limit - start) / delta).ceil();
    let steps = if steps > 0.0 { steps as usize } else { 0 };
    context.room(&[steps], element)?;
    precision!(element, T => {
        let values = (0..steps).map(|i| T::of(start) + T::count(i) * T::of(delta)).collect();
        Ok(vec![T::write(element, &[steps], values)?.into()])
    }, else => Err(inputs.element(0, "numbers")))
}
