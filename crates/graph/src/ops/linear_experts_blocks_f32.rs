//! `linear_experts_blocks_f32`: `linear_blocks_f32` with a matrix of a stack for each slot of a row, as
//! `linear_experts_f32` chooses it.

use super::{
    float_tensor,
    linear_blocks_f32::output,
    linear_experts_f32::{each_slot, form, rows_of},
    walk, weights,
};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    formats::Weights,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds},
    tensor::Tensor,
};

pub static OPERATOR: Operator = Operator {
    name: "linear_experts_blocks_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (2, 3),
    attributes: &[],
    shape,
    bounds: no_bounds,
    work: walk::products,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    form(site, Weights::Blocks, "weights in blocks")
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let packed = weights("linear_experts_blocks_f32", inputs, 1)?;
    let mut values = Vec::new();
    let shape = each_slot("linear_experts_blocks_f32", inputs, |x, expert| {
        values.extend(output(x, rows_of(packed, expert).map(|row| packed.groups(row))));
    })?;
    float_tensor("linear_experts_blocks_f32", &shape, values)
}
