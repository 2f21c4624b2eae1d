//! `RotaryEmbedding`: pairs of a head turned by the angles of their position: `x·cos - y·sin` and `x·sin + y·cos`, the second product by fma.

use super::prelude::*;
use crate::program::heads::Heads;

pub static OPERATOR: Operator = Operator {
    name: "RotaryEmbedding",
    domain: "",
    versions: &[23],
    inputs: (3, 4),
    outputs: (1, 1),
    attributes: &["interleaved", "num_heads", "rotary_embedding_dim"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, cosines, sines) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor(2)?);
    let layout = Heads::of(node, "num_heads", x, 0)?;
    let turned = match usize::try_from(node.integer("rotary_embedding_dim", 0)?) {
        Ok(0) => layout.width,
        Ok(turned) if turned <= layout.width => turned,
        _ => return Err(Problem::Attribute { name: "rotary_embedding_dim", expected: "at most the head's width" }),
    };
    let half = turned / 2;
    let positions = inputs.integers_or_none(3)?;
    let rows = cosines.len().checked_div(half.max(1)).unwrap_or(0);
    let tokens = layout.batch * layout.length;
    let expected = if positions.is_some() { rows } else { tokens };
    let fits = cosines.shape().last() == Some(&half) && cosines.shape() == sines.shape() && rows == expected;
    if !fits || positions.as_ref().is_some_and(|positions| positions.len() != tokens) {
        return Err(Problem::shape(1, format!("angles of {half} pairs for {tokens} tokens"), cosines.shape()));
    }
    let row = |token: usize| match &positions {
        Some(positions) => index::axis(positions[token], rows),
        None => Ok(token),
    };
    let row_of: Result<Vec<usize>, Problem> = (0..tokens).map(row).collect();
    let row_of = row_of?;
    context.room(x.shape(), x.element())?;
    let interleaved = node.flag("interleaved", false)?;
    let result = precision!(x.element(), T => {
        let read = |array: &Array| T::read(array).map(std::borrow::Cow::into_owned).ok_or(Problem::Excluded);
        let (mut values, cosines, sines) = (read(x)?, read(cosines)?, read(sines)?);
        for token in 0..tokens {
            for head in 0..layout.heads {
                let start = layout.at(token / layout.length, head, token % layout.length);
                for pair in 0..half {
                    let (one, other) = if interleaved { (2 * pair, 2 * pair + 1) } else { (pair, pair + half) };
                    let (a, b) = (values[start + one], values[start + other]);
                    let (cosine, sine) = (cosines[row_of[token] * half + pair], sines[row_of[token] * half + pair]);
                    values[start + one] = (-b).fma(sine, a * cosine);
                    values[start + other] = b.fma(cosine, a * sine);
                }
            }
        }
        T::write(x.element(), x.shape(), values)
    }, else => Err(inputs.element(0, "floats")));
    Ok(vec![result?.into()])
}
