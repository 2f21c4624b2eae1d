//! Feed-forward parts: gates through a table, times what they gate, and the way back.

use super::{SITE_ROOM, Said, Scaled, Step, unit};
use crate::{
    attribute::Attributes,
    graph::Source,
    language::{
        CompileRefusal,
        build::{TO_I8, TO_I16, Target},
        config::Activation,
        decoder::{Feed, Gated, Layer, Matrix},
        scale::{migration, with_gain, with_scales},
        survey::{GatedSurvey, LayerSurvey},
        tables,
    },
    ops::{self, linear::ACCUMULATOR_MAX},
    tensor::Element,
};

/// Gates are cut to 12 bits before the table of their curve.
pub(super) const GATE_LIMIT: i64 = 2047;
/// What 8 bits may cost at the input of a down projection, as a share of its output, before they are 16.
pub(super) const NOISE_MAX: f64 = 0.03;

impl Step<'_, '_> {
    pub(super) fn feed_forward(
        &mut self,
        x: Source,
        layer: &Layer,
        seen: &LayerSurvey,
        tokens: usize,
    ) -> Result<Source, CompileRefusal> {
        let dense = match &layer.feed {
            Feed::Dense(dense) => dense,
            Feed::Experts(feed) => return self.experts(x, layer, feed, seen, tokens),
        };
        let [gate, up] = [&dense.gate, &dense.up].map(|matrix| with_gain(matrix, &layer.feed_norm));
        let scales = migration(&seen.feed_input, &[&gate, &up]);
        let h = self.norm("feed_norm", x, &seen.feed_input, &scales)?;
        let [gate, up] = [&gate, &up].map(|matrix| with_scales(matrix, &scales));
        let gated = Gated { gate, up, down: dense.down.clone() };
        let said = Said { part: "down", seen: seen.feed_said, gain: layer.after_feed.as_deref() };
        let down = self.gated("", h, &gated, &seen.dense, tokens, said)?;
        Ok(self.join("after_feed", x, down))
    }

    /// What `h` becomes through gates, in the stream's unit.
    pub(super) fn gated(
        &mut self,
        prefix: &str,
        h: Scaled,
        matrices: &Gated,
        seen: &GatedSurvey,
        tokens: usize,
        said: Said,
    ) -> Result<Source, CompileRefusal> {
        let gate_unit = unit(seen.gate * SITE_ROOM, GATE_LIMIT);
        let to_gate = Target { element: Element::I16, limit: GATE_LIMIT };
        let gate = self.linear(&format!("{prefix}gate"), h, &matrices.gate, &[gate_unit], to_gate)?;
        let gate = self.curve(prefix, Scaled { source: gate, unit: gate_unit });
        let up_unit = unit(seen.up * SITE_ROOM, TO_I16.limit);
        let up = self.linear(&format!("{prefix}up"), h, &matrices.up, &[up_unit], TO_I16)?;
        let name = self.name(&format!("{prefix}inner"));
        let source = self.graph.node(name, &ops::multiply::OPERATOR, Attributes::new(), &[gate.source, up]);
        self.down(prefix, Scaled { source, unit: gate.unit * up_unit }, &matrices.down, seen, tokens, said)
    }

    /// Gates of 12 bits through the table of their curve, as i16.
    pub(super) fn curve(&mut self, prefix: &str, gate: Scaled) -> Scaled {
        let to = gate.unit * GATE_LIMIT as f64 / TO_I16.limit as f64;
        let (part, table) = match self.config.activation {
            Activation::Silu => ("silu", tables::silu(GATE_LIMIT, gate.unit, to)),
            Activation::GeluTanh => ("gelu", tables::gelu(GATE_LIMIT, gate.unit, to)),
        };
        let name = self.name(&format!("{prefix}{part}"));
        let table = self.graph.constant(format!("{name}.table"), table);
        let attributes = Attributes::new().with("first", -GATE_LIMIT);
        let source = self.graph.node(name, &ops::lookup::OPERATOR, attributes, &[gate.source, table]);
        Scaled { source, unit: to }
    }

    /// The down projection, of i8 where calibration says that 8 bits are enough of its input, else of i16.
    fn down(
        &mut self,
        prefix: &str,
        inner: Scaled,
        matrix: &Matrix,
        seen: &GatedSurvey,
        tokens: usize,
        said: Said,
    ) -> Result<Source, CompileRefusal> {
        let scales = migration(&seen.inner, &[matrix]);
        let down = with_scales(matrix, &scales);
        let most = seen.inner.iter().zip(&scales).fold(0.0, |most, (seen, scale)| f64::max(most, seen / scale));
        if noise(&down, &scales, unit(most * SITE_ROOM, TO_I8.limit), seen, tokens) <= NOISE_MAX {
            let part = format!("{prefix}inner_i8");
            let inner = self.columns(&part, inner.source, &[inner.unit], &seen.inner, &scales)?;
            return self.said(inner, &down, said);
        }
        let most = seen.inner.iter().copied().fold(0.0, f64::max);
        let inner = self.requantise(&format!("{prefix}inner_i16"), inner, most, inner_target(matrix))?;
        self.said(inner, matrix, said)
    }
}

/// What cutting a matrix's input to 8 bits adds to its outputs, as a share of what they are: the root of expected squares,
/// as if columns were independent. The matrix has its columns multiplied with `scales`; one step of its input is `unit`.
pub(super) fn noise(matrix: &Matrix, scales: &[f64], unit: f64, seen: &GatedSurvey, tokens: usize) -> f64 {
    let mut weights = vec![0.0_f64; matrix.columns];
    for row in matrix.values.chunks_exact(matrix.columns) {
        weights.iter_mut().zip(row).for_each(|(sum, weight)| *sum += f64::from(*weight) * f64::from(*weight));
    }
    // A step's error is even over its width.
    let cut: f64 = weights.iter().map(|weight| weight * unit * unit / 12.0).sum();
    let of_column = |((weight, scale), squares): ((&f64, &f64), &f64)| weight * squares / (scale * scale);
    let all: f64 = weights.iter().zip(scales).zip(&seen.inner_squares).map(of_column).sum();
    if all > 0.0 { (cut * tokens as f64 / all).sqrt() } else { 0.0 }
}

/// The finest i16 grid for the down projection's input whose sums cannot leave the accumulator. Each weight is within
/// 127 of its row's greatest, plus half a step of rounding.
pub(super) fn inner_target(down: &Matrix) -> Target {
    let norm = |row: &[f32]| {
        let most = row.iter().fold(0.0_f64, |most, weight| most.max(f64::from(weight.abs())));
        let sum: f64 = row.iter().map(|weight| f64::from(weight.abs())).sum();
        if most > 0.0 { sum / most * 127.0 + 0.5 * row.len() as f64 } else { 0.0 }
    };
    let worst = down.values.chunks_exact(down.columns).map(norm).fold(1.0, f64::max);
    let limit = (ACCUMULATOR_MAX as f64 / worst).floor().min(32_767.0);
    Target { element: Element::I16, limit: limit as i64 }
}
