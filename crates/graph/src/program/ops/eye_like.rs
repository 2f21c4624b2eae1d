//! `EyeLike`: ones on a diagonal of a matrix of another's shape.

use super::cast::{Rounding, convert};
use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "EyeLike",
    domain: "",
    versions: &[9, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["dtype", "k"],
    run: |node, inputs, context| {
        let x = inputs.tensor(0)?;
        let &[rows, columns] = x.shape() else { return Err(Problem::shape(0, "a matrix", x.shape())) };
        let element = match node.integer_or_none("dtype")? {
            Some(code) => Element::from_code(code).ok_or(Problem::Attribute { name: "dtype", expected: "an element type" })?,
            None => x.element(),
        };
        let diagonal = i128::from(node.integer("k", 0)?);
        context.room(x.shape(), Element::I64)?;
        let one = |row: usize, column: usize| i64::from(column as i128 - row as i128 == diagonal);
        let ones = (0..rows).flat_map(|row| (0..columns).map(move |column| one(row, column))).collect();
        let eye = Array::i64s(x.shape(), ones)?;
        Ok(vec![convert(&eye, element, Rounding { saturate: true, mode: "up" }, context)?.into()])
    },
};
