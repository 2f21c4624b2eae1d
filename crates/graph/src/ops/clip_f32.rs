//! `clip_f32`: `low` where `x` is not above it (also for NaN), else `high` where `x` is not below it, else `x`.

use super::{excluded, map_f32, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds},
    tensor::Tensor,
};

pub static OPERATOR: Operator = Operator {
    name: "clip_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &["high", "low"],
    shape,
    bounds: no_bounds,
    work: walk::alone,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    let (low, high) = (site.attributes.float("low")?, site.attributes.float("high")?);
    if low > high {
        return Err(Refusal::Attribute { name: "low", expected: "at most the attribute high" });
    }
    map_f32::shape(site)
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.float(name).map_err(|_| excluded("clip_f32"));
    let (low, high) = (read("low")?, read("high")?);
    let clip = |x: f32| {
        let raised = if x > low { x } else { low };
        if raised < high { raised } else { high }
    };
    map_f32::apply("clip_f32", inputs, clip)
}
