//! `Cast`: each element as another type.
//!
//! Float to float rounds once, ties to even. Float to integer cuts toward zero, and saturates at the integer's ends, or is cut to
//! its width where that is less than 8 bits; a NaN is 0. Integer to integer is cut to its width. Anything but zero is true.

use super::prelude::*;
use crate::program::minifloat::{narrow, narrow_power};

pub static OPERATOR: Operator = Operator {
    name: "Cast",
    domain: "",
    versions: &[6, 9, 13, 19, 21, 23, 24, 25, 28],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["round_mode", "saturate", "to"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let to = Element::from_code(node.integer("to", 0)?);
    let to = to.ok_or(Problem::Attribute { name: "to", expected: "an element type" })?;
    let rounding = Rounding { saturate: node.flag("saturate", true)?, mode: node.text("round_mode", "up")? };
    Ok(vec![convert(inputs.tensor(0)?, to, rounding, context)?.into()])
}

/// What happens beyond a small float's greatest, and how float8e8m0 is rounded.
#[derive(Clone, Copy)]
pub(super) struct Rounding<'a> {
    pub saturate: bool,
    pub mode: &'a str,
}

/// As `Cast` converts without attributes.
pub(in crate::program) fn converted(x: &Array, to: Element, context: &mut Context) -> Result<Array, Problem> {
    convert(x, to, Rounding { saturate: true, mode: "up" }, context)
}

pub(super) fn convert(x: &Array, to: Element, rounding: Rounding, context: &mut Context) -> Result<Array, Problem> {
    context.room(x.shape(), to)?;
    if x.element() == to {
        return Ok(x.clone());
    }
    if let Some(texts) = x.as_texts() {
        return from_texts(texts, x.shape(), to, rounding, context.crew());
    }
    let crew = context.crew();
    if let Some(values) = x.integers() {
        if to.family() == Family::Text {
            let word = |&value: &i128| match (x.element(), value) {
                (Element::Bool, 0) => "False".to_owned(),
                (Element::Bool, _) => "True".to_owned(),
                _ => value.to_string(),
            };
            return to_texts(&values, x.shape(), word, context);
        }
        let values = crew.watched(values, 16);
        return match to.family() {
            Family::Whole => Array::wholes(to, x.shape(), values),
            Family::Bool => Array::bools(x.shape(), values.map(|value| value != 0).collect()),
            Family::Real32 | Family::Tiny if to == Element::F32 => {
                Array::f32s(x.shape(), values.map(|value| value as f32).collect())
            }
            _ => from_reals(values.map(|value| value as f64), x.shape(), to, rounding),
        };
    }
    let values = x.doubles().ok_or(Problem::Unsupported { what: "the conversion of complex numbers" })?;
    match to {
        Element::Text => to_texts(&values, x.shape(), |&value| written(value, x.element()), context),
        _ => from_reals(crew.watched(values.iter().copied(), 16), x.shape(), to, rounding),
    }
}

fn from_reals(
    values: impl Iterator<Item = f64>,
    shape: &[usize],
    to: Element,
    rounding: Rounding,
) -> Result<Array, Problem> {
    match to.family() {
        Family::Whole => {
            let (low, high) = match to.bits() {
                ..8 => (i64::MIN.into(), i64::MAX.into()),
                _ => to.range().ok_or(Problem::Excluded)?,
            };
            Array::wholes(to, shape, values.map(|value| (value as i128).clamp(low, high)))
        }
        Family::Bool => Array::bools(shape, values.map(|value| value != 0.0).collect()),
        Family::Real64 => Array::of(to, shape, Data::F64(values.collect())),
        Family::Real32 if to == Element::F32 => Array::f32s(shape, values.map(|value| value as f32).collect()),
        Family::Real32 => {
            Array::of(to, shape, Data::U16(values.map(|value| narrow(to, value, false)).collect()))
        }
        Family::Tiny if to == Element::F8E8M0 => {
            let powers = values.map(|value| narrow_power(value, rounding.mode, rounding.saturate));
            Array::of(to, shape, Data::U8(powers.collect()))
        }
        Family::Tiny => {
            Array::of(to, shape, Data::U8(values.map(|value| narrow(to, value, rounding.saturate) as u8).collect()))
        }
        Family::Text | Family::Complex => Err(Problem::Unsupported { what: "a conversion to complex numbers" }),
    }
}

/// Numbers as texts, whose lengths are asked for before they are made.
fn to_texts<T>(
    values: &[T],
    shape: &[usize],
    word: impl Fn(&T) -> String,
    context: &mut Context,
) -> Result<Array, Problem> {
    let crew = context.crew();
    context.bytes(crew.watched(values, 256).map(|value| word(value).len() as u64).sum())?;
    Array::texts(shape, crew.watched(values, 256).map(|value| word(value).into()).collect())
}

fn from_texts(
    texts: &[std::sync::Arc<str>],
    shape: &[usize],
    to: Element,
    rounding: Rounding,
    crew: &dyn Crew,
) -> Result<Array, Problem> {
    let begin = |text: &str| text.chars().take(64).collect::<String>();
    let refused = |text: &str| Problem::value("a text", "a number", format!("{:?}", begin(text)));
    if to.family() == Family::Whole {
        let values: Result<Vec<i128>, Problem> =
            crew.watched(texts, 256).map(|text| text.trim().parse::<i128>().map_err(|_| refused(text))).collect();
        return Array::wholes(to, shape, values?.into_iter());
    }
    let values: Result<Vec<f64>, Problem> =
        crew.watched(texts, 256).map(|text| text.trim().parse::<f64>().map_err(|_| refused(text))).collect();
    from_reals(values?.into_iter(), shape, to, rounding)
}

/// The shortest decimal that reads back to the same float.
fn written(value: f64, from: Element) -> String {
    let text = match from {
        Element::F64 => value.to_string(),
        _ => (value as f32).to_string(),
    };
    match text.as_str() {
        "inf" => "INF".to_owned(),
        "-inf" => "-INF".to_owned(),
        _ => text,
    }
}
