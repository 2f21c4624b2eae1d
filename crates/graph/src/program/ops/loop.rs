//! `Loop`: runs its body while a condition holds and a count allows; carries values on, and stacks what each round adds.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Loop",
    domain: "",
    versions: &[1, 11, 13, 16, 19, 21, 23, 24, 25],
    inputs: (2, MANY),
    outputs: (1, MANY),
    attributes: &["body"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let body = node.body("body")?;
    let most = inputs.integer_or_none(0)?.unwrap_or(i64::MAX);
    let mut goes_on = if inputs.tensor_or_none(1)?.is_some() { inputs.bool(1)? } else { true };
    let carried: Result<Vec<Value>, Problem> = (2..inputs.len()).map(|input| inputs.value(input).cloned()).collect();
    let mut carried = carried?;
    let added = body.outputs.len().checked_sub(carried.len() + 1).ok_or(Problem::Attribute {
        name: "body",
        expected: "a graph with a condition and all carried values as outputs",
    })?;
    let mut stacks: Vec<Vec<Value>> = vec![Vec::new(); added];
    let mut round = 0;
    while goes_on && round < most {
        let mut given = vec![Array::i64s(&[], vec![round])?.into(), Array::bools(&[], vec![goes_on])?.into()];
        given.append(&mut carried);
        let mut made = context.run_body(body, given)?.into_iter();
        let condition = Inputs(vec![made.next()]);
        goes_on = condition.bool(0)?;
        let all: Vec<Value> = made.collect();
        let (kept, new) = all.split_at_checked(all.len() - added).ok_or(Problem::Excluded)?;
        carried = kept.to_vec();
        stacks.iter_mut().zip(new).for_each(|(stack, value)| stack.push(value.clone()));
        round += 1;
    }
    let stacked: Result<Vec<Value>, Problem> = stacks.iter().map(|stack| pile(stack, context).map(Value::from)).collect();
    carried.extend(stacked?);
    Ok(carried)
}

/// Tensors of one shape, one upon the other along a new first axis.
pub(super) fn pile(values: &[Value], context: &mut Context) -> Result<Array, Problem> {
    let Some(first) = values.first() else { return Array::f32s(&[0], Vec::new()) };
    let arrays: Option<Vec<&Array>> = values.iter().map(|value| value.as_tensor().map(AsRef::as_ref)).collect();
    let refused = Problem::Kind { input: 0, expected: "tensors", found: first.name() };
    let flat: Result<Vec<Array>, Problem> = arrays
        .ok_or(refused)?
        .into_iter()
        .map(|array| array.reshaped(&[&[1], array.shape()].concat()))
        .collect();
    let flat = flat?;
    super::concat::join(&flat.iter().collect::<Vec<_>>(), 0, context)
}
