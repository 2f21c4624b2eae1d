//! `sigmoid_f32`: `1 / (1 + exp(-x))` with the specification's own exp.

use super::{
    map_f32::{apply, shape},
    walk,
};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    float,
    operator::{Kind, Operator, Reach, no_bounds},
    tensor::Tensor,
};

pub static OPERATOR: Operator = Operator {
    name: "sigmoid_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &[],
    shape,
    bounds: no_bounds,
    work: walk::mapped,
    meaning,
};

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    apply("sigmoid_f32", inputs, |x| 1.0 / (1.0 + float::exp(-x)))
}
