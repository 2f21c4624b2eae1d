//! The checkpoint run in floats over calibration texts, to see how large every site's values become.
//!
//! Sums run over the inputs in order, multiplied and added apart, so every machine sees the same maxima.

use super::{
    CompileRefusal,
    config::Attention,
    decoder::{Decoder, Layer, Matrix},
};
use crate::float::exp_wide;

/// Greatest absolute values at the sites of one layer.
#[derive(Clone, Debug, Default)]
pub struct LayerSurvey {
    /// One for each column, as are those of `value`, `mixed` and `feed_input`.
    pub attention_input: Vec<f64>,
    /// Before the norms of single heads, where there are such.
    pub query_straight: f64,
    pub key_straight: f64,
    pub query: f64,
    pub key: f64,
    pub value: Vec<f64>,
    pub mixed: Vec<f64>,
    pub feed_input: Vec<f64>,
    pub gate: f64,
    pub up: f64,
    pub inner: f64,
}

#[derive(Clone, Debug)]
pub struct Survey {
    pub layers: Vec<LayerSurvey>,
    pub residual: f64,
    pub head_input: Vec<f64>,
}

pub fn survey(decoder: &Decoder, texts: &[Vec<u32>]) -> Result<Survey, CompileRefusal> {
    let mut walk = Walk::new(decoder)?;
    if texts.is_empty() {
        return Err(CompileRefusal::NoCalibration);
    }
    for (text, tokens) in texts.iter().enumerate() {
        let limit = decoder.config.context;
        if tokens.is_empty() || tokens.len() > limit {
            return Err(CompileRefusal::CalibrationLength { text, tokens: tokens.len(), limit });
        }
        let vocabulary = decoder.config.vocabulary;
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(CompileRefusal::CalibrationToken { text, token, vocabulary });
        }
        walk.text(tokens);
    }
    Ok(walk.survey)
}

/// Logits of every position, in floats: what a compiled graph is compared with. Tokens must be in the vocabulary.
pub fn float_logits(decoder: &Decoder, tokens: &[u32]) -> Result<Vec<f32>, CompileRefusal> {
    let mut walk = Walk::new(decoder)?;
    let normed = walk.text(tokens);
    Ok(Transposed::new(decoder.head()).apply(&gained(&normed, &decoder.norm)))
}

/// A matrix with its inputs outermost, so that one input's products with all outputs lie side by side.
struct Transposed {
    outputs: usize,
    inputs: usize,
    values: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl Transposed {
    fn new(matrix: &Matrix) -> Self {
        let (outputs, inputs) = (matrix.rows, matrix.columns);
        let value = |index: usize| matrix.values[index % outputs * inputs + index / outputs];
        Self { outputs, inputs, values: (0..outputs * inputs).map(value).collect(), bias: matrix.bias.clone() }
    }

    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut sums = vec![0.0_f32; x.len() / self.inputs * self.outputs];
        // A few rows at a time share each pass over the weights.
        for (rows, sums) in x.chunks(8 * self.inputs).zip(sums.chunks_mut(8 * self.outputs)) {
            for (input, weights) in self.values.chunks_exact(self.outputs).enumerate() {
                for (row, sums) in rows.chunks_exact(self.inputs).zip(sums.chunks_exact_mut(self.outputs)) {
                    let x = row[input];
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += x * weight;
                    }
                }
            }
        }
        for sums in sums.chunks_exact_mut(self.outputs) {
            self.bias.iter().flatten().zip(sums).for_each(|(bias, sum)| *sum += bias);
        }
        sums
    }
}

struct LayerWalk {
    query: Transposed,
    key: Transposed,
    value: Transposed,
    output: Transposed,
    gate: Transposed,
    up: Transposed,
    down: Transposed,
}

struct Walk<'a> {
    decoder: &'a Decoder,
    layers: Vec<LayerWalk>,
    rope: Vec<f32>,
    survey: Survey,
}

impl<'a> Walk<'a> {
    fn new(decoder: &'a Decoder) -> Result<Self, CompileRefusal> {
        let of = |layer: &Layer| LayerWalk {
            query: Transposed::new(&layer.query),
            key: Transposed::new(&layer.key),
            value: Transposed::new(&layer.value),
            output: Transposed::new(&layer.output),
            gate: Transposed::new(&layer.gate),
            up: Transposed::new(&layer.up),
            down: Transposed::new(&layer.down),
        };
        let rope = decoder.rotation().table_f32(decoder.config.context, decoder.config.attention.head);
        let rope = rope.floats().unwrap_or_default().to_vec();
        let layers = vec![LayerSurvey::default(); decoder.layers.len()];
        let survey = Survey { layers, residual: 0.0, head_input: Vec::new() };
        Ok(Self { decoder, layers: decoder.layers.iter().map(of).collect(), rope, survey })
    }

    /// Runs one text; gives the normed input of the head, before its gain.
    fn text(&mut self, tokens: &[u32]) -> Vec<f32> {
        let width = self.decoder.config.width;
        let row = |&token: &u32| &self.decoder.embedding.values[token as usize * width..][..width];
        let mut x: Vec<f32> = tokens.iter().flat_map(row).copied().collect();
        see(&mut self.survey.residual, &x);
        for index in 0..self.layers.len() {
            let added = self.attention(index, &x);
            add(&mut x, &added);
            see(&mut self.survey.residual, &x);
            let added = self.feed_forward(index, &x);
            add(&mut x, &added);
            see(&mut self.survey.residual, &x);
        }
        let normed = self.normed(&x);
        see_columns(&mut self.survey.head_input, &normed, self.decoder.config.width);
        normed
    }

    fn normed(&self, x: &[f32]) -> Vec<f32> {
        self.normed_by(x, self.decoder.config.width)
    }

    fn normed_by(&self, x: &[f32], width: usize) -> Vec<f32> {
        let of_row = |row: &[f32]| {
            let mean = row.iter().map(|x| x * x).sum::<f32>() / width as f32;
            let scale = 1.0 / (mean + self.decoder.config.epsilon).sqrt();
            row.iter().map(move |x| x * scale).collect::<Vec<f32>>()
        };
        x.chunks_exact(width).flat_map(of_row).collect()
    }

    fn attention(&mut self, index: usize, x: &[f32]) -> Vec<f32> {
        let normed = self.normed(x);
        let (layer, weights) = (&self.layers[index], &self.decoder.layers[index]);
        let h = gained(&normed, &weights.attention_norm);
        let (mut q, mut k, v) = (layer.query.apply(&h), layer.key.apply(&h), layer.value.apply(&h));
        let config = &self.decoder.config.attention;
        let straight = [&q, &k].map(|values| most(values));
        if let Some(gain) = &weights.query_norm {
            q = gained(&self.normed_by(&q, config.head), gain);
        }
        if let Some(gain) = &weights.key_norm {
            k = gained(&self.normed_by(&k, config.head), gain);
        }
        rotate(&mut q, config.heads, config.head, &self.rope);
        rotate(&mut k, config.kv_heads, config.head, &self.rope);
        let mixed = mix(&q, &k, &v, config);
        let (keys, width) = (config.kv_heads * config.head, self.decoder.config.width);
        let queries = config.heads * config.head;
        let seen = &mut self.survey.layers[index];
        see_columns(&mut seen.attention_input, &normed, width);
        seen.query_straight = seen.query_straight.max(straight[0]);
        seen.key_straight = seen.key_straight.max(straight[1]);
        see(&mut seen.query, &q);
        see(&mut seen.key, &k);
        see_columns(&mut seen.value, &v, keys);
        see_columns(&mut seen.mixed, &mixed, queries);
        layer.output.apply(&mixed)
    }

    fn feed_forward(&mut self, index: usize, x: &[f32]) -> Vec<f32> {
        let normed = self.normed(x);
        let (layer, weights) = (&self.layers[index], &self.decoder.layers[index]);
        let h = gained(&normed, &weights.feed_norm);
        let (gate, up) = (layer.gate.apply(&h), layer.up.apply(&h));
        let silu = |x: f32| (f64::from(x) / (1.0 + exp_wide(-f64::from(x)))) as f32;
        let inner: Vec<f32> = gate.iter().zip(&up).map(|(gate, up)| silu(*gate) * up).collect();
        let seen = &mut self.survey.layers[index];
        see_columns(&mut seen.feed_input, &normed, self.decoder.config.width);
        see(&mut seen.gate, &gate);
        see(&mut seen.up, &up);
        see(&mut seen.inner, &inner);
        layer.down.apply(&inner)
    }
}

fn most(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |most, value| f64::max(most, f64::from(value.abs())))
}

fn see(seen: &mut f64, values: &[f32]) {
    *seen = seen.max(most(values));
}

fn see_columns(seen: &mut Vec<f64>, values: &[f32], width: usize) {
    seen.resize(width, 0.0);
    for row in values.chunks_exact(width) {
        seen.iter_mut().zip(row).for_each(|(seen, value)| *seen = seen.max(f64::from(value.abs())));
    }
}

fn add(x: &mut [f32], added: &[f32]) {
    x.iter_mut().zip(added).for_each(|(x, added)| *x += added);
}

fn gained(x: &[f32], gain: &[f32]) -> Vec<f32> {
    x.chunks_exact(gain.len()).flat_map(|row| row.iter().zip(gain).map(|(x, gain)| x * gain)).collect()
}

fn rotate(x: &mut [f32], heads: usize, head: usize, rope: &[f32]) {
    let half = head / 2;
    for (position, row) in x.chunks_exact_mut(heads * head).enumerate() {
        let (cosines, sines) = rope[position * head..][..head].split_at(half);
        for vector in row.chunks_exact_mut(head) {
            let (low, high) = vector.split_at_mut(half);
            for pair in 0..half {
                let (one, other) = (low[pair], high[pair]);
                low[pair] = one * cosines[pair] - other * sines[pair];
                high[pair] = other * cosines[pair] + one * sines[pair];
            }
        }
    }
}

fn mix(q: &[f32], k: &[f32], v: &[f32], config: &Attention) -> Vec<f32> {
    let Attention { heads, kv_heads, head, .. } = *config;
    let scale = config.nats();
    let (width, kv_width) = (heads * head, kv_heads * head);
    let mut mixed = vec![0.0_f32; q.len()];
    for (i, (query, mixed)) in q.chunks_exact(width).zip(mixed.chunks_exact_mut(width)).enumerate() {
        for h in 0..heads {
            let start = h / (heads / kv_heads) * head;
            let of = |values: &'_ [f32], j: usize, d: usize| values[j * kv_width + start + d];
            let score = |j: usize| {
                let dot: f32 = (0..head).map(|d| query[h * head + d] * of(k, j, d)).sum();
                f64::from(dot) * scale
            };
            let scores: Vec<f64> = (0..=i).map(score).collect();
            let most = scores.iter().fold(f64::NEG_INFINITY, |most, &score| most.max(score));
            let weights: Vec<f64> = scores.iter().map(|score| exp_wide(score - most)).collect();
            let sum: f64 = weights.iter().sum();
            for (j, weight) in weights.iter().enumerate() {
                let share = (weight / sum) as f32;
                for d in 0..head {
                    mixed[h * head + d] += share * of(v, j, d);
                }
            }
        }
    }
    mixed
}
