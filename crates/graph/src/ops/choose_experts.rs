//! `choose_experts`: for each row of integer scores the indices of the greatest, the lowest index winning ties: a comparison of
//! exact numbers.
//!
//! With a bias, constant, scores count with it. With groups, the experts lie in that many groups of equal size; a group's
//! score is the sum of its `best` greatest, and only the experts of the `kept` groups with the greatest scores may be chosen.

use super::{choose_experts_f32::Choice, excluded, integer_tensor, integers, sizes_with_width};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Kind, Operator, Reach},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "choose_experts",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (1, 2),
    attributes: &["best", "count", "groups", "kept"],
    shape: |site| Choice::form(site, Element::I32),
    bounds: Choice::bounds,
    work: Choice::work,
    meaning,
};

/// Sums are of at most 2^13 numbers of 32 bits, far within i64.
fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let scores = integers("choose_experts", inputs, 0)?;
    let (_, experts) = inputs[0].rows_and_width();
    let bias = if inputs.len() > 1 { integers("choose_experts", inputs, 1)? } else { vec![0; experts] };
    let choice = Choice::read(attributes, experts).map_err(|_| excluded("choose_experts"))?;
    let mut values = Vec::new();
    for row in scores.chunks_exact(experts) {
        let corrected: Vec<i64> = row.iter().zip(&bias).map(|(score, bias)| score + bias).collect();
        values.extend(choice.choose(&corrected).into_iter().map(|expert| expert as i64));
    }
    let shape = sizes_with_width(inputs[0].shape(), choice.count);
    integer_tensor("choose_experts", Element::I32, &shape, values)
}
