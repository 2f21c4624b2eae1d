//! `Trilu`: the upper or lower triangle of each matrix, from the k-th diagonal; zeros elsewhere.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Trilu",
    domain: "",
    versions: &[14],
    inputs: (1, 2),
    outputs: (1, 1),
    attributes: &["upper"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let [.., rows, columns] = *x.shape() else { return Err(Problem::shape(0, "two sizes or more", x.shape())) };
    let (k, upper) = (inputs.integer_or_none(1)?.unwrap_or(0), node.flag("upper", true)?);
    context.room(x.shape(), x.element())?;
    let keeps = |index: usize| {
        let (row, column) = ((index / columns % rows) as i64, (index % columns) as i64);
        let diagonal = column - row;
        if upper { diagonal >= k } else { diagonal <= k }
    };
    let data = map_data!(x.data(), values => {
        let zero = Default::default();
        values.iter().enumerate().map(|(index, value)| if keeps(index) { value } else { &zero }).cloned().collect()
    });
    Ok(vec![Array::of(x.element(), x.shape(), data)?.into()])
}
