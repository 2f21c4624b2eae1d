//! `softmax`: integer softmax over the innermost axis; the exponential is a constant table.
//!
//! `d_i = min(round_shift((max x - x_i) · multiplier, shift), last entry)`, `e_i = table[d_i]`, `S = Σ e_i`,
//! `r = ⌊2^44 / S⌋`, and the output is `round_shift(e_i · r, 30)`: probabilities in units of 2^-14.

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
    name: "softmax",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (2, 2),
    attributes: &["multiplier", "shift"],
    shape,
    bounds,
    work,
    meaning,
};

/// Bits after the point of a probability; the numerator has 44.
pub const FRACTION: u32 = 14;
const SHIFT: u32 = 44 - FRACTION;
/// The widest row: the sum of its powers stays below 2^35.
const WIDTH_MAX: usize = 1 << 20;

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_integer(0)?;
    if x.element == Element::I64 {
        return Err(Refusal::Element { input: 0, expected: "integers of at most 32 bits", found: x.element });
    }
    if site.width(0)? > WIDTH_MAX {
        return Err(site.shape_refusal(0, "an innermost size up to 2^20"));
    }
    site.expect_element(1, Element::I16)?;
    let table = site.expect_constant(1)?;
    if table.shape().len() != 1 || table.is_empty() || table.len() > super::lookup::ENTRIES_MAX {
        return Err(site.shape_refusal(1, "[1 to 65536 entries]"));
    }
    let (fact, first) = (site.input(1)?, table.integer(0).unwrap_or(0));
    if first < 1 || fact.interval.low < 0 || fact.interval.high > first {
        let found = format!("{first} first, {} to {}", fact.interval.low, fact.interval.high);
        return Err(Refusal::Constant { input: 1, expected: "its greatest entry first and none below 0", found });
    }
    // max x - x_i < 2^32, so the product stays below 2^62.
    site.attributes.integer_in("multiplier", 0, (1 << 30) - 1)?;
    site.attributes.integer_in("shift", 0, 62)?;
    Ok(Form { element: Element::I16, shape: x.shape.clone() })
}

/// `e_i ≤ S`, so no probability passes 2^14.
fn bounds(_: &Site) -> Result<Interval, Refusal> {
    Ok(Interval { low: 0, high: 1 << FRACTION })
}

fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let reciprocals = Work::of_row(walk::inner_rows(site)?.saturating_mul(walk::STEP));
    Ok(reciprocals.and(walk::alone(site, form)?).and(walk::widened(site, 1)?))
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.integer(name).map_err(|_| excluded("softmax"));
    let (multiplier, shift) = (read("multiplier")?, read("shift")? as u32);
    let (x, table) = (integers("softmax", inputs, 0)?, integers("softmax", inputs, 1)?);
    let (_, width) = inputs[0].rows_and_width();
    let mut values = Vec::with_capacity(x.len());
    for row in x.chunks_exact(width) {
        let most = row.iter().copied().max().unwrap_or(0);
        let power = |x: &i64| {
            let distance = fixed::round_shift((most - x) * multiplier, shift) as usize;
            table[distance.min(table.len() - 1)]
        };
        let powers: Vec<i64> = row.iter().map(power).collect();
        let reciprocal = fixed::reciprocal(powers.iter().sum::<i64>() as u64) as i64;
        values.extend(powers.iter().map(|power| fixed::round_shift(power * reciprocal, SHIFT)));
    }
    integer_tensor("softmax", Element::I16, inputs[0].shape(), values)
}
