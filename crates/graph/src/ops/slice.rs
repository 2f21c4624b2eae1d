//! `slice`: every `step`th index of an axis of fixed size, from `start` on, `count` of them.

use super::{excluded, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    shape::{Dimension, Shape},
    tensor::Tensor,
};

pub static OPERATOR: Operator = Operator {
    name: "slice",
    kind: Kind::Movement,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &["axis", "count", "start", "step"],
    shape,
    bounds,
    work: walk::beside,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.input(0)?;
    let last = i64::try_from(x.shape.rank()).unwrap_or(0).saturating_sub(1);
    let axis = site.attributes.integer_in("axis", 0, last)?;
    let axis = usize::try_from(axis).unwrap_or(0);
    let Some(Dimension::Fixed(size)) = x.shape.0.get(axis).copied() else {
        return Err(site.shape_refusal(0, "a fixed size along the axis"));
    };
    let limit = i64::try_from(size).unwrap_or(i64::MAX);
    let start = site.attributes.integer_in("start", 0, limit.saturating_sub(1))?;
    let step = site.attributes.integer_in("step", 1, limit.max(1))?;
    let most = (limit - start - 1) / step + 1;
    let count = site.attributes.integer_in("count", 1, most)?;
    let mut sizes = x.shape.0.clone();
    if let Some(slot) = sizes.get_mut(axis) {
        *slot = Dimension::Fixed(usize::try_from(count).unwrap_or(0));
    }
    Ok(Form { element: x.element, shape: Shape(sizes) })
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    Ok(site.input(0)?.interval)
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.integer(name).map(|value| value as usize).map_err(|_| excluded("slice"));
    let (axis, start, step, count) = (read("axis")?, read("start")?, read("step")?, read("count")?);
    let mut sizes = inputs[0].shape().to_vec();
    let inner = sizes[axis + 1..].iter().product::<usize>() * inputs[0].element().bytes();
    let bytes = inputs[0].to_bytes();
    let mut kept = Vec::new();
    for block in bytes.chunks_exact((sizes[axis] * inner).max(1)) {
        for index in 0..count {
            kept.extend_from_slice(&block[(start + index * step) * inner..][..inner]);
        }
    }
    sizes[axis] = count;
    Tensor::from_bytes(inputs[0].element(), &sizes, &kept).ok_or(excluded("slice"))
}
