//! `attention`: causal attention over integer queries, keys and values; the exponential is a constant table.
//!
//! For a query at position i and each position j ≤ i (with a window: i - j < window): `s_j = Σ q·k`, `d_j =
//! min(round_shift((max s - s_j) · multiplier, shift), last entry)`, `e_j = table[d_j]`, `S = Σ e_j`, `r = ⌊2^44 / S⌋`, and
//! the output is `round_shift((Σ e_j · v_j) · r, 36)`: the weighted mean in units of 2^-8 of the values' scale. With a table
//! of caps, a curve through 0, `s_j` is first brought to `± cap[min(round_shift(|s_j| · cap_multiplier, cap_shift), last
//! entry)]`, with the sign of `s_j`. Values may have another width than keys.

use super::{excluded, integer_tensor, integers, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    fixed,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    shape::{Dimension, Shape},
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "attention",
    kind: Kind::Integer,
    reach: Reach::Before,
    inputs: (4, 5),
    attributes: &["cap_multiplier", "cap_shift", "heads", "kv_heads", "multiplier", "shift", "window"],
    shape,
    bounds,
    work,
    meaning,
};

/// Bits dropped from the weighted sum times the reciprocal; 44 - 36 stay as a fraction.
pub const SHIFT: u32 = 36;
const HEADS_MAX: usize = 1 << 12;

/// How scores become distances, and what a query sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub multiplier: i64,
    pub shift: u32,
    /// Positions that a query sees, its own among them.
    pub window: Option<usize>,
    pub cap: Option<Cap>,
}

/// How scores find their places on a curve that they are brought to, whose table has entries for those from 0 on, in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    pub multiplier: i64,
    pub shift: u32,
}

impl Cap {
    fn of(&self, entries: &[i64], score: i64) -> i64 {
        let index = fixed::round_shift(score.abs() * self.multiplier, self.shift) as usize;
        let entry = entries[index.min(entries.len() - 1)];
        if score < 0 { -entry } else { entry }
    }
}

impl Settings {
    /// Beside a table of caps, or without one.
    pub fn read(attributes: &Attributes, has_caps: bool) -> Result<Self, Refusal> {
        let multiplier = |name| attributes.integer_in(name, 0, (1 << 31) - 1);
        let shift = |name| attributes.integer_in(name, 0, 62).map(|shift| shift as u32);
        let window = attributes.get("window").map(|_| attributes.size("window", crate::graph::ROWS_MAX)).transpose()?;
        let cap = match has_caps {
            true => Some(Cap { multiplier: multiplier("cap_multiplier")?, shift: shift("cap_shift")? }),
            false if attributes.get("cap_multiplier").is_some() || attributes.get("cap_shift").is_some() => {
                return Err(Refusal::Attribute { name: "cap_multiplier", expected: "a table of caps beside it" });
            }
            false => None,
        };
        Ok(Self { multiplier: multiplier("multiplier")?, shift: shift("shift")?, window, cap })
    }

    /// The first position that a query at `position` sees.
    pub fn first(&self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }
}

/// Query heads, key-value heads and the width of one of both, as attributes and shapes of inputs 0 and 1 say.
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

/// The width of a head of the values.
fn value_width(site: &Site, kv_heads: usize) -> Result<usize, Refusal> {
    let width = site.width(2)?;
    if !width.is_multiple_of(kv_heads) {
        return Err(site.shape_refusal(2, &format!("[rows, a multiple of {kv_heads} heads]")));
    }
    site.expect_shape(2, &Shape::rows(&[width]))?;
    Ok(width / kv_heads)
}

fn shape(site: &Site) -> Result<Form, Refusal> {
    let (heads, kv_heads, _) = queries_and_keys(site)?;
    let value = value_width(site, kv_heads)?;
    for input in 0..3 {
        let element = site.expect_integer(input)?.element;
        if !matches!(element, Element::I8 | Element::I16) {
            return Err(Refusal::Element { input, expected: "i8 or i16", found: element });
        }
    }
    let table = entries(site, 3)?;
    let fact = site.input(3)?;
    let first = table.integer(0).unwrap_or(0);
    if first < 1 || fact.interval.low < 0 || fact.interval.high > first {
        let found = format!("{first} first, {} to {}", fact.interval.low, fact.interval.high);
        return Err(Refusal::Constant { input: 3, expected: "its greatest entry first and none below 0", found });
    }
    Settings::read(site.attributes, has_caps(site)?)?;
    Ok(Form { element: Element::I32, shape: Shape::rows(&[heads * value]) })
}

/// A constant table of words.
fn entries<'a>(site: &'a Site, input: usize) -> Result<&'a Tensor, Refusal> {
    site.expect_element(input, Element::I16)?;
    let table = site.expect_constant(input)?;
    if table.shape().len() != 1 || table.is_empty() || table.len() > super::lookup::ENTRIES_MAX {
        return Err(site.shape_refusal(input, "[1 to 65536 entries]"));
    }
    Ok(table)
}

/// Whether there is a table of caps, which has no entry below 0.
fn has_caps(site: &Site) -> Result<bool, Refusal> {
    if site.inputs.len() < 5 {
        return Ok(false);
    }
    entries(site, 4)?;
    let least = site.input(4)?.interval.low;
    if least < 0 {
        return Err(Refusal::Constant { input: 4, expected: "no entry below 0", found: least.to_string() });
    }
    Ok(true)
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let (_, _, head) = queries_and_keys(site)?;
    let most = |input: usize| site.input(input).map(|fact| u128::from(fact.interval.magnitude()));
    let score = most(0)? * most(1)? * head as u128;
    if score > super::linear::ACCUMULATOR_MAX {
        let magnitude = u64::try_from(score).unwrap_or(u64::MAX);
        return Err(Refusal::Overflow { what: "the accumulator's 2^30", magnitude });
    }
    // max s - s_j ≤ 2^31, capped or not, |s_j| ≤ 2^30, and either multiplier < 2^31: below 2^62. S ≤ 2^20 rows · 2^15 < 2^44. |Σ e·v| ≤ S · |v|, and
    // S · r ≤ 2^44, so the product with r is below 2^44 · 2^15.
    Interval::symmetric(most(2)? << (44 - SHIFT), Element::I32)
}

/// Positions that kernels look at together, seen or not.
pub(super) const PAGE: u64 = 64;

/// Products of a query with a key over the head's width, and of its weight with the value.
fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let (heads, kv_heads, head) = queries_and_keys(site)?;
    let value = value_width(site, kv_heads)?;
    let settings = Settings::read(site.attributes, has_caps(site)?)?;
    let most = |input: usize| site.input(input).map(|fact| u128::from(fact.interval.magnitude()));
    let seen = settings.window.map_or(site.rows_max, |window| window.min(site.rows_max));
    // Sums that do not fit in 32 bits are taken in 64.
    let is_wide = most(3)?.saturating_mul(most(2)?).saturating_mul(seen as u128) > i32::MAX as u128;
    let value = (value as u64).saturating_mul(if is_wide { walk::PRODUCT_ALONE / 8 } else { 1 });
    let share = if settings.cap.is_some() { 4 * walk::NUMBER } else { 2 * walk::NUMBER };
    of_pairs(site, form, (heads as u64).saturating_mul((head as u64).saturating_add(value).saturating_add(share)))
}

/// So much for a row and one that it looks at; the pages at the ends of what it looks at are whole.
pub(super) fn of_pairs(site: &Site, form: &Form, pair: u64) -> Result<Work, Refusal> {
    let ends = Work { pair, row: pair.saturating_mul(PAGE), call: 0 };
    Ok(ends.and(walk::beside(site, form)?))
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.integer(name).map_err(|_| excluded("attention"));
    let (heads, kv_heads) = (read("heads")? as usize, read("kv_heads")? as usize);
    let caps = if inputs.len() > 4 { integers("attention", inputs, 4)? } else { Vec::new() };
    let settings = Settings::read(attributes, !caps.is_empty()).map_err(|_| excluded("attention"))?;
    let all: Result<Vec<Vec<i64>>, Fault> = (0..4).map(|input| integers("attention", inputs, input)).collect();
    let [q, k, v, table] = all?.try_into().map_err(|_| excluded("attention"))?;
    let ((rows, width), (_, v_width)) = (inputs[0].rows_and_width(), inputs[2].rows_and_width());
    let (head, v_head) = (width / heads, v_width / kv_heads);
    let kv_width = kv_heads * head;
    let mut values = vec![0; rows * heads * v_head];
    for i in 0..rows {
        for h in 0..heads {
            let group = h / (heads / kv_heads);
            let query = &q[i * width + h * head..][..head];
            let score = |j: usize| -> i64 {
                let score = query.iter().zip(&k[j * kv_width + group * head..]).map(|(q, k)| q * k).sum();
                settings.cap.map_or(score, |cap| cap.of(&caps, score))
            };
            let first = settings.first(i);
            let scores: Vec<i64> = (first..=i).map(score).collect();
            let most = scores.iter().copied().max().unwrap_or(0);
            let weight = |score: &i64| {
                let distance = fixed::round_shift((most - score) * settings.multiplier, settings.shift) as usize;
                table[distance.min(table.len() - 1)]
            };
            let weights: Vec<i64> = scores.iter().map(weight).collect();
            let reciprocal = fixed::reciprocal(weights.iter().sum::<i64>() as u64) as i64;
            for d in 0..v_head {
                let value = |j: usize| v[j * v_width + group * v_head + d];
                let sum: i64 = (first..).zip(&weights).map(|(j, e)| e * value(j)).sum();
                values[(i * heads + h) * v_head + d] = fixed::round_shift(sum * reciprocal, SHIFT);
            }
        }
    }
    integer_tensor("attention", Element::I32, &[rows, heads * v_head], values)
}
