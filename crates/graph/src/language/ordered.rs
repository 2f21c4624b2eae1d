//! The ordered graph of a decoder: int8 weights in blocks of 32, everything else f32 in the order of the specification.

use super::{
    build,
    decoder::{Config, Decoder, Layer, Matrix},
    tables,
};
use crate::{
    attribute::Attributes,
    formats::{BLOCK, Format, Packed},
    graph::{Graph, Source},
    ops,
    tensor::{Data, Element, Tensor},
};

pub fn graph(decoder: &Decoder) -> Graph {
    let config = &decoder.config;
    let mut graph = build::start(config);
    let embedding = blocks(&mut graph, "embedding", &decoder.embedding);
    let rope = graph.constant("rope", tables::rope_f32(config));
    let inputs = [Source::Input(0), embedding];
    let mut x = graph.node("embed", &ops::gather_blocks_f32::OPERATOR, Attributes::new(), &inputs);
    for (index, layer) in decoder.layers.iter().enumerate() {
        let mut step = Step { graph: &mut graph, config, prefix: format!("layers.{index}") };
        x = step.attention(x, layer, rope);
        x = step.feed_forward(x, layer);
    }
    let mut step = Step { graph: &mut graph, config, prefix: "head".to_owned() };
    let normed = step.norm("norm", x, &decoder.norm);
    let head = match &decoder.head {
        None => embedding,
        Some(head) => blocks(step.graph, "head", head),
    };
    let logits = step.linear_of("logits", normed, head);
    build::finish(&mut graph, logits);
    graph
}

fn blocks(graph: &mut Graph, name: &str, matrix: &Matrix) -> Source {
    let shape = [matrix.rows, matrix.columns];
    // Floats where the columns do not come out even: no block may be short.
    let format = if matrix.columns.is_multiple_of(BLOCK) { Format::Q8_0 } else { Format::F32 };
    let packed = Packed::of_floats(format, &shape, &matrix.values);
    // Both formats are packed from floats, and import has checked the counts.
    let packed = packed.unwrap_or_else(|| unreachable!("a matrix of {shape:?} packs"));
    graph.constant(format!("{name}.weight"), Tensor::packed(&shape, packed))
}

/// Adds the nodes of one layer.
struct Step<'a> {
    graph: &'a mut Graph,
    config: &'a Config,
    prefix: String,
}

impl Step<'_> {
    fn name(&self, part: &str) -> String {
        format!("{}.{part}", self.prefix)
    }

    fn norm(&mut self, part: &str, x: Source, gain: &[f32]) -> Source {
        let name = self.name(part);
        let tensor = Tensor::of(&[gain.len()], Data::F32(gain.to_vec()));
        let gain = self.graph.constant(format!("{name}.gain"), tensor);
        let attributes = Attributes::new().with("epsilon", self.config.epsilon);
        self.graph.node(name, &ops::rms_norm_f32::OPERATOR, attributes, &[x, gain])
    }

    fn linear(&mut self, part: &str, x: Source, matrix: &Matrix) -> Source {
        let name = self.name(part);
        let blocks = blocks(self.graph, &name, matrix);
        self.linear_of(part, x, blocks)
    }

    fn linear_of(&mut self, part: &str, x: Source, weights: Source) -> Source {
        let name = self.name(part);
        let constant = match weights {
            Source::Constant(index) => self.graph.constants.get(index),
            Source::Input(_) | Source::Node(_) => None,
        };
        let operator = match constant.map(|constant| constant.tensor.element()) {
            Some(Element::Packed(Format::F32)) => &ops::linear_f32::OPERATOR,
            _ => &ops::linear_blocks_f32::OPERATOR,
        };
        self.graph.node(name, operator, Attributes::new(), &[x, weights])
    }

    fn pair(&mut self, part: &str, operator: &'static crate::Operator, one: Source, other: Source) -> Source {
        let name = self.name(part);
        self.graph.node(name, operator, Attributes::new(), &[one, other])
    }

    fn attention(&mut self, x: Source, layer: &Layer, rope: Source) -> Source {
        let h = self.norm("attention_norm", x, &layer.attention_norm);
        let query = self.linear("query", h, &layer.query);
        let query = self.pair("query_turned", &ops::rope_f32::OPERATOR, query, rope);
        let key = self.linear("key", h, &layer.key);
        let key = self.pair("key_turned", &ops::rope_f32::OPERATOR, key, rope);
        let value = self.linear("value", h, &layer.value);
        let attributes =
            Attributes::new().with("heads", self.config.heads as i64).with("kv_heads", self.config.kv_heads as i64);
        let name = self.name("attention");
        let mixed = self.graph.node(name, &ops::attention_f32::OPERATOR, attributes, &[query, key, value]);
        let output = self.linear("output", mixed, &layer.output);
        self.pair("after_attention", &ops::add_f32::OPERATOR, x, output)
    }

    fn feed_forward(&mut self, x: Source, layer: &Layer) -> Source {
        let h = self.norm("feed_norm", x, &layer.feed_norm);
        let gate = self.linear("gate", h, &layer.gate);
        let name = self.name("silu");
        let gate = self.graph.node(name, &ops::silu_f32::OPERATOR, Attributes::new(), &[gate]);
        let up = self.linear("up", h, &layer.up);
        let inner = self.pair("inner", &ops::multiply_f32::OPERATOR, gate, up);
        let down = self.linear("down", inner, &layer.down);
        self.pair("after_feed", &ops::add_f32::OPERATOR, x, down)
    }
}
