//! `pool_max`: the greatest integer under each window, channel by channel; padding is not looked at.

use super::{excluded, integer_tensor, integers, window};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "pool_max",
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
    let x = site.expect_integer(0)?;
    let (windows, channels) = window::Windows::of(site)?;
    if !windows.all_see() {
        return Err(Refusal::Attribute { name: "pads", expected: "so little padding that no window has nothing else" });
    }
    Ok(Form { element: x.element, shape: windows.shape(site, channels)? })
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    Ok(site.input(0)?.interval)
}

fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let x = site.input(0)?;
    window::pooling(site, form, x.element == Element::I64)
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let (sizes, values) = pooled("pool_max", attributes, inputs, |values| values.max().unwrap_or(0))?;
    integer_tensor("pool_max", inputs[0].element(), &sizes, values)
}

/// What each window's values that are no padding come to, and the sizes of all.
pub(super) fn pooled(
    name: &'static str,
    attributes: &Attributes,
    inputs: &[&Tensor],
    each: impl Fn(&mut dyn Iterator<Item = i64>) -> i64,
) -> Result<(Vec<usize>, Vec<i64>), Fault> {
    let (windows, channels) = window::Windows::at(attributes, inputs[0].shape()).ok_or(excluded(name))?;
    let x = integers(name, inputs, 0)?;
    let mut values = Vec::new();
    for image in x.chunks_exact(windows.inputs() * channels) {
        for window in (0..windows.outputs()).map(|number| windows.window(number)) {
            for channel in 0..channels {
                values.push(each(&mut window.iter().flatten().map(|place| image[place * channels + channel])));
            }
        }
    }
    let front = inputs[0].shape().len() - windows.input.len() - 1;
    let sizes = inputs[0].shape()[..front].iter().chain(&windows.output).chain([&channels]).copied().collect();
    Ok((sizes, values))
}
