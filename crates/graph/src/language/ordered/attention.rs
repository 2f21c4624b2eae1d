//! Attention with a key and a value for each group of heads.

use super::Builder;
use crate::{
    attribute::Attributes,
    graph::Source,
    language::{
        CacheFormat, ImportRefusal,
        config::LayerConfig,
        rotation::head_order,
        weights::{
            Rows,
            names::{self, Part},
        },
    },
    ops,
};

/// Heads of queries or keys.
struct Heads {
    part: &'static str,
    own: &'static Part,
    norm: &'static Part,
    count: usize,
    /// Where they begin in a fused matrix.
    start: usize,
}

impl Builder<'_, '_> {
    pub(super) fn attention(
        &mut self,
        x: Source,
        layer: &LayerConfig,
        rotations: &[Source],
    ) -> Result<Source, ImportRefusal> {
        let (heads, kv_heads, head) = self.sizes();
        let h = self.norm("attention_norm", x, &names::ATTENTION_NORM, self.config.width)?;
        let queries = Heads { part: "query", own: &names::QUERY, norm: &names::QUERY_NORM, count: heads, start: 0 };
        let keys =
            Heads { part: "key", own: &names::KEY, norm: &names::KEY_NORM, count: kv_heads, start: heads * head };
        let query = self.heads(h, &queries, layer, rotations)?;
        let key = self.heads(h, &keys, layer, rotations)?;
        let order: Vec<usize> = (0..kv_heads * head).collect();
        let rows = self.rows(&names::VALUE, (heads + kv_heads) * head, order);
        let value = self.linear("value", h, &rows)?;
        let mixed = self.mix(query, key, value, layer);
        let output = Rows::all(self.place(&names::OUTPUT), self.config.width, heads * head);
        self.linear("output", mixed, &output)
    }

    fn sizes(&self) -> (usize, usize, usize) {
        let attention = &self.config.attention;
        (attention.heads, attention.kv_heads, attention.head)
    }

    /// Rows of a matrix of its own, or of a part of the fused one that begins at `start`.
    fn rows(&self, part: &'static Part, start: usize, order: Vec<usize>) -> Rows {
        let (heads, kv_heads, head) = self.sizes();
        let own = self.place(part);
        let fused = self.place(&names::FUSED);
        let columns = self.config.width;
        if self.weights.has(fused, "weight") {
            let order = order.into_iter().map(|row| start + row).collect();
            return Rows { place: fused, of: (heads + 2 * kv_heads) * head, columns, order };
        }
        Rows { place: own, of: order.len(), columns, order }
    }

    /// Queries or keys: normed head by head where the model does so, and turned by their position.
    fn heads(
        &mut self,
        h: Source,
        heads: &Heads,
        layer: &LayerConfig,
        rotations: &[Source],
    ) -> Result<Source, ImportRefusal> {
        let Heads { part, own, norm, count, start } = *heads;
        let head = self.config.attention.head;
        let turned = self.config.rotations.get(layer.rotation).map_or(head, |rotation| rotation.width);
        let within = head_order(head, turned, self.reading.interleaved);
        let order = (0..count).flat_map(|index| within.iter().map(move |place| index * head + place)).collect();
        let rows = self.rows(own, start, order);
        let mut x = self.linear(part, h, &rows)?;
        if self.weights.has(self.place(norm), "weight") {
            let gain = self.gain(norm, head)?;
            let gain = within.iter().map(|&place| gain[place]).collect();
            x = self.reshape(&format!("{part}_heads"), x, &[count, head]);
            x = self.norm_with(&format!("{part}_norm"), x, gain);
            x = self.reshape(&format!("{part}_normed"), x, &[count * head]);
        }
        Ok(self.pair(&format!("{part}_turned"), &ops::rope_f32::OPERATOR, x, rotations[layer.rotation]))
    }

    pub(super) fn mix(&mut self, query: Source, key: Source, value: Source, layer: &LayerConfig) -> Source {
        let attention = &self.config.attention;
        let mut attributes =
            Attributes::new().with("heads", attention.heads as i64).with("kv_heads", attention.kv_heads as i64);
        if let Some(scale) = attention.scale {
            attributes = attributes.with("scale", scale);
        }
        if let Some(cap) = attention.softcap {
            attributes = attributes.with("softcap", cap);
        }
        if let Some(window) = layer.window {
            attributes = attributes.with("window", window as i64);
        }
        let operator = match self.cache {
            CacheFormat::Halves => &ops::attention_f32::OPERATOR,
            CacheFormat::Bytes => &ops::attention_q8_f32::OPERATOR,
        };
        self.node("attention", operator, attributes, &[query, key, value])
    }
}
