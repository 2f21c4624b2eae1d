//! Scattering: a copy of a tensor in which updates are put, or joined to what is there, in the order of the updates.

use super::array::{Array, Data};
use super::element::{Element, Family};
use super::problem::Problem;
use super::real::{Real, precision};

/// What becomes of an element that an update meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Join {
    Put,
    Add,
    Multiply,
    Greatest,
    Least,
}

impl Join {
    pub fn named(name: &str) -> Result<Self, Problem> {
        match name {
            "none" => Ok(Self::Put),
            "add" => Ok(Self::Add),
            "mul" => Ok(Self::Multiply),
            "max" => Ok(Self::Greatest),
            "min" => Ok(Self::Least),
            other => Err(Problem::value("attribute reduction", "none, add, mul, max or min", other)),
        }
    }

    fn reals<T: Real>(self, held: T, update: T) -> T {
        match self {
            Self::Put => update,
            Self::Add => held + update,
            Self::Multiply => held * update,
            Self::Greatest => held.greater(update),
            Self::Least => held.lesser(update),
        }
    }

    fn wholes(self, held: i128, update: i128) -> i128 {
        match self {
            Self::Put => update,
            Self::Add => held.wrapping_add(update),
            Self::Multiply => held.wrapping_mul(update),
            Self::Greatest => held.max(update),
            Self::Least => held.min(update),
        }
    }
}

/// `x` with update number i at the flat place number i, one after the other.
pub fn scatter(x: &Array, places: &[usize], updates: &Array, join: Join) -> Result<Array, Problem> {
    if updates.element() != x.element() {
        let (expected, found) = (x.element().name(), updates.element().name());
        return Err(Problem::Element { input: 2, expected, found });
    }
    if places.len() != updates.len() || places.iter().any(|&place| place >= x.len()) {
        return Err(Problem::Excluded);
    }
    if join == Join::Put {
        return put(x, places, updates);
    }
    let element = x.element();
    precision!(element, T => {
        let mut values = T::read(x).ok_or(Problem::Excluded)?.into_owned();
        let updates = T::read(updates).ok_or(Problem::Excluded)?;
        places.iter().zip(updates.iter()).for_each(|(&place, &update)| values[place] = join.reals(values[place], update));
        T::write(element, x.shape(), values)
    }, else => {
        let refused = || Problem::Element { input: 0, expected: "numbers", found: element.name() };
        let whole = |array: &Array| array.integers().filter(|_| matches!(element.family(), Family::Whole | Family::Bool));
        let (mut values, updates) = (whole(x).ok_or_else(refused)?, whole(updates).ok_or_else(refused)?);
        places.iter().zip(updates).for_each(|(&place, update)| values[place] = join.wholes(values[place], update));
        match element {
            Element::Bool => Array::bools(x.shape(), values.into_iter().map(|value| value != 0).collect()),
            _ => Array::wholes(element, x.shape(), values.into_iter()),
        }
    })
}

fn put(x: &Array, places: &[usize], updates: &Array) -> Result<Array, Problem> {
    // The place that each element comes from: the updates stand behind the tensor's own.
    let mut from: Vec<usize> = (0..x.len()).collect();
    places.iter().enumerate().for_each(|(update, &place)| from[place] = x.len() + update);
    macro_rules! joined {
        ($($kind:ident)*) => {
            match (x.data(), updates.data()) {
                $((Data::$kind(own), Data::$kind(new)) => {
                    Data::$kind(from.iter().map(|&at| if at < own.len() { own[at].clone() } else { new[at - own.len()].clone() }).collect())
                })*
                _ => return Err(Problem::Excluded),
            }
        };
    }
    let data = joined!(Bool I8 U8 I16 U16 I32 U32 I64 U64 F32 F64 C64 C128 Text);
    Array::of(x.element(), x.shape(), data)
}
