//! A decoder in floats: what the integer kind is calibrated and compiled from.
//!
//! Matrices are read when they are needed, a layer at a time, so that a model needs the memory of one layer and not of all.

use bytes::Bytes;

use super::{
    ImportRefusal, architectures,
    config::{Activation, Config, FeedKind, Norms},
    rotation::{Rotation, head_order},
    settings::Settings,
    weights::{
        Place, Precision, Rows, Weights,
        names::{self, Part},
    },
};
use crate::{formats::Packed, gguf::Gguf, tensor::Tensor};

/// A matrix of `rows` outputs, each `columns` weights wide, and perhaps a number to add to each.
#[derive(Clone, Debug)]
pub struct Matrix {
    pub rows: usize,
    pub columns: usize,
    pub values: Vec<f32>,
    pub bias: Option<Vec<f32>>,
}

#[derive(Clone, Debug)]
pub struct Layer {
    pub attention_norm: Vec<f32>,
    pub query: Matrix,
    pub key: Matrix,
    /// Gains of the norms of single heads.
    pub query_norm: Option<Vec<f32>>,
    pub key_norm: Option<Vec<f32>>,
    pub value: Matrix,
    pub output: Matrix,
    pub feed_norm: Vec<f32>,
    pub gate: Matrix,
    pub up: Matrix,
    pub down: Matrix,
}

/// Where a decoder's matrices are, and its shape.
pub struct Decoder<'a> {
    pub config: Config,
    interleaved: bool,
    weights: Weights<'a>,
}

impl Decoder<'static> {
    /// Opens a safetensors file and its `config.json`.
    pub fn import(weights: &[u8], config: &[u8]) -> Result<Self, ImportRefusal> {
        Self::of_safetensors(&[Bytes::copy_from_slice(weights)], config, None)
    }

    pub fn of_safetensors(files: &[Bytes], config: &[u8], context: Option<usize>) -> Result<Self, ImportRefusal> {
        let settings = Settings::of_json(config)?;
        Self::open(&settings, Weights::of_safetensors(files, Precision::AsStored, None)?, context)
    }

    pub fn of_gguf(file: &Gguf, context: Option<usize>) -> Result<Self, ImportRefusal> {
        Self::open(&Settings::of_gguf(file)?, Weights::of_gguf(file, None), context)
    }
}

impl<'a> Decoder<'a> {
    /// Takes what is like Llama; refuses, by its feature, what has no integer form yet.
    pub fn open(settings: &Settings, mut weights: Weights<'a>, context: Option<usize>) -> Result<Self, ImportRefusal> {
        let reading = architectures::read(settings, &mut weights, context)?;
        refuse_unsupported(&reading.config)?;
        Ok(Self { config: reading.config, interleaved: reading.interleaved, weights })
    }

    pub fn embedding(&mut self) -> Result<Matrix, ImportRefusal> {
        let (rows, columns) = (self.config.vocabulary, self.config.width);
        self.reader(None).matrix(&names::EMBEDDING, rows, columns)
    }

    pub fn layer(&mut self, index: usize) -> Result<Layer, ImportRefusal> {
        self.reader(Some(index)).layer()
    }

    /// Gains of the norm before the head.
    pub fn norm(&mut self) -> Result<Vec<f32>, ImportRefusal> {
        self.weights.vector(Place { part: &names::NORM, layer: None }, "weight", self.config.width)
    }

    /// The matrix that makes logits.
    pub fn head(&mut self) -> Result<Matrix, ImportRefusal> {
        let place = Place { part: &names::HEAD, layer: None };
        if self.config.tied || !self.weights.has(place, "weight") {
            self.weights.pass_over(place);
            return self.embedding();
        }
        let (rows, columns) = (self.config.vocabulary, self.config.width);
        self.reader(None).matrix(&names::HEAD, rows, columns)
    }

    /// How all of its heads turn.
    pub fn rotation(&self) -> Rotation {
        let plain = || Rotation::plain(10_000.0, self.config.attention.head);
        self.config.rotations.first().cloned().unwrap_or_else(plain)
    }

    /// Trained numbers. Reads all matrices, so that whatever is wrong with one is refused, as is a tensor that has no use.
    pub fn parameters(&mut self) -> Result<u64, ImportRefusal> {
        self.embedding()?;
        for layer in 0..self.config.layers.len() {
            self.layer(layer)?;
        }
        self.norm()?;
        self.head()?;
        self.used()
    }

    /// The numbers of all that was read; refuses what was not.
    pub(super) fn used(&self) -> Result<u64, ImportRefusal> {
        self.weights.finish_all("the integer kind", self.config.layers.len())
    }

    /// Puts packed weights where the artefact's are kept.
    pub(super) fn keep(&mut self, name: &str, shape: &[usize], packed: Packed) -> Result<Tensor, ImportRefusal> {
        self.weights.keep(name, shape, Some(packed))
    }

    fn reader(&mut self, layer: Option<usize>) -> Reader<'_, 'a> {
        Reader { weights: &mut self.weights, config: &self.config, interleaved: self.interleaved, layer }
    }
}

/// The features that have no integer form yet.
fn refuse_unsupported(config: &Config) -> Result<(), ImportRefusal> {
    let attention = &config.attention;
    let turned = config.rotations.first();
    let features = [
        ("experts", config.layers.iter().any(|layer| layer.feed == FeedKind::Experts)),
        ("compressed keys and values", attention.latent.is_some()),
        ("a cap on scores", attention.softcap.is_some()),
        ("a cap on logits", config.softcap.is_some()),
        ("windows", config.layers.iter().any(|layer| layer.window.is_some())),
        ("norms behind its parts", config.norms == Norms::Around),
        ("a scale of the embedding", config.embedding_scale.is_some()),
        ("gates by GELU", config.activation != Activation::Silu),
        ("several rotations", config.rotations.len() > 1),
        ("a rotation with a magnitude", turned.is_some_and(|turned| turned.magnitude != 1.0)),
    ];
    match features.into_iter().find(|(_, has)| *has) {
        Some((feature, _)) => Err(ImportRefusal::Integer { feature }),
        None => Ok(()),
    }
}

struct Reader<'a, 'b> {
    weights: &'a mut Weights<'b>,
    config: &'a Config,
    interleaved: bool,
    layer: Option<usize>,
}

impl Reader<'_, '_> {
    fn matrix(&mut self, part: &'static Part, rows: usize, columns: usize) -> Result<Matrix, ImportRefusal> {
        let rows = Rows::all(Place { part, layer: self.layer }, rows, columns);
        self.read(&rows)
    }

    fn read(&mut self, rows: &Rows) -> Result<Matrix, ImportRefusal> {
        let values = self.weights.widened(rows)?;
        let mut bias = None;
        if self.weights.has(rows.place, "bias") {
            let all = self.weights.vector(rows.place, "bias", rows.of)?;
            bias = Some(rows.order.iter().filter_map(|&row| all.get(row).copied()).collect());
        }
        Ok(Matrix { rows: rows.order.len(), columns: rows.columns, values, bias })
    }

    /// The gain of a norm of single heads, where the file has one, in the order of a head's rows.
    fn head_norm(&mut self, part: &'static Part) -> Result<Option<Vec<f32>>, ImportRefusal> {
        let place = Place { part, layer: self.layer };
        if !self.weights.has(place, "weight") {
            return Ok(None);
        }
        let gain = self.weights.vector(place, "weight", self.config.attention.head)?;
        Ok(Some(self.within().iter().filter_map(|&row| gain.get(row).copied()).collect()))
    }

    /// The order of a head's rows: pairs in halves.
    fn within(&self) -> Vec<usize> {
        let head = self.config.attention.head;
        let turned = self.config.rotations.first().map_or(head, |rotation| rotation.width);
        head_order(head, turned, self.interleaved)
    }

    /// Queries or keys, their pairs in halves.
    fn turned(&mut self, part: &'static Part, heads: usize) -> Result<Matrix, ImportRefusal> {
        let (head, within) = (self.config.attention.head, self.within());
        let order = (0..heads).flat_map(|index| within.iter().map(move |place| index * head + place)).collect();
        let place = Place { part, layer: self.layer };
        self.read(&Rows { place, of: heads * head, columns: self.config.width, order })
    }

    fn layer(&mut self) -> Result<Layer, ImportRefusal> {
        let Config { width, feed_forward: inner, .. } = *self.config;
        let attention = &self.config.attention;
        let (queries, keys) = (attention.heads * attention.head, attention.kv_heads * attention.head);
        let gain =
            |reader: &mut Self, part| reader.weights.vector(Place { part, layer: reader.layer }, "weight", width);
        Ok(Layer {
            attention_norm: gain(self, &names::ATTENTION_NORM)?,
            query: self.turned(&names::QUERY, attention.heads)?,
            key: self.turned(&names::KEY, attention.kv_heads)?,
            query_norm: self.head_norm(&names::QUERY_NORM)?,
            key_norm: self.head_norm(&names::KEY_NORM)?,
            value: self.matrix(&names::VALUE, keys, width)?,
            output: self.matrix(&names::OUTPUT, width, queries)?,
            feed_norm: gain(self, &names::FEED_NORM)?,
            gate: self.matrix(&names::GATE, inner, width)?,
            up: self.matrix(&names::UP, inner, width)?,
            down: self.matrix(&names::DOWN, width, inner)?,
        })
    }
}
