//! `weigh`: sums of wide integers times wide constant weights, brought to another scale: what few numbers that must stay
//! precise need, such as the features of a linear model.
//!
//! `y[…, n] = clamp(round_shift(bias[n] + Σ_k x[…, k] · w[n, k], shift), low, high)`.

use std::sync::Arc;

use super::{excluded, integer_tensor, integers, sizes_with_width, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    fixed,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site, with_width},
    shape::Shape,
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "weigh",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (3, 3),
    attributes: &["element", "high", "low", "shift"],
    shape,
    bounds,
    work,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_integer(0)?;
    if x.element == Element::I64 {
        return Err(Refusal::Element { input: 0, expected: "integers of at most 32 bits", found: x.element });
    }
    let columns = site.width(0)?;
    site.expect_element(1, Element::I32)?;
    let [outputs, found] = *site.expect_constant(1)?.shape() else {
        return Err(site.shape_refusal(1, &format!("[outputs, {columns}]")));
    };
    if found != columns || outputs == 0 {
        return Err(site.shape_refusal(1, &format!("[outputs, {columns}]")));
    }
    site.expect_element(2, Element::I64)?;
    site.expect_constant(2)?;
    site.expect_shape(2, &Shape::fixed(&[outputs]))?;
    site.attributes.integer_in("shift", 0, 62)?;
    let code = site.attributes.integer_in("element", 1, 4)?;
    let element = u8::try_from(code).ok().and_then(Element::from_code);
    let element = element.ok_or(Refusal::Attribute { name: "element", expected: "an element's code" })?;
    Ok(Form { element, shape: with_width(&x.shape, outputs) })
}

/// Σ |w| of each output, counted once for all nodes that share the weights.
struct Norms(Vec<u64>);

fn norms(site: &Site) -> Result<Arc<Norms>, Refusal> {
    let (weights, columns) = (site.expect_constant(1)?, site.width(0)?);
    site.derived(&[1], || {
        site.account.walk(weights.len() as u64)?;
        site.account.keep((weights.len() / columns * size_of::<u64>()) as u64)?;
        let magnitude = |index: usize| weights.integer(index).unwrap_or(0).unsigned_abs();
        let norm = |first: usize| (first..first + columns).map(magnitude).fold(0, u64::saturating_add);
        Ok(Norms((0..weights.len()).step_by(columns).map(norm).collect()))
    })
}

/// Per output: |bias| + max |x| · Σ |w| within 2^61.
fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let (low, high) = (site.attributes.integer("low")?, site.attributes.integer("high")?);
    if low > high {
        return Err(Refusal::AttributeRange { name: "low", value: low, low: i64::MIN, high });
    }
    let (x, shift) = (site.input(0)?.interval, site.attributes.integer("shift")? as u32);
    let (norms, bias) = (norms(site)?, site.expect_constant(2)?);
    site.account.walk(bias.len() as u64)?;
    let mut image = Interval { low: high, high: low };
    for (output, &norm) in norms.0.iter().enumerate() {
        let bias = bias.integer(output).unwrap_or(0);
        let sum = u128::from(x.magnitude()).saturating_mul(u128::from(norm));
        if sum.saturating_add(u128::from(bias.unsigned_abs())) > 1 << 61 {
            let magnitude = u64::try_from(sum).unwrap_or(u64::MAX);
            return Err(Refusal::Overflow { what: "the sum's 2^61", magnitude });
        }
        let at = |end: i64| fixed::round_shift(bias.saturating_add(end), shift).max(low).min(high);
        image = Interval { low: image.low.min(at(-(sum as i64))), high: image.high.max(at(sum as i64)) };
    }
    Ok(image)
}

fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let sum = (site.width(0)? as u64).saturating_mul(walk::PRODUCT_ALONE);
    let sums = Work::of_row(walk::numbers(&form.shape).saturating_mul(sum));
    Ok(sums.and(walk::walked(site, form)?))
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.integer(name).map_err(|_| excluded("weigh"));
    let (low, high, shift) = (read("low")?, read("high")?, read("shift")? as u32);
    let element = Element::from_code(read("element")? as u8).ok_or(excluded("weigh"))?;
    let (x, weights) = (integers("weigh", inputs, 0)?, integers("weigh", inputs, 1)?);
    let bias = integers("weigh", inputs, 2)?;
    let (_, columns) = inputs[0].rows_and_width();
    let mut values = Vec::new();
    for row in x.chunks_exact(columns) {
        for (weights, bias) in weights.chunks_exact(columns).zip(&bias) {
            let sum = row.iter().zip(weights).map(|(x, w)| x * w).sum::<i64>() + bias;
            values.push(fixed::round_shift(sum, shift).max(low).min(high));
        }
    }
    integer_tensor("weigh", element, &sizes_with_width(inputs[0].shape(), bias.len()), values)
}
