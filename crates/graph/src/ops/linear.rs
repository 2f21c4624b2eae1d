//! `linear`: integer activations times a constant int8 matrix, plus an optional constant bias, as i32.
//!
//! `y[r, n] = bias[n] + Σ_k x[r, k] · w[n, k]`. Integer sums are associative, so any order gives these bits.

use super::{integer_tensor, integers, sizes_with_width};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site, with_width},
    shape::Shape,
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "linear",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (2, 3),
    attributes: &[],
    shape,
    bounds,
    meaning,
};

/// No sum may leave [-2^30, 2^30]: half the range of the field that proofs are made over, and far within i32.
pub const ACCUMULATOR_MAX: u128 = 1 << 30;

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.input(0)?;
    if !matches!(x.element, Element::I8 | Element::U8 | Element::I16) {
        return Err(Refusal::Element { input: 0, expected: "i8, u8 or i16", found: x.element });
    }
    site.expect_element(1, Element::I8)?;
    let [outputs, columns] = *site.expect_constant(1)?.shape() else {
        return Err(site.shape_refusal(1, "[outputs, inputs]"));
    };
    if site.width(0)? != columns || outputs == 0 {
        return Err(site.shape_refusal(1, &format!("[outputs, {}]", site.width(0)?)));
    }
    if site.inputs.len() == 3 {
        site.expect_element(2, Element::I32)?;
        site.expect_constant(2)?;
        site.expect_shape(2, &Shape::fixed(&[outputs]))?;
    }
    Ok(Form { element: Element::I32, shape: with_width(&x.shape, outputs) })
}

/// Per output: |bias| + max |x| · Σ |w|.
fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let magnitude = u128::from(site.input(0)?.interval.magnitude());
    let weights = site.expect_constant(1)?;
    let (_, columns) = weights.rows_and_width();
    let weights = weights.to_bytes();
    let mut worst = 0;
    for (output, row) in weights.chunks_exact(columns.max(1)).enumerate() {
        let norm: u128 = row.iter().map(|&weight| u128::from(weight.cast_signed().unsigned_abs())).sum();
        let bias = match site.inputs.get(2).and_then(|fact| fact.constant.as_ref()) {
            Some(bias) => u128::from(bias.integer(output).unwrap_or(0).unsigned_abs()),
            None => 0,
        };
        worst = worst.max(bias + magnitude * norm);
    }
    if worst > ACCUMULATOR_MAX {
        let magnitude = u64::try_from(worst).unwrap_or(u64::MAX);
        return Err(Refusal::Overflow { what: "the accumulator's 2^30", magnitude });
    }
    Interval::symmetric(worst, Element::I32)
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let (x, weights) = (integers("linear", inputs, 0)?, integers("linear", inputs, 1)?);
    let (outputs, columns) = inputs[1].rows_and_width();
    let bias = if inputs.len() == 3 { integers("linear", inputs, 2)? } else { vec![0; outputs] };
    let mut values = Vec::new();
    for row in x.chunks_exact(columns) {
        for output in 0..outputs {
            let products = row.iter().zip(&weights[output * columns..]).map(|(x, w)| x * w);
            values.push(bias[output] + products.sum::<i64>());
        }
    }
    integer_tensor("linear", Element::I32, &sizes_with_width(inputs[0].shape(), outputs), values)
}
