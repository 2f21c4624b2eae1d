//! The feed-forward part made of experts, in integers. Their choice is a comparison of exact numbers: the router's weights have
//! 22 bits and its input 17, so that little but the stream's own rounding can move it.

use super::{
    SITE_ROOM, STREAM, Said, Scaled, Step,
    feed::{GATE_LIMIT, NOISE_MAX, inner_target, noise},
    unit,
};
use crate::{
    attribute::Attributes,
    formats::Packed,
    graph::Source,
    language::{
        CompileRefusal, ImportRefusal,
        build::{self, TO_I8, TO_I16, Target},
        config::Scores,
        decoder::{ExpertFeed, Gated, Layer, Matrix},
        scale::{Factor, Units, balance, quantise, widest, with_gain, with_scales},
        survey::{GatedSurvey, LayerSurvey},
        tables,
    },
    ops,
    tensor::{Data, Element, Tensor},
};

/// Logits of the router count in units of 2^-16.
const ROUTER_ONE: f64 = 65_536.0;
/// Bits of the router's greatest weight.
const ROUTER_BITS: u8 = 22;
/// What experts say, before their weights: cut far beyond.
const SAID: Target = Target { element: Element::I32, limit: 1 << 24 };
/// Weights of experts count in units of 2^-14.
const WEIGHT_BITS: i64 = 14;
/// So many rows of a calibration tell how large an expert's columns become.
const ROWS_ENOUGH: usize = 16;

/// How the insides of experts are cut: what each column is divided by, and the units of what is gated and of the product.
struct Inside {
    scales: Vec<Vec<f64>>,
    up: f64,
    inner: f64,
    to: Target,
}

impl Step<'_, '_> {
    pub(super) fn experts(
        &mut self,
        x: Source,
        layer: &Layer,
        feed: &ExpertFeed,
        seen: &LayerSurvey,
        tokens: usize,
    ) -> Result<Source, CompileRefusal> {
        let gain = &layer.feed_norm;
        let mut weights = vec![0.0; self.config.width];
        let entering = |gated: &Gated, weights: &mut Vec<f64>| {
            [&gated.gate, &gated.up].iter().for_each(|matrix| widest(weights, &with_gain(matrix, gain)));
        };
        feed.experts.iter().chain(&feed.shared).for_each(|gated| entering(gated, &mut weights));
        let scales = balance(&seen.feed_input, &weights);
        let width = self.config.width;
        let normed = self.rms_norm("feed_norm", x, width, self.stream);
        let h = self.columns("feed_norm_i8", normed, &[(width as f64).sqrt() / 65_536.0], &seen.feed_input, &scales)?;
        let scaled = |matrix: &Matrix| with_scales(&with_gain(matrix, gain), &scales);
        let (choice, shares) = self.choose(normed, feed, gain)?;
        let mut said = self.chosen(h, feed, seen, &scaled, (choice, shares))?;
        if let Some(shared) = &feed.shared {
            let gated = Gated { gate: scaled(&shared.gate), up: scaled(&shared.up), down: shared.down.clone() };
            let of_shared = Said { part: "shared_down", seen: seen.dense.said, gain: None };
            let mut beside = self.gated("shared_", h, &gated, &seen.dense, tokens, of_shared)?;
            if let Some(score) = &feed.shared_score {
                beside = self.by_score(normed, beside, score, gain)?;
            }
            said = self.join("experts_and_shared", said, beside);
        }
        Ok(self.join("after_feed", x, said))
    }

    /// Logits of a matrix over the norm, in units of 2^-16.
    fn router(&mut self, part: &str, normed: Source, matrix: &Matrix, gain: &[f32]) -> Result<Source, CompileRefusal> {
        let root = (gain.len() as f64).sqrt();
        let weight = |(weight, gain): (&f32, &f32)| f64::from(*weight) * f64::from(*gain) * root;
        let weights = || matrix.values.chunks_exact(matrix.columns).flat_map(|row| row.iter().zip(gain).map(weight));
        let most = weights().fold(0.0, |most: f64, weight| most.max(weight.abs()));
        let name = self.name(part);
        let refuse = || CompileRefusal::Scale { site: name.clone(), ratio: most.to_string() };
        // The shift with which the greatest has its bits; none where all are 0.
        let shift = if most > 0.0 {
            let inverse = Factor::nearest(most, ROUTER_BITS).ok_or_else(refuse)?;
            inverse.shift
        } else {
            0
        };
        let one = (1_u64 << shift) as f64;
        let values: Vec<i32> = weights().map(|weight| tables::nearest(weight * one) as i32).collect();
        let values = Tensor::of(&[matrix.rows, matrix.columns], Data::I32(values));
        let bias = matrix.bias.iter().flatten().map(|bias| tables::nearest(f64::from(*bias) * ROUTER_ONE * one));
        let mut bias: Vec<i64> = bias.collect();
        bias.resize(matrix.rows, 0);
        let values = self.graph.constant(format!("{name}.weight"), values);
        let bias = self.graph.constant(format!("{name}.bias"), Tensor::of(&[matrix.rows], Data::I64(bias)));
        let attributes = clamped(Target { element: Element::I32, limit: 1 << 30 }).with("shift", i64::from(shift));
        Ok(self.graph.node(name, &ops::weigh::OPERATOR, attributes, &[normed, values, bias]))
    }

    /// Which experts each row passes, and their weights.
    fn choose(&mut self, normed: Source, feed: &ExpertFeed, gain: &[f32]) -> Result<(Source, Source), CompileRefusal> {
        let experts = &feed.config;
        let logits = self.router("router", normed, &feed.router, gain)?;
        // Softmax keeps the order of logits, and rounds: they are compared, unless more than their order counts.
        let by_order = feed.correction.is_none() && experts.groups.is_none_or(|groups| groups.best == 1);
        let scores = match experts.scores {
            Scores::Softmax if by_order && experts.normalise => logits,
            Scores::Softmax => self.softmax("scores", logits)?,
            Scores::Sigmoid => self.sigmoid("scores", logits)?,
        };
        let mut inputs = vec![match experts.scores {
            Scores::Sigmoid => scores,
            Scores::Softmax if by_order => logits,
            Scores::Softmax => {
                let name = self.name("scores_i32");
                build::requantise(self.graph, &name, scores, &[FROM_SOFTMAX], FULL)
            }
        }];
        if let Some(correction) = &feed.correction {
            let of = |&score: &f32| tables::nearest(f64::from(score) * SCORE_ONE) as i32;
            let tensor = Tensor::of(&[experts.count], Data::I32(correction.iter().map(of).collect()));
            let name = self.name("router.correction");
            inputs.push(self.graph.constant(name, tensor));
        }
        let mut attributes = Attributes::new().with("count", experts.chosen as i64);
        if let Some(groups) = experts.groups {
            let (count, kept, best) = (groups.count as i64, groups.kept as i64, groups.best as i64);
            attributes = attributes.with("groups", count).with("kept", kept).with("best", best);
        }
        let name = self.name("choice");
        let choice = self.graph.node(name, &ops::choose_experts::OPERATOR, attributes, &inputs);
        let shares = match (experts.scores, experts.normalise) {
            // The shares of a part of a softmax are the softmax of that part.
            (Scores::Softmax, true) => {
                let chosen = self.pair("chosen", &ops::gather_chosen::OPERATOR, logits, choice);
                self.softmax("shares", chosen)?
            }
            (Scores::Softmax, false) => self.pair("shares", &ops::gather_chosen::OPERATOR, scores, choice),
            (Scores::Sigmoid, normalise) => {
                let chosen = self.pair("chosen", &ops::gather_chosen::OPERATOR, scores, choice);
                let name = self.name("shares");
                if normalise {
                    self.graph.node(name, &ops::share::OPERATOR, Attributes::new(), &[chosen])
                } else {
                    build::requantise(self.graph, &name, chosen, &[TO_SHARES], TO_WEIGHTS)
                }
            }
        };
        Ok((choice, shares))
    }

    fn pair(&mut self, part: &str, operator: &'static crate::operator::Operator, one: Source, other: Source) -> Source {
        let name = self.name(part);
        self.graph.node(name, operator, Attributes::new(), &[one, other])
    }

    /// Shares of logits, in units of 2^-14.
    fn softmax(&mut self, part: &str, logits: Source) -> Result<Source, CompileRefusal> {
        let factor = self.factor(part, tables::EXP_STEPS / ROUTER_ONE)?;
        let attributes = Attributes::new().with("multiplier", factor.multiplier).with("shift", i64::from(factor.shift));
        let (name, exponential) = (self.name(part), self.exponential);
        Ok(self.graph.node(name, &ops::softmax::OPERATOR, attributes, &[logits, exponential]))
    }

    /// The logistic function of logits, in units of 2^-20.
    fn sigmoid(&mut self, part: &str, logits: Source) -> Result<Source, CompileRefusal> {
        let factor = self.factor(part, 2_048.0 / ROUTER_ONE)?;
        let name = self.name(&format!("{part}_i16"));
        let index = build::requantise(self.graph, &name, logits, &[factor], TO_I16);
        let table = match self.sigmoid {
            Some(table) => table,
            None => self.graph.constant("sigmoid", tables::sigmoid()),
        };
        self.sigmoid = Some(table);
        let (name, attributes) = (self.name(part), Attributes::new().with("first", -TO_I16.limit));
        Ok(self.graph.node(name, &ops::lookup::OPERATOR, attributes, &[index, table]))
    }

    /// What the chosen experts say, in the stream's unit.
    fn chosen(
        &mut self,
        h: Scaled,
        feed: &ExpertFeed,
        seen: &LayerSurvey,
        scaled: &dyn Fn(&Matrix) -> Matrix,
        (choice, shares): (Source, Source),
    ) -> Result<Source, CompileRefusal> {
        let (all, experts) = (&feed.experts, &feed.config);
        let most = seen.experts.iter().fold(0.0, |most, seen| f64::max(most, seen.gate));
        let gate_unit = unit(most * SITE_ROOM, GATE_LIMIT);
        let inside = inside(all, &seen.experts, experts.width);
        let to_gate = Target { element: Element::I16, limit: GATE_LIMIT };
        let gates = |expert: usize| (scaled(&all[expert].gate), vec![gate_unit]);
        let gate = self.each("expert_gate", h, all.len(), &gates, to_gate, Some(choice))?;
        let gate = self.curve("expert_", Scaled { source: gate, unit: gate_unit });
        let ups = |expert: usize| {
            (scaled(&all[expert].up), inside.scales[expert].iter().map(|scale| inside.up * scale).collect())
        };
        let up = self.each("expert_up", h, all.len(), &ups, TO_I16, Some(choice))?;
        let inner = self.pair("expert_inner", &ops::multiply::OPERATOR, gate.source, up);
        let factor = self.factor("expert_inner", gate.unit * inside.up / inside.inner)?;
        let name = self.name("expert_inner_cut");
        let inner = build::requantise(self.graph, &name, inner, &[factor], inside.to);
        let said_unit = self.stream / f64::from(experts.scale);
        let downs = |expert: usize| (with_scales(&all[expert].down, &inside.scales[expert]), vec![said_unit]);
        let inner = Scaled { source: inner, unit: inside.inner };
        let said = self.each("expert_down", inner, all.len(), &downs, SAID, Some(choice))?;
        Ok(self.combine("experts", said, shares))
    }

    fn combine(&mut self, part: &str, said: Source, shares: Source) -> Source {
        let name = self.name(part);
        let attributes = clamped(STREAM).with("shift", WEIGHT_BITS);
        self.graph.node(name, &ops::combine_experts::OPERATOR, attributes, &[said, shares])
    }

    /// A matrix of each of some, its sums brought to units: one for each output of it, or one for all. Each slot passes that
    /// of its choice, or its own.
    pub(super) fn each(
        &mut self,
        part: &str,
        x: Scaled,
        count: usize,
        of: &dyn Fn(usize) -> (Matrix, Vec<f64>),
        to: Target,
        choice: Option<Source>,
    ) -> Result<Source, CompileRefusal> {
        let name = self.name(part);
        let (mut weights, mut factors, mut sizes) = (Vec::new(), Vec::new(), [0; 2]);
        for index in 0..count {
            let (matrix, units) = of(index);
            let quantised = quantise(&name, &matrix, Units { input: x.unit, outputs: &units }, self.calculator)?;
            weights.extend(quantised.weights);
            factors.extend(quantised.factors);
            sizes = [matrix.rows, matrix.columns];
        }
        let (weight, shape) = (format!("{name}.weight"), [count, sizes[0], sizes[1]]);
        let unpacked =
            || ImportRefusal::Shape { name: weight.clone(), expected: shape.to_vec(), found: shape.to_vec() };
        let packed = Packed::of_integers(&shape, &weights).ok_or_else(unpacked)?;
        let kept = self.decoder.keep(&weight, &shape, packed)?;
        let multipliers = Data::I32(factors.iter().map(|factor| factor.multiplier as i32).collect());
        let shifts = Data::U8(factors.iter().map(|factor| factor.shift).collect());
        let inputs = [
            x.source,
            self.graph.constant(weight, kept),
            self.graph.constant(format!("{name}.multiplier"), Tensor::of(&shape[..2], multipliers)),
            self.graph.constant(format!("{name}.shift"), Tensor::of(&shape[..2], shifts)),
        ];
        let inputs: Vec<Source> = inputs.into_iter().chain(choice).collect();
        Ok(self.graph.node(name, &ops::linear_experts::OPERATOR, clamped(to), &inputs))
    }

    /// As much of what the shared expert says as its score allows.
    fn by_score(
        &mut self,
        normed: Source,
        said: Source,
        score: &Matrix,
        gain: &[f32],
    ) -> Result<Source, CompileRefusal> {
        let logits = self.router("shared_score", normed, score, gain)?;
        let share = self.sigmoid("shared_sigmoid", logits)?;
        let name = self.name("shared_share");
        let share = build::requantise(self.graph, &name, share, &[TO_SHARES], TO_WEIGHTS);
        let apart = self.reshape("shared_apart", said, vec![0, 1, self.config.width as i64]);
        Ok(self.combine("shared", apart, share))
    }
}

/// Scores that are compared with more than their order count in units of 2^-20: to weights, and from a softmax.
const SCORE_ONE: f64 = 1_048_576.0;
const TO_SHARES: Factor = Factor { multiplier: 1, shift: 6 };
const FROM_SOFTMAX: Factor = Factor { multiplier: 64, shift: 0 };
const FULL: Target = Target { element: Element::I32, limit: 1 << 20 };
const TO_WEIGHTS: Target = Target { element: Element::I16, limit: 1 << WEIGHT_BITS };

fn clamped(to: Target) -> Attributes {
    Attributes::new().with("element", i64::from(to.element.code())).with("low", -to.limit).with("high", to.limit)
}

/// How all experts of a layer are cut inside: to i8 where calibration says that it is enough for each that it knows well.
fn inside(experts: &[Gated], seen: &[GatedSurvey], width: usize) -> Inside {
    let inner = filled(seen, width, |seen| &seen.inner);
    let ups = filled(seen, width, |seen| &seen.ups);
    let scales: Vec<Vec<f64>> = experts
        .iter()
        .zip(&inner)
        .map(|(expert, seen)| {
            let mut weights = vec![0.0; width];
            widest(&mut weights, &expert.down);
            balance(seen, &weights)
        })
        .collect();
    let most = |columns: &[Vec<f64>], scales: &[Vec<f64>]| {
        let all = columns.iter().flatten().zip(scales.iter().flatten());
        all.fold(0.0, |most: f64, (seen, scale)| most.max(seen / scale))
    };
    let step = unit(most(&inner, &scales) * SITE_ROOM, TO_I8.limit);
    let known = experts.iter().zip(seen).zip(&scales).filter(|((_, seen), _)| seen.rows >= ROWS_ENOUGH);
    let loss =
        known.map(|((expert, seen), scales)| noise(&with_scales(&expert.down, scales), scales, step, seen, seen.rows));
    if loss.fold(0.0, f64::max) <= NOISE_MAX {
        let up = unit(most(&ups, &scales) * SITE_ROOM, TO_I16.limit);
        return Inside { scales, up, inner: step, to: TO_I8 };
    }
    let scales = vec![vec![1.0; width]; experts.len()];
    let limit = experts.iter().map(|expert| inner_target(&expert.down).limit).min().unwrap_or(TO_I16.limit);
    let to = Target { element: Element::I16, limit };
    let up = unit(most(&ups, &scales) * SITE_ROOM, TO_I16.limit);
    Inside { up, inner: unit(most(&inner, &scales) * SITE_ROOM, limit), scales, to }
}

/// The greatest of each column of each expert. Where calibration saw few rows of an expert, or little in a column, the columns
/// of the others tell: nine of ten of them are within the former, one of two within four times the latter.
fn filled(seen: &[GatedSurvey], width: usize, columns: impl Fn(&GatedSurvey) -> &Vec<f64>) -> Vec<Vec<f64>> {
    let mut all: Vec<f64> =
        seen.iter().flat_map(|seen| columns(seen).iter().copied()).filter(|most| *most > 0.0).collect();
    all.sort_by(f64::total_cmp);
    let share =
        |tenths: usize| all.get((all.len() * tenths / 10).min(all.len().saturating_sub(1))).copied().unwrap_or(0.0);
    let of_expert = |seen: &GatedSurvey| {
        let floor = if seen.rows < ROWS_ENOUGH { share(9) } else { share(5) / 4.0 };
        let mut columns = columns(seen).clone();
        columns.resize(width, 0.0);
        columns.iter_mut().for_each(|most| *most = most.max(floor));
        columns
    };
    seen.iter().map(of_expert).collect()
}
