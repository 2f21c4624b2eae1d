//! `transpose`: the same elements with the axes in another order. Rows that are outermost stay so.

use super::{excluded, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    shape::{Dimension, Shape},
    tensor::Tensor,
};

pub static OPERATOR: Operator = Operator {
    name: "transpose",
    kind: Kind::Movement,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &["axes"],
    shape,
    bounds,
    work: walk::beside,
    meaning,
};

const AXES: Refusal =
    Refusal::Attribute { name: "axes", expected: "every axis of the input once, the rows' staying where it is" };

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.input(0)?;
    let axes = site.attributes.integers("axes")?;
    let mut sizes = Vec::new();
    for (place, &axis) in axes.iter().enumerate() {
        let size = usize::try_from(axis).ok().and_then(|axis| x.shape.0.get(axis).copied()).ok_or(AXES)?;
        let moved = size == Dimension::Rows && usize::try_from(axis).ok() != Some(place);
        if moved || axes.iter().take(place).any(|earlier| *earlier == axis) {
            return Err(AXES);
        }
        sizes.push(size);
    }
    if sizes.len() == x.shape.rank() { Ok(Form { element: x.element, shape: Shape(sizes) }) } else { Err(AXES) }
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    Ok(site.input(0)?.interval)
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let axes = attributes.integers("axes").map_err(|_| excluded("transpose"))?;
    let from = inputs[0].shape();
    let sizes: Vec<usize> = axes.iter().map(|&axis| from[axis as usize]).collect();
    let step = |axis: usize| from[axis + 1..].iter().product::<usize>();
    let steps: Vec<usize> = axes.iter().map(|&axis| step(axis as usize)).collect();
    let bytes = inputs[0].to_bytes();
    let width = inputs[0].element().bytes();
    let mut moved = Vec::with_capacity(bytes.len());
    for index in 0..inputs[0].len() {
        let (mut rest, mut at) = (index, 0);
        for (size, step) in sizes.iter().zip(&steps).rev() {
            at += rest % size * step;
            rest /= size;
        }
        moved.extend_from_slice(&bytes[at * width..][..width]);
    }
    Tensor::from_bytes(inputs[0].element(), &sizes, &moved).ok_or(excluded("transpose"))
}
