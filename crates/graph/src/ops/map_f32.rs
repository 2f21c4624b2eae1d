//! What the operators on single floats share: the shape of the input stays, each element is replaced by a function of it.

use super::{float_tensor, floats};
use crate::{
    evaluate::Fault,
    operator::{Form, Refusal, Site},
    tensor::{Element, Tensor},
};

pub fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_element(0, Element::F32)?;
    Ok(Form { element: Element::F32, shape: x.shape.clone() })
}

pub fn apply(operator: &'static str, inputs: &[&Tensor], function: impl Fn(f32) -> f32) -> Result<Tensor, Fault> {
    let values = floats(operator, inputs, 0)?.iter().map(|&x| function(x)).collect();
    float_tensor(operator, inputs[0].shape(), values)
}
