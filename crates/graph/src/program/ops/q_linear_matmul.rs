//! `QLinearMatMul`: the sums of `MatMulInteger`, times `a_scale·b_scale / y_scale` in f32, rounded, ties to even, plus the zero point.

use super::matmul_integer::integer_sums;
use super::prelude::*;
use crate::program::price::Price;
use crate::program::product::plan;
use crate::program::scaling::Requantise;

pub static OPERATOR: Operator = Operator {
    name: "QLinearMatMul",
    domain: "",
    versions: &[10, 21],
    inputs: (8, 8),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| {
        let plan = plan(inputs.tensor(0)?.shape(), inputs.tensor(3)?.shape(), Price::Steps, context)?;
        let back = Requantise::new(inputs, [1, 4, 6], 7)?;
        context.room(&plan.shape, back.element)?;
        if back.factors.len() != 1 && back.factors.len() != plan.columns {
            return Err(Problem::shape(4, format!("1 or {} scales", plan.columns), inputs.tensor(4)?.shape()));
        }
        let sums = integer_sums(inputs, [0, 3], [2, 5], &plan, context.crew())?;
        let columns = plan.columns.max(1);
        Ok(vec![back.apply(&plan.shape, sums.into_iter().enumerate().map(|(at, sum)| (sum, at % columns)))?.into()])
    },
};
