//! Attention in floats, as the calibration sees it.

use super::{LayerSurvey, Walk, capped, gained, most, see, see_columns};
use crate::{
    float::exp_wide,
    language::{
        calculator::Calculator,
        config::Attention,
        decoder::{Heads, LatentHeads, Layer, Matrix, Mixer},
    },
};

impl Walk<'_> {
    pub(super) fn attention(&mut self, index: usize, layer: &Layer, x: &[f32]) -> Vec<f32> {
        let normed = self.normed(x);
        let h = gained(&normed, &layer.attention_norm);
        see_columns(&mut self.survey.layers[index].attention_input, &normed, self.config.width);
        let mixed = match &layer.mixer {
            Mixer::Latent(heads) => self.latent(index, heads, &h),
            Mixer::Heads(heads) => self.heads(index, heads, &h),
        };
        self.calculator.multiply(&layer.output, &mixed)
    }

    fn heads(&mut self, index: usize, heads: &Heads, h: &[f32]) -> Vec<f32> {
        let (by, config) = (self.calculator, self.config.attention.clone());
        let [mut q, mut k, v] = [&heads.query, &heads.key, &heads.value].map(|matrix| by.multiply(matrix, h));
        let straight = [&q, &k].map(|values| most(values));
        if let Some(gain) = &heads.query_norm {
            q = gained(&self.normed_by(&q, config.head), gain);
        }
        if let Some(gain) = &heads.key_norm {
            k = gained(&self.normed_by(&k, config.head), gain);
        }
        let layer = self.config.layers[index];
        let rope = &self.ropes[layer.rotation];
        rotate(&mut q, config.heads, config.head, rope);
        rotate(&mut k, config.kv_heads, config.head, rope);
        let mixed = mix(&q, &k, &v, &config, layer.window);
        let (keys, queries) = (config.kv_heads * config.head, config.heads * config.head);
        let seen = &mut self.survey.layers[index];
        seen.query_straight = seen.query_straight.max(straight[0]);
        seen.key_straight = seen.key_straight.max(straight[1]);
        see(&mut seen.query, &q);
        see(&mut seen.key, &k);
        see_columns(&mut seen.value, &v, keys);
        see_columns(&mut seen.mixed, &mixed, queries);
        mixed
    }

    /// Queries are taken to what is compressed, and mixed rows to values, a head at a time.
    fn latent(&mut self, index: usize, parts: &LatentHeads, h: &[f32]) -> Vec<f32> {
        let latent = parts.latent;
        let (by, config, layer) = (self.calculator, self.config.attention.clone(), self.config.layers[index]);
        let (heads, rank, turned) = (config.heads, latent.rank, latent.turned);
        let mut input = h.to_vec();
        if let Some((down, gain)) = &parts.query_down {
            let straight = by.multiply(down, h);
            let normed = self.normed_by(&straight, down.rows);
            let seen = &mut self.survey.layers[index].latent;
            see(&mut seen.query_down, &straight);
            see_columns(&mut seen.query_input, &normed, down.rows);
            input = gained(&normed, gain);
        }
        let plain = by.multiply(&parts.query_plain, &input);
        let compressed_query = each_head(by, &parts.key_stack, &plain);
        let mut query = by.multiply(&parts.query_turned, &input);
        let straight = by.multiply(&parts.compressed, h);
        let row = gained(&self.normed_by(&straight, rank), &parts.compressed_norm);
        let mut key = by.multiply(&parts.key_turned, h);
        let rope = &self.ropes[layer.rotation];
        rotate(&mut query, heads, turned, rope);
        rotate(&mut key, 1, turned, rope);
        let q = joined(&compressed_query, rank, &query, turned);
        let k = joined(&row, rank, &key, turned);
        let mixed = mix(&q, &k, &row, &config, layer.window);
        let values = each_head(by, &parts.value_stack, &mixed);
        let LayerSurvey { latent: seen, .. } = &mut self.survey.layers[index];
        see_columns(&mut seen.query_plain, &plain, heads * latent.plain);
        see_columns(&mut seen.query_compressed, &compressed_query, heads * rank);
        see_columns(&mut seen.query_turned, &query, turned);
        see_columns(&mut seen.key_turned, &key, turned);
        see(&mut seen.compressed_straight, &straight);
        see_columns(&mut seen.compressed, &row, rank);
        see_columns(&mut seen.mixed, &mixed, heads * rank);
        see_columns(&mut seen.values, &values, heads * latent.value);
        values
    }
}

/// A matrix of its own for each head of every row.
fn each_head(by: &dyn Calculator, stack: &[Matrix], x: &[f32]) -> Vec<f32> {
    let (columns, outputs) = stack.first().map_or((1, 1), |matrix| (matrix.columns, matrix.rows));
    let (heads, rows) = (stack.len(), x.len() / columns / stack.len().max(1));
    let mut out = vec![0.0; rows * heads * outputs];
    for (head, matrix) in stack.iter().enumerate() {
        let of_head: Vec<f32> = x.chunks_exact(columns).skip(head).step_by(heads).flatten().copied().collect();
        let said = by.multiply(matrix, &of_head);
        let places = out.chunks_exact_mut(outputs).skip(head).step_by(heads);
        places.zip(said.chunks_exact(outputs)).for_each(|(to, from)| to.copy_from_slice(from));
    }
    out
}

/// Parts of heads one behind the other.
fn joined(one: &[f32], width: usize, other: &[f32], other_width: usize) -> Vec<f32> {
    let pairs = one.chunks_exact(width).zip(other.chunks_exact(other_width));
    pairs.flat_map(|(one, other)| one.iter().chain(other)).copied().collect()
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

/// Values may have another width than queries and keys.
fn mix(q: &[f32], k: &[f32], v: &[f32], config: &Attention, window: Option<usize>) -> Vec<f32> {
    let Attention { heads, kv_heads, head, .. } = *config;
    let scale = config.nats();
    let (width, kv_width) = (heads * head, kv_heads * head);
    let rows = q.len() / width;
    let value = v.len() / rows / kv_heads;
    let mut mixed = vec![0.0_f32; rows * heads * value];
    for (i, (query, mixed)) in q.chunks_exact(width).zip(mixed.chunks_exact_mut(heads * value)).enumerate() {
        let first = window.map_or(0, |window| (i + 1).saturating_sub(window));
        for h in 0..heads {
            let group = h / (heads / kv_heads);
            let score = |j: usize| {
                let key = &k[j * kv_width + group * head..];
                let dot: f32 = (0..head).map(|d| query[h * head + d] * key[d]).sum();
                let score = f64::from(dot) * scale;
                config.softcap.map_or(score, |cap| capped(score, f64::from(cap)))
            };
            let scores: Vec<f64> = (first..=i).map(score).collect();
            let most = scores.iter().fold(f64::NEG_INFINITY, |most, &score| most.max(score));
            let weights: Vec<f64> = scores.iter().map(|score| exp_wide(score - most)).collect();
            let sum: f64 = weights.iter().sum();
            for (j, weight) in (first..).zip(&weights) {
                let share = (weight / sum) as f32;
                let values = &v[(j * kv_heads + group) * value..][..value];
                for (mixed, of_position) in mixed[h * value..].iter_mut().zip(values) {
                    *mixed += share * of_position;
                }
            }
        }
    }
    mixed
}
