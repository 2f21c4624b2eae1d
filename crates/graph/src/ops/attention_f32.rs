//! `attention_f32`: causal attention in f32 with keys and values rounded to binary16.
//!
//! For a query at position i and j ≤ i: the score is a chain of fused multiply-adds over the head's width, times
//! `1/√width`; weights are `exp(score - greatest)`; their sum is taken in 16 strided lanes and a tree; the output is a
//! chain of fused multiply-adds over the positions, times `1 / sum`. The order depends on the position alone.

use super::{attention::heads, excluded, float_tensor, floats, rms_norm_f32};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    float,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "attention_f32",
    kind: Kind::Ordered,
    reach: Reach::Before,
    inputs: (3, 3),
    attributes: &["heads", "kv_heads"],
    shape,
    bounds: no_bounds,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    for input in 0..3 {
        site.expect_element(input, Element::F32)?;
    }
    heads(site)?;
    Ok(Form { element: Element::F32, shape: site.input(0)?.shape.clone() })
}

fn halves(values: &[f32]) -> Vec<f32> {
    values.iter().map(|&value| float::from_half(float::to_half(value))).collect()
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.integer(name).map_err(|_| excluded("attention_f32"));
    let (heads, kv_heads) = (read("heads")? as usize, read("kv_heads")? as usize);
    let q = floats("attention_f32", inputs, 0)?;
    let (k, v) = (halves(floats("attention_f32", inputs, 1)?), halves(floats("attention_f32", inputs, 2)?));
    let (rows, width) = inputs[0].rows_and_width();
    let head = width / heads;
    let kv_width = kv_heads * head;
    let scale = 1.0 / (head as f32).sqrt();
    let mut values = vec![0.0; rows * width];
    for i in 0..rows {
        for h in 0..heads {
            let start = h / (heads / kv_heads) * head;
            let query = &q[i * width + h * head..][..head];
            let score = |j: usize| {
                let key = &k[j * kv_width + start..][..head];
                query.iter().zip(key).fold(0.0_f32, |sum, (q, k)| q.mul_add(*k, sum)) * scale
            };
            let scores: Vec<f32> = (0..=i).map(score).collect();
            let most = scores.iter().fold(f32::NEG_INFINITY, |most, &s| if s > most { s } else { most });
            let weights: Vec<f32> = scores.iter().map(|score| float::exp(score - most)).collect();
            let mut lanes = [0.0_f32; rms_norm_f32::LANES];
            for (j, weight) in weights.iter().enumerate() {
                lanes[j % rms_norm_f32::LANES] += weight;
            }
            let inverse = 1.0 / rms_norm_f32::tree(lanes);
            for d in 0..head {
                let chain = |sum: f32, (j, weight): (usize, &f32)| weight.mul_add(v[j * kv_width + start + d], sum);
                values[i * width + h * head + d] = weights.iter().enumerate().fold(0.0, chain) * inverse;
            }
        }
    }
    float_tensor("attention_f32", inputs[0].shape(), values)
}
