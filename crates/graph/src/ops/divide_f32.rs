//! `divide_f32`: the IEEE quotient of two tensors, element by element.

use super::{broadcast, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Kind, Operator, Reach, no_bounds},
    tensor::Tensor,
};

pub static OPERATOR: Operator = Operator {
    name: "divide_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (2, 2),
    attributes: &[],
    shape: broadcast::float_form,
    bounds: no_bounds,
    work: walk::alone,
    meaning,
};

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    broadcast::zip_floats("divide_f32", inputs, |left, right| left / right)
}
