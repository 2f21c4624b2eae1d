//! Feed-forward parts in floats, dense and of experts, as the calibration sees them.

use super::{GatedSurvey, Walk, add, add_squares, gained, see, see_columns};
use crate::{
    float::exp_wide,
    language::{
        calculator::Calculator,
        config::{Activation, Scores},
        decoder::{ExpertFeed, Feed, Gated, Layer},
        tables::gelu_tanh,
    },
    ops::choose_experts_f32::Choice,
};

impl Walk<'_> {
    pub(super) fn feed_forward(&mut self, index: usize, layer: &Layer, x: &[f32]) -> Vec<f32> {
        let normed = self.normed(x);
        let h = gained(&normed, &layer.feed_norm);
        see_columns(&mut self.survey.layers[index].feed_input, &normed, self.config.width);
        match &layer.feed {
            Feed::Dense(dense) => {
                let passing = Passing { by: self.calculator, activation: self.config.activation };
                passing.pass(dense, &h, &mut self.survey.layers[index].dense)
            }
            Feed::Experts(feed) => self.experts(index, feed, &h),
        }
    }

    fn experts(&mut self, index: usize, feed: &ExpertFeed, h: &[f32]) -> Vec<f32> {
        let (by, width) = (self.calculator, self.config.width);
        let passing = Passing { by, activation: self.config.activation };
        let seen = &mut self.survey.layers[index];
        seen.experts.resize(feed.experts.len(), GatedSurvey::default());
        let choices = choices(&by.multiply(&feed.router, h), feed);
        let mut said = vec![0.0; h.len()];
        for (expert, matrices) in feed.experts.iter().enumerate() {
            let own = choices.iter().filter(|choice| choice.1 == expert);
            let of_expert: Vec<(usize, f32)> = own.map(|choice| (choice.0, choice.2)).collect();
            if of_expert.is_empty() {
                continue;
            }
            let x: Vec<f32> = of_expert.iter().flat_map(|&(row, _)| &h[row * width..][..width]).copied().collect();
            let out = passing.pass(matrices, &x, &mut seen.experts[expert]);
            for (out, &(row, weight)) in out.chunks_exact(width).zip(&of_expert) {
                said[row * width..][..width].iter_mut().zip(out).for_each(|(said, out)| *said += weight * out);
            }
        }
        if let Some(shared) = &feed.shared {
            let mut out = passing.pass(shared, h, &mut seen.dense);
            if let Some(score) = &feed.shared_score {
                let scores = by.multiply(score, h);
                for (out, score) in out.chunks_exact_mut(width).zip(scores) {
                    out.iter_mut().for_each(|out| *out *= sigmoid(score));
                }
            }
            add(&mut said, &out);
        }
        said
    }
}

fn sigmoid(x: f32) -> f32 {
    (1.0 / (1.0 + exp_wide(-f64::from(x)))) as f32
}

/// Rows, their experts, and what each of them counts.
fn choices(logits: &[f32], feed: &ExpertFeed) -> Vec<(usize, usize, f32)> {
    let experts = &feed.config;
    let groups = experts.groups;
    let choice = Choice {
        count: experts.chosen,
        groups: groups.map_or(1, |groups| groups.count),
        kept: groups.map_or(1, |groups| groups.kept),
        best: groups.map_or(1, |groups| groups.best),
    };
    let mut all = Vec::new();
    for (row, logits) in logits.chunks_exact(experts.count).enumerate() {
        let scores = scores(logits, experts.scores);
        let corrected: Vec<f32> = match &feed.correction {
            Some(correction) => scores.iter().zip(correction).map(|(score, correction)| score + correction).collect(),
            None => scores.clone(),
        };
        let chosen = choice.choose(&corrected);
        let sum: f32 = chosen.iter().map(|&expert| scores[expert]).sum();
        let by = if experts.normalise { experts.scale / sum } else { experts.scale };
        all.extend(chosen.into_iter().map(|expert| (row, expert, scores[expert] * by)));
    }
    all
}

fn scores(logits: &[f32], scores: Scores) -> Vec<f32> {
    match scores {
        Scores::Sigmoid => logits.iter().map(|&logit| sigmoid(logit)).collect(),
        Scores::Softmax => {
            let most = logits.iter().fold(f32::NEG_INFINITY, |most, &logit| most.max(logit));
            let powers: Vec<f64> = logits.iter().map(|&logit| exp_wide(f64::from(logit - most))).collect();
            let sum: f64 = powers.iter().sum();
            powers.iter().map(|power| (power / sum) as f32).collect()
        }
    }
}

/// How rows pass gates.
struct Passing<'a> {
    by: &'a dyn Calculator,
    activation: Activation,
}

impl Passing<'_> {
    fn pass(&self, matrices: &Gated, h: &[f32], seen: &mut GatedSurvey) -> Vec<f32> {
        let (gate, up) = (self.by.multiply(&matrices.gate, h), self.by.multiply(&matrices.up, h));
        let width = matrices.down.columns;
        let curve = |x: f32| match self.activation {
            Activation::Silu => (f64::from(x) / (1.0 + exp_wide(-f64::from(x)))) as f32,
            Activation::GeluTanh => gelu_tanh(f64::from(x)) as f32,
        };
        let inner: Vec<f32> = gate.iter().zip(&up).map(|(gate, up)| curve(*gate) * up).collect();
        seen.rows += h.len() / matrices.gate.columns.max(1);
        see(&mut seen.gate, &gate);
        see(&mut seen.up, &up);
        see_columns(&mut seen.ups, &up, width);
        see_columns(&mut seen.inner, &inner, width);
        add_squares(&mut seen.inner_squares, &inner, width);
        let said = self.by.multiply(&matrices.down, &inner);
        see(&mut seen.said, &said);
        said
    }
}
