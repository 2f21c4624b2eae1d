//! `attention`: causal attention over integer queries, keys and values; the exponential is a constant table.
//!
//! For a query at position i and each position j ≤ i: `s_j = Σ q·k`, `d_j = min(round_shift((max s - s_j) ·
//! multiplier, shift), last entry)`, `e_j = table[d_j]`, `S = Σ e_j`, `r = ⌊2^44 / S⌋`, and the output is
//! `round_shift((Σ e_j · v_j) · r, 36)`: the weighted mean in units of 2^-8 of the values' scale.

use super::{excluded, integer_tensor, integers};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    fixed,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    shape::{Dimension, Shape},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "attention",
    kind: Kind::Integer,
    reach: Reach::Before,
    inputs: (4, 4),
    attributes: &["heads", "kv_heads", "multiplier", "shift"],
    shape,
    bounds,
    meaning,
};

/// Bits dropped from the weighted sum times the reciprocal; 44 - 36 stay as a fraction.
pub const SHIFT: u32 = 36;
const HEADS_MAX: usize = 1 << 12;

/// Query heads, key-value heads and the width of one, as attributes and shapes of inputs 0 to 2 say.
fn heads(site: &Site) -> Result<(usize, usize, usize), Refusal> {
    let (heads, kv_heads, head) = queries_and_keys(site)?;
    site.expect_shape(2, &Shape::rows(&[kv_heads * head]))?;
    Ok((heads, kv_heads, head))
}

/// The same as attributes and shapes of inputs 0 and 1 say.
pub(super) fn queries_and_keys(site: &Site) -> Result<(usize, usize, usize), Refusal> {
    let heads = site.attributes.size("heads", HEADS_MAX)?;
    let kv_heads = site.attributes.size("kv_heads", heads)?;
    let width = site.width(0)?;
    if heads % kv_heads != 0 || width % heads != 0 {
        return Err(site.shape_refusal(0, &format!("[rows, a multiple of {heads} heads, itself one of {kv_heads}]")));
    }
    let head = width / heads;
    site.expect_shape(0, &Shape(vec![Dimension::Rows, Dimension::Fixed(width)]))?;
    site.expect_shape(1, &Shape::rows(&[kv_heads * head]))?;
    Ok((heads, kv_heads, head))
}

fn shape(site: &Site) -> Result<Form, Refusal> {
    heads(site)?;
    for input in 0..3 {
        let element = site.expect_integer(input)?.element;
        if !matches!(element, Element::I8 | Element::I16) {
            return Err(Refusal::Element { input, expected: "i8 or i16", found: element });
        }
    }
    site.expect_element(3, Element::I16)?;
    let table = site.expect_constant(3)?;
    if table.shape().len() != 1 || table.is_empty() || table.len() > super::lookup::ENTRIES_MAX {
        return Err(site.shape_refusal(3, "[1 to 65536 entries]"));
    }
    let fact = site.input(3)?;
    let first = table.integer(0).unwrap_or(0);
    if first < 1 || fact.interval.low < 0 || fact.interval.high > first {
        let found = format!("{first} first, {} to {}", fact.interval.low, fact.interval.high);
        return Err(Refusal::Constant { input: 3, expected: "its greatest entry first and none below 0", found });
    }
    site.attributes.integer_in("multiplier", 0, (1 << 31) - 1)?;
    site.attributes.integer_in("shift", 0, 62)?;
    Ok(Form { element: Element::I32, shape: site.input(0)?.shape.clone() })
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let (_, _, head) = heads(site)?;
    let most = |input: usize| site.input(input).map(|fact| u128::from(fact.interval.magnitude()));
    let score = most(0)? * most(1)? * head as u128;
    if score > super::linear::ACCUMULATOR_MAX {
        let magnitude = u64::try_from(score).unwrap_or(u64::MAX);
        return Err(Refusal::Overflow { what: "the accumulator's 2^30", magnitude });
    }
    // max s - s_j ≤ 2^31 and multiplier < 2^31: below 2^62. S ≤ 2^20 rows · 2^15 < 2^44. |Σ e·v| ≤ S · |v|, and
    // S · r ≤ 2^44, so the product with r is below 2^44 · 2^15.
    Interval::symmetric(most(2)? << (44 - SHIFT), Element::I32)
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.integer(name).map_err(|_| excluded("attention"));
    let (heads, kv_heads) = (read("heads")? as usize, read("kv_heads")? as usize);
    let (multiplier, shift) = (read("multiplier")?, read("shift")? as u32);
    let all: Result<Vec<Vec<i64>>, Fault> = (0..4).map(|input| integers("attention", inputs, input)).collect();
    let [q, k, v, table] = all?.try_into().map_err(|_| excluded("attention"))?;
    let (rows, width) = inputs[0].rows_and_width();
    let head = width / heads;
    let kv_width = kv_heads * head;
    let mut values = vec![0; rows * width];
    for i in 0..rows {
        for h in 0..heads {
            let group = h / (heads / kv_heads);
            let query = &q[i * width + h * head..][..head];
            let dot =
                |j: usize| -> i64 { query.iter().zip(&k[j * kv_width + group * head..]).map(|(q, k)| q * k).sum() };
            let scores: Vec<i64> = (0..=i).map(dot).collect();
            let most = scores.iter().copied().max().unwrap_or(0);
            let weight = |score: &i64| {
                let distance = fixed::round_shift((most - score) * multiplier, shift) as usize;
                table[distance.min(table.len() - 1)]
            };
            let weights: Vec<i64> = scores.iter().map(weight).collect();
            let reciprocal = fixed::reciprocal(weights.iter().sum::<i64>() as u64) as i64;
            for d in 0..head {
                let sum: i64 = weights.iter().enumerate().map(|(j, e)| e * v[j * kv_width + group * head + d]).sum();
                values[i * width + h * head + d] = fixed::round_shift(sum * reciprocal, SHIFT);
            }
        }
    }
    integer_tensor("attention", Element::I32, inputs[0].shape(), values)
}
