//! `Scaler`: `(x - offset)·scale`, each feature's own or one for all.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Scaler",
    domain: DOMAIN,
    versions: &[1],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["offset", "scale"],
    run: |node, inputs, context| match features::is_double(inputs.tensor(0)?) {
        true => scale::<f64>(node, inputs, context),
        false => scale::<f32>(node, inputs, context),
    },
};

fn scale<T: Real>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let features = *x.shape().last().ok_or_else(|| Problem::shape(0, "1 size or more", x.shape()))?;
    context.room(x.shape(), Element::F64)?;
    let offset = features::each_or_one(node, "offset", features, 0.0)?;
    let scale = features::each_or_one(node, "scale", features, 1.0)?;
    let mut values: Vec<T> = features::numbers(inputs, 0)?;
    for row in values.chunks_exact_mut(features.max(1)) {
        for ((x, &offset), &scale) in row.iter_mut().zip(&offset).zip(&scale) {
            *x = (*x - T::of(offset.into())) * T::of(scale.into());
        }
    }
    Ok(vec![features::singles(x.shape(), values)?.into()])
}
