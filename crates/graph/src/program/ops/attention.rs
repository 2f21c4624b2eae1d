//! `Attention`: the scores of `attention.rs`, `tanh(x / softcap)·softcap` where a cap is stated, the mask added, the softmax of each row, and
//! the blend of values. A place that is masked counts as -∞, a row of nothing else gives zeros.

use super::prelude::*;
use crate::program::machine::Source;
use super::softmax::softmax;
use crate::program::attention::{Sizes, blend, factor, precision_of, scores};
use crate::program::heads::Heads;

pub static OPERATOR: Operator = Operator {
    name: "Attention",
    domain: "",
    versions: &[23, 24, 25],
    inputs: (3, 7),
    outputs: (1, 4),
    attributes: &[
        "is_causal",
        "kv_num_heads",
        "left_window_size",
        "q_num_heads",
        "qk_matmul_output_mode",
        "right_window_size",
        "scale",
        "softcap",
        "softmax_precision",
    ],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let q = inputs.tensor(0)?;
    let heads = Heads::of(node, "q_num_heads", q, 0)?;
    let k = with_past(node, inputs, (1, 4), context)?;
    let v = with_past(node, inputs, (2, 5), context)?;
    let sizes = Sizes::of(&heads, &k, &v, q.element(), context)?;
    let q = heads.in_front(q, context)?;
    let mask = Mask::of(node, inputs, &sizes)?;
    let call = Call { node, inputs, sizes, mask, crew: context.crew() };
    let (y, kept) = match (q.element().family(), precision_of(node, q.element())?) {
        (Family::Real32, Element::F32) => call.attend::<f32, f32>(&q, &k, &v)?,
        (Family::Real32, _) => call.attend::<f32, f64>(&q, &k, &v)?,
        (Family::Real64, _) => call.attend::<f64, f64>(&q, &k, &v)?,
        _ => return Err(inputs.element(0, "floats")),
    };
    Ok(vec![heads.as_given(y, sizes.out, context)?.into(), k.into(), v.into(), kept.into()])
}

/// Keys or values with heads in front, behind those of the past.
fn with_past(node: &Node, inputs: &Inputs, (now, past): (usize, usize), context: &mut Context) -> Result<Array, Problem> {
    let x = inputs.tensor(now)?;
    let x = Heads::of(node, "kv_num_heads", x, now)?.in_front(x, context)?;
    match inputs.tensor_or_none(past)? {
        Some(past) => super::join(&[past, &x], 2, context),
        None => Ok(x),
    }
}

struct Call<'c> {
    node: &'c Node,
    inputs: &'c Inputs,
    sizes: Sizes,
    mask: Mask,
    crew: &'c dyn Crew,
}

impl Call<'_> {
    /// The blended values, heads in front, and what the fourth output shows.
    fn attend<T: Real, S: Real>(&self, q: &Array, k: &Array, v: &Array) -> Result<(Array, Array), Problem> {
        let (node, sizes, crew) = (self.node, &self.sizes, self.crew);
        let of = |input, array| T::read(array).ok_or_else(|| self.inputs.element(input, "the floats of input 0"));
        let root = T::of(factor(node, sizes.width)?.into());
        let mut all = scores(sizes, (&T::read(q).ok_or(Problem::Excluded)?, &of(1, k)?), root, crew);
        let mode = node.integer("qk_matmul_output_mode", 0)?;
        let shown = |at: i64, all: &[T]| (mode == at && node.wants(3)).then(|| all.to_vec());
        let mut kept = shown(0, &all);
        let cap = T::of(node.float("softcap", 0.0)?.into());
        if cap > T::ZERO {
            crew.rows(&mut all, 1, 64, |_, all| all.iter_mut().for_each(|score| *score = (*score / cap).tanh() * cap));
        }
        kept = kept.or_else(|| shown(1, &all));
        let given = self.mask.given::<T>(self.inputs)?;
        let (places, work) = (sizes.places.max(1), sizes.places.saturating_mul(32));
        let bias = |line: usize, place: usize| self.mask.bias(sizes, given.as_deref(), line, place);
        let is_masked = |line: usize| (0..sizes.places).all(|place| bias(line, place) == -T::INFINITY);
        let masked = crew.fill(all.len() / places, work, false, is_masked);
        crew.rows(&mut all, places, work, |first, rows| {
            for (line, row) in rows.chunks_exact_mut(places).enumerate() {
                row.iter_mut().enumerate().for_each(|(place, score)| {
                    let bias = bias(first + line, place);
                    *score = if bias == -T::INFINITY { bias } else { *score + bias };
                });
            }
        });
        kept = kept.or_else(|| shown(2, &all));
        crew.rows(&mut all, places, work, |first, rows| {
            for (row, &masked) in rows.chunks_exact_mut(places).zip(&masked[first..]) {
                let mut line: Vec<S> = row.iter().map(|score| S::of(score.wide())).collect();
                if masked { line.fill(S::ZERO) } else { softmax(&mut line) }
                row.iter_mut().zip(line).for_each(|(score, value)| *score = T::of(value.wide()));
            }
        });
        kept = kept.or_else(|| shown(3, &all));
        let y = blend(sizes, &all, &of(2, v)?, crew);
        let kept = match kept {
            Some(kept) => T::write(q.element(), &sizes.scores(), kept)?,
            None => Array::zeros(q.element(), &[0])?,
        };
        Ok((T::write(v.element(), &sizes.blended(), y)?, kept))
    }
}

/// Which places a row may see.
struct Mask {
    causal: bool,
    left: Option<i64>,
    right: Option<i64>,
    /// For each batch, how many places lie before the first row.
    offsets: Vec<i64>,
    /// For each batch, how many places count.
    valid: Option<Vec<i64>>,
    /// Steps of the given mask along batch, heads and rows, and its places; those beyond are masked.
    steps: [usize; 3],
    places: usize,
}

impl Mask {
    fn of(node: &Node, inputs: &Inputs, sizes: &Sizes) -> Result<Self, Problem> {
        let side = |name| match node.integer(name, -1)? {
            -1 => Ok(None),
            size if size >= 0 => Ok(Some(size)),
            _ => Err(Problem::Attribute { name, expected: "-1 or more" }),
        };
        let valid = inputs.integers_or_none(6)?;
        if valid.as_ref().is_some_and(|valid| valid.len() != sizes.batch) {
            return Err(Problem::shape(6, format!("[{}]", sizes.batch), inputs.tensor(6)?.shape()));
        }
        let offsets = match (inputs.tensor_or_none(4)?, &valid) {
            (Some(past), None) => vec![past.shape()[2] as i64; sizes.batch],
            (None, Some(valid)) => valid.iter().map(|&valid| valid.saturating_sub(sizes.rows as i64)).collect(),
            (None, None) => vec![0; sizes.batch],
            (Some(_), Some(_)) => return Err(Problem::Unsupported { what: "a past together with a count of valid places" }),
        };
        let (steps, places) = match inputs.tensor_or_none(3)? {
            Some(mask) => Self::steps(mask, sizes)?,
            None => ([0; 3], sizes.places),
        };
        let causal = node.flag("is_causal", false)?;
        Ok(Self { causal, left: side("left_window_size")?, right: side("right_window_size")?, offsets, valid, steps, places })
    }

    fn steps(mask: &Array, sizes: &Sizes) -> Result<([usize; 3], usize), Problem> {
        let full = [sizes.batch, sizes.heads, sizes.rows];
        let refused = || Problem::shape(3, format!("what spreads to {:?}", sizes.scores()), mask.shape());
        let (&places, outer) = mask.shape().split_last().ok_or_else(refused)?;
        let lead = full.len().checked_sub(outer.len()).ok_or_else(refused)?;
        let fits = outer.iter().zip(&full[lead..]).all(|(&size, &of)| size == 1 || size == of);
        if !fits || places > sizes.places {
            return Err(refused());
        }
        let mut steps = [0; 3];
        let mut step = places;
        for axis in (0..outer.len()).rev() {
            steps[lead + axis] = if outer[axis] == 1 { 0 } else { step };
            step *= outer[axis];
        }
        Ok((steps, places))
    }

    /// The given mask as numbers to add.
    fn given<T: Real>(&self, inputs: &Inputs) -> Result<Option<Vec<T>>, Problem> {
        let Some(mask) = inputs.tensor_or_none(3)? else { return Ok(None) };
        let of = |&seen: &bool| if seen { T::ZERO } else { -T::INFINITY };
        let values = match mask.as_bools() {
            Some(flags) => flags.iter().map(of).collect(),
            None => T::read(mask).ok_or_else(|| inputs.element(3, "bool or the floats of input 0"))?.into_owned(),
        };
        Ok(Some(values))
    }

    /// What is added to the score of a place in a line (a row of a head of a batch).
    fn bias<T: Real>(&self, sizes: &Sizes, given: Option<&[T]>, line: usize, place: usize) -> T {
        let (row, head, batch) = (line % sizes.rows, line / sizes.rows % sizes.heads, line / sizes.rows / sizes.heads);
        let ahead = place as i64 - (row as i64).saturating_add(self.offsets[batch]);
        let hidden = self.causal && ahead > 0
            || self.left.is_some_and(|left| -ahead > left)
            || self.right.is_some_and(|right| ahead > right)
            || self.valid.as_ref().is_some_and(|valid| place as i64 >= valid[batch])
            || place >= self.places;
        match given {
            _ if hidden => -T::INFINITY,
            Some(given) => given[batch * self.steps[0] + head * self.steps[1] + row * self.steps[2] + place],
            None => T::ZERO,
        }
    }
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    let has = |input: usize| node.inputs.get(input).is_some_and(|source| *source != Source::Nothing);
    match has(4) && has(6) {
        true => Err(Problem::Unsupported { what: "a past together with a count of valid places" }),
        false => Ok(()),
    }
}
