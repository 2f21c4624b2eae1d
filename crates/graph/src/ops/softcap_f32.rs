//! `softcap_f32`: `tanh(x / cap) · cap`, which keeps every value within the cap.

use super::{excluded, map_f32, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds},
    tensor::Tensor,
};

pub static OPERATOR: Operator = Operator {
    name: "softcap_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &["cap"],
    shape,
    bounds: no_bounds,
    work: walk::mapped,
    meaning,
};

#[inline(always)]
pub fn softcap(x: f32, cap: f32) -> f32 {
    super::tanh_f32::tanh(x / cap) * cap
}

fn shape(site: &Site) -> Result<Form, Refusal> {
    if site.attributes.float("cap")? > 0.0 {
        return map_f32::shape(site);
    }
    Err(Refusal::Attribute { name: "cap", expected: "a finite float above 0" })
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let cap = attributes.float("cap").map_err(|_| excluded("softcap_f32"))?;
    map_f32::apply("softcap_f32", inputs, |x| softcap(x, cap))
}
