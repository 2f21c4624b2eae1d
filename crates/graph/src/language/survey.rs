//! The checkpoint run in floats over calibration texts, to see how large every site's values become.
//!
//! All texts go through a layer before the next is read. Sums run over the inputs in order, multiplied and added apart, so
//! every machine sees the same maxima.

use super::{
    CompileRefusal,
    calculator::Calculator,
    config::{Attention, Config},
    decoder::{Decoder, Layer},
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
    /// One for each column, as are their squares added up.
    pub inner: Vec<f64>,
    pub inner_squares: Vec<f64>,
}

#[derive(Clone, Debug)]
pub struct Survey {
    /// Tokens of all texts.
    pub tokens: usize,
    pub layers: Vec<LayerSurvey>,
    pub residual: f64,
    pub head_input: Vec<f64>,
}

pub fn survey(
    decoder: &mut Decoder,
    texts: &[Vec<u32>],
    calculator: &dyn Calculator,
) -> Result<Survey, CompileRefusal> {
    if texts.is_empty() {
        return Err(CompileRefusal::NoCalibration);
    }
    let (limit, vocabulary) = (decoder.config.context, decoder.config.vocabulary);
    for (text, tokens) in texts.iter().enumerate() {
        if tokens.is_empty() || tokens.len() > limit {
            return Err(CompileRefusal::CalibrationLength { text, tokens: tokens.len(), limit });
        }
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(CompileRefusal::CalibrationToken { text, token, vocabulary });
        }
    }
    let mut walk = Walk::new(decoder, calculator);
    walk.texts(decoder, texts)?;
    Ok(walk.survey)
}

/// Logits of every position of each text, in floats: what a compiled graph is compared with. `each` is given them text by
/// text. Tokens must be in the vocabulary.
pub fn float_logits(
    decoder: &mut Decoder,
    texts: &[Vec<u32>],
    calculator: &dyn Calculator,
    each: &mut dyn FnMut(usize, &[f32]),
) -> Result<(), CompileRefusal> {
    let mut walk = Walk::new(decoder, calculator);
    let normed = walk.texts(decoder, texts)?;
    let (gain, head) = (decoder.norm()?, decoder.head()?);
    for (text, normed) in normed.iter().enumerate() {
        each(text, &calculator.multiply(&head, &gained(normed, &gain)));
    }
    Ok(())
}

struct Walk<'a> {
    config: Config,
    calculator: &'a dyn Calculator,
    rope: Vec<f32>,
    survey: Survey,
}

impl<'a> Walk<'a> {
    fn new(decoder: &Decoder, calculator: &'a dyn Calculator) -> Self {
        let config = decoder.config.clone();
        let rope = decoder.rotation().table_f32(config.context, config.attention.head);
        let rope = rope.floats().unwrap_or_default().to_vec();
        let layers = vec![LayerSurvey::default(); config.layers.len()];
        let survey = Survey { tokens: 0, layers, residual: 0.0, head_input: Vec::new() };
        Self { config, calculator, rope, survey }
    }

    /// Runs texts; gives the normed inputs of the head, before its gain.
    fn texts(&mut self, decoder: &mut Decoder, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, CompileRefusal> {
        let width = self.config.width;
        let embedding = decoder.embedding()?;
        let row = |&token: &u32| &embedding.values[token as usize * width..][..width];
        let mut streams: Vec<Vec<f32>> =
            texts.iter().map(|tokens| tokens.iter().flat_map(row).copied().collect()).collect();
        drop(embedding);
        self.survey.tokens += texts.iter().map(Vec::len).sum::<usize>();
        streams.iter().for_each(|x| see(&mut self.survey.residual, x));
        for index in 0..self.config.layers.len() {
            let layer = decoder.layer(index)?;
            for x in &mut streams {
                let added = self.attention(index, &layer, x);
                add(x, &added);
                see(&mut self.survey.residual, x);
                let added = self.feed_forward(index, &layer, x);
                add(x, &added);
                see(&mut self.survey.residual, x);
            }
        }
        for x in &mut streams {
            *x = self.normed(x);
            see_columns(&mut self.survey.head_input, x, width);
        }
        Ok(streams)
    }

    fn normed(&self, x: &[f32]) -> Vec<f32> {
        self.normed_by(x, self.config.width)
    }

    fn normed_by(&self, x: &[f32], width: usize) -> Vec<f32> {
        let of_row = |row: &[f32]| {
            let mean = row.iter().map(|x| x * x).sum::<f32>() / width as f32;
            let scale = 1.0 / (mean + self.config.epsilon).sqrt();
            row.iter().map(move |x| x * scale).collect::<Vec<f32>>()
        };
        x.chunks_exact(width).flat_map(of_row).collect()
    }

    fn attention(&mut self, index: usize, layer: &Layer, x: &[f32]) -> Vec<f32> {
        let (by, config) = (self.calculator, self.config.attention.clone());
        let normed = self.normed(x);
        let h = gained(&normed, &layer.attention_norm);
        let [mut q, mut k, v] = [&layer.query, &layer.key, &layer.value].map(|matrix| by.multiply(matrix, &h));
        let straight = [&q, &k].map(|values| most(values));
        if let Some(gain) = &layer.query_norm {
            q = gained(&self.normed_by(&q, config.head), gain);
        }
        if let Some(gain) = &layer.key_norm {
            k = gained(&self.normed_by(&k, config.head), gain);
        }
        rotate(&mut q, config.heads, config.head, &self.rope);
        rotate(&mut k, config.kv_heads, config.head, &self.rope);
        let mixed = mix(&q, &k, &v, &config);
        let (keys, width) = (config.kv_heads * config.head, self.config.width);
        let queries = config.heads * config.head;
        let seen = &mut self.survey.layers[index];
        see_columns(&mut seen.attention_input, &normed, width);
        seen.query_straight = seen.query_straight.max(straight[0]);
        seen.key_straight = seen.key_straight.max(straight[1]);
        see(&mut seen.query, &q);
        see(&mut seen.key, &k);
        see_columns(&mut seen.value, &v, keys);
        see_columns(&mut seen.mixed, &mixed, queries);
        by.multiply(&layer.output, &mixed)
    }

    fn feed_forward(&mut self, index: usize, layer: &Layer, x: &[f32]) -> Vec<f32> {
        let by = self.calculator;
        let normed = self.normed(x);
        let h = gained(&normed, &layer.feed_norm);
        let (gate, up) = (by.multiply(&layer.gate, &h), by.multiply(&layer.up, &h));
        let silu = |x: f32| (f64::from(x) / (1.0 + exp_wide(-f64::from(x)))) as f32;
        let inner: Vec<f32> = gate.iter().zip(&up).map(|(gate, up)| silu(*gate) * up).collect();
        let seen = &mut self.survey.layers[index];
        see_columns(&mut seen.feed_input, &normed, self.config.width);
        see(&mut seen.gate, &gate);
        see(&mut seen.up, &up);
        see_columns(&mut seen.inner, &inner, self.config.feed_forward);
        add_squares(&mut seen.inner_squares, &inner, self.config.feed_forward);
        by.multiply(&layer.down, &inner)
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

fn add_squares(sums: &mut Vec<f64>, values: &[f32], width: usize) {
    sums.resize(width, 0.0);
    for row in values.chunks_exact(width) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value) * f64::from(*value));
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
