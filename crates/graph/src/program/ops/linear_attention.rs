//! `LinearAttention`: a state of keys by values for each head, place after place: times `exp(decay)`; `beta·(v - k·state)` in place of v under
//! the delta rules; `state + k·v` by fma; read as `scale·(q·state)`. All in binary32, sums by fma from +0 over the keys' width.

use super::prelude::*;
use crate::program::machine::Source;
use crate::program::heads::Heads;

pub static OPERATOR: Operator = Operator {
    name: "LinearAttention",
    domain: "",
    versions: &[27],
    inputs: (3, 6),
    outputs: (1, 2),
    attributes: &["chunk_size", "kv_num_heads", "q_num_heads", "scale", "update_rule"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let call = Call::of(node, inputs)?;
    let (q, k, v) = (call.q, call.k, call.v);
    let steps = [q.batch, q.heads.max(k.heads), q.length, k.width, v.width].map(|size| size as u64);
    context.spend(steps.iter().fold(4, |all: u64, &size| all.saturating_mul(size)))?;
    let given = inputs.tensor(0)?.element();
    let output = [q.batch, q.length, q.heads * v.width];
    let kept = [q.batch, k.heads, k.width, v.width];
    let places = context.room(&output, Element::F32)?;
    context.room(&kept, Element::F32)?;
    let past = inputs.tensor_or_none(3)?;
    let mut states = match past {
        Some(past) if past.shape() == kept => floats(inputs, 3)?,
        Some(past) => return Err(Problem::shape(3, format!("{kept:?}"), past.shape())),
        None => vec![0.0; kept.iter().product()],
    };
    let numbers = Numbers::of(inputs)?;
    let mut y = vec![0.0; places];
    for (pair, state) in states.chunks_exact_mut((k.width * v.width).max(1)).enumerate() {
        call.run(&numbers, (pair / k.heads, pair % k.heads), (state, &mut y), context.crew());
    }
    let state_element = past.map_or(given, |past| past.element());
    Ok(vec![f32::write(given, &output, y)?.into(), f32::write(state_element, &kept, states)?.into()])
}

fn floats(inputs: &Inputs, input: usize) -> Result<Vec<f32>, Problem> {
    f32::read(inputs.tensor(input)?).map(std::borrow::Cow::into_owned).ok_or_else(|| inputs.element(input, "floats of up to 32 bits"))
}

struct Numbers {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    decay: Option<Vec<f32>>,
    beta: Option<Vec<f32>>,
}

impl Numbers {
    fn of(inputs: &Inputs) -> Result<Self, Problem> {
        let optional = |input| inputs.tensor_or_none(input)?.map(|_| floats(inputs, input)).transpose();
        Ok(Self { q: floats(inputs, 0)?, k: floats(inputs, 1)?, v: floats(inputs, 2)?, decay: optional(4)?, beta: optional(5)? })
    }
}

struct Call {
    q: Heads,
    k: Heads,
    v: Heads,
    scale: f32,
    /// Numbers of decay and of beta for each token.
    decays: usize,
    betas: usize,
}

impl Call {
    fn of(node: &Node, inputs: &Inputs) -> Result<Self, Problem> {
        let heads = |input, name| match inputs.tensor(input)? {
            x if x.rank() == 3 => Heads::of(node, name, x, input),
            x => Err(Problem::shape(input, "3 sizes", x.shape())),
        };
        let (q, k, v) = (heads(0, "q_num_heads")?, heads(1, "kv_num_heads")?, heads(2, "kv_num_heads")?);
        let tokens = (q.batch, q.length);
        let fits = (k.batch, k.length) == tokens && (v.batch, v.length) == tokens && k.width == q.width && q.heads.is_multiple_of(k.heads);
        if !fits {
            return Err(Problem::shape(1, format!("{tokens:?} tokens of heads of {}", q.width), inputs.tensor(1)?.shape()));
        }
        let (gated, delta) = match node.text("update_rule", "gated_delta")? {
            "linear" => (false, false),
            "gated" => (true, false),
            "delta" => (false, true),
            "gated_delta" => (true, true),
            _ => return Err(Problem::Attribute { name: "update_rule", expected: "linear, gated, delta or gated_delta" }),
        };
        let last = |input: usize, wanted: bool, sizes: [usize; 2]| match (inputs.tensor_or_none(input)?, wanted) {
            (None, false) => Ok(0),
            (Some(x), true) if x.rank() == 3 && x.shape()[..2] == [q.batch, q.length] && sizes.contains(&x.shape()[2]) => Ok(x.shape()[2]),
            (Some(x), true) => Err(Problem::shape(input, format!("{tokens:?} tokens of one of {sizes:?}"), x.shape())),
            (None, true) => Err(Problem::Missing { input }),
            (Some(_), false) => Err(Problem::Unsupported { what: "a decay or beta that the update rule does not use" }),
        };
        let decays = last(4, gated, [k.heads, k.heads * k.width])?;
        let betas = last(5, delta, [k.heads, 1])?;
        let scale = match node.float("scale", 0.0)? {
            0.0 => (1.0 / (q.width as f64).sqrt()) as f32,
            scale => scale,
        };
        Ok(Self { q, k, v, scale, decays, betas })
    }

    /// One head of keys through all places; its state holds a line of values for each number of a key.
    fn run(
        &self,
        numbers: &Numbers,
        (batch, head): (usize, usize),
        (state, y): (&mut [f32], &mut [f32]),
        crew: &dyn Crew,
    ) {
        let (width, out, group) = (self.k.width, self.v.width, self.q.heads / self.k.heads);
        for place in crew.watched(0..self.q.length, (width * out).saturating_mul(4 + group)) {
            let token = batch * self.q.length + place;
            let k = &numbers.k[self.k.at(batch, head, place)..][..width];
            let mut v = numbers.v[self.v.at(batch, head, place)..][..out].to_vec();
            if let Some(decay) = &numbers.decay {
                let one = self.decays == self.k.heads;
                for (number, line) in state.chunks_exact_mut(out).enumerate() {
                    let at = if one { head } else { head * width + number };
                    let factor = math::exp_single(decay[token * self.decays + at]);
                    line.iter_mut().for_each(|value| *value *= factor);
                }
            }
            if let Some(beta) = &numbers.beta {
                let beta = beta[token * self.betas + if self.betas == 1 { 0 } else { head }];
                for (column, v) in v.iter_mut().enumerate() {
                    *v = beta * (*v - chain(k, state, out, column));
                }
            }
            for (&k, line) in k.iter().zip(state.chunks_exact_mut(out)) {
                line.iter_mut().zip(&v).for_each(|(value, &v)| *value = k.mul_add(v, *value));
            }
            for reader in head * group..(head + 1) * group {
                let q = &numbers.q[self.q.at(batch, reader, place)..][..width];
                let y = &mut y[(token * self.q.heads + reader) * out..][..out];
                y.iter_mut().enumerate().for_each(|(column, y)| *y = self.scale * chain(q, state, out, column));
            }
        }
    }
}

fn chain(x: &[f32], state: &[f32], out: usize, column: usize) -> f32 {
    x.iter().enumerate().fold(0.0, |sum, (number, &x)| x.mul_add(state[number * out + column], sum))
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    let rule = node.text("update_rule", "gated_delta")?;
    for (input, wanted) in [(4, rule.starts_with("gated")), (5, rule.ends_with("delta"))] {
        match (node.inputs.get(input).is_some_and(|source| *source != Source::Nothing), wanted) {
            (false, true) => return Err(Problem::Missing { input }),
            (true, false) => return Err(Problem::Unsupported { what: "a decay or beta that the update rule does not use" }),
            _ => {}
        }
    }
    Ok(())
}
