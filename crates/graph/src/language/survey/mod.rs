//! The checkpoint run in floats over calibration texts, to see how large every site's values become.
//!
//! All texts go through a layer before the next is read. Sums run over the inputs in order, multiplied and added apart, so
//! every machine sees the same maxima.

mod attention;
mod feed;

use super::{CompileRefusal, calculator::Calculator, config::Config, decoder::Decoder, rotation::Rotation};
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
    /// What attention says before the norm behind it.
    pub attention_said: f64,
    pub latent: LatentSurvey,
    pub feed_input: Vec<f64>,
    pub dense: GatedSurvey,
    /// One for each expert.
    pub experts: Vec<GatedSurvey>,
    pub feed_said: f64,
}

/// What lies between gates and the way back.
#[derive(Clone, Debug, Default)]
pub struct GatedSurvey {
    /// Rows that passed.
    pub rows: usize,
    pub gate: f64,
    pub up: f64,
    /// One for each column, as are their squares added up.
    pub inner: Vec<f64>,
    pub inner_squares: Vec<f64>,
    /// Of what is gated, one for each column.
    pub ups: Vec<f64>,
    pub said: f64,
}

/// Heads over compressed rows. Lists have one for each column.
#[derive(Clone, Debug, Default)]
pub struct LatentSurvey {
    pub query_down: f64,
    /// Normed, before its gain.
    pub query_input: Vec<f64>,
    pub query_plain: Vec<f64>,
    /// Of each head, in what is compressed.
    pub query_compressed: Vec<f64>,
    /// Turned parts, by the columns of a head.
    pub query_turned: Vec<f64>,
    pub key_turned: Vec<f64>,
    pub compressed_straight: f64,
    pub compressed: Vec<f64>,
    /// Compressed rows as each head mixes them, and their values.
    pub mixed: Vec<f64>,
    pub values: Vec<f64>,
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
        let mut logits = calculator.multiply(&head, &gained(normed, &gain));
        if let Some(cap) = decoder.config.softcap {
            logits.iter_mut().for_each(|logit| *logit = capped(f64::from(*logit), f64::from(cap)) as f32);
        }
        each(text, &logits);
    }
    Ok(())
}

struct Walk<'a> {
    config: Config,
    calculator: &'a dyn Calculator,
    ropes: Vec<Vec<f32>>,
    survey: Survey,
}

impl<'a> Walk<'a> {
    fn new(decoder: &Decoder, calculator: &'a dyn Calculator) -> Self {
        let config = decoder.config.clone();
        let head = config.attention.latent.map_or(config.attention.head, |latent| latent.turned);
        let table =
            |rotation: &Rotation| rotation.table_f32(config.context, head).floats().unwrap_or_default().to_vec();
        let ropes = config.rotations.iter().map(table).collect();
        let layers = vec![LayerSurvey::default(); config.layers.len()];
        let survey = Survey { tokens: 0, layers, residual: 0.0, head_input: Vec::new() };
        Self { config, calculator, ropes, survey }
    }

    /// Runs texts; gives the normed inputs of the head, before its gain.
    fn texts(&mut self, decoder: &mut Decoder, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, CompileRefusal> {
        let width = self.config.width;
        let embedding = decoder.embedding()?;
        let row = |&token: &u32| &embedding.values[token as usize * width..][..width];
        let mut streams: Vec<Vec<f32>> =
            texts.iter().map(|tokens| tokens.iter().flat_map(row).copied().collect()).collect();
        drop(embedding);
        if let Some(scale) = self.config.embedding_scale {
            streams.iter_mut().flatten().for_each(|x| *x *= scale);
        }
        self.survey.tokens += texts.iter().map(Vec::len).sum::<usize>();
        streams.iter().for_each(|x| see(&mut self.survey.residual, x));
        for index in 0..self.config.layers.len() {
            let layer = decoder.layer(index)?;
            for x in &mut streams {
                let said = self.attention(index, &layer, x);
                see(&mut self.survey.layers[index].attention_said, &said);
                add(x, &self.behind(said, layer.after_attention.as_deref()));
                see(&mut self.survey.residual, x);
                let said = self.feed_forward(index, &layer, x);
                see(&mut self.survey.layers[index].feed_said, &said);
                add(x, &self.behind(said, layer.after_feed.as_deref()));
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

    /// What is said through the norm behind it, where there is one.
    fn behind(&self, said: Vec<f32>, gain: Option<&[f32]>) -> Vec<f32> {
        gain.map_or(said.clone(), |gain| gained(&self.normed(&said), gain))
    }
}

/// `cap · tanh(x / cap)`.
fn capped(x: f64, cap: f64) -> f64 {
    cap * (1.0 - 2.0 / (exp_wide(2.0 * x / cap) + 1.0))
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
