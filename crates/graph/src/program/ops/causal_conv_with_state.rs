//! `CausalConvWithState`: each channel's own kernel over the state and the input behind it, a chain by fma from +0 in order, the bias added last;
//! with `silu`, `x·sigmoid(x)` of that. The last `kernel - 1` places are the next state.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "CausalConvWithState",
    domain: "",
    versions: &[27],
    inputs: (2, 4),
    outputs: (1, 2),
    attributes: &["activation"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, w, bias) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor_or_none(2)?);
    let &[batch, channels, length] = x.shape() else { return Err(Problem::shape(0, "3 sizes", x.shape())) };
    let kernel = match *w.shape() {
        [all, 1, kernel] if all == channels && kernel > 0 => kernel,
        _ => return Err(Problem::shape(1, format!("[{channels}, 1, a kernel]"), w.shape())),
    };
    if bias.is_some_and(|bias| bias.shape() != [channels]) {
        return Err(Problem::shape(2, format!("[{channels}]"), inputs.tensor(2)?.shape()));
    }
    let silu = match node.text("activation", "none")? {
        "none" => false,
        "silu" | "swish" => true,
        _ => return Err(Problem::Attribute { name: "activation", expected: "none, silu or swish" }),
    };
    let kept = [batch, channels, kernel - 1];
    let past = match inputs.tensor_or_none(3)? {
        Some(past) if past.shape() == kept => past.as_ref().clone(),
        Some(past) => return Err(Problem::shape(3, format!("{kept:?}"), past.shape())),
        None => Array::zeros(x.element(), &kept)?,
    };
    let padded = super::join(&[&past, x], 2, context)?;
    context.spend((x.len() as u64).saturating_mul(kernel as u64))?;
    context.room(x.shape(), x.element())?;
    let state = super::cut(&padded, 2, length, kernel - 1, context)?;
    precision!(x.element(), T => {
        let of = |input, array| T::read(array).ok_or_else(|| inputs.element(input, "the floats of input 0"));
        let (values, weights) = (of(0, &padded)?, of(1, w)?);
        let bias = bias.map(|bias| of(2, bias)).transpose()?;
        let mut y = Vec::with_capacity(x.len());
        for (line, values) in values.chunks_exact((length + kernel - 1).max(1)).enumerate() {
            let channel = line % channels;
            let weights = &weights[channel * kernel..][..kernel];
            for values in context.crew().watched(values.windows(kernel), kernel * 2 + 32) {
                let sum = values.iter().zip(weights).fold(T::ZERO, |sum, (&value, &weight)| value.fma(weight, sum));
                let sum = bias.as_ref().map_or(sum, |bias| sum + bias[channel]);
                y.push(if silu { sum * sum.sigmoid() } else { sum });
            }
        }
        Ok(vec![T::write(x.element(), x.shape(), y)?.into(), state.into()])
    }, else => Err(inputs.element(0, "floats")))
}
