//! `MatMul`: matrix products over broadcast outer axes. Each sum runs over the inner axis from +0, by fma for floats;
//! integers wrap around at their width.

use super::prelude::*;
use crate::program::price::Price;
use crate::program::product::{plan, sums};

pub static OPERATOR: Operator = Operator {
    name: "MatMul",
    domain: "",
    versions: &[1, 9, 13],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| Ok(vec![product(inputs.tensor(0)?, inputs.tensor(1)?, context)?.into()]),
};

pub(super) fn product(one: &Array, other: &Array, context: &mut Context) -> Result<Array, Problem> {
    let element = one.element();
    let refused = |input, found: &Array| Problem::Element { input, expected: "numbers of one type", found: found.element().name() };
    if other.element() != element {
        return Err(refused(1, other));
    }
    let plan = plan(one.shape(), other.shape(), Price::of([one, other]), context)?;
    context.room(&plan.shape, element)?;
    precision!(element, T => {
        let (a, b) = (T::read(one).ok_or(Problem::Excluded)?, T::read(other).ok_or(Problem::Excluded)?);
        T::write(element, &plan.shape, sums(&plan, (&a, &b), context.crew(), T::ZERO, |x, y, sum| x.fma(y, sum)))
    }, else => {
        let (Some(a), Some(b)) = (one.integers(), other.integers()) else { return Err(refused(0, one)) };
        let sums = sums(&plan, (&a, &b), context.crew(), 0, |x: i128, y, sum| x.wrapping_mul(y).wrapping_add(sum));
        Array::wholes(element, &plan.shape, sums.into_iter())
    })
}
