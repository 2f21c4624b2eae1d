//! What attentions share: scores of queries and keys, the softmax of a row that may be masked, and the blend of values.
//!
//! A score is a chain by fma from +0 over the width of `(q·√scale)·(k·√scale)`; a blend is a chain by fma from +0 over the
//! places, in order.

use super::array::Array;
use super::crew::Crew;
use super::element::{Element, Family};
use super::heads::Heads;
use super::machine::Context;
use super::machine::Node;
use super::problem::Problem;
use super::real::Real;

/// The sizes of one attention; queries of several heads may share keys.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub batch: usize,
    pub heads: usize,
    /// Heads of keys and values.
    pub shared: usize,
    pub rows: usize,
    pub places: usize,
    pub width: usize,
    /// Width of values.
    pub out: usize,
}

impl Sizes {
    /// Of queries, and keys and values with heads in front; asks for the operations and the scores.
    pub fn of(q: &Heads, k: &Array, v: &Array, element: Element, context: &mut Context) -> Result<Self, Problem> {
        let (&[batch, shared, places, width], &[_, _, _, out]) = (k.shape(), v.shape()) else {
            return Err(Problem::shape(1, "4 sizes", k.shape()));
        };
        if batch != q.batch || width != q.width || shared == 0 || !q.heads.is_multiple_of(shared) {
            let expected = format!("batch {}, a divisor of {} heads, width {}", q.batch, q.heads, q.width);
            return Err(Problem::shape(1, expected, k.shape()));
        }
        if v.shape()[..3] != k.shape()[..3] {
            return Err(Problem::shape(2, format!("{:?} but for the width", k.shape()), v.shape()));
        }
        let sizes = Self { batch, heads: q.heads, shared, rows: q.length, places, width, out };
        let scores = context.room(&sizes.scores(), element)? as u64;
        context.bytes(scores * 16)?;
        context.spend(scores.saturating_mul((width as u64).saturating_add(out as u64).saturating_add(4)))?;
        context.room(&sizes.blended(), element)?;
        Ok(sizes)
    }

    pub fn scores(&self) -> [usize; 4] {
        [self.batch, self.heads, self.rows, self.places]
    }

    pub fn blended(&self) -> [usize; 4] {
        [self.batch, self.heads, self.rows, self.out]
    }

    /// The pair of batch and head whose keys a line (a row of a head of a batch) reads.
    fn shared_by(&self, line: usize) -> usize {
        let (pair, group) = (line / self.rows, self.heads / self.shared);
        pair / self.heads * self.shared + pair % self.heads / group
    }

    /// Rows of all heads of all batches.
    fn lines(&self) -> usize {
        self.batch * self.heads * self.rows
    }
}

/// All scores, of queries and keys with heads in front.
pub fn scores<T: Real>(sizes: &Sizes, (q, k): (&[T], &[T]), factor: T, crew: &dyn Crew) -> Vec<T> {
    let (width, places) = (sizes.width, sizes.places);
    let mut all = vec![T::ZERO; sizes.lines() * places];
    let scaled: Vec<T> = k.iter().map(|&k| k * factor).collect();
    crew.rows(&mut all, places, places.saturating_mul(width * 2), |first, rows| {
        let mut look = crew.look();
        for (line, row) in rows.chunks_mut(places).enumerate() {
            let line = first + line;
            let q: Vec<T> = q[line * width..][..width].iter().map(|&q| q * factor).collect();
            let shared = sizes.shared_by(line) * places;
            for (place, score) in row.iter_mut().enumerate() {
                if !look.on(width * 2) {
                    return;
                }
                let k = &scaled[(shared + place) * width..][..width];
                *score = q.iter().zip(k).fold(T::ZERO, |sum, (&q, &k)| q.fma(k, sum));
            }
        }
    });
    all
}

/// All values, blended by the probabilities.
pub fn blend<T: Real>(sizes: &Sizes, probabilities: &[T], v: &[T], crew: &dyn Crew) -> Vec<T> {
    let (places, out) = (sizes.places, sizes.out);
    crew.fill(sizes.lines() * out, places.saturating_mul(2), T::ZERO, |at| {
        let (line, column) = (at / out, at % out);
        let v = &v[sizes.shared_by(line) * places * out..][..places * out];
        let step = |sum, (place, &p): (usize, &T)| p.fma(v[place * out + column], sum);
        probabilities[line * places..][..places].iter().enumerate().fold(T::ZERO, step)
    })
}

/// `√scale` in binary32, where no scale is stated that of `1 / √width`.
pub fn factor(node: &Node, width: usize) -> Result<f32, Problem> {
    Ok(match node.float_or_none("scale")? {
        Some(scale) => scale.sqrt(),
        None => ((1.0 / (width as f64).sqrt()).sqrt()) as f32,
    })
}

/// The element in which a softmax is computed: `softmax_precision` where stated, never less than binary32.
pub fn precision_of(node: &Node, element: Element) -> Result<Element, Problem> {
    let refused = Problem::Attribute { name: "softmax_precision", expected: "an element of floats" };
    let stated = match node.integer_or_none("softmax_precision")? {
        None => element,
        Some(code) => Element::from_code(code).filter(|stated| stated.is_real()).ok_or(refused)?,
    };
    let double = stated.family() == Family::Real64 || element.family() == Family::Real64;
    Ok(if double { Element::F64 } else { Element::F32 })
}
