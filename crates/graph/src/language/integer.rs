//! The integer graph of a decoder: int8 weights, one static scale per site, tables for SiLU and the exponential.
//!
//! Norm gains are folded into the matrices behind them. The stream between layers has 21 bits, because it grows with
//! depth and early layers write small into it; what enters rotation and the down projection is i16; all else that
//! matrices multiply is i8.

use super::{
    CompileRefusal, build,
    build::{TO_I8, TO_I16, Target},
    config::Config,
    decoder::{Decoder, Layer, Matrix},
    rotation::ROPE_ONE,
    scale::{Factor, quantise, with_gain},
    survey::{LayerSurvey, Survey},
    tables,
};
use crate::{
    attribute::Attributes,
    graph::{Graph, Source},
    ops::{self, linear::ACCUMULATOR_MAX},
    tensor::{Data, Element, Tensor},
};

/// Logits count in units of 2^-12.
pub const FRACTION_BITS: u8 = 12;

/// Room above what calibration saw: little where a cut is harmless and resolution counts, more for the stream.
const SITE_ROOM: f64 = 1.05;
const STREAM_ROOM: f64 = 1.25;
/// The stream's steps in either direction.
const STREAM: Target = Target { element: Element::I32, limit: (1 << 20) - 1 };
/// Gates are cut to 12 bits before the table of SiLU.
const GATE_LIMIT: i64 = 2047;
/// Bits of multipliers that are alone.
const BITS: u8 = 15;

pub fn graph(decoder: &Decoder, survey: &Survey) -> Result<Graph, CompileRefusal> {
    let config = &decoder.config;
    let mut graph = build::start(config.vocabulary);
    let stream = unit(survey.residual * STREAM_ROOM, STREAM.limit);
    let (table, embedding_unit) = embedding(&decoder.embedding);
    let embedding = graph.constant("embedding", table);
    let rope = graph.constant("rope", decoder.rotation().table_i16(config.context, config.attention.head));
    let exponential = graph.constant("exponential", tables::exponential());
    let rows = graph.node("embed_i16", &ops::gather_rows::OPERATOR, Attributes::new(), &[Source::Input(0), embedding]);
    let step = Step { graph: &mut graph, config, prefix: "start".to_owned(), stream };
    let factor = step.factor("embed", embedding_unit / stream)?;
    let mut x = build::requantise(step.graph, "embed", rows, &[factor], STREAM);
    for (index, (layer, seen)) in decoder.layers.iter().zip(&survey.layers).enumerate() {
        let prefix = format!("layers.{index}");
        let mut step = Step { graph: &mut graph, config, prefix, stream };
        x = step.attention(x, layer, seen, [rope, exponential])?;
        x = step.feed_forward(x, layer, seen)?;
    }
    let mut step = Step { graph: &mut graph, config, prefix: "head".to_owned(), stream };
    let normed = step.norm("norm", x, survey.head_input)?;
    let head = with_gain(decoder.head(), &decoder.norm);
    let fine = 1.0 / f64::from(1_u32 << FRACTION_BITS);
    // Cut far beyond any logit: the operator wants a limit.
    let logits = Target { element: Element::I32, limit: 1 << 30 };
    let logits = step.linear("logits", normed, &head, fine, logits)?;
    build::finish(&mut graph, logits, None);
    Ok(graph)
}

/// What one integer step stands for when `most` is to be `limit` steps; 1 where calibration saw nothing but zeros.
fn unit(most: f64, limit: i64) -> f64 {
    if most > 0.0 { most / limit as f64 } else { 1.0 }
}

/// The embedding in i16 with one unit for all of it.
fn embedding(matrix: &Matrix) -> (Tensor, f64) {
    let most = matrix.values.iter().fold(0.0_f64, |most, weight| most.max(f64::from(weight.abs())));
    let unit = unit(most, TO_I16.limit);
    let value = |&weight: &f32| tables::nearest(f64::from(weight) / unit).clamp(-32_767, 32_767) as i16;
    (Tensor::of(&[matrix.rows, matrix.columns], Data::I16(matrix.values.iter().map(value).collect())), unit)
}

/// A value of the graph and what one step of it stands for.
#[derive(Clone, Copy)]
struct Scaled {
    source: Source,
    unit: f64,
}

/// Adds the nodes of one layer.
struct Step<'a> {
    graph: &'a mut Graph,
    config: &'a Config,
    prefix: String,
    /// Unit of the stream between layers.
    stream: f64,
}

impl Step<'_> {
    fn name(&self, part: &str) -> String {
        format!("{}.{part}", self.prefix)
    }

    fn factor(&self, part: &str, ratio: f64) -> Result<Factor, CompileRefusal> {
        let refuse = || CompileRefusal::Scale { site: self.name(part), ratio: ratio.to_string() };
        Factor::nearest(ratio, BITS).ok_or_else(refuse)
    }

    /// Brings a value to i8 or i16 such that `most` is just within.
    fn requantise(&mut self, part: &str, x: Scaled, most: f64, to: Target) -> Result<Scaled, CompileRefusal> {
        let unit = unit(most * SITE_ROOM, to.limit);
        let factor = self.factor(part, x.unit / unit)?;
        let name = self.name(part);
        let source = build::requantise(self.graph, &name, x.source, &[factor], to);
        Ok(Scaled { source, unit })
    }

    /// The norm without its gain, as i8.
    fn norm(&mut self, part: &str, x: Source, most: f64) -> Result<Scaled, CompileRefusal> {
        let width = self.config.width as f64;
        let epsilon = tables::nearest(f64::from(self.config.epsilon) * width / (self.stream * self.stream));
        let attributes = Attributes::new().with("epsilon", epsilon.clamp(1, 1 << 60));
        let name = self.name(part);
        let source = self.graph.node(name, &ops::rms_norm::OPERATOR, attributes, &[x]);
        // The operator divides by the root of the sum, the norm by the root of the mean.
        let normed = Scaled { source, unit: width.sqrt() / 65_536.0 };
        self.requantise(&format!("{part}_i8"), normed, most, TO_I8)
    }

    /// A matrix, its accumulators brought to `unit` per step.
    fn linear(
        &mut self,
        part: &str,
        x: Scaled,
        matrix: &Matrix,
        unit: f64,
        to: Target,
    ) -> Result<Source, CompileRefusal> {
        let name = self.name(part);
        let quantised = quantise(&name, matrix, x.unit, unit)?;
        let weights = self.graph.constant(format!("{name}.weight"), quantised.weights);
        let sums =
            self.graph.node(format!("{name}_sums"), &ops::linear::OPERATOR, Attributes::new(), &[x.source, weights]);
        Ok(build::requantise(self.graph, &name, sums, &quantised.factors, to))
    }

    /// A query or key: the matrix to i16, turned by its position, then cut to `to`.
    fn turned(
        &mut self,
        part: &str,
        x: Scaled,
        matrix: &Matrix,
        rope: Source,
        most: f64,
        to: Target,
    ) -> Result<Scaled, CompileRefusal> {
        // Turning keeps the length of each pair, so √2 times the greatest turned value bounds both before.
        let fine = unit(most * SITE_ROOM * std::f64::consts::SQRT_2, TO_I16.limit);
        let straight = self.linear(part, x, matrix, fine, TO_I16)?;
        let name = self.name(&format!("{part}_turned"));
        let source = self.graph.node(name, &ops::rope::OPERATOR, Attributes::new(), &[straight, rope]);
        let turned = Scaled { source, unit: fine / ROPE_ONE };
        self.requantise(&format!("{part}_cut"), turned, most, to)
    }

    fn attention(
        &mut self,
        x: Source,
        layer: &Layer,
        seen: &LayerSurvey,
        [rope, exponential]: [Source; 2],
    ) -> Result<Source, CompileRefusal> {
        let h = self.norm("attention_norm", x, seen.attention_input)?;
        let gain = &layer.attention_norm;
        let query = self.turned("query", h, &with_gain(&layer.query, gain), rope, seen.query, TO_I8)?;
        let key = self.turned("key", h, &with_gain(&layer.key, gain), rope, seen.key, TO_I8)?;
        let value_unit = unit(seen.value * SITE_ROOM, TO_I8.limit);
        let value = self.linear("value", h, &with_gain(&layer.value, gain), value_unit, TO_I8)?;
        let nats = query.unit * key.unit / (self.config.attention.head as f64).sqrt();
        let factor = self.factor("attention", nats * tables::EXP_STEPS)?;
        let attributes = Attributes::new()
            .with("heads", self.config.attention.heads as i64)
            .with("kv_heads", self.config.attention.kv_heads as i64)
            .with("multiplier", factor.multiplier)
            .with("shift", i64::from(factor.shift));
        let name = self.name("attention");
        let inputs = [query.source, key.source, value, exponential];
        let source = self.graph.node(name, &ops::attention::OPERATOR, attributes, &inputs);
        let mixed = Scaled { source, unit: value_unit / 256.0 };
        let mixed = self.requantise("mixed", mixed, seen.mixed, TO_I8)?;
        let output = self.linear("output", mixed, &layer.output, self.stream, STREAM)?;
        Ok(self.join("after_attention", x, output))
    }

    fn feed_forward(&mut self, x: Source, layer: &Layer, seen: &LayerSurvey) -> Result<Source, CompileRefusal> {
        let h = self.norm("feed_norm", x, seen.feed_input)?;
        let gate_unit = unit(seen.gate * SITE_ROOM, GATE_LIMIT);
        let to_gate = Target { element: Element::I16, limit: GATE_LIMIT };
        let gate = self.linear("gate", h, &with_gain(&layer.gate, &layer.feed_norm), gate_unit, to_gate)?;
        let silu_unit = gate_unit * GATE_LIMIT as f64 / TO_I16.limit as f64;
        let name = self.name("silu");
        let table = self.graph.constant(format!("{name}.table"), tables::silu(GATE_LIMIT, gate_unit, silu_unit));
        let attributes = Attributes::new().with("first", -GATE_LIMIT);
        let gate = self.graph.node(name, &ops::lookup::OPERATOR, attributes, &[gate, table]);
        let up_unit = unit(seen.up * SITE_ROOM, TO_I16.limit);
        let up = self.linear("up", h, &with_gain(&layer.up, &layer.feed_norm), up_unit, TO_I16)?;
        let name = self.name("inner");
        let source = self.graph.node(name, &ops::multiply::OPERATOR, Attributes::new(), &[gate, up]);
        let inner = Scaled { source, unit: silu_unit * up_unit };
        let inner = self.requantise("inner_i16", inner, seen.inner, inner_target(&layer.down))?;
        let down = self.linear("down", inner, &layer.down, self.stream, STREAM)?;
        Ok(self.join("after_feed", x, down))
    }

    /// The stream plus what a block adds to it, cut where the stream ends.
    fn join(&mut self, part: &str, x: Source, added: Source) -> Source {
        let name = self.name(part);
        let sum = self.graph.node(format!("{name}_sum"), &ops::add::OPERATOR, Attributes::new(), &[x, added]);
        build::requantise(self.graph, &name, sum, &[Factor::ONE], STREAM)
    }
}

/// The finest i16 grid for the down projection's input whose sums cannot leave the accumulator. Each weight is within
/// 127 of its row's greatest, plus half a step of rounding.
fn inner_target(down: &Matrix) -> Target {
    let norm = |row: &[f32]| {
        let most = row.iter().fold(0.0_f64, |most, weight| most.max(f64::from(weight.abs())));
        let sum: f64 = row.iter().map(|weight| f64::from(weight.abs())).sum();
        if most > 0.0 { sum / most * 127.0 + 0.5 * row.len() as f64 } else { 0.0 }
    };
    let worst = down.values.chunks_exact(down.columns).map(norm).fold(1.0, f64::max);
    let limit = (ACCUMULATOR_MAX as f64 / worst).floor().min(32_767.0);
    Target { element: Element::I16, limit: limit as i64 }
}
