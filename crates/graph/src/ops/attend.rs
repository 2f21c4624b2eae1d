//! `attend`: attention of every query to every key that a mask lets it see, within one row; the exponential is a constant table.
//!
//! Queries `[…, m, head]`, keys `[…, n, head]`, values `[…, n, width]`. For query i: `s_j = Σ_d q · k`; over the keys that it
//! sees `d_j = min(round_shift((max s - s_j) · multiplier, shift), last entry)`, `e_j = table[d_j]`, for the others
//! `e_j = 0`; `S = Σ e_j`, `r = ⌊2^44 / S⌋`, and the output is `round_shift((Σ e_j · v_j) · r, 36)`: the weighted mean in units
//! of 2^-8 of the values' scale. A query that sees no key sees all.

use super::{attention::SHIFT, excluded, integer_tensor, integers, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    fixed,
    formats::TILE_ROWS,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site, with_width},
    shape::{Dimension, Shape},
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "attend",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (4, 5),
    attributes: &["multiplier", "shift"],
    shape,
    bounds,
    work,
    meaning,
};

/// Most keys of a query: their table entries add up to at most 2^35.
const KEYS_MAX: usize = 1 << 20;

/// The sizes in front of the innermost two, and these two, which are fixed.
fn matrix<'a>(site: &'a Site, input: usize) -> Result<(&'a [Dimension], usize, usize), Refusal> {
    match site.input(input)?.shape.0.as_slice() {
        [front @ .., Dimension::Fixed(rows), Dimension::Fixed(width)] if *rows > 0 && *width > 0 => {
            Ok((front, *rows, *width))
        }
        _ => Err(site.shape_refusal(input, "[…, positions, width], these two fixed and not 0")),
    }
}

fn shape(site: &Site) -> Result<Form, Refusal> {
    for input in 0..3 {
        let element = site.expect_integer(input)?.element;
        if !matches!(element, Element::I8 | Element::I16) {
            return Err(Refusal::Element { input, expected: "i8 or i16", found: element });
        }
    }
    let (front, queries, head) = matrix(site, 0)?;
    let (_, keys, _) = matrix(site, 1)?;
    let (_, _, width) = matrix(site, 2)?;
    let of = |rows: usize, width: usize| {
        Shape(front.iter().copied().chain([Dimension::Fixed(rows), Dimension::Fixed(width)]).collect())
    };
    site.expect_shape(1, &of(keys, head))?;
    site.expect_shape(2, &of(keys, width))?;
    if keys > KEYS_MAX {
        return Err(site.shape_refusal(1, "at most 2^20 keys"));
    }
    table(site)?;
    if site.inputs.len() > 4 {
        let mask = &site.expect_integer(4)?.shape;
        if !repeats(mask, &of(queries, keys)) {
            return Err(site.shape_refusal(4, &format!("one that broadcasts to {}", of(queries, keys))));
        }
    }
    site.attributes.integer_in("multiplier", 0, (1 << 31) - 1)?;
    site.attributes.integer_in("shift", 0, 62)?;
    Ok(Form { element: Element::I32, shape: with_width(&site.input(0)?.shape, width) })
}

/// The same rules as for the table of `attention`.
fn table(site: &Site) -> Result<(), Refusal> {
    site.expect_element(3, Element::I16)?;
    let table = site.expect_constant(3)?;
    if table.shape().len() != 1 || table.is_empty() || table.len() > super::lookup::ENTRIES_MAX {
        return Err(site.shape_refusal(3, "[1 to 65536 entries]"));
    }
    let (fact, first) = (site.input(3)?, table.integer(0).unwrap_or(0));
    if first < 1 || fact.interval.low < 0 || fact.interval.high > first {
        let found = format!("{first} first, {} to {}", fact.interval.low, fact.interval.high);
        return Err(Refusal::Constant { input: 3, expected: "its greatest entry first and none below 0", found });
    }
    Ok(())
}

/// Whether `one` broadcasts to all of `all`, whose rank is not smaller.
fn repeats(one: &Shape, all: &Shape) -> bool {
    let pairs = one.0.iter().rev().zip(all.0.iter().rev());
    one.rank() <= all.rank() && pairs.into_iter().all(|(one, all)| one == all || *one == Dimension::Fixed(1))
}

/// What kernels make of a constant mask: whether each number of it is not 0.
struct Seen;

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    if let Some(mask) = site.inputs.get(4).and_then(|fact| fact.constant.as_ref()) {
        site.derived(&[4], || {
            site.account.walk(mask.len() as u64)?;
            site.account.keep(mask.len() as u64)?;
            Ok(Seen)
        })?;
    }
    let (_, _, head) = matrix(site, 0)?;
    let most = |input: usize| site.input(input).map(|fact| u128::from(fact.interval.magnitude()));
    let score = most(0)? * most(1)? * head as u128;
    if score > super::linear::ACCUMULATOR_MAX {
        let magnitude = u64::try_from(score).unwrap_or(u64::MAX);
        return Err(Refusal::Overflow { what: "the accumulator's 2^30", magnitude });
    }
    // As for `attention`: max s - s_j ≤ 2^31, S ≤ 2^35, |Σ e·v| · r ≤ 2^44 · |v|.
    Interval::symmetric(most(2)? << (44 - SHIFT), Element::I32)
}

/// Every score is a product over the head, every output one over the keys.
fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let (front, queries, head) = matrix(site, 0)?;
    let (_, keys, width) = matrix(site, 2)?;
    let matrices = walk::numbers(&Shape(front.to_vec()));
    let is_alone = (0..3)
        .any(|input| site.inputs.get(input).is_none_or(|fact| fact.element != Element::I8 || fact.constant.is_some()));
    // Sums of values that do not fit in 32 bits are taken in 64.
    let sum = u128::from(site.input(3)?.interval.magnitude()) * u128::from(site.input(2)?.interval.magnitude());
    let is_wide = sum.saturating_mul(keys as u128) > i32::MAX as u128;
    let product = |width: usize, is_alone: bool| (width as u64) * if is_alone { walk::PRODUCT_ALONE } else { 1 };
    let share = if is_alone { 4 * walk::ALONE } else { 4 * walk::NUMBER };
    let mask = if site.inputs.len() > 4 { walk::ALONE } else { 0 };
    let score = product(head.next_multiple_of(4), is_alone);
    let value = product(width.next_multiple_of(TILE_ROWS), is_alone || is_wide);
    let scores = matrices.saturating_mul(queries as u64).saturating_mul(keys.next_multiple_of(TILE_ROWS) as u64);
    let all = Work::of_row(scores.saturating_mul(score.saturating_add(value) + share + mask));
    if is_alone {
        return Ok(all.and(walk::alone(site, form)?).and(walk::widened(site, 3)?));
    }
    Ok(all.and(walk::beside(site, form)?))
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.integer(name).map_err(|_| excluded("attend"));
    let (multiplier, shift) = (read("multiplier")?, read("shift")? as u32);
    let (q, k) = (integers("attend", inputs, 0)?, integers("attend", inputs, 1)?);
    let (v, table) = (integers("attend", inputs, 2)?, integers("attend", inputs, 3)?);
    let ([.., queries, head], [.., keys, width]) = (inputs[0].shape(), inputs[2].shape()) else {
        return Err(excluded("attend"));
    };
    let visible = visible(inputs, *queries, *keys)?;
    let mut values = Vec::new();
    for (index, query) in q.chunks_exact(*head).enumerate() {
        let group = index / queries;
        let (k, v) = (&k[group * keys * head..][..keys * head], &v[group * keys * width..][..keys * width]);
        let mut sees = visible.as_ref().map_or(vec![true; *keys], |all| all[index * keys..][..*keys].to_vec());
        if !sees.contains(&true) {
            sees.fill(true);
        }
        let scores: Vec<i64> =
            k.chunks_exact(*head).map(|key| query.iter().zip(key).map(|(q, k)| q * k).sum()).collect();
        let most = scores.iter().zip(&sees).filter(|(_, sees)| **sees).map(|(score, _)| *score).max().unwrap_or(0);
        let weight = |(score, sees): (&i64, &bool)| {
            let distance = fixed::round_shift((most - score) * multiplier, shift);
            if *sees { table[(distance as usize).min(table.len() - 1)] } else { 0 }
        };
        let weights: Vec<i64> = scores.iter().zip(&sees).map(weight).collect();
        let reciprocal = fixed::reciprocal(weights.iter().sum::<i64>() as u64) as i64;
        for column in 0..*width {
            let sum: i64 = weights.iter().zip(v.chunks_exact(*width)).map(|(e, v)| e * v[column]).sum();
            values.push(fixed::round_shift(sum * reciprocal, SHIFT));
        }
    }
    integer_tensor("attend", Element::I32, &super::sizes_with_width(inputs[0].shape(), *width), values)
}

/// For each query, which keys it sees; `None` without a mask.
fn visible(inputs: &[&Tensor], queries: usize, keys: usize) -> Result<Option<Vec<bool>>, Fault> {
    if inputs.len() < 5 {
        return Ok(None);
    }
    let mask = integers("attend", inputs, 4)?;
    let mut sizes = inputs[0].shape().to_vec();
    if let [.., rows, width] = sizes.as_mut_slice() {
        (*rows, *width) = (queries, keys);
    }
    let (_, pairs) = super::broadcast::pairs(&sizes, inputs[4].shape());
    Ok(Some(pairs.into_iter().map(|(_, at)| mask[at] != 0).collect()))
}
