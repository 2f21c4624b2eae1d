//! `concat`: tensors one after the other along an axis whose size is fixed in all of them.

use super::{excluded, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Fact, Form, Interval, Kind, Operator, Reach, Refusal, Site},
    shape::{Dimension, Shape},
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "concat",
    kind: Kind::Movement,
    reach: Reach::Row,
    inputs: (1, 64),
    attributes: &["axis"],
    shape,
    bounds,
    work,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    let first = site.input(0)?;
    let last_axis = i64::try_from(first.shape.rank()).unwrap_or(i64::MAX).saturating_sub(1);
    let axis = site.attributes.integer_in("axis", 0, last_axis)?;
    let axis = usize::try_from(axis).map_err(|_| Refusal::Attribute { name: "axis", expected: "an axis" })?;
    let mut joined = 0_usize;
    for (index, fact) in site.inputs.iter().enumerate() {
        site.expect_element(index, first.element)?;
        let size = other_sizes_equal(first, fact, axis).and_then(|size| joined.checked_add(size));
        joined = size.ok_or_else(|| site.shape_refusal(index, &format!("{} but for axis {axis}", first.shape)))?;
    }
    let mut sizes = first.shape.0.clone();
    if let Some(size) = sizes.get_mut(axis) {
        *size = Dimension::Fixed(joined);
    }
    Ok(Form { element: first.element, shape: Shape(sizes) })
}

/// The size along `axis`, where it is fixed and all other sizes are as in the first tensor.
fn other_sizes_equal(first: &Fact, fact: &Fact, axis: usize) -> Option<usize> {
    let same = first.shape.rank() == fact.shape.rank()
        && first
            .shape
            .0
            .iter()
            .zip(&fact.shape.0)
            .enumerate()
            .all(|(index, (one, other))| index == axis || one == other);
    match (same, fact.shape.0.get(axis)) {
        (true, Some(Dimension::Fixed(size))) => Some(*size),
        _ => None,
    }
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let first = site.input(0)?.interval;
    let wider = |all: Interval, fact: &Fact| Interval {
        low: all.low.min(fact.interval.low),
        high: all.high.max(fact.interval.high),
    };
    Ok(site.inputs.iter().fold(first, wider))
}

/// Kernels join floats and words behind the rows.
fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let is_fast = matches!(form.element, Element::F32 | Element::I16) && form.shape.0.first() == Some(&Dimension::Rows);
    if is_fast && site.attributes.integer("axis")? > 0 { walk::beside(site, form) } else { walk::alone(site, form) }
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let axis = attributes.integer("axis").map_err(|_| excluded("concat"))? as usize;
    let first = inputs[0];
    let outer: usize = first.shape()[..axis].iter().product();
    let parts: Vec<(Vec<u8>, usize)> = inputs
        .iter()
        .map(|tensor| (tensor.to_bytes(), tensor.shape()[axis..].iter().product::<usize>() * tensor.element().bytes()))
        .collect();
    let mut bytes = Vec::new();
    for index in 0..outer {
        for (part, size) in &parts {
            bytes.extend_from_slice(&part[index * size..][..*size]);
        }
    }
    let mut shape = first.shape().to_vec();
    shape[axis] = inputs.iter().map(|tensor| tensor.shape()[axis]).sum();
    Tensor::from_bytes(first.element(), &shape, &bytes).ok_or(excluded("concat"))
}
