//! The integer graph of a decoder: int8 weights, one static scale per site, tables for SiLU and the exponential.
//!
//! Norm gains are folded into the matrices behind them. The stream between layers has 21 bits, because it grows with
//! depth and early layers write small into it; what enters rotation is i16. What matrices multiply is i8, and i16 before
//! a down projection for which calibration says that 8 bits are too few.

mod experts;
mod feed;
mod heads;
mod latent;

use super::{
    CompileRefusal, ImportRefusal, build,
    build::{TO_I8, TO_I16, Target},
    calculator::Calculator,
    config::Config,
    decoder::{Decoder, Layer, Matrix, Mixer},
    rotation::Rotation,
    scale::{Factor, Units, migration, quantise, with_gain, with_scales},
    survey::{LayerSurvey, Survey},
    tables,
};
use crate::{
    attribute::Attributes,
    formats::Packed,
    graph::{Graph, Source},
    ops,
    tensor::{Data, Element, Tensor},
};

/// Logits count in units of 2^-12.
pub const FRACTION_BITS: u8 = 12;

/// Room above what calibration saw: little where a cut is harmless and resolution counts, more for the stream.
const SITE_ROOM: f64 = 1.05;
const STREAM_ROOM: f64 = 1.25;
/// The stream's steps in either direction.
const STREAM: Target = Target { element: Element::I32, limit: (1 << 20) - 1 };
/// Bits of multipliers that are alone.
const BITS: u8 = 15;

pub fn graph(decoder: &mut Decoder, survey: &Survey, calculator: &dyn Calculator) -> Result<Graph, CompileRefusal> {
    let config = &decoder.config.clone();
    let mut graph = build::start(config.vocabulary);
    let stream = unit(survey.residual * STREAM_ROOM, STREAM.limit);
    let (table, embedding_unit) = embedding(&decoder.embedding()?);
    let embedding = graph.constant("embedding", table);
    let tables = Tables::add(&mut graph, config);
    let rows = graph.node("embed_i16", &ops::gather_rows::OPERATOR, Attributes::new(), &[Source::Input(0), embedding]);
    let mut step = Step {
        graph: &mut graph,
        decoder,
        config,
        calculator,
        prefix: "start".to_owned(),
        stream,
        sigmoid: None,
        exponential: tables.exponential,
    };
    let embedding_unit = config.embedding_scale.map_or(embedding_unit, |scale| embedding_unit * f64::from(scale));
    let factor = step.factor("embed", embedding_unit / stream)?;
    let mut x = build::requantise(step.graph, "embed", rows, &[factor], STREAM);
    for (index, seen) in survey.layers.iter().enumerate() {
        step.prefix = format!("layers.{index}");
        let layer = step.decoder.layer(index)?;
        x = step.attention(x, &layer, seen, &tables, index)?;
        x = step.feed_forward(x, &layer, seen, survey.tokens)?;
    }
    step.prefix = "head".to_owned();
    let logits = step.head(x, &survey.head_input)?;
    build::finish(&mut graph, logits, None);
    Ok(graph)
}

/// Constants that all layers share.
struct Tables {
    ropes: Vec<Source>,
    exponential: Source,
    /// The cap of scores, and what one step of its index stands for.
    cap: Option<(Source, f64)>,
}

impl Tables {
    fn add(graph: &mut Graph, config: &Config) -> Self {
        let head = config.attention.latent.map_or(config.attention.head, |latent| latent.turned);
        let rope = |(index, rotation): (usize, &Rotation)| {
            let name = if index == 0 { "rope".to_owned() } else { format!("rope_{index}") };
            graph.constant(name, rotation.table_i16(config.context, head))
        };
        let ropes = config.rotations.iter().enumerate().map(rope).collect();
        let exponential = graph.constant("exponential", tables::exponential());
        let cap = config.attention.softcap.map(|cap| {
            let (table, step) = tables::score_cap(f64::from(cap));
            (graph.constant("score_cap", table), step)
        });
        Self { ropes, exponential, cap }
    }
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
struct Step<'a, 'b> {
    graph: &'a mut Graph,
    decoder: &'a mut Decoder<'b>,
    config: &'a Config,
    calculator: &'a dyn Calculator,
    prefix: String,
    /// Unit of the stream between layers.
    stream: f64,
    /// The table of the logistic function, once it was needed.
    sigmoid: Option<Source>,
    exponential: Source,
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
        let width = self.config.width;
        let source = self.rms_norm(part, x, width, self.stream);
        // The operator divides by the root of the sum, the norm by the root of the mean.
        self.columns(&format!("{part}_i8"), source, &[(width as f64).sqrt() / 65_536.0], seen, scales)
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

    fn attention(
        &mut self,
        x: Source,
        layer: &Layer,
        seen: &LayerSurvey,
        tables: &Tables,
        index: usize,
    ) -> Result<Source, CompileRefusal> {
        let of_layer = self.config.layers[index];
        let said = Said { part: "output", seen: seen.attention_said, gain: layer.after_attention.as_deref() };
        let (mixed, scales) = match &layer.mixer {
            Mixer::Heads(heads) => self.heads(x, layer, heads, seen, tables, of_layer)?,
            Mixer::Latent(parts) => self.latent(x, layer, parts, seen, tables, of_layer)?,
        };
        let output = self.said(mixed, &with_scales(&layer.output, &scales), said)?;
        Ok(self.join("after_attention", x, output))
    }

    /// What a part says, in the stream's unit, through the norm behind it where there is one.
    fn said(&mut self, x: Scaled, matrix: &Matrix, said: Said) -> Result<Source, CompileRefusal> {
        let Some(gain) = said.gain else { return self.linear(said.part, x, matrix, &[self.stream], STREAM) };
        let before = unit(said.seen * SITE_ROOM, STREAM.limit);
        let sums = self.linear(said.part, x, &with_signs(matrix, gain), &[before], STREAM)?;
        self.norm_behind(said.part, Scaled { source: sums, unit: before }, gain)
    }

    /// A norm behind a part, with the sizes of its gain: signs are in what it norms. Gives the stream's unit.
    fn norm_behind(&mut self, part: &str, x: Scaled, gain: &[f32]) -> Result<Source, CompileRefusal> {
        let width = gain.len();
        let normed = self.rms_norm(&format!("{part}_norm"), x.source, width, x.unit);
        let of_norm = (width as f64).sqrt() / 65_536.0;
        let factors = self.gains(part, gain, |_| of_norm / self.stream)?;
        let name = self.name(&format!("{part}_gained"));
        Ok(build::requantise(self.graph, &name, normed, &factors, STREAM))
    }

    /// Each row divided by its root mean square, in units of which 65,536 are the root of the row's width.
    fn rms_norm(&mut self, part: &str, x: Source, width: usize, unit: f64) -> Source {
        let epsilon = tables::nearest(f64::from(self.config.epsilon) * width as f64 / (unit * unit));
        let attributes = Attributes::new().with("epsilon", epsilon.clamp(1, 1 << 60));
        let name = self.name(part);
        self.graph.node(name, &ops::rms_norm::OPERATOR, attributes, &[x])
    }

    /// Sizes of gains, each times the unit of its column, as factors.
    fn gains(&self, part: &str, gain: &[f32], unit: impl Fn(usize) -> f64) -> Result<Vec<Factor>, CompileRefusal> {
        let factor = |(column, gain): (usize, &f32)| match f64::from(gain.abs()) {
            0.0 => Ok(Factor { multiplier: 0, shift: 0 }),
            gain => self.factor(part, unit(column) * gain),
        };
        gain.iter().enumerate().map(factor).collect()
    }

    fn head(&mut self, x: Source, seen: &[f64]) -> Result<Source, CompileRefusal> {
        let head = with_gain(&self.decoder.head()?, &self.decoder.norm()?);
        let scales = migration(seen, &[&head]);
        let normed = self.norm("norm", x, seen, &scales)?;
        let head = with_scales(&head, &scales);
        let fine = 1.0 / f64::from(1_u32 << FRACTION_BITS);
        let Some(cap) = self.config.softcap else {
            // Cut far beyond any logit: the operator wants a limit.
            return self.linear("logits", normed, &head, &[fine], Target { element: Element::I32, limit: 1 << 30 });
        };
        let (table, step) = tables::logit_cap(f64::from(cap), fine);
        let straight = self.linear("logits", normed, &head, &[step], TO_I16)?;
        let name = self.name("logits_capped");
        let table = self.graph.constant(format!("{name}.table"), table);
        let attributes = Attributes::new().with("first", -TO_I16.limit);
        Ok(self.graph.node(name, &ops::lookup::OPERATOR, attributes, &[straight, table]))
    }

    /// The stream plus what a block adds to it, cut where the stream ends.
    fn join(&mut self, part: &str, x: Source, added: Source) -> Source {
        let name = self.name(part);
        let sum = self.graph.node(format!("{name}_sum"), &ops::add::OPERATOR, Attributes::new(), &[x, added]);
        build::requantise(self.graph, &name, sum, &[Factor::ONE], STREAM)
    }
}

/// What a part says before it is added: the name of its last matrix, the greatest that calibration saw of it, and the gain
/// of the norm behind it.
#[derive(Clone, Copy)]
struct Said<'a> {
    part: &'a str,
    seen: f64,
    gain: Option<&'a [f32]>,
}

/// `matrix` with the sign of each row's gain: multipliers are not negative. Gains repeat, as those of heads do.
fn with_signs(matrix: &Matrix, gain: &[f32]) -> Matrix {
    let sign = |row: usize| if gain[row % gain.len()] < 0.0 { -1.0 } else { 1.0 };
    let mut matrix = matrix.clone();
    for (row, values) in matrix.values.chunks_exact_mut(matrix.columns).enumerate() {
        values.iter_mut().for_each(|value| *value *= sign(row));
    }
    for (row, bias) in matrix.bias.iter_mut().flatten().enumerate() {
        *bias *= sign(row);
    }
    matrix
}
