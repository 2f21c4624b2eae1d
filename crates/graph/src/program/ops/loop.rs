//! `Loop`: runs its body while a condition holds and a count allows; carries values on, and stacks what each round adds.

use super::prelude::*;
use crate::program::stack::pile;

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
        // From the second round on the body gave these, and takes them back.
        if round > 0 {
            context.release(carried.iter().map(Value::weight).sum());
        }
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
    let stacked: Result<Vec<Value>, Problem> = stacks.iter().map(|stack| pile(stack, 0, context).map(Value::from)).collect();
    carried.extend(stacked?);
    Ok(carried)
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    let (body, carried) = (node.body("body")?, node.inputs.len().saturating_sub(2));
    match body.inputs.len() == carried + 2 && body.outputs.len() > carried {
        true => Ok(()),
        false => Err(Problem::Attribute { name: "body", expected: "a graph with a count, a condition and all carried values" }),
    }
}
