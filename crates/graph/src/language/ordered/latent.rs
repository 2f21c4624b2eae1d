//! Attention over compressed keys and values: one row serves all heads.
//!
//! Expanding keys and then taking dots with queries is the same as taking queries through the keys' matrix first; so the
//! cache holds the compressed row and the part that is turned, for one key-value head, and values are expanded after they
//! were mixed.

use super::Builder;
use crate::{
    attribute::Attributes,
    graph::Source,
    language::{
        ImportRefusal,
        config::{Latent, LayerConfig},
        rotation::head_order,
        weights::{Rows, names},
    },
    ops,
    tensor::Tensor,
};

impl Builder<'_, '_> {
    pub(super) fn latent(
        &mut self,
        x: Source,
        latent: &Latent,
        layer: &LayerConfig,
        rotations: &[Source],
    ) -> Result<Source, ImportRefusal> {
        let heads = self.config.attention.heads;
        let h = self.norm("attention_norm", x, &names::ATTENTION_NORM, self.config.width)?;
        let (key_stack, value_stack) = self.stacks(latent)?;
        let rotation = rotations[layer.rotation];
        let query = self.latent_query(h, latent, key_stack, rotation)?;
        let (compressed, key) = self.compressed(h, latent, rotation)?;
        let mixed = self.mix(query, key, compressed, layer);
        let mixed = self.reshape("mixed_heads", mixed, &[heads, latent.rank]);
        let values = self.each_head("values", mixed, value_stack);
        let values = self.reshape("values_joined", values, &[heads * latent.value]);
        let output = Rows::all(self.place(&names::OUTPUT), self.config.width, heads * latent.value);
        self.linear("output", values, &output)
    }

    /// The rows of each head's plain part, and of the part that is turned, halves in order.
    fn query_rows(&self, latent: &Latent) -> [Vec<usize>; 2] {
        let both = latent.plain + latent.turned;
        let within = head_order(latent.turned, latent.turned, self.reading.interleaved);
        let heads = 0..self.config.attention.heads;
        let plain = heads.clone().flat_map(|head| (0..latent.plain).map(move |place| head * both + place));
        let turned = heads.flat_map(|head| within.iter().map(move |place| head * both + latent.plain + place));
        [plain.collect(), turned.collect()]
    }

    /// Queries as the compressed keys want them: each head's plain part through the keys' matrix, then the turned part.
    fn latent_query(
        &mut self,
        h: Source,
        latent: &Latent,
        key_stack: Source,
        rotation: Source,
    ) -> Result<Source, ImportRefusal> {
        let heads = self.config.attention.heads;
        let of = heads * (latent.plain + latent.turned);
        let (h, part, columns) = match latent.query_rank {
            None => (h, &names::QUERY, self.config.width),
            Some(rank) => {
                let rows = Rows::all(self.place(&names::QUERY_DOWN), rank, self.config.width);
                let down = self.linear("query_down", h, &rows)?;
                (self.norm("query_down_norm", down, &names::QUERY_DOWN_NORM, rank)?, &names::QUERY_UP, rank)
            }
        };
        let [plain, turned] = self.query_rows(latent);
        let plain = Rows { place: self.place(part), of, columns, order: plain };
        let turned = Rows { place: self.place(part), of, columns, order: turned };
        let plain = self.linear("query_plain", h, &plain)?;
        let plain = self.reshape("query_plain_heads", plain, &[heads, latent.plain]);
        let plain = self.each_head("query_compressed", plain, key_stack);
        let turned = self.linear("query", h, &turned)?;
        let turned = self.pair("query_turned", &ops::rope_f32::OPERATOR, turned, rotation);
        let turned = self.reshape("query_turned_heads", turned, &[heads, latent.turned]);
        let joined =
            self.node("query_joined", &ops::concat::OPERATOR, Attributes::new().with("axis", 2), &[plain, turned]);
        Ok(self.reshape("query_all", joined, &[heads * (latent.rank + latent.turned)]))
    }

    /// The compressed row, normed, and the key that it makes with the turned part.
    fn compressed(&mut self, h: Source, latent: &Latent, rotation: Source) -> Result<(Source, Source), ImportRefusal> {
        let (of, columns) = (latent.rank + latent.turned, self.config.width);
        let place = self.place(&names::COMPRESSED);
        let rows = Rows { place, of, columns, order: (0..latent.rank).collect() };
        let row = self.linear("compressed", h, &rows)?;
        let row = self.norm("compressed_norm", row, &names::COMPRESSED_NORM, latent.rank)?;
        let within = head_order(latent.turned, latent.turned, self.reading.interleaved);
        let order = within.iter().map(|place| latent.rank + place).collect();
        let turned = self.linear("key", h, &Rows { place, of, columns, order })?;
        let turned = self.pair("key_turned", &ops::rope_f32::OPERATOR, turned, rotation);
        let key = self.node("key_all", &ops::concat::OPERATOR, Attributes::new().with("axis", 1), &[row, turned]);
        Ok((row, key))
    }

    /// A matrix of its own for each head.
    fn each_head(&mut self, part: &str, x: Source, stack: Source) -> Source {
        let float = self.is_float(stack);
        let operator =
            if float { &ops::linear_experts_f32::OPERATOR } else { &ops::linear_experts_blocks_f32::OPERATOR };
        self.node(part, operator, Attributes::new(), &[x, stack])
    }

    /// From each head's queries to what is compressed, and from that to its values.
    fn stacks(&mut self, latent: &Latent) -> Result<(Source, Source), ImportRefusal> {
        let heads = self.config.attention.heads;
        let (keys, values) = if self.weights.has(self.place(&names::KEY_STACK), "weight") {
            let keys = Rows::all(self.place(&names::KEY_STACK), latent.rank, latent.plain);
            let values = Rows::all(self.place(&names::VALUE_STACK), latent.value, latent.rank);
            (self.weights.stack(&keys, heads)?, self.weights.stack(&values, heads)?)
        } else {
            self.expanded(latent)?
        };
        Ok((self.weights("key_stack", keys), self.weights("value_stack", values)))
    }

    /// The stacks from the matrix that expands keys and values of all heads, whose keys are turned on their side.
    fn expanded(&mut self, latent: &Latent) -> Result<(Tensor, Tensor), ImportRefusal> {
        let heads = self.config.attention.heads;
        let Latent { rank, plain, value, .. } = *latent;
        let both = plain + value;
        let all = self.weights.floats(self.place(&names::EXPANSION), &[heads * both, rank])?;
        let at = |head: usize, row: usize, column: usize| all[(head * both + row) * rank + column];
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for head in 0..heads {
            for column in 0..rank {
                keys.extend((0..plain).map(|row| at(head, row, column)));
            }
            values.extend_from_slice(&all[(head * both + plain) * rank..][..value * rank]);
        }
        let keys = self.weights.computed("kv_b_proj", &[heads, rank, plain], &keys)?;
        Ok((keys, self.weights.computed("kv_b_proj", &[heads, value, rank], &values)?))
    }
}
