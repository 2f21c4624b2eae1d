//! Attention with a key and a value for each group of heads.

use super::{SITE_ROOM, Scaled, Step, Tables, unit, with_signs};
use crate::{
    attribute::Attributes,
    graph::Source,
    language::{
        CompileRefusal,
        build::{self, TO_I8, TO_I16},
        config::LayerConfig,
        decoder::{Heads, Layer, Matrix},
        rotation::ROPE_ONE,
        scale::{migration, with_gain, with_scales},
        survey::LayerSurvey,
        tables,
    },
    ops,
};

/// Queries or keys on their way to be turned.
struct Turning<'a> {
    matrix: Matrix,
    /// Gain of the norm of single heads.
    norm: Option<&'a [f32]>,
    /// The greatest before that norm, and after turning.
    straight: f64,
    turned: f64,
    /// The most and the least that turning multiplies a pair with.
    longest: f64,
    shortest: f64,
    rope: Source,
}

impl Step<'_, '_> {
    /// Mixed rows as the output matrix wants them, and what its columns are multiplied with.
    pub(super) fn heads(
        &mut self,
        x: Source,
        layer: &Layer,
        heads: &Heads,
        seen: &LayerSurvey,
        tables: &Tables,
        of_layer: LayerConfig,
    ) -> Result<(Scaled, Vec<f64>), CompileRefusal> {
        let gain = &layer.attention_norm;
        let [query, key, value] = [&heads.query, &heads.key, &heads.value].map(|matrix| with_gain(matrix, gain));
        let scales = migration(&seen.attention_input, &[&query, &key, &value]);
        let [query, key, value] = [&query, &key, &value].map(|matrix| with_scales(matrix, &scales));
        let h = self.norm("attention_norm", x, &seen.attention_input, &scales)?;
        let (longest, shortest, rope) = self.rotation(tables, of_layer);
        let turning =
            |matrix, norm, straight, turned| Turning { matrix, norm, straight, turned, longest, shortest, rope };
        let queries = turning(query, heads.query_norm.as_deref(), seen.query_straight, seen.query);
        let query = self.turned("query", h, &queries)?;
        let keys = turning(key, heads.key_norm.as_deref(), seen.key_straight, seen.key);
        let key = self.turned("key", h, &keys)?;
        let units: Vec<f64> = seen.value.iter().map(|most| unit(most * SITE_ROOM, TO_I8.limit)).collect();
        let value = self.linear("value", h, &value, &units, TO_I8)?;
        let mixed = self.mix([query.source, key.source, value], query.unit * key.unit, tables, of_layer)?;
        let attention = &self.config.attention;
        let (heads, kv_heads, head) = (attention.heads, attention.kv_heads, attention.head);
        // Heads of a group have the columns, and the units, of one value head.
        let column = |column: usize| units[column / head / (heads / kv_heads) * head + column % head] / 256.0;
        let units: Vec<f64> = (0..heads * head).map(column).collect();
        let scales = migration(&seen.mixed, &[&layer.output]);
        Ok((self.columns("mixed", mixed, &units, &seen.mixed, &scales)?, scales))
    }

    pub(super) fn rotation(&self, tables: &Tables, of_layer: LayerConfig) -> (f64, f64, Source) {
        let (longest, shortest) = match self.config.rotations.get(of_layer.rotation) {
            Some(rotation) => (rotation.longest(), rotation.shortest()),
            None => (1.0, 1.0),
        };
        (longest, shortest, tables.ropes[of_layer.rotation])
    }

    /// Attention over queries, keys and values; a product of a query and a key is `product`, before the scale of scores.
    pub(super) fn mix(
        &mut self,
        [query, key, value]: [Source; 3],
        product: f64,
        tables: &Tables,
        of_layer: LayerConfig,
    ) -> Result<Source, CompileRefusal> {
        let attention = &self.config.attention;
        let score = product * attention.nats();
        let mut attributes =
            Attributes::new().with("heads", attention.heads as i64).with("kv_heads", attention.kv_heads as i64);
        let mut inputs = vec![query, key, value, tables.exponential];
        let mut step = score;
        if let (Some(cap), Some((table, index))) = (attention.softcap, tables.cap) {
            let factor = self.factor("score_cap", score / index)?;
            attributes =
                attributes.with("cap_multiplier", factor.multiplier).with("cap_shift", i64::from(factor.shift));
            inputs.push(table);
            step = f64::from(cap) / 32_767.0;
        }
        if let Some(window) = of_layer.window {
            attributes = attributes.with("window", window as i64);
        }
        let factor = self.factor("attention", step * tables::EXP_STEPS)?;
        let attributes = attributes.with("multiplier", factor.multiplier).with("shift", i64::from(factor.shift));
        let name = self.name("attention");
        Ok(self.graph.node(name, &ops::attention::OPERATOR, attributes, &inputs))
    }

    /// A query or key: the matrix to i16, normed head by head where the model does so, turned by its position, then cut
    /// to i8.
    fn turned(&mut self, part: &str, x: Scaled, heads: &Turning) -> Result<Scaled, CompileRefusal> {
        // Turning keeps the length of each pair but for its magnitude, so √2 times the greatest turned value bounds both
        // before.
        let fine = unit(heads.turned * SITE_ROOM * std::f64::consts::SQRT_2 / heads.shortest, TO_I16.limit);
        let straight = match heads.norm {
            None => self.linear(part, x, &heads.matrix, &[fine], TO_I16)?,
            Some(gain) => self.normed_heads(part, x, heads, gain, fine)?,
        };
        let name = self.name(&format!("{part}_turned"));
        let source = self.graph.node(name, &ops::rope::OPERATOR, Attributes::new(), &[straight, heads.rope]);
        let turned = Scaled { source, unit: fine * heads.longest / ROPE_ONE };
        self.requantise(&format!("{part}_cut"), turned, heads.turned, TO_I8)
    }

    /// Heads in units of `fine`, each normed by itself.
    fn normed_heads(
        &mut self,
        part: &str,
        x: Scaled,
        heads: &Turning,
        gain: &[f32],
        fine: f64,
    ) -> Result<Source, CompileRefusal> {
        let head = gain.len();
        let before = unit(heads.straight * SITE_ROOM, TO_I16.limit);
        let matrix = with_signs(&heads.matrix, gain);
        let straight = self.linear(part, x, &matrix, &[before], TO_I16)?;
        let (count, width) = (matrix.rows / head, head as i64);
        let apart = self.reshape(&format!("{part}_heads"), straight, vec![0, count as i64, width]);
        let normed = self.rms_norm(&format!("{part}_norm"), apart, head, before);
        let joined = self.reshape(&format!("{part}_normed"), normed, vec![0, count as i64 * width]);
        let of_norm = (head as f64).sqrt() / 65_536.0;
        let gains: Vec<f32> = gain.iter().copied().cycle().take(matrix.rows).collect();
        let factors = self.gains(part, &gains, |_| of_norm / fine)?;
        let name = self.name(&format!("{part}_gained"));
        Ok(build::requantise(self.graph, &name, joined, &factors, TO_I16))
    }

    pub(super) fn reshape(&mut self, part: &str, x: Source, sizes: Vec<i64>) -> Source {
        let name = self.name(part);
        self.graph.node(name, &ops::reshape::OPERATOR, Attributes::new().with("sizes", sizes), &[x])
    }
}
