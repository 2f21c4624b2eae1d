//! `relu_f32`: `x` where it is above 0, else 0 (also for NaN).

use super::{
    map_f32::{apply, shape},
    walk,
};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Kind, Operator, Reach, no_bounds},
    tensor::Tensor,
};

pub static OPERATOR: Operator = Operator {
    name: "relu_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &[],
    shape,
    bounds: no_bounds,
    work: walk::alone,
    meaning,
};

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    apply("relu_f32", inputs, |x| if x > 0.0 { x } else { 0.0 })
}
