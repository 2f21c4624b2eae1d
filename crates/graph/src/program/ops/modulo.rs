//! `Mod`: the remainder: of the divisor's sign, or with fmod of the dividend's.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Mod",
    domain: "",
    versions: &[10, 13, 28],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["fmod"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    elementwise::binary(inputs, context, if node.flag("fmod", false)? { &OF_DIVIDEND } else { &OF_DIVISOR })
}

const OF_DIVIDEND: Arithmetic =
    Arithmetic { single: |a, b| a % b, double: |a, b| a % b, whole: |a, b| a.checked_rem(b).ok_or(Problem::DivisionByZero) };

const OF_DIVISOR: Arithmetic = Arithmetic { single: floored, double: floored, whole: floored_whole };

/// The exact remainder of the division that rounds toward zero, moved to the divisor's sign.
fn floored<T: Real>(a: T, b: T) -> T {
    let remainder = a % b;
    let crossed = remainder != T::ZERO && (remainder < T::ZERO) != (b < T::ZERO);
    if crossed { remainder + b } else { remainder }
}

fn floored_whole(a: i128, b: i128) -> Result<i128, Problem> {
    let remainder = a.checked_rem(b).ok_or(Problem::DivisionByZero)?;
    Ok(if remainder != 0 && (remainder < 0) != (b < 0) { remainder + b } else { remainder })
}
