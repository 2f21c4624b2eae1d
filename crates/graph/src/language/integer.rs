//! The integer graph of a decoder: int8 weights, one static scale per site, tables for SiLU and the exponential.
//!
//! Norm gains are folded into the matrices behind them. The stream between layers has 21 bits, because it grows with
//! depth and early layers write small into it; what enters rotation is i16. What matrices multiply is i8, and i16 before
//! a down projection for which calibration says that 8 bits are too few.

use super::{
    CompileRefusal, ImportRefusal, build,
    build::{TO_I8, TO_I16, Target},
    calculator::Calculator,
    config::Config,
    decoder::{Decoder, Layer, Matrix},
    rotation::ROPE_ONE,
    scale::{Factor, Units, migration, quantise, with_gain, with_scales},
    survey::{LayerSurvey, Survey},
    tables,
};
use crate::{
    attribute::Attributes,
    formats::Packed,
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
/// What 8 bits may cost at the input of a down projection, as a share of its output, before they are 16.
const NOISE_MAX: f64 = 0.03;
/// Bits of multipliers that are alone.
const BITS: u8 = 15;

pub fn graph(decoder: &mut Decoder, survey: &Survey, calculator: &dyn Calculator) -> Result<Graph, CompileRefusal> {
    let config = &decoder.config.clone();
    let mut graph = build::start(config.vocabulary);
    let stream = unit(survey.residual * STREAM_ROOM, STREAM.limit);
    let (table, embedding_unit) = embedding(&decoder.embedding()?);
    let embedding = graph.constant("embedding", table);
    let rope = graph.constant("rope", decoder.rotation().table_i16(config.context, config.attention.head));
    let exponential = graph.constant("exponential", tables::exponential());
    let rows = graph.node("embed_i16", &ops::gather_rows::OPERATOR, Attributes::new(), &[Source::Input(0), embedding]);
    let mut step = Step { graph: &mut graph, decoder, config, calculator, prefix: "start".to_owned(), stream };
    let factor = step.factor("embed", embedding_unit / stream)?;
    let mut x = build::requantise(step.graph, "embed", rows, &[factor], STREAM);
    for (index, seen) in survey.layers.iter().enumerate() {
        step.prefix = format!("layers.{index}");
        let layer = step.decoder.layer(index)?;
        x = step.attention(x, &layer, seen, [rope, exponential])?;
        x = step.feed_forward(x, &layer, seen, survey.tokens)?;
    }
    step.prefix = "head".to_owned();
    let head = with_gain(&step.decoder.head()?, &step.decoder.norm()?);
    let scales = migration(&survey.head_input, &[&head]);
    let normed = step.norm("norm", x, &survey.head_input, &scales)?;
    let head = with_scales(&head, &scales);
    let fine = 1.0 / f64::from(1_u32 << FRACTION_BITS);
    // Cut far beyond any logit: the operator wants a limit.
    let logits = Target { element: Element::I32, limit: 1 << 30 };
    let logits = step.linear("logits", normed, &head, &[fine], logits)?;
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

/// Queries or keys on their way to be turned.
struct Heads<'a> {
    matrix: Matrix,
    /// Gain of the norm of single heads.
    norm: Option<&'a [f32]>,
    /// The greatest before that norm, and after turning.
    straight: f64,
    turned: f64,
}

/// Adds the nodes of one layer.
struct Step<'a, 'b> {
    graph: &'a mut Graph,
    decoder: &'a mut Decoder<'b>,
    config: &'a Config,
    calculator: &'a dyn Calculator,
    prefix: String,
    /// Unit of the stream between layers.
    stream: f64,
}

impl Step<'_, '_> {
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

    /// Brings columns to i8, each divided by its scale first.
    fn columns(
        &mut self,
        part: &str,
        x: Source,
        units: &[f64],
        seen: &[f64],
        scales: &[f64],
    ) -> Result<Scaled, CompileRefusal> {
        let most = seen.iter().zip(scales).fold(0.0, |most, (seen, scale)| f64::max(most, seen / scale));
        let unit = unit(most * SITE_ROOM, TO_I8.limit);
        let units = units.iter().cycle().zip(scales);
        let factors: Result<Vec<Factor>, CompileRefusal> =
            units.map(|(from, scale)| self.factor(part, from / (unit * scale))).collect();
        let name = self.name(part);
        Ok(Scaled { source: build::requantise(self.graph, &name, x, &factors?, TO_I8), unit })
    }

    /// The norm without its gain, as i8.
    fn norm(&mut self, part: &str, x: Source, seen: &[f64], scales: &[f64]) -> Result<Scaled, CompileRefusal> {
        let width = self.config.width as f64;
        let epsilon = tables::nearest(f64::from(self.config.epsilon) * width / (self.stream * self.stream));
        let attributes = Attributes::new().with("epsilon", epsilon.clamp(1, 1 << 60));
        let name = self.name(part);
        let source = self.graph.node(name, &ops::rms_norm::OPERATOR, attributes, &[x]);
        // The operator divides by the root of the sum, the norm by the root of the mean.
        self.columns(&format!("{part}_i8"), source, &[width.sqrt() / 65_536.0], seen, scales)
    }

    /// A matrix, its accumulators brought to `units` per step: one for each output, or one for all.
    fn linear(
        &mut self,
        part: &str,
        x: Scaled,
        matrix: &Matrix,
        units: &[f64],
        to: Target,
    ) -> Result<Source, CompileRefusal> {
        let name = self.name(part);
        let quantised = quantise(&name, matrix, Units { input: x.unit, outputs: units }, self.calculator)?;
        let (weight, shape) = (format!("{name}.weight"), [matrix.rows, matrix.columns]);
        let packed = Packed::of_integers(&shape, &quantised.weights);
        let unpacked =
            || ImportRefusal::Shape { name: weight.clone(), expected: shape.to_vec(), found: shape.to_vec() };
        let kept = self.decoder.keep(&weight, &shape, packed.ok_or_else(unpacked)?)?;
        let weights = self.graph.constant(weight, kept);
        let bias = quantised.bias.map(|bias| self.graph.constant(format!("{name}.bias"), bias));
        let inputs: Vec<Source> = [x.source, weights].into_iter().chain(bias).collect();
        let sums = self.graph.node(format!("{name}_sums"), &ops::linear::OPERATOR, Attributes::new(), &inputs);
        Ok(build::requantise(self.graph, &name, sums, &quantised.factors, to))
    }

    /// A query or key: the matrix to i16, normed head by head where the model does so, turned by its position, then cut
    /// to i8.
    fn turned(&mut self, part: &str, x: Scaled, heads: &Heads, rope: Source) -> Result<Scaled, CompileRefusal> {
        // Turning keeps the length of each pair, so √2 times the greatest turned value bounds both before.
        let fine = unit(heads.turned * SITE_ROOM * std::f64::consts::SQRT_2, TO_I16.limit);
        let straight = match heads.norm {
            None => self.linear(part, x, &heads.matrix, &[fine], TO_I16)?,
            Some(gain) => self.normed_heads(part, x, heads, gain, fine)?,
        };
        let name = self.name(&format!("{part}_turned"));
        let source = self.graph.node(name, &ops::rope::OPERATOR, Attributes::new(), &[straight, rope]);
        let turned = Scaled { source, unit: fine / ROPE_ONE };
        self.requantise(&format!("{part}_cut"), turned, heads.turned, TO_I8)
    }

    /// Heads in units of `fine`, each normed by itself.
    fn normed_heads(
        &mut self,
        part: &str,
        x: Scaled,
        heads: &Heads,
        gain: &[f32],
        fine: f64,
    ) -> Result<Source, CompileRefusal> {
        let head = gain.len();
        let before = unit(heads.straight * SITE_ROOM, TO_I16.limit);
        // Multipliers are not negative: a negative gain turns its row's sign instead.
        let sign = |row: usize| if gain[row % head] < 0.0 { -1.0 } else { 1.0 };
        let mut matrix = heads.matrix.clone();
        for (row, values) in matrix.values.chunks_exact_mut(matrix.columns).enumerate() {
            values.iter_mut().for_each(|value| *value *= sign(row));
        }
        for (row, bias) in matrix.bias.iter_mut().flatten().enumerate() {
            *bias *= sign(row);
        }
        let straight = self.linear(part, x, &matrix, &[before], TO_I16)?;
        let reshape = |step: &mut Self, part: &str, x, sizes: Vec<i64>| {
            let name = step.name(part);
            step.graph.node(name, &ops::reshape::OPERATOR, Attributes::new().with("sizes", sizes), &[x])
        };
        let (count, width) = (matrix.rows / head, head as i64);
        let apart = reshape(self, &format!("{part}_heads"), straight, vec![0, count as i64, width]);
        let epsilon = tables::nearest(f64::from(self.config.epsilon) * head as f64 / (before * before));
        let attributes = Attributes::new().with("epsilon", epsilon.clamp(1, 1 << 60));
        let name = self.name(&format!("{part}_norm"));
        let normed = self.graph.node(name, &ops::rms_norm::OPERATOR, attributes, &[apart]);
        let joined = reshape(self, &format!("{part}_normed"), normed, vec![0, count as i64 * width]);
        let of_norm = (head as f64).sqrt() / 65_536.0;
        let factor = |row: usize| match f64::from(gain[row % head].abs()) {
            0.0 => Ok(Factor { multiplier: 0, shift: 0 }),
            gain => self.factor(part, of_norm * gain / fine),
        };
        let factors: Result<Vec<Factor>, CompileRefusal> = (0..matrix.rows).map(factor).collect();
        let name = self.name(&format!("{part}_gained"));
        Ok(build::requantise(self.graph, &name, joined, &factors?, TO_I16))
    }

    fn attention(
        &mut self,
        x: Source,
        layer: &Layer,
        seen: &LayerSurvey,
        [rope, exponential]: [Source; 2],
    ) -> Result<Source, CompileRefusal> {
        let gain = &layer.attention_norm;
        let [query, key, value] = [&layer.query, &layer.key, &layer.value].map(|matrix| with_gain(matrix, gain));
        let scales = migration(&seen.attention_input, &[&query, &key, &value]);
        let [query, key, value] = [&query, &key, &value].map(|matrix| with_scales(matrix, &scales));
        let h = self.norm("attention_norm", x, &seen.attention_input, &scales)?;
        let (norm, straight) = (layer.query_norm.as_deref(), seen.query_straight);
        let query = self.turned("query", h, &Heads { matrix: query, norm, straight, turned: seen.query }, rope)?;
        let (norm, straight) = (layer.key_norm.as_deref(), seen.key_straight);
        let key = self.turned("key", h, &Heads { matrix: key, norm, straight, turned: seen.key }, rope)?;
        let units: Vec<f64> = seen.value.iter().map(|most| unit(most * SITE_ROOM, TO_I8.limit)).collect();
        let value = self.linear("value", h, &value, &units, TO_I8)?;
        let attention = &self.config.attention;
        let (heads, kv_heads, head) = (attention.heads, attention.kv_heads, attention.head);
        let factor = self.factor("attention", query.unit * key.unit * attention.nats() * tables::EXP_STEPS)?;
        let attributes = Attributes::new()
            .with("heads", heads as i64)
            .with("kv_heads", kv_heads as i64)
            .with("multiplier", factor.multiplier)
            .with("shift", i64::from(factor.shift));
        let name = self.name("attention");
        let inputs = [query.source, key.source, value, exponential];
        let mixed = self.graph.node(name, &ops::attention::OPERATOR, attributes, &inputs);
        // Heads of a group have the columns, and the units, of one value head.
        let column = |column: usize| units[column / head / (heads / kv_heads) * head + column % head] / 256.0;
        let units: Vec<f64> = (0..heads * head).map(column).collect();
        let scales = migration(&seen.mixed, &[&layer.output]);
        let mixed = self.columns("mixed", mixed, &units, &seen.mixed, &scales)?;
        let output = self.linear("output", mixed, &with_scales(&layer.output, &scales), &[self.stream], STREAM)?;
        Ok(self.join("after_attention", x, output))
    }

    fn feed_forward(
        &mut self,
        x: Source,
        layer: &Layer,
        seen: &LayerSurvey,
        tokens: usize,
    ) -> Result<Source, CompileRefusal> {
        let [gate, up] = [&layer.gate, &layer.up].map(|matrix| with_gain(matrix, &layer.feed_norm));
        let scales = migration(&seen.feed_input, &[&gate, &up]);
        let [gate, up] = [&gate, &up].map(|matrix| with_scales(matrix, &scales));
        let h = self.norm("feed_norm", x, &seen.feed_input, &scales)?;
        let gate_unit = unit(seen.gate * SITE_ROOM, GATE_LIMIT);
        let to_gate = Target { element: Element::I16, limit: GATE_LIMIT };
        let gate = self.linear("gate", h, &gate, &[gate_unit], to_gate)?;
        let silu_unit = gate_unit * GATE_LIMIT as f64 / TO_I16.limit as f64;
        let name = self.name("silu");
        let table = self.graph.constant(format!("{name}.table"), tables::silu(GATE_LIMIT, gate_unit, silu_unit));
        let attributes = Attributes::new().with("first", -GATE_LIMIT);
        let gate = self.graph.node(name, &ops::lookup::OPERATOR, attributes, &[gate, table]);
        let up_unit = unit(seen.up * SITE_ROOM, TO_I16.limit);
        let up = self.linear("up", h, &up, &[up_unit], TO_I16)?;
        let name = self.name("inner");
        let source = self.graph.node(name, &ops::multiply::OPERATOR, Attributes::new(), &[gate, up]);
        let down = self.down(Scaled { source, unit: silu_unit * up_unit }, layer, seen, tokens)?;
        Ok(self.join("after_feed", x, down))
    }

    /// The down projection, of i8 where calibration says that 8 bits are enough of its input, else of i16.
    fn down(
        &mut self,
        inner: Scaled,
        layer: &Layer,
        seen: &LayerSurvey,
        tokens: usize,
    ) -> Result<Source, CompileRefusal> {
        let scales = migration(&seen.inner, &[&layer.down]);
        let down = with_scales(&layer.down, &scales);
        if noise(&down, &scales, seen, tokens) <= NOISE_MAX {
            let inner = self.columns("inner_i8", inner.source, &[inner.unit], &seen.inner, &scales)?;
            return self.linear("down", inner, &down, &[self.stream], STREAM);
        }
        let most = seen.inner.iter().copied().fold(0.0, f64::max);
        let inner = self.requantise("inner_i16", inner, most, inner_target(&layer.down))?;
        self.linear("down", inner, &layer.down, &[self.stream], STREAM)
    }

    /// The stream plus what a block adds to it, cut where the stream ends.
    fn join(&mut self, part: &str, x: Source, added: Source) -> Source {
        let name = self.name(part);
        let sum = self.graph.node(format!("{name}_sum"), &ops::add::OPERATOR, Attributes::new(), &[x, added]);
        build::requantise(self.graph, &name, sum, &[Factor::ONE], STREAM)
    }
}

/// What cutting a matrix's input to 8 bits adds to its outputs, as a share of what they are: the root of expected squares,
/// as if columns were independent. The matrix has its columns multiplied with `scales`.
fn noise(matrix: &Matrix, scales: &[f64], seen: &LayerSurvey, tokens: usize) -> f64 {
    let mut weights = vec![0.0_f64; matrix.columns];
    for row in matrix.values.chunks_exact(matrix.columns) {
        weights.iter_mut().zip(row).for_each(|(sum, weight)| *sum += f64::from(*weight) * f64::from(*weight));
    }
    let most = seen.inner.iter().zip(scales).fold(0.0, |most, (seen, scale)| f64::max(most, seen / scale));
    let unit = unit(most * SITE_ROOM, TO_I8.limit);
    // A step's error is even over its width.
    let cut: f64 = weights.iter().map(|weight| weight * unit * unit / 12.0).sum();
    let of_column = |((weight, scale), squares): ((&f64, &f64), &f64)| weight * squares / (scale * scale);
    let all: f64 = weights.iter().zip(scales).zip(&seen.inner_squares).map(of_column).sum();
    if all > 0.0 { (cut * tokens as f64 / all).sqrt() } else { 0.0 }
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
