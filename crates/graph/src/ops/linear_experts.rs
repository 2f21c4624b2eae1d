//! `linear_experts`: integer activations times a matrix of a stack for each slot of a row, that of the slot's expert, or, where
//! no choice is given, the slot's own; each sum brought to the scale of its matrix and output.
//!
//! `clamp(round_shift(Σ_k x[k] · w[e, n, k] · multiplier[e, n], shift[e, n]), low, high)`, e the slot's matrix.

use super::{
    excluded, integer_tensor, integers,
    linear::ACCUMULATOR_MAX,
    linear_experts_f32::{rows_of, slots, through},
    requantise, walk, weights,
};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    fixed,
    formats::Weights,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    shape::Shape,
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "linear_experts",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (4, 5),
    attributes: &["element", "high", "low"],
    shape,
    bounds,
    work,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.input(0)?;
    if !matches!(x.element, Element::I8 | Element::U8 | Element::I16) {
        return Err(Refusal::Element { input: 0, expected: "i8, u8 or i16", found: x.element });
    }
    let shape = through(site, Weights::Integer, "packed i8", 4)?;
    let [experts, outputs, _] = *site.sizes(1)?.as_slice() else {
        return Err(site.shape_refusal(1, "[experts, outputs, inputs]"));
    };
    for (input, element) in [(2, Element::I32), (3, Element::U8)] {
        site.expect_element(input, element)?;
        site.expect_constant(input)?;
        site.expect_shape(input, &Shape::fixed(&[experts, outputs]))?;
    }
    Ok(Form { element: super::element(site)?, shape })
}

/// The sums as those of `linear`, then the scale as that of `requantise`.
fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let magnitude = u128::from(site.input(0)?.interval.magnitude());
    let worst = magnitude * u128::from(super::linear::norms(site, 1)?.most);
    if worst > ACCUMULATOR_MAX {
        let magnitude = u64::try_from(worst).unwrap_or(u64::MAX);
        return Err(Refusal::Overflow { what: "the accumulator's 2^30", magnitude });
    }
    requantise::bounds_of(site, Interval::symmetric(worst, Element::I32)?, [2, 3])
}

/// Kernels give no unsigned bytes, and halve what they multiply by where nothing is dropped. What they leave out is computed by the
/// meaning, which multiplies a row of weights out for each output, and widens both tables for each call.
fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let is_alone = form.element == Element::U8 || site.input(3)?.interval.low == 0;
    if !is_alone {
        return walk::products(site, form);
    }
    let packed = site.expect_constant(1)?.as_packed().ok_or(Refusal::NotConstant { input: 1 })?;
    let products = (packed.columns() as u64).saturating_mul(walk::PRODUCT_ALONE);
    let output = products.saturating_add(walk::unpacked(packed)).saturating_add(walk::ALONE);
    let outputs = Work::of_row(walk::numbers(&form.shape).saturating_mul(output));
    let tables = walk::widened(site, 2)?.and(walk::widened(site, 3)?);
    Ok(outputs.and(tables).and(walk::alone(site, form)?).and(walk::read(packed.bytes().len())))
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.integer(name).map_err(|_| excluded("linear_experts"));
    let (low, high) = (read("low")?, read("high")?);
    let element = Element::from_code(read("element")? as u8).ok_or(excluded("linear_experts"))?;
    let (x, packed) = (integers("linear_experts", inputs, 0)?, weights("linear_experts", inputs, 1)?);
    let (multipliers, shifts) = (integers("linear_experts", inputs, 2)?, integers("linear_experts", inputs, 3)?);
    let (slots, columns) = (slots("linear_experts", inputs, 4)?, packed.columns());
    let mut values = Vec::new();
    for (row, expert) in slots.all {
        let x = &x[row * columns..][..columns];
        for output in rows_of(packed, expert) {
            let sum = x.iter().zip(packed.integers(output)).map(|(x, w)| x * w).sum();
            values.push(fixed::requantise(sum, multipliers[output], shifts[output] as u32, low, high));
        }
    }
    integer_tensor("linear_experts", element, &slots.shape, values)
}
