//! `attention_q8_f32`: as `attention_f32`, with queries, keys and values as bytes with a scale for each head's row.
//!
//! A head's row is quantised as a block of activations is (`linear_blocks_f32`), the whole row as one block: bytes and a
//! scale. A score is the exact integer dot of bytes, converted, times the product of the query's and the key's scale,
//! times the operator's scale, and capped where there is a cap. Weights, their sum and its order are those of
//! `attention_f32`; the output is a chain of fused multiply-adds over the positions of the weight times the value's
//! scale, rounded, with the value's byte, times `1 / sum`.

use super::{
    attention, attention_f32,
    attention_f32::{Settings, weigh},
    excluded, float_tensor, floats,
    linear_blocks_f32::quantise,
    softcap_f32::softcap,
};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds},
    tensor::Tensor,
};

pub static OPERATOR: Operator = Operator {
    name: "attention_q8_f32",
    kind: Kind::Ordered,
    reach: Reach::Before,
    inputs: (3, 3),
    attributes: &["heads", "kv_heads", "scale", "softcap", "window"],
    shape,
    bounds: no_bounds,
    work: attention_f32::work,
    meaning,
};

/// The widest head: no dot of bytes of that many columns leaves i32.
pub const HEAD_MAX: usize = 1 << 16;

fn shape(site: &Site) -> Result<Form, Refusal> {
    let form = attention_f32::form(site)?;
    let (heads, ..) = attention::queries_and_keys(site)?;
    if site.width(0)? / heads > HEAD_MAX {
        return Err(site.shape_refusal(0, "heads of at most 65536 columns"));
    }
    Ok(form)
}

/// Rows of heads as bytes, each with its scale.
struct Rows {
    head: usize,
    bytes: Vec<i8>,
    scales: Vec<f32>,
}

impl Rows {
    fn of(x: &[f32], head: usize) -> Self {
        let mut bytes = vec![0; x.len()];
        let rows = x.chunks_exact(head).zip(bytes.chunks_exact_mut(head));
        let scales = rows.map(|(x, bytes)| quantise(x, bytes)).collect();
        Self { head, bytes, scales }
    }

    fn row(&self, index: usize) -> (&[i8], f32) {
        (&self.bytes[index * self.head..][..self.head], self.scales[index])
    }
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.integer(name).map_err(|_| excluded("attention_q8_f32"));
    let (heads, kv_heads) = (read("heads")? as usize, read("kv_heads")? as usize);
    let ((rows, width), (_, v_width)) = (inputs[0].rows_and_width(), inputs[2].rows_and_width());
    let (head, v_head) = (width / heads, v_width / kv_heads);
    let settings = Settings::read(attributes, head).map_err(|_| excluded("attention_q8_f32"))?;
    let rows_of = |input: usize, head: usize| Ok(Rows::of(floats("attention_q8_f32", inputs, input)?, head));
    let (q, k, v) = (rows_of(0, head)?, rows_of(1, head)?, rows_of(2, v_head)?);
    let mut values = vec![0.0; rows * heads * v_head];
    for i in 0..rows {
        for h in 0..heads {
            let group = h / (heads / kv_heads);
            let (query, query_scale) = q.row(i * heads + h);
            let score = |j: usize| {
                let (key, key_scale) = k.row(j * kv_heads + group);
                let dot: i32 = query.iter().zip(key).map(|(&q, &k)| i32::from(q) * i32::from(k)).sum();
                let score = dot as f32 * (query_scale * key_scale) * settings.scale;
                settings.softcap.map_or(score, |cap| softcap(score, cap))
            };
            let first = settings.first(i);
            let scores: Vec<f32> = (first..=i).map(score).collect();
            let (weights, inverse) = weigh(&scores, first);
            for d in 0..v_head {
                let term = |sum: f32, (j, weight): (usize, &f32)| {
                    let (value, scale) = v.row(j * kv_heads + group);
                    (weight * scale).mul_add(f32::from(value[d]), sum)
                };
                values[(i * heads + h) * v_head + d] = (first..).zip(&weights).fold(0.0_f32, term) * inverse;
            }
        }
    }
    float_tensor("attention_q8_f32", &[rows, heads * v_head], values)
}
