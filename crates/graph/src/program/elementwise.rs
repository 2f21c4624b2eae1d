//! Operators that compute each place of the output from the same place of their inputs, after broadcasting.

use super::array::{Array, both, count};
use super::crew::Crew;
use super::element::{Element, Family};
use super::index::{broadcast, spread};
use super::machine::Context;
use super::machine::Node;
use super::machine::{Inputs, Outcome};
use super::problem::Problem;
pub use super::real::Arithmetic;
use super::real::{Real, precision};

/// Operations that a function of one float may cost.
const FUNCTION: usize = 32;

/// A function of one float: for f32 (and what is computed in it), and for f64.
pub fn float(
    inputs: &Inputs,
    context: &mut Context,
    single: impl Fn(f32) -> f32 + Sync,
    double: impl Fn(f64) -> f64 + Sync,
) -> Outcome {
    let x = inputs.tensor(0)?;
    context.room(x.shape(), x.element())?;
    map_float(x, context.crew(), single, double).ok_or_else(|| inputs.element(0, "floats"))?.map(|y| vec![y.into()])
}

fn map_float(
    x: &Array,
    crew: &dyn Crew,
    single: impl Fn(f32) -> f32 + Sync,
    double: impl Fn(f64) -> f64 + Sync,
) -> Option<Result<Array, Problem>> {
    match x.element().family() {
        Family::Real32 => {
            let values = f32::read(x)?;
            Some(f32::write(x.element(), x.shape(), crew.fill(values.len(), FUNCTION, 0.0, |at| single(values[at]))))
        }
        Family::Real64 => {
            let values = f64::read(x)?;
            Some(f64::write(x.element(), x.shape(), crew.fill(values.len(), FUNCTION, 0.0, |at| double(values[at]))))
        }
        _ => None,
    }
}

/// A function of f64 for all floats, rounded once.
pub fn by(inputs: &Inputs, context: &mut Context, function: fn(f64) -> f64) -> Outcome {
    float(inputs, context, |x| function(x.into()) as f32, function)
}

/// A function of one number: floats as in `float`, integers exactly, cut to their width.
pub fn number(
    inputs: &Inputs,
    context: &mut Context,
    single: impl Fn(f32) -> f32 + Sync,
    double: impl Fn(f64) -> f64 + Sync,
    whole: impl Fn(i128) -> i128,
) -> Outcome {
    let x = inputs.tensor(0)?;
    if x.element().family() != Family::Whole {
        return float(inputs, context, single, double);
    }
    context.room(x.shape(), x.element())?;
    let values = x.integers().ok_or(Problem::Excluded)?;
    let values = context.crew().watched(values, FUNCTION).map(whole);
    Ok(vec![Array::wholes(x.element(), x.shape(), values)?.into()])
}

/// Two tensors of one element, broadcast to one shape: their flat indices for each place of it.
pub struct Pairing {
    pub shape: Vec<usize>,
    pub one: Vec<usize>,
    pub other: Vec<usize>,
}

/// The shape of two tensors broadcast; refuses tensors of different elements and asks for room for an output of `element`.
pub fn paired(one: &Array, other: &Array, element: Element, context: &mut Context) -> Result<Vec<usize>, Problem> {
    if one.element() != other.element() {
        let (expected, found) = (one.element().name(), other.element().name());
        return Err(Problem::Element { input: 1, expected, found });
    }
    let shape = broadcast(one.shape(), other.shape())?;
    let places = context.room(&shape, element)?;
    context.bytes((places as u64).saturating_mul(16))?;
    Ok(shape)
}

/// Like `paired`, with where each place's operands lie.
pub fn pair(one: &Array, other: &Array, element: Element, context: &mut Context) -> Result<Pairing, Problem> {
    let shape = paired(one, other, element, context)?;
    let (one, other) = (spread(one.shape(), &shape), spread(other.shape(), &shape));
    Ok(Pairing { shape, one, other })
}

/// Two tensors, place by place.
pub fn binary(inputs: &Inputs, context: &mut Context, rule: &Arithmetic) -> Outcome {
    Ok(vec![combine(inputs.tensor(0)?, inputs.tensor(1)?, context, rule)?.into()])
}

/// One or more tensors, folded from the first to the last.
pub fn variadic(inputs: &Inputs, context: &mut Context, rule: &Arithmetic) -> Result<Array, Problem> {
    let mut all = inputs.tensor(0)?.as_ref().clone();
    for input in 1..inputs.len() {
        all = combine(&all, inputs.tensor(input)?, context, rule)?;
    }
    Ok(all)
}

fn combine(one: &Array, other: &Array, context: &mut Context, rule: &Arithmetic) -> Result<Array, Problem> {
    let pairing = pair(one, other, one.element(), context)?;
    let (crew, count) = (context.crew(), pairing.one.len());
    let refused = || Problem::Element { input: 0, expected: "numbers", found: one.element().name() };
    let element = one.element();
    match element.family() {
        Family::Real32 => {
            let (a, b) = (f32::read(one).ok_or_else(refused)?, f32::read(other).ok_or_else(refused)?);
            let one = |at: usize| (rule.single)(a[pairing.one[at]], b[pairing.other[at]]);
            f32::write(element, &pairing.shape, crew.fill(count, FUNCTION, 0.0, one))
        }
        Family::Real64 => {
            let (a, b) = (f64::read(one).ok_or_else(refused)?, f64::read(other).ok_or_else(refused)?);
            let one = |at: usize| (rule.double)(a[pairing.one[at]], b[pairing.other[at]]);
            f64::write(element, &pairing.shape, crew.fill(count, FUNCTION, 0.0, one))
        }
        Family::Whole => {
            let (a, b) = (one.integers().ok_or_else(refused)?, other.integers().ok_or_else(refused)?);
            let places = crew.watched(pairing.one.iter().zip(&pairing.other), FUNCTION);
            let values: Result<Vec<i128>, Problem> = places.map(|(&i, &j)| (rule.whole)(a[i], b[j])).collect();
            Array::wholes(element, &pairing.shape, values?.into_iter())
        }
        Family::Bool | Family::Text | Family::Complex | Family::Tiny => Err(refused()),
    }
}

/// How two values are ordered, as an operator asks: floats with a NaN are `None`.
pub type Order = Option<std::cmp::Ordering>;

/// A comparison of two tensors of numbers, truth values or texts.
pub fn compare(inputs: &Inputs, context: &mut Context, holds: fn(Order) -> bool) -> Outcome {
    let (one, other) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let pairing = pair(one, other, Element::Bool, context)?;
    let crew = context.crew();
    let places = || crew.watched(pairing.one.iter().zip(&pairing.other), 4);
    let result: Vec<bool> = precision!(one.element(), T => {
        let (a, b) = (T::read(one).ok_or(Problem::Excluded)?, T::read(other).ok_or(Problem::Excluded)?);
        places().map(|(&i, &j)| holds(a[i].partial_cmp(&b[j]))).collect()
    }, else => match (one.integers(), other.integers(), one.as_texts(), other.as_texts()) {
        (Some(a), Some(b), _, _) => places().map(|(&i, &j)| holds(Some(a[i].cmp(&b[j])))).collect(),
        (_, _, Some(a), Some(b)) => places().map(|(&i, &j)| holds(Some(a[i].cmp(&b[j])))).collect(),
        _ => return Err(inputs.element(0, "numbers, bool or string")),
    });
    Ok(vec![Array::bools(&pairing.shape, result)?.into()])
}

/// A function of two truth values.
pub fn logic(inputs: &Inputs, context: &mut Context, rule: fn(bool, bool) -> bool) -> Outcome {
    let (one, other) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let (a, b) = (inputs.bools(0)?, inputs.bools(1)?);
    let pairing = pair(one, other, Element::Bool, context)?;
    let places = context.crew().watched(pairing.one.iter().zip(&pairing.other), 4);
    let values = places.map(|(&i, &j)| rule(a[i], b[j])).collect();
    Ok(vec![Array::bools(&pairing.shape, values)?.into()])
}

/// A function of the bits of two integers of one element.
pub fn bitwise(inputs: &Inputs, context: &mut Context, rule: fn(i128, i128) -> i128) -> Outcome {
    let (one, other) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let pairing = pair(one, other, one.element(), context)?;
    if one.element().family() != Family::Whole {
        return Err(inputs.element(0, "integers"));
    }
    let (a, b) = (one.integers().ok_or(Problem::Excluded)?, other.integers().ok_or(Problem::Excluded)?);
    let places = context.crew().watched(pairing.one.iter().zip(&pairing.other), 8);
    let values = places.map(|(&i, &j)| rule(a[i], b[j]));
    Ok(vec![Array::wholes(one.element(), &pairing.shape, values)?.into()])
}

/// A window of as many places as the input says: a function of the turn from 0 to 2π.
pub fn window(node: &Node, inputs: &Inputs, context: &mut Context, shape: fn(f64) -> f64) -> Outcome {
    let refused = || Problem::value("the size", "0 or more", "less");
    let size = usize::try_from(inputs.integer(0)?).map_err(|_| refused())?;
    let wanted = Problem::Attribute { name: "output_datatype", expected: "an element of numbers" };
    let element = Element::from_code(node.integer("output_datatype", 1)?).ok_or(wanted.clone())?;
    context.room(&[size], element)?;
    let whole = if node.flag("periodic", true)? { size } else { size.saturating_sub(1) };
    let value = |place: usize| shape(place as f64 * std::f64::consts::TAU / whole.max(1) as f64);
    let values = context.crew().watched(0..size, FUNCTION).map(value);
    let made = precision!(element, T => T::write(element, &[size], values.map(T::of).collect()), else => {
        let whole = values.map(|value| value as i128);
        Array::wholes(element, &[size], whole).map_err(|_| wanted)
    });
    Ok(vec![made?.into()])
}

/// Each place from `one` where `condition` holds, else from `other`.
pub fn choose(condition: &Array, one: &Array, other: &Array, context: &mut Context) -> Result<Array, Problem> {
    let flags = condition.as_bools().ok_or(Problem::Excluded)?;
    let shape = broadcast(&broadcast(one.shape(), other.shape())?, condition.shape())?;
    context.room(&shape, one.element())?;
    context.bytes(count(&shape).unwrap_or(usize::MAX) as u64 * 24)?;
    let (at, i, j) = (spread(condition.shape(), &shape), spread(one.shape(), &shape), spread(other.shape(), &shape));
    let refused = || Problem::Element { input: 2, expected: one.element().name(), found: other.element().name() };
    if one.element() != other.element() {
        return Err(refused());
    }
    let data = both!(one.data(), other.data(), a, b => {
        let places = context.crew().watched(at.iter().zip(i.iter().zip(&j)), 8);
        places.map(|(&at, (&i, &j))| if flags[at] { a[i].clone() } else { b[j].clone() }).collect()
    });
    Array::of(one.element(), &shape, data.ok_or_else(refused)?)
}
