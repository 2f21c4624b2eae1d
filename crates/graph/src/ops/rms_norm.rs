//! `rms_norm`: divides a row of integers by the root of its sum of squares, in fixed point.
//!
//! `y[j] = round_shift(x[j] · r, 15)` with `r` the greatest integer for which `r² · (Σ x² + epsilon) ≤ 2^62`, so that y
//! is `x / √(Σ x² + epsilon)` in units of 2^-16. A gain belongs into the next matrix.

use super::{excluded, integer_tensor, integers, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    fixed,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "rms_norm",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &["epsilon"],
    shape,
    bounds,
    work,
    meaning,
};

/// Bits dropped from `x · r`.
pub const SHIFT: u32 = 15;

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_integer(0)?;
    site.width(0)?;
    site.attributes.integer_in("epsilon", 1, 1 << 60)?;
    Ok(Form { element: Element::I32, shape: x.shape.clone() })
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let magnitude = u128::from(site.input(0)?.interval.magnitude());
    let squares = magnitude.saturating_mul(magnitude).saturating_mul(site.width(0)? as u128);
    let all = squares.saturating_add(u128::from(site.attributes.integer("epsilon")?.unsigned_abs()));
    if all > 1 << 62 {
        let magnitude = u64::try_from(all).unwrap_or(u64::MAX);
        return Err(Refusal::Overflow { what: "the sum of squares' 2^62", magnitude });
    }
    // |x| ≤ √(Σ x²), so |x · r| ≤ 2^31.
    Interval::symmetric(1 << (31 - SHIFT), Element::I32)
}

fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let roots = Work::of_row(walk::inner_rows(site)?.saturating_mul(walk::STEP));
    let is_fast = matches!(site.input(0)?.element, Element::I16 | Element::I32);
    Ok(roots.and(if is_fast { walk::beside(site, form)? } else { walk::alone(site, form)? }))
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let epsilon = attributes.integer("epsilon").map_err(|_| excluded("rms_norm"))?;
    let x = integers("rms_norm", inputs, 0)?;
    let (_, width) = inputs[0].rows_and_width();
    let mut values = Vec::new();
    for row in x.chunks_exact(width) {
        let squares: i64 = row.iter().map(|x| x * x).sum();
        let root = fixed::reciprocal_root((squares + epsilon).unsigned_abs()) as i64;
        values.extend(row.iter().map(|x| fixed::round_shift(x * root, SHIFT)));
    }
    integer_tensor("rms_norm", Element::I32, inputs[0].shape(), values)
}
