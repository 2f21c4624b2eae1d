//! What the operators' rules of work are made of: numbers that pass by, and what each of them costs in units of work.
//!
//! The prices are bounds of what the engine's kernels take on a machine that multiplies 2^36 times a second, where a unit is
//! 15 picoseconds. What has no kernel, or a kernel for other elements, is priced as its meaning runs: one number at a time.

use crate::{
    formats::{Packed, TILE_ROWS},
    graph::PIECE_ROWS,
    operator::{Form, Refusal, Site},
    shape::Shape,
    tensor::Element,
    work::Work,
};

/// A number that is read or written, many of them side by side.
pub const NUMBER: u64 = 32;
/// The same, one at a time.
pub const ALONE: u64 = 256;
/// A product that is taken one at a time, or in 64 bits.
pub const PRODUCT_ALONE: u64 = 64;
/// An exponential or a division, many of them side by side.
pub const FUNCTION: u64 = 256;
/// The same, one at a time.
pub const FUNCTION_ALONE: u64 = 1 << 12;
/// A step to a place that nobody knows before; a root.
pub const STEP: u64 = 1 << 11;
/// A byte of constants that is read anew for each text or call, and for each piece of a long one.
const BYTE: u64 = 4;

/// Numbers in a row of a value.
pub fn numbers(shape: &Shape) -> u64 {
    shape.count(1).map_or(u64::MAX, |count| count as u64)
}

/// Innermost rows in a row of the first input.
pub fn inner_rows(site: &Site) -> Result<u64, Refusal> {
    Ok(numbers(&site.input(0)?.shape) / site.width(0)? as u64)
}

/// Numbers that come in, constants left out, and that go out.
fn passing(site: &Site, form: &Form) -> u64 {
    let computed = site.inputs.iter().filter(|fact| fact.constant.is_none());
    computed.map(|fact| numbers(&fact.shape)).fold(numbers(&form.shape), u64::saturating_add)
}

/// Whether a value that comes in or goes out has an element that kernels leave to the meaning.
pub fn is_alone(site: &Site, form: &Form) -> bool {
    let elements = site.inputs.iter().map(|fact| fact.element).chain([form.element]);
    elements.into_iter().any(|element| matches!(element, Element::I64 | Element::F16))
}

/// Every number once, side by side where kernels can.
pub fn walked(site: &Site, form: &Form) -> Result<Work, Refusal> {
    if is_alone(site, form) { alone(site, form) } else { beside(site, form) }
}

/// Every number once, side by side.
pub fn beside(site: &Site, form: &Form) -> Result<Work, Refusal> {
    Ok(Work::of_row(passing(site, form).saturating_mul(NUMBER)))
}

/// Every number once, one at a time.
pub fn alone(site: &Site, form: &Form) -> Result<Work, Refusal> {
    Ok(Work::of_row(passing(site, form).saturating_mul(ALONE)))
}

/// A function of every number, side by side.
pub fn mapped(site: &Site, form: &Form) -> Result<Work, Refusal> {
    Ok(walked(site, form)?.and(Work::of_row(numbers(&form.shape).saturating_mul(FUNCTION))))
}

/// A function of every number, one at a time.
pub fn mapped_alone(site: &Site, form: &Form) -> Result<Work, Refusal> {
    Ok(alone(site, form)?.and(Work::of_row(numbers(&form.shape).saturating_mul(FUNCTION_ALONE))))
}

/// A constant that a meaning widens for each call.
pub fn widened(site: &Site, input: usize) -> Result<Work, Refusal> {
    Ok(Work::of_call(numbers(&site.input(input)?.shape).saturating_mul(ALONE)))
}

/// A row of packed weights that a meaning multiplies out, one number at a time, with what fills up its last block.
pub fn unpacked(packed: &Packed) -> u64 {
    let columns = packed.columns().next_multiple_of(packed.format().layout().columns);
    (columns as u64).saturating_mul(ALONE)
}

/// Constants that are read for each call, and for each piece of its rows.
pub fn read(bytes: usize) -> Work {
    let call = (bytes as u64).saturating_mul(BYTE);
    Work { call, row: call / PIECE_ROWS as u64, pair: 0 }
}

/// A row of activations times one matrix of packed weights for each of its innermost rows that go out: tiles are whole.
pub fn products(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let packed = site.expect_constant(1)?.as_packed().ok_or(Refusal::NotConstant { input: 1 })?;
    let matrices = numbers(&form.shape) / packed.rows().max(1) as u64;
    let outputs = matrices.saturating_mul(tiled(packed));
    let each = (packed.columns() as u64).saturating_add(NUMBER);
    let multiplied = Work::of_row(outputs.saturating_mul(each));
    Ok(multiplied.and(beside(site, form)?).and(read(packed.bytes().len())))
}

/// Outputs of a matrix, with those that fill up its last tile.
pub fn tiled(packed: &Packed) -> u64 {
    packed.rows().next_multiple_of(TILE_ROWS) as u64
}
