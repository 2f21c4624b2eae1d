//! `BitCast`: the same bits as another element of the same width; of a NaN, the bits of the one that every NaN is in
//! commitments: which sign and payload an operation gives it differs from platform to platform.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "BitCast",
    domain: "",
    versions: &[26],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["to"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let wanted = Problem::Attribute { name: "to", expected: "an element of the same width" };
    let to = Element::from_code(node.integer("to", 0)?).ok_or(wanted.clone())?;
    if to.bits() != x.element().bits() || to == Element::Text {
        return Err(wanted);
    }
    context.room(x.shape(), to)?;
    let bytes = x.to_bytes();
    // Small integers are held sign-extended, small floats and unsigned ones as their bits alone.
    let bits = to.bits();
    let bytes = match to.range() {
        _ if bits >= 8 => bytes,
        Some((low, _)) if low < 0 => bytes.into_iter().map(|byte| ((byte << (8 - bits)) as i8 >> (8 - bits)) as u8).collect(),
        _ => bytes.into_iter().map(|byte| byte & ((1 << bits) - 1)).collect(),
    };
    let cast = Array::from_bytes(to, x.shape(), &bytes);
    Ok(vec![cast.ok_or_else(|| Problem::value("a bool's byte", "0 or 1", "beyond"))?.into()])
}
