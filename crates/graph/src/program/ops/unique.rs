//! `Unique`: the values, or the slices along an axis, that differ: sorted, or as they first come; where each first stands, which each is, and how often.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Unique",
    domain: "",
    versions: &[11, 28],
    inputs: (1, 1),
    outputs: (1, 4),
    attributes: &["axis", "sorted"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let axis = node.integer_or_none("axis")?.map(|axis| index::axis(axis, x.rank())).transpose()?;
    let around = match axis {
        Some(axis) => Around::new(x.shape(), axis),
        None => Around { outer: 1, size: x.len(), inner: 1 },
    };
    context.room(x.shape(), x.element())?;
    context.bytes(x.len() as u64 * 8 + around.size as u64 * 40)?;
    context.spend((x.len() as u64).saturating_mul(64))?;
    let slice = |place: usize| -> Vec<usize> {
        (0..around.outer).flat_map(|outer| (0..around.inner).map(move |inner| around.at(outer, place, inner))).collect()
    };
    let slices: Vec<Vec<usize>> = (0..around.size).map(slice).collect();
    let order = order(x, &slices);
    let mut sorted: Vec<usize> = (0..around.size).collect();
    sorted.sort_by(|&one, &other| order(one, other).then(one.cmp(&other)));
    // Each group of equal slices, by its first place.
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for place in sorted {
        match groups.last_mut() {
            Some(group) if order(group[0], place).is_eq() => group.push(place),
            _ => groups.push(vec![place]),
        }
    }
    if !node.flag("sorted", true)? {
        groups.sort_by_key(|group| group[0]);
    }
    let mut inverse = vec![0_i64; around.size];
    for (number, group) in groups.iter().enumerate() {
        group.iter().for_each(|&place| inverse[place] = number as i64);
    }
    let mut shape = x.shape().to_vec();
    match axis {
        Some(axis) => shape[axis] = groups.len(),
        None => shape = vec![groups.len()],
    }
    let mut kept = Vec::new();
    for outer in 0..around.outer {
        for group in &groups {
            kept.extend((0..around.inner).map(|inner| around.at(outer, group[0], inner)));
        }
    }
    let list = |values: Vec<i64>| Array::i64s(&[values.len()], values).map(Value::from);
    Ok(vec![
        x.take(&shape, &kept)?.into(),
        list(groups.iter().map(|group| group[0] as i64).collect())?,
        list(inverse)?,
        list(groups.iter().map(|group| group.len() as i64).collect())?,
    ])
}

/// How two slices stand to each other, element by element; a NaN is above all and equal to itself.
fn order<'a>(x: &'a Array, slices: &'a [Vec<usize>]) -> impl Fn(usize, usize) -> std::cmp::Ordering + use<'a> {
    let (integers, doubles) = (x.integers(), x.doubles().map(std::borrow::Cow::into_owned));
    let element = move |one: usize, other: usize| match (&integers, &doubles, x.as_texts()) {
        (Some(values), _, _) => values[one].cmp(&values[other]),
        (_, Some(values), _) => match (values[one].is_nan(), values[other].is_nan()) {
            (false, false) => (values[one] + 0.0).total_cmp(&(values[other] + 0.0)),
            (one, other) => one.cmp(&other),
        },
        (_, _, Some(values)) => values[one].cmp(&values[other]),
        (None, None, None) => one.cmp(&other),
    };
    move |one, other| {
        let pairs = slices[one].iter().zip(&slices[other]);
        pairs.map(|(&one, &other)| element(one, other)).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    }
}
