//! `Concat`: tensors of one element, one after the other along an axis; all other sizes are equal.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Concat",
    domain: "",
    versions: &[4, 11, 13],
    inputs: (1, MANY),
    outputs: (1, 1),
    attributes: &["axis"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let arrays: Result<Vec<&Array>, Problem> = (0..inputs.len()).map(|input| inputs.tensor(input).map(AsRef::as_ref)).collect();
    let axis = node.integer_or_none("axis")?.ok_or(Problem::Attribute { name: "axis", expected: "an integer" })?;
    Ok(vec![join(&arrays?, axis, context)?.into()])
}

/// The tensors joined along an axis that exists in all of them.
pub(in crate::program) fn join(arrays: &[&Array], axis: i64, context: &mut Context) -> Result<Array, Problem> {
    let first = arrays.first().ok_or(Problem::Missing { input: 0 })?;
    let axis = index::axis(axis, first.rank())?;
    let mut shape = first.shape().to_vec();
    shape[axis] = 0;
    for (input, array) in arrays.iter().enumerate() {
        if array.element() != first.element() {
            let (expected, found) = (first.element().name(), array.element().name());
            return Err(Problem::Element { input, expected, found });
        }
        let same = |(place, (one, other)): (usize, (&usize, &usize))| place == axis || one == other;
        if array.rank() != first.rank() || !array.shape().iter().zip(first.shape()).enumerate().all(same) {
            return Err(Problem::shape(input, format!("{:?} but for axis {axis}", first.shape()), array.shape()));
        }
        shape[axis] += array.shape()[axis];
    }
    context.room(&shape, first.element())?;
    let outer: usize = shape[..axis].iter().product();
    Array::of(first.element(), &shape, weave(arrays, outer)?)
}

/// For each outer place, the block of the first, then of the second, and so on.
fn weave(arrays: &[&Array], outer: usize) -> Result<Data, Problem> {
    macro_rules! blocks {
        ($kind:ident) => {{
            let mut all = Vec::new();
            for place in 0..outer {
                for array in arrays {
                    let Data::$kind(values) = array.data() else { return Err(Problem::Excluded) };
                    let block = values.len() / outer;
                    all.extend_from_slice(&values[place * block..][..block]);
                }
            }
            Data::$kind(all)
        }};
    }
    Ok(match arrays.first().ok_or(Problem::Excluded)?.data() {
        Data::Bool(_) => blocks!(Bool),
        Data::I8(_) => blocks!(I8),
        Data::U8(_) => blocks!(U8),
        Data::I16(_) => blocks!(I16),
        Data::U16(_) => blocks!(U16),
        Data::I32(_) => blocks!(I32),
        Data::U32(_) => blocks!(U32),
        Data::I64(_) => blocks!(I64),
        Data::U64(_) => blocks!(U64),
        Data::F32(_) => blocks!(F32),
        Data::F64(_) => blocks!(F64),
        Data::C64(_) => blocks!(C64),
        Data::C128(_) => blocks!(C128),
        Data::Text(_) => blocks!(Text),
    })
}
