//! `Multinomial`: samples of classes by unnormalised log-probabilities: the first class at which the running sum passes a uniform share of the whole.

use super::prelude::*;
use crate::program::random::Random;

pub static OPERATOR: Operator = Operator {
    name: "Multinomial",
    domain: "",
    versions: &[7, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["dtype", "sample_size", "seed"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let [batch, classes] = *x.shape() else { return Err(Problem::shape(0, "[batch, classes]", x.shape())) };
    let samples = usize::try_from(node.integer("sample_size", 1)?);
    let samples = samples.map_err(|_| Problem::Attribute { name: "sample_size", expected: "0 or more" })?;
    let element = Element::from_code(node.integer("dtype", 6)?).filter(|element| element.family() == Family::Whole);
    let element = element.ok_or(Problem::Attribute { name: "dtype", expected: "an integer" })?;
    let random = Random::of(node)?;
    context.room(&[batch, samples], element)?;
    context.spend((batch as u64).saturating_mul(samples as u64).saturating_mul(classes as u64))?;
    if classes == 0 {
        return Err(Problem::shape(0, "one class or more", x.shape()));
    }
    let logits = x.doubles().ok_or_else(|| inputs.element(0, "floats"))?;
    let mut drawn = Vec::new();
    for (row, logits) in logits.chunks_exact(classes).enumerate() {
        let most = logits.iter().fold(f64::NEG_INFINITY, |most, &logit| if logit > most { logit } else { most });
        let weights: Vec<f64> = logits.iter().map(|logit| math::exp(logit - most)).collect();
        let whole: f64 = weights.iter().fold(0.0, |sum, weight| sum + weight);
        for sample in context.crew().watched(0..samples, classes) {
            let share = random.uniform((row * samples + sample) as u64) * whole;
            let mut sum = 0.0;
            let passed = weights.iter().position(|weight| {
                sum += weight;
                sum > share
            });
            drawn.push(passed.unwrap_or(classes - 1) as i128);
        }
    }
    Ok(vec![Array::wholes(element, &[batch, samples], drawn.into_iter())?.into()])
}
