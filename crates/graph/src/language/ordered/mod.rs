//! The ordered graph of a decoder: weights in the formats of their files, everything else f32 in the order of the
//! specification. One builder for all architectures: what differs is in [`Config`].

mod attention;
mod experts;
mod feed;
mod latent;

use super::{
    CacheFormat, ImportRefusal,
    architectures::Reading,
    build,
    config::{Activation, Config, FeedKind, Norms},
    weights::{
        Place, Rows, Weights,
        names::{self, Part},
    },
};
use crate::{
    attribute::Attributes,
    formats::Weights as Kind,
    graph::{Graph, Source},
    operator::Operator,
    ops,
    tensor::{Data, Tensor},
};

/// Builds the graph; its outputs are the logits and what the head is given.
pub fn graph(reading: &Reading, weights: &mut Weights, cache: CacheFormat) -> Result<Graph, ImportRefusal> {
    let config = &reading.config;
    let graph = build::start(config.vocabulary);
    let mut builder = Builder { graph, reading, config, weights, cache, layer: None };
    let embedding =
        builder.matrix("embedding", &Rows::all(place(&names::EMBEDDING), config.vocabulary, config.width))?;
    let mut x =
        builder.node("embed", &ops::gather_blocks_f32::OPERATOR, Attributes::new(), &[Source::Input(0), embedding]);
    if let Some(scale) = config.embedding_scale {
        let scale = builder.constant("embedding_scale", &[1], vec![scale]);
        x = builder.pair("embed_scaled", &ops::multiply_f32::OPERATOR, x, scale);
    }
    let rotations = builder.rotations();
    for (index, layer) in config.layers.iter().enumerate() {
        builder.layer = Some(index);
        let said = match &config.attention.latent {
            Some(latent) => builder.latent(x, latent, layer, &rotations)?,
            None => builder.attention(x, layer, &rotations)?,
        };
        x = builder.join("after_attention", x, said, &names::AFTER_ATTENTION)?;
        let h = builder.norm("feed_norm", x, &names::FEED_NORM, config.width)?;
        let said = match (layer.feed, &config.experts) {
            (FeedKind::Experts, Some(experts)) => builder.experts(h, experts)?,
            _ => builder.feed(h)?,
        };
        x = builder.join("after_feed", x, said, &names::AFTER_FEED)?;
    }
    builder.layer = None;
    let hidden = builder.norm("hidden", x, &names::NORM, config.width)?;
    let head = builder.head(embedding)?;
    let mut logits = builder.apply("logits", hidden, head, None);
    if let Some(cap) = config.softcap {
        let attributes = Attributes::new().with("cap", cap);
        logits = builder.node("logits_capped", &ops::softcap_f32::OPERATOR, attributes, &[logits]);
    }
    build::finish(&mut builder.graph, logits, Some(hidden));
    Ok(builder.graph)
}

fn place(part: &'static Part) -> Place {
    Place { part, layer: None }
}

/// Adds nodes, and the constants that they need.
struct Builder<'a, 'b> {
    graph: Graph,
    reading: &'a Reading,
    config: &'a Config,
    weights: &'a mut Weights<'b>,
    cache: CacheFormat,
    /// The layer that is being built.
    layer: Option<usize>,
}

impl Builder<'_, '_> {
    fn name(&self, part: &str) -> String {
        self.layer.map_or_else(|| part.to_owned(), |layer| format!("layers.{layer}.{part}"))
    }

    fn place(&self, part: &'static Part) -> Place {
        Place { part, layer: self.layer }
    }

    fn node(&mut self, part: &str, operator: &'static Operator, attributes: Attributes, inputs: &[Source]) -> Source {
        let name = self.name(part);
        self.graph.node(name, operator, attributes, inputs)
    }

    fn pair(&mut self, part: &str, operator: &'static Operator, one: Source, other: Source) -> Source {
        self.node(part, operator, Attributes::new(), &[one, other])
    }

    fn reshape(&mut self, part: &str, x: Source, sizes: &[usize]) -> Source {
        let sizes: Vec<i64> = [0].into_iter().chain(sizes.iter().map(|&size| size as i64)).collect();
        self.node(part, &ops::reshape::OPERATOR, Attributes::new().with("sizes", sizes), &[x])
    }

    fn constant(&mut self, part: &str, shape: &[usize], values: Vec<f32>) -> Source {
        let name = self.name(part);
        self.graph.constant(name, Tensor::of(shape, Data::F32(values)))
    }

    fn weights(&mut self, part: &str, tensor: Tensor) -> Source {
        let name = self.name(&format!("{part}.weight"));
        self.graph.constant(name, tensor)
    }

    fn matrix(&mut self, part: &str, rows: &Rows) -> Result<Source, ImportRefusal> {
        let tensor = self.weights.matrix(rows)?;
        Ok(self.weights(part, tensor))
    }

    /// The tables of all rotations.
    fn rotations(&mut self) -> Vec<Source> {
        let attention = &self.config.attention;
        let head = attention.latent.map_or(attention.head, |latent| latent.turned);
        let table = |(index, rotation): (usize, &super::rotation::Rotation)| {
            let name = if index == 0 { "rope".to_owned() } else { format!("rope_{index}") };
            self.graph.constant(name, rotation.table_f32(self.config.context, head))
        };
        self.config.rotations.iter().enumerate().map(table).collect()
    }

    fn norm(&mut self, part: &str, x: Source, gain: &'static Part, width: usize) -> Result<Source, ImportRefusal> {
        let gain = self.gain(gain, width)?;
        Ok(self.norm_with(part, x, gain))
    }

    fn gain(&mut self, part: &'static Part, width: usize) -> Result<Vec<f32>, ImportRefusal> {
        let place = self.place(part);
        let offset = self.reading.gain_offset;
        let gain = self.weights.vector(place, "weight", width)?;
        Ok(if offset == 0.0 { gain } else { gain.into_iter().map(|gain| gain + offset).collect() })
    }

    fn norm_with(&mut self, part: &str, x: Source, gain: Vec<f32>) -> Source {
        let gain = self.constant(&format!("{part}.gain"), &[gain.len()], gain);
        let attributes = Attributes::new().with("epsilon", self.config.epsilon);
        self.node(part, &ops::rms_norm_f32::OPERATOR, attributes, &[x, gain])
    }

    /// A matrix, and its bias where the file has one.
    fn linear(&mut self, part: &str, x: Source, rows: &Rows) -> Result<Source, ImportRefusal> {
        let matrix = self.matrix(part, rows)?;
        let bias = self.bias(part, rows)?;
        Ok(self.apply(part, x, matrix, bias))
    }

    /// The bias of the rows that are taken.
    fn bias(&mut self, part: &str, rows: &Rows) -> Result<Option<Source>, ImportRefusal> {
        if !self.weights.has(rows.place, "bias") {
            return Ok(None);
        }
        let all = self.weights.vector(rows.place, "bias", rows.of)?;
        let bias: Vec<f32> = rows.order.iter().filter_map(|&row| all.get(row).copied()).collect();
        Ok(Some(self.constant(&format!("{part}.bias"), &[bias.len()], bias)))
    }

    fn apply(&mut self, part: &str, x: Source, matrix: Source, bias: Option<Source>) -> Source {
        let operator =
            if self.is_float(matrix) { &ops::linear_f32::OPERATOR } else { &ops::linear_blocks_f32::OPERATOR };
        let inputs: Vec<Source> = [x, matrix].into_iter().chain(bias).collect();
        self.node(part, operator, Attributes::new(), &inputs)
    }

    /// Whether a constant is a matrix of floats.
    fn is_float(&self, matrix: Source) -> bool {
        let constant = match matrix {
            Source::Constant(index) => self.graph.constants.get(index),
            Source::Input(_) | Source::Node(_) => None,
        };
        let packed = constant.and_then(|constant| constant.tensor.as_packed());
        packed.is_some_and(|packed| packed.format().weights() == Kind::Float)
    }

    /// The stream plus what a part says of it.
    fn join(&mut self, part: &str, x: Source, said: Source, after: &'static Part) -> Result<Source, ImportRefusal> {
        let said = match self.config.norms {
            Norms::Before => said,
            Norms::Around => self.norm(&format!("{part}_norm"), said, after, self.config.width)?,
        };
        Ok(self.pair(part, &ops::add_f32::OPERATOR, x, said))
    }

    fn activation(&mut self, part: &str, x: Source) -> Source {
        let operator = match self.config.activation {
            Activation::Silu => &ops::silu_f32::OPERATOR,
            Activation::GeluTanh => &ops::gelu_tanh_f32::OPERATOR,
        };
        self.node(part, operator, Attributes::new(), &[x])
    }

    /// The matrix that makes logits: its own, or the embedding.
    fn head(&mut self, embedding: Source) -> Result<Source, ImportRefusal> {
        let rows = Rows::all(place(&names::HEAD), self.config.vocabulary, self.config.width);
        if !self.weights.has(rows.place, "weight") {
            return Ok(embedding);
        }
        if self.config.tied {
            self.weights.pass_over(rows.place);
            return Ok(embedding);
        }
        self.matrix("head", &rows)
    }
}
