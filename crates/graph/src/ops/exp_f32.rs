//! `exp_f32`: the specification's own exponential, of `x` brought into [-87, 88].

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
    name: "exp_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &[],
    shape,
    bounds: no_bounds,
    work: walk::mapped_alone,
    meaning,
};

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    apply("exp_f32", inputs, float::exp)
}
