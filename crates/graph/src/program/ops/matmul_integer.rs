//! `MatMulInteger`: matrix products of 8-bit integers less their zero points (one for all, or one a row of A and a column of B), into
//! int32; exact, wrapping at 32 bits.

use super::prelude::*;
use crate::program::price::Price;
use crate::program::product::{Plan, plan, sums};

pub static OPERATOR: Operator = Operator {
    name: "MatMulInteger",
    domain: "",
    versions: &[10],
    inputs: (2, 4),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| {
        let plan = plan(inputs.tensor(0)?.shape(), inputs.tensor(1)?.shape(), Price::Steps, context)?;
        context.room(&plan.shape, Element::I32)?;
        let sums = integer_sums(inputs, [0, 1], [2, 3], &plan, context.crew())?;
        Ok(vec![Array::wholes(Element::I32, &plan.shape, sums.into_iter().map(i128::from))?.into()])
    },
};

/// The sums of products of what lies at `values`, less what lies at `zeros`.
pub(super) fn integer_sums(
    inputs: &Inputs,
    [one, other]: [usize; 2],
    zeros: [usize; 2],
    plan: &Plan,
    crew: &dyn Crew,
) -> Result<Vec<i64>, Problem> {
    let less = |input: usize, zero: usize, line: &dyn Fn(usize) -> usize, lines: usize| {
        let values = inputs.integers(input)?;
        let Some(zeros) = inputs.integers_or_none(zero)? else { return Ok(values) };
        if zeros.len() != 1 && zeros.len() != lines {
            return Err(Problem::shape(zero, format!("1 or {lines} zero points"), inputs.tensor(zero)?.shape()));
        }
        let of = |at: usize| if zeros.len() == 1 { zeros[0] } else { zeros[line(at)] };
        Ok(values.iter().enumerate().map(|(at, value)| value.wrapping_sub(of(at))).collect::<Vec<i64>>())
    };
    let (rows, columns, inner) = (plan.rows, plan.columns, plan.inner);
    // Zero points a row may also be given for each matrix of the batch.
    let all = inputs.tensor(one)?.len() / inner.max(1);
    let by_row = inputs.tensor_or_none(zeros[0])?.is_none_or(|zero| zero.len() != all);
    let a = less(one, zeros[0], &|at| if by_row { at / inner % rows } else { at / inner }, if by_row { rows } else { all })?;
    let matrices = inputs.tensor(other)?.len() / (inner * columns).max(1);
    let by_column = inputs.tensor_or_none(zeros[1])?.is_none_or(|zero| zero.len() != matrices * columns);
    let b = less(
        other,
        zeros[1],
        &|at| if by_column { at % columns } else { at / (inner * columns) * columns + at % columns },
        if by_column { columns } else { matrices * columns },
    )?;
    Ok(sums(plan, (&a, &b), crew, 0, |x, y, sum: i64| sum.wrapping_add(x.wrapping_mul(y))))
}
