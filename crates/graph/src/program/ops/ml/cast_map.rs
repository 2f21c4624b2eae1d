//! `CastMap`: the values of a map of integers as one row, in the order of its keys, or each at the place that its key says.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "CastMap",
    domain: DOMAIN,
    versions: &[1],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["cast_to", "map_form", "max_map"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let Value::Map(keys, values) = inputs.value(0)? else {
        return Err(Problem::Kind { input: 0, expected: "a map", found: inputs.value(0)?.name() });
    };
    let keys = keys.integers().ok_or(Problem::Element { input: 0, expected: "keys of integers", found: keys.element().name() })?;
    let element = match node.text("cast_to", "TO_FLOAT")? {
        "TO_FLOAT" => Element::F32,
        "TO_INT64" => Element::I64,
        "TO_STRING" => Element::Text,
        _ => return Err(Problem::Attribute { name: "cast_to", expected: "TO_FLOAT, TO_INT64 or TO_STRING" }),
    };
    context.bytes(keys.len() as u64 * 24)?;
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by_key(|&place| keys[place]);
    let converted = crate::program::ops::converted(values, element, context)?;
    match node.text("map_form", "DENSE")? {
        "DENSE" => Ok(vec![converted.take(&[1, order.len()], &order)?.into()]),
        "SPARSE" => {
            let refused = || Problem::Attribute { name: "max_map", expected: "a size above every key" };
            let size = usize::try_from(node.integer("max_map", 1)?).map_err(|_| refused())?;
            context.room(&[1, size], element)?;
            context.bytes(size as u64 * 8)?;
            let mut places = vec![usize::MAX; size];
            for place in order {
                let at = usize::try_from(keys[place]).ok().and_then(|key| places.get_mut(key)).ok_or_else(refused)?;
                *at = place;
            }
            Ok(vec![converted.take_or(&[1, size], &places, &Array::zeros(element, &[1])?)?.into()])
        }
        _ => Err(Problem::Attribute { name: "map_form", expected: "DENSE or SPARSE" }),
    }
}
