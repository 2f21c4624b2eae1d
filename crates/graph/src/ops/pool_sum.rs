//! `pool_sum`: the sum of the integers under each window, channel by channel, padding being 0. Divided by a `requantise`,
//! it is an average.

use super::{integer_tensor, pool_max::pooled, window};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "pool_sum",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &window::ATTRIBUTES,
    shape,
    bounds,
    work,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    site.expect_integer(0)?;
    let (windows, channels) = window::Windows::of(site)?;
    Ok(Form { element: Element::I32, shape: windows.shape(site, channels)? })
}

/// A window may lie on the padding in part, so 0 is always among what a place can hold.
fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let x = site.input(0)?.interval;
    let places = i64::try_from(window::Windows::of(site)?.0.places()).unwrap_or(i64::MAX);
    let sums = Interval { low: x.low.min(0).saturating_mul(places), high: x.high.max(0).saturating_mul(places) };
    sums.within(Element::I32)
}

fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let x = site.input(0)?;
    window::pooling(site, form, matches!(x.element, Element::I32 | Element::I64))
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let (sizes, values) = pooled("pool_sum", attributes, inputs, |values| values.sum())?;
    integer_tensor("pool_sum", Element::I32, &sizes, values)
}
