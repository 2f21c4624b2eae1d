//! `silu_f32`: `x / (1 + exp(-x))` with the specification's own exp.

use super::{float_tensor, floats, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    float,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "silu_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &[],
    shape,
    bounds: no_bounds,
    work: walk::mapped,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_element(0, Element::F32)?;
    Ok(Form { element: Element::F32, shape: x.shape.clone() })
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let values = floats("silu_f32", inputs, 0)?.iter().map(|&x| float::silu(x)).collect();
    float_tensor("silu_f32", inputs[0].shape(), values)
}
