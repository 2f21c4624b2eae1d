//! Attention over compressed keys and values, in integers: as the ordered kind does it, queries pass the keys' matrix and mixed
//! rows the values'.
//!
//! Queries and keys have as many bits each as their dots leave room for. Every column has a unit of its own, on both sides
//! such that their product is one unit for all.

use super::{SITE_ROOM, Scaled, Step, Tables, feed::inner_target, unit, with_signs};
use crate::{
    attribute::Attributes,
    graph::Source,
    language::{
        CompileRefusal,
        build::{self, TO_I8, TO_I16, Target},
        config::{Latent, LayerConfig},
        decoder::{LatentHeads, Layer, Matrix},
        rotation::ROPE_ONE,
        scale::{Factor, balance, migration, widest, with_gain, with_scales},
        survey::{LatentSurvey, LayerSurvey},
    },
    ops::{self, linear::ACCUMULATOR_MAX},
    tensor::Element,
};

/// Columns in which little was seen count as if they held this part of the greatest.
const LEAST: f64 = 1.0 / 64.0;

/// Units of the columns of queries and of keys.
struct Columns {
    to: Target,
    queries: Vec<f64>,
    keys: Vec<f64>,
    /// Of a query's column times a key's.
    product: f64,
}

/// A part that is turned by its position: the matrix, the greatest after it, and where it goes.
struct Turning<'a> {
    part: &'a str,
    matrix: &'a Matrix,
    most: f64,
    of_layer: LayerConfig,
    tables: &'a Tables,
    units: &'a [f64],
    to: Target,
}

impl Step<'_, '_> {
    /// Values as the output matrix wants them, and what its columns are multiplied with.
    pub(super) fn latent(
        &mut self,
        x: Source,
        layer: &Layer,
        parts: &LatentHeads,
        seen: &LayerSurvey,
        tables: &Tables,
        of_layer: LayerConfig,
    ) -> Result<(Scaled, Vec<f64>), CompileRefusal> {
        let (latent, heads) = (parts.latent, parts.key_stack.len());
        let gained = |matrix: &Matrix| with_gain(matrix, &layer.attention_norm);
        // Queries enter by one narrow matrix, or by both of theirs.
        let queries: Vec<Matrix> = match &parts.query_down {
            Some((down, _)) => vec![gained(down)],
            None => vec![gained(&parts.query_plain), gained(&parts.query_turned)],
        };
        let [compressed, key] = [gained(&parts.compressed), gained(&parts.key_turned)];
        let entering: Vec<&Matrix> = [&compressed, &key].into_iter().chain(&queries).collect();
        let scales = migration(&seen.attention_input, &entering);
        let h = self.norm("attention_norm", x, &seen.attention_input, &scales)?;
        let scaled = |matrix: &Matrix| with_scales(matrix, &scales);
        let columns = columns(&latent, heads, &seen.latent);
        let (input, plain, turned) = match &parts.query_down {
            Some((down, gain)) => self.query_down(h, &scaled(&gained(down)), gain, parts, &seen.latent)?,
            None => (h, scaled(&gained(&parts.query_plain)), scaled(&gained(&parts.query_turned))),
        };
        let query = self.latent_query(input, &plain, parts, &latent, seen, &columns)?;
        let (rank, to) = (latent.rank, columns.to);
        let turning = |part, matrix, most, units| Turning { part, matrix, most, of_layer, tables, units, to };
        let most = |seen: &[f64]| seen.iter().copied().fold(0.0, f64::max);
        let units: Vec<f64> = columns.queries[rank..].iter().copied().cycle().take(turned.rows).collect();
        let query_turned = self.turning(input, &turning("query", &turned, most(&seen.latent.query_turned), &units))?;
        let apart = vec![0, heads as i64, latent.turned as i64];
        let query_turned = self.reshape("query_turned_heads", query_turned, apart);
        let query = self.concat("query_joined", 2, query, query_turned);
        let query = self.reshape("query_all", query, vec![0, (heads * (rank + latent.turned)) as i64]);
        let row = self.compressed(h, &scaled(&compressed), parts, &seen.latent, &columns)?;
        let key = scaled(&key);
        let of_key = turning("key", &key, most(&seen.latent.key_turned), &columns.keys[rank..]);
        let key_turned = self.turning(h, &of_key)?;
        let key = self.concat("key_all", 1, row, key_turned);
        let mixed = self.mix([query, key, row], columns.product, tables, of_layer)?;
        self.values(mixed, layer, parts, &latent, seen, &columns)
    }

    /// Queries through the narrow matrix and its norm, and the matrices behind it as they take what comes.
    fn query_down(
        &mut self,
        h: Scaled,
        down: &Matrix,
        gain: &[f32],
        parts: &LatentHeads,
        seen: &LatentSurvey,
    ) -> Result<(Scaled, Matrix, Matrix), CompileRefusal> {
        let before = unit(seen.query_down * SITE_ROOM, TO_I16.limit);
        let straight = self.linear("query_down", h, down, &[before], TO_I16)?;
        let normed = self.rms_norm("query_down_norm", straight, down.rows, before);
        let [plain, turned] = [&parts.query_plain, &parts.query_turned].map(|matrix| with_gain(matrix, gain));
        let scales = migration(&seen.query_input, &[&plain, &turned]);
        let of_norm = (down.rows as f64).sqrt() / 65_536.0;
        let input = self.columns("query_down_i8", normed, &[of_norm], &seen.query_input, &scales)?;
        Ok((input, with_scales(&plain, &scales), with_scales(&turned, &scales)))
    }

    /// The plain part of each head's query, in what is compressed: `[rows, heads, rank]`.
    fn latent_query(
        &mut self,
        input: Scaled,
        plain: &Matrix,
        parts: &LatentHeads,
        latent: &Latent,
        seen: &LayerSurvey,
        columns: &Columns,
    ) -> Result<Source, CompileRefusal> {
        let limit = parts.key_stack.iter().map(|matrix| inner_target(matrix).limit).min().unwrap_or(TO_I16.limit);
        let most = seen.latent.query_plain.iter().copied().fold(0.0, f64::max);
        let plain_unit = unit(most * SITE_ROOM, limit);
        let to = Target { element: Element::I16, limit };
        let plain = self.linear("query_plain", input, plain, &[plain_unit], to)?;
        let apart = vec![0, parts.key_stack.len() as i64, latent.plain as i64];
        let source = self.reshape("query_plain_heads", plain, apart);
        let of = |head: usize| (parts.key_stack[head].clone(), columns.queries[..latent.rank].to_vec());
        self.each("query_compressed", Scaled { source, unit: plain_unit }, parts.key_stack.len(), &of, columns.to, None)
    }

    /// What turns with its position, in its columns' units.
    fn turning(&mut self, x: Scaled, turning: &Turning) -> Result<Source, CompileRefusal> {
        let Turning { part, matrix, most, of_layer, tables, units, to } = *turning;
        let (longest, shortest, rope) = self.rotation(tables, of_layer);
        let fine = unit(most * SITE_ROOM * std::f64::consts::SQRT_2 / shortest, TO_I16.limit);
        let straight = self.linear(part, x, matrix, &[fine], TO_I16)?;
        let name = self.name(&format!("{part}_turned"));
        let source = self.graph.node(name, &ops::rope::OPERATOR, Attributes::new(), &[straight, rope]);
        let turned = fine * longest / ROPE_ONE;
        let factors: Result<Vec<Factor>, CompileRefusal> =
            units.iter().map(|unit| self.factor(part, turned / unit)).collect();
        let name = self.name(&format!("{part}_cut"));
        Ok(build::requantise(self.graph, &name, source, &factors?, to))
    }

    /// The compressed row, normed, in its columns' units.
    fn compressed(
        &mut self,
        h: Scaled,
        matrix: &Matrix,
        parts: &LatentHeads,
        seen: &LatentSurvey,
        columns: &Columns,
    ) -> Result<Source, CompileRefusal> {
        let gain = &parts.compressed_norm;
        // Multipliers are not negative, so keys' columns stand with the sign of their gain; the matrix has it.
        let before = unit(seen.compressed_straight * SITE_ROOM, TO_I16.limit);
        let straight = self.linear("compressed", h, &with_signs(matrix, gain), &[before], TO_I16)?;
        let normed = self.rms_norm("compressed_norm", straight, gain.len(), before);
        let of_norm = (gain.len() as f64).sqrt() / 65_536.0;
        let factors = self.gains("compressed", gain, |column| of_norm / columns.keys[column])?;
        let name = self.name("compressed_gained");
        Ok(build::requantise(self.graph, &name, normed, &factors, columns.to))
    }

    fn concat(&mut self, part: &str, axis: i64, one: Source, other: Source) -> Source {
        let (name, attributes) = (self.name(part), Attributes::new().with("axis", axis));
        self.graph.node(name, &ops::concat::OPERATOR, attributes, &[one, other])
    }

    /// Mixed rows to each head's values.
    fn values(
        &mut self,
        mixed: Source,
        layer: &Layer,
        parts: &LatentHeads,
        latent: &Latent,
        seen: &LayerSurvey,
        columns: &Columns,
    ) -> Result<(Scaled, Vec<f64>), CompileRefusal> {
        let (rank, value, heads) = (latent.rank, latent.value, parts.value_stack.len());
        let mut weights = vec![0.0; heads * rank];
        let of_heads = weights.chunks_exact_mut(rank).zip(&parts.value_stack);
        of_heads.for_each(|(weights, matrix)| widest(weights, matrix));
        let scales = balance(&seen.latent.mixed, &weights);
        // Attention gives 256 steps for one of its values'.
        let units: Vec<f64> = columns.keys[..rank].iter().map(|unit| unit / 256.0).collect();
        let mixed = self.columns("mixed_i8", mixed, &units, &seen.latent.mixed, &scales)?;
        let source = self.reshape("mixed_heads", mixed.source, vec![0, heads as i64, rank as i64]);
        let out_scales = migration(&seen.latent.values, &[&layer.output]);
        let pairs = seen.latent.values.iter().zip(&out_scales);
        let step = unit(pairs.fold(0.0, |most: f64, (seen, scale)| most.max(seen / scale)) * SITE_ROOM, TO_I8.limit);
        let of = |head: usize| {
            let matrix = with_scales(&parts.value_stack[head], &scales[head * rank..][..rank]);
            (matrix, out_scales[head * value..][..value].iter().map(|scale| step * scale).collect())
        };
        let values = self.each("values", Scaled { source, unit: mixed.unit }, heads, &of, TO_I8, None)?;
        let source = self.reshape("values_joined", values, vec![0, (heads * value) as i64]);
        Ok((Scaled { source, unit: step }, out_scales))
    }
}

/// Units such that each column of keys uses all its steps, and that of the queries what is left.
fn columns(latent: &Latent, heads: usize, seen: &LatentSurvey) -> Columns {
    let (rank, width) = (latent.rank, latent.rank + latent.turned);
    let limit = (ACCUMULATOR_MAX as u64 / width as u64).isqrt().min(32_767) as i64;
    let keys: Vec<f64> = seen.compressed.iter().chain(&seen.key_turned).copied().collect();
    let least = keys.iter().copied().fold(0.0, f64::max) * LEAST;
    let keys: Vec<f64> = keys.iter().map(|most| unit(most.max(least) * SITE_ROOM, limit)).collect();
    let of_heads = |column: usize| {
        let of_head = |head: usize| seen.query_compressed[head * rank + column];
        (0..heads).map(of_head).fold(0.0, f64::max)
    };
    let queries = (0..rank).map(of_heads).chain(seen.query_turned.iter().copied());
    let most = queries.zip(&keys).fold(0.0, |most: f64, (query, key)| most.max(query * key));
    let product = unit(most * SITE_ROOM, limit);
    let queries = keys.iter().map(|key| product / key).collect();
    Columns { to: Target { element: Element::I16, limit }, queries, keys, product }
}
