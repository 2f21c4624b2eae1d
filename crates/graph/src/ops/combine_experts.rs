//! `combine_experts`: what the chosen experts say, each times its weight, added up and brought to another scale:
//! `clamp(round_shift(Σ_i weight_i · x_i, shift), low, high)`.

use super::{excluded, integer_tensor, integers, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    fixed,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site, with_width},
    shape::{Dimension, Shape},
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "combine_experts",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (2, 2),
    attributes: &["element", "high", "low", "shift"],
    shape,
    bounds,
    work,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    for input in 0..2 {
        let fact = site.expect_integer(input)?;
        if fact.element == Element::I64 {
            return Err(Refusal::Element { input, expected: "integers of at most 32 bits", found: fact.element });
        }
    }
    let weights = site.input(1)?;
    let width = site.width(0)?;
    site.width(1)?;
    let sizes = weights.shape.0.iter().copied().chain([Dimension::Fixed(width)]).collect();
    if site.input(0)?.shape != Shape(sizes) {
        return Err(site.shape_refusal(0, &format!("that of {} with one size behind", weights.shape)));
    }
    site.attributes.integer_in("shift", 0, 62)?;
    Ok(Form { element: super::element(site)?, shape: with_width(&weights.shape, width) })
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let most = |input: usize| site.input(input).map(|fact| u128::from(fact.interval.magnitude()));
    let sum = most(0)?.saturating_mul(most(1)?).saturating_mul(site.width(1)? as u128);
    if sum > 1 << 61 {
        let magnitude = u64::try_from(sum).unwrap_or(u64::MAX);
        return Err(Refusal::Overflow { what: "the sum's 2^61", magnitude });
    }
    let (low, high) = super::clamp(site)?;
    let (shift, sum) = (site.attributes.integer("shift")? as u32, i64::try_from(sum).unwrap_or(i64::MAX));
    let of = |sum: i64| fixed::requantise(sum, 1, shift, low, high);
    Ok(Interval { low: of(-sum), high: of(sum) })
}

/// What each expert says is multiplied once.
fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let found = [site.input(0)?.element, site.input(1)?.element];
    let narrow = matches!(form.element, Element::I8 | Element::I16 | Element::I32);
    let is_alone = found != [Element::I32, Element::I16] || !narrow;
    let products = Work::of_row(walk::numbers(&site.input(0)?.shape).saturating_mul(walk::PRODUCT_ALONE));
    Ok(products.and(if is_alone { walk::alone(site, form)? } else { walk::beside(site, form)? }))
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.integer(name).map_err(|_| excluded("combine_experts"));
    let (low, high, shift) = (read("low")?, read("high")?, read("shift")? as u32);
    let element = Element::from_code(read("element")? as u8).ok_or(excluded("combine_experts"))?;
    let (said, weights) = (integers("combine_experts", inputs, 0)?, integers("combine_experts", inputs, 1)?);
    let ((_, width), (_, count)) = (inputs[0].rows_and_width(), inputs[1].rows_and_width());
    let mut values = Vec::new();
    for (said, weights) in said.chunks_exact(count * width).zip(weights.chunks_exact(count)) {
        for column in 0..width {
            let terms = weights.iter().zip(said.iter().skip(column).step_by(width));
            let sum = terms.map(|(weight, said)| weight * said).sum();
            values.push(fixed::requantise(sum, 1, shift, low, high));
        }
    }
    integer_tensor("combine_experts", element, &super::sizes_with_width(inputs[1].shape(), width), values)
}
