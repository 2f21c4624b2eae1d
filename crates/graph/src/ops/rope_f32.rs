//! `rope_f32`: the half rotation of `rope` in f32: `fma(x[j], c[j], -(x[j+h]·s[j]))` and `fma(x[j+h], c[j], x[j]·s[j])`.

use super::{excluded, float_tensor, floats, rope, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "rope_f32",
    kind: Kind::Ordered,
    reach: Reach::Position,
    inputs: (2, 2),
    attributes: &[],
    shape,
    bounds: no_bounds,
    work: walk::beside,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_element(0, Element::F32)?;
    site.expect_element(1, Element::F32)?;
    rope::head(site)?;
    Ok(Form { element: Element::F32, shape: x.shape.clone() })
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let (x, table) = (floats("rope_f32", inputs, 0)?, floats("rope_f32", inputs, 1)?);
    let (&[_, width], &[_, head]) = (inputs[0].shape(), inputs[1].shape()) else { return Err(excluded("rope_f32")) };
    let half = head / 2;
    let mut values = vec![0.0; x.len()];
    for (index, value) in values.iter_mut().enumerate() {
        let (position, place) = (index / width, index % head);
        let (cosine, sine) = (table[position * head + place % half], table[position * head + half + place % half]);
        *value = match place.checked_sub(half) {
            None => x[index].mul_add(cosine, -(x[index + half] * sine)),
            Some(_) => x[index].mul_add(cosine, x[index - half] * sine),
        };
    }
    float_tensor("rope_f32", inputs[0].shape(), values)
}
