//! `share`: each number's part of the sum of its row, in units of 2^-14; a row of zeros stays one.
//!
//! With `S = Σ x` and `r = ⌊2^44 / S⌋`, the output is `round_shift(x · r, 30)`, as `softmax` shares out its powers.

use super::{excluded, integer_tensor, integers, softmax::FRACTION, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    fixed,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "share",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &[],
    shape,
    bounds,
    work,
    meaning,
};

/// No sum of a row may pass this: then its reciprocal has 9 bits or more.
const SUM_MAX: u128 = 1 << 35;

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_integer(0)?;
    site.width(0)?;
    if x.interval.low < 0 {
        return Err(Refusal::Overflow { what: "the numbers from 0", magnitude: x.interval.magnitude() });
    }
    Ok(Form { element: Element::I16, shape: x.shape.clone() })
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let sum = u128::from(site.input(0)?.interval.magnitude()).saturating_mul(site.width(0)? as u128);
    if sum > SUM_MAX {
        let magnitude = u64::try_from(sum).unwrap_or(u64::MAX);
        return Err(Refusal::Overflow { what: "the row's 2^35", magnitude });
    }
    Ok(Interval { low: 0, high: 1 << FRACTION })
}

fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let reciprocals = Work::of_row(walk::inner_rows(site)?.saturating_mul(walk::STEP));
    Ok(reciprocals.and(walk::alone(site, form)?))
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let x = integers("share", inputs, 0)?;
    let first = inputs.first().ok_or(excluded("share"))?;
    let (_, width) = first.rows_and_width();
    let mut values = Vec::with_capacity(x.len());
    for row in x.chunks_exact(width) {
        let reciprocal = fixed::reciprocal(row.iter().sum::<i64>() as u64) as i64;
        values.extend(row.iter().map(|x| fixed::round_shift(x * reciprocal, 44 - FRACTION)));
    }
    integer_tensor("share", Element::I16, first.shape(), values)
}
