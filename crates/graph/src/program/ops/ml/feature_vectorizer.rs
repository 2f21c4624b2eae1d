//! `FeatureVectorizer`: the features of all inputs side by side as floats, those of each input cut or filled up with 0 to its stated number.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "FeatureVectorizer",
    domain: DOMAIN,
    versions: &[1],
    inputs: (1, MANY),
    outputs: (1, 1),
    attributes: &["inputdimensions"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let stated = node.integers("inputdimensions")?.unwrap_or_default();
    let widths: Result<Vec<usize>, Problem> = stated.iter().map(|&width| index::size(width)).collect();
    let widths = widths?;
    if widths.len() != inputs.len() {
        return Err(Problem::Attribute { name: "inputdimensions", expected: "a number for each input" });
    }
    let rows = inputs.tensor(0)?.shape().first().copied().unwrap_or(1);
    let all = widths.iter().fold(0_usize, |all, &width| all.saturating_add(width));
    let places = context.room(&[rows, all], Element::F32)?;
    let mut y = vec![0.0; places];
    let mut start = 0;
    for (input, &width) in widths.iter().enumerate() {
        let x = inputs.tensor(input)?;
        if x.rank() == 0 || x.shape()[0] != rows {
            return Err(Problem::shape(input, format!("{rows} rows"), x.shape()));
        }
        context.bytes(x.len() as u64 * 4)?;
        let values: Vec<f32> = match features::is_double(x) {
            true => features::numbers::<f64>(inputs, input)?.into_iter().map(|value| value as f32).collect(),
            false => features::numbers(inputs, input)?,
        };
        let own = x.len().checked_div(rows).unwrap_or(0);
        for row in 0..rows {
            let kept = own.min(width);
            y[row * all + start..][..kept].copy_from_slice(&values[row * own..][..kept]);
        }
        start += width;
    }
    Ok(vec![Array::f32s(&[rows, all], y)?.into()])
}
