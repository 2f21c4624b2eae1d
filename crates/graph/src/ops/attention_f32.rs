//! `attention_f32`: causal attention in f32 with keys and values rounded to binary16.
//!
//! For a query at position i and j ≤ i (with a window: i - j < window): the score is a chain of fused multiply-adds over
//! the head's width, times the scale (`1/√width` where none is given), and with a cap brought to `tanh(score / cap) ·
//! cap`; weights are `exp(score - greatest)`; their sum is taken in 16 lanes, that of `j mod 16`, and a tree; the output is
//! a chain of fused multiply-adds over the positions, times `1 / sum`. The order depends on the position alone. Values
//! may have another width than keys.

use super::{attention, excluded, float_tensor, floats, rms_norm_f32, softcap_f32::softcap, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    float,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds},
    shape::Shape,
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "attention_f32",
    kind: Kind::Ordered,
    reach: Reach::Before,
    inputs: (3, 3),
    attributes: &["heads", "kv_heads", "scale", "softcap", "window"],
    shape,
    bounds: no_bounds,
    work,
    meaning,
};

/// What the attributes say beside the heads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    pub scale: f32,
    pub softcap: Option<f32>,
    /// Positions that a query sees, its own among them.
    pub window: Option<usize>,
}

impl Settings {
    /// For heads of that width.
    pub fn read(attributes: &Attributes, head: usize) -> Result<Self, Refusal> {
        let positive = |name: &'static str| match attributes.get(name) {
            None => Ok(None),
            Some(_) => match attributes.float(name)? {
                value if value > 0.0 => Ok(Some(value)),
                _ => Err(Refusal::Attribute { name, expected: "a finite float above 0" }),
            },
        };
        let window = attributes.get("window").map(|_| attributes.size("window", crate::graph::ROWS_MAX)).transpose()?;
        let scale = positive("scale")?.unwrap_or_else(|| 1.0 / (head as f32).sqrt());
        Ok(Self { scale, softcap: positive("softcap")?, window })
    }

    /// The first position that a query at `position` sees.
    pub fn first(&self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }
}

fn shape(site: &Site) -> Result<Form, Refusal> {
    form(site)
}

/// What comes out of queries, keys and values in f32.
pub(super) fn form(site: &Site) -> Result<Form, Refusal> {
    for input in 0..3 {
        site.expect_element(input, Element::F32)?;
    }
    let (heads, kv_heads, head) = attention::queries_and_keys(site)?;
    Settings::read(site.attributes, head)?;
    let width = site.width(2)?;
    if !width.is_multiple_of(kv_heads) {
        return Err(site.shape_refusal(2, &format!("[rows, a multiple of {kv_heads} heads]")));
    }
    site.expect_shape(2, &Shape::rows(&[width]))?;
    Ok(Form { element: Element::F32, shape: Shape::rows(&[width / kv_heads * heads]) })
}

fn halves(values: &[f32]) -> Vec<f32> {
    values.iter().map(|&value| float::from_half(float::to_half(value))).collect()
}

/// Products of a query with a key over the head's width, of its weight with the value, and the weight itself.
pub(super) fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let (heads, kv_heads, head) = attention::queries_and_keys(site)?;
    let value = site.width(2)? / kv_heads;
    let capped = if site.attributes.get("softcap").is_some() { walk::FUNCTION } else { 0 };
    let each = (head as u64).saturating_add(value as u64).saturating_add(walk::FUNCTION + capped);
    attention::of_pairs(site, form, (heads as u64).saturating_mul(each))
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let read = |name| attributes.integer(name).map_err(|_| excluded("attention_f32"));
    let (heads, kv_heads) = (read("heads")? as usize, read("kv_heads")? as usize);
    let q = floats("attention_f32", inputs, 0)?;
    let (k, v) = (halves(floats("attention_f32", inputs, 1)?), halves(floats("attention_f32", inputs, 2)?));
    let ((rows, width), (_, kv_width), (_, v_width)) =
        (inputs[0].rows_and_width(), inputs[1].rows_and_width(), inputs[2].rows_and_width());
    let (head, v_head) = (width / heads, v_width / kv_heads);
    let settings = Settings::read(attributes, head).map_err(|_| excluded("attention_f32"))?;
    let mut values = vec![0.0; rows * heads * v_head];
    for i in 0..rows {
        for h in 0..heads {
            let group = h / (heads / kv_heads);
            let query = &q[i * width + h * head..][..head];
            let score = |j: usize| {
                let key = &k[j * kv_width + group * head..][..head];
                let score = query.iter().zip(key).fold(0.0_f32, |sum, (q, k)| q.mul_add(*k, sum)) * settings.scale;
                settings.softcap.map_or(score, |cap| softcap(score, cap))
            };
            let first = settings.first(i);
            let scores: Vec<f32> = (first..=i).map(score).collect();
            let (weights, inverse) = weigh(&scores, first);
            for d in 0..v_head {
                let value = |j: usize| v[j * v_width + group * v_head + d];
                let sum = (first..).zip(&weights).fold(0.0_f32, |sum, (j, weight)| weight.mul_add(value(j), sum));
                values[(i * heads + h) * v_head + d] = sum * inverse;
            }
        }
    }
    float_tensor("attention_f32", &[rows, heads * v_head], values)
}

/// What each score weighs before they are divided, and one over their sum; `first` is the place of the first of them.
pub fn weigh(scores: &[f32], first: usize) -> (Vec<f32>, f32) {
    let most = scores.iter().fold(f32::NEG_INFINITY, |most, &s| if s > most { s } else { most });
    let weights: Vec<f32> = scores.iter().map(|score| float::exp(score - most)).collect();
    let mut lanes = [0.0_f32; rms_norm_f32::LANES];
    for (j, weight) in (first..).zip(&weights) {
        lanes[j % rms_norm_f32::LANES] += weight;
    }
    (weights, 1.0 / rms_norm_f32::tree(lanes))
}
