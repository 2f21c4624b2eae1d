//! `subtract_f32`: the IEEE difference of two tensors, element by element.

use super::{broadcast, float_tensor, floats};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "subtract_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (2, 2),
    attributes: &[],
    shape,
    bounds: no_bounds,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    site.expect_element(0, Element::F32)?;
    site.expect_element(1, Element::F32)?;
    Ok(Form { element: Element::F32, shape: broadcast::shape(site)? })
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let (left, right) = (floats("subtract_f32", inputs, 0)?, floats("subtract_f32", inputs, 1)?);
    let (sizes, pairs) = broadcast::pairs(inputs[0].shape(), inputs[1].shape());
    let values = pairs.into_iter().map(|(one, other)| left[one] - right[other]).collect();
    float_tensor("subtract_f32", &sizes, values)
}
