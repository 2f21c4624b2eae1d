//! `Pow`: x to a power of any element, of f64 and rounded once to x's element; whole powers of integers wrap around.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Pow",
    domain: "",
    versions: &[1, 7, 12, 13, 15],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["axis", "broadcast"],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, power) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let shape = index::broadcast(x.shape(), power.shape())?;
    let places = context.room(&shape, x.element())?;
    context.bytes((places as u64).saturating_mul(32))?;
    let (at, by) = (index::spread(x.shape(), &shape), index::spread(power.shape(), &shape));
    if let (Family::Whole, Some(bases), Some(powers)) = (x.element().family(), x.integers(), power.integers()) {
        let values = at.iter().zip(&by).map(|(&i, &j)| whole(bases[i], powers[j]));
        return Ok(vec![Array::wholes(x.element(), &shape, values)?.into()]);
    }
    let bases = wide(x).ok_or_else(|| inputs.element(0, "numbers"))?;
    let powers = wide(power).ok_or_else(|| inputs.element(1, "numbers"))?;
    let values = at.iter().zip(&by).map(|(&i, &j)| math::pow(bases[i], powers[j]));
    let result = match x.element().family() {
        Family::Whole => Array::wholes(x.element(), &shape, values.map(|value| value as i128)),
        _ => precision!(x.element(), T => T::write(x.element(), &shape, values.map(T::of).collect()), else => Err(Problem::Excluded)),
    };
    Ok(vec![result?.into()])
}

fn wide(array: &Array) -> Option<Vec<f64>> {
    match array.integers() {
        Some(values) => Some(values.into_iter().map(|value| value as f64).collect()),
        None => array.doubles().map(std::borrow::Cow::into_owned),
    }
}

/// By squaring; a negative power of anything but 1 and -1 is 0.
fn whole(base: i128, power: i128) -> i128 {
    if power < 0 {
        return match base {
            1 => 1,
            -1 if power % 2 == 0 => 1,
            -1 => -1,
            _ => 0,
        };
    }
    let (mut square, mut product, mut power) = (base, 1_i128, power);
    while power > 0 {
        if power % 2 == 1 {
            product = product.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        power /= 2;
    }
    product
}
