//! A decoder in memory, in floats: what the integer kind is calibrated and compiled from.

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
use crate::gguf::Gguf;

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

#[derive(Clone, Debug)]
pub struct Decoder {
    pub config: Config,
    pub embedding: Matrix,
    pub layers: Vec<Layer>,
    pub norm: Vec<f32>,
    /// `None` where the head is the embedding.
    pub head: Option<Matrix>,
}

impl Decoder {
    /// Reads a safetensors file and its `config.json`.
    pub fn import(weights: &[u8], config: &[u8]) -> Result<Self, ImportRefusal> {
        Self::of_safetensors(&[Bytes::copy_from_slice(weights)], config, None)
    }

    pub fn of_safetensors(files: &[Bytes], config: &[u8], context: Option<usize>) -> Result<Self, ImportRefusal> {
        let settings = Settings::of_json(config)?;
        let mut keep = |bytes| Ok(bytes);
        let mut weights = Weights::of_safetensors(files, Precision::AsStored, &mut keep)?;
        let decoder = Self::read(&settings, &mut weights, context)?;
        weights.finish_all("the integer kind", decoder.layers.len())?;
        Ok(decoder)
    }

    pub fn of_gguf(file: &Gguf, context: Option<usize>) -> Result<Self, ImportRefusal> {
        let mut keep = |bytes| Ok(bytes);
        let mut weights = Weights::of_gguf(file, &mut keep);
        let decoder = Self::read(&Settings::of_gguf(file)?, &mut weights, context)?;
        weights.finish_all("the integer kind", decoder.layers.len())?;
        Ok(decoder)
    }

    /// Reads what is like Llama; refuses, by its feature, what has no integer form yet.
    pub fn read(settings: &Settings, weights: &mut Weights, context: Option<usize>) -> Result<Self, ImportRefusal> {
        let reading = architectures::read(settings, weights, context)?;
        let config = reading.config;
        refuse_unsupported(&config)?;
        let mut reader = Reader { weights, interleaved: reading.interleaved, config: &config, layer: None };
        let embedding = reader.matrix(&names::EMBEDDING, config.vocabulary, config.width)?;
        let mut layers = Vec::new();
        for layer in 0..config.layers.len() {
            reader.layer = Some(layer);
            layers.push(reader.layer()?);
        }
        reader.layer = None;
        let norm = reader.weights.vector(Place { part: &names::NORM, layer: None }, "weight", config.width)?;
        let head = reader.head()?;
        Ok(Self { config, embedding, layers, norm, head })
    }

    /// The matrix that makes logits.
    pub fn head(&self) -> &Matrix {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// How all of its heads turn.
    pub fn rotation(&self) -> Rotation {
        let plain = || Rotation::plain(10_000.0, self.config.attention.head);
        self.config.rotations.first().cloned().unwrap_or_else(plain)
    }

    /// Trained numbers.
    pub fn parameters(&self) -> u64 {
        let of_layer = |layer: &Layer| {
            let Layer { attention_norm, query, key, query_norm, key_norm, value, output, feed_norm, gate, up, down } =
                layer;
            let numbers = |matrix: &Matrix| matrix.values.len() + matrix.bias.as_ref().map_or(0, Vec::len);
            let matrices: usize = [query, key, value, output, gate, up, down].map(numbers).iter().sum();
            let norms = [query_norm, key_norm].map(|norm| norm.as_ref().map_or(0, Vec::len));
            attention_norm.len() + feed_norm.len() + matrices + norms.iter().sum::<usize>()
        };
        let layers: usize = self.layers.iter().map(of_layer).sum();
        let head = self.head.as_ref().map_or(0, |head| head.values.len());
        (self.embedding.values.len() + layers + self.norm.len() + head) as u64
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

    fn head(&mut self) -> Result<Option<Matrix>, ImportRefusal> {
        let place = Place { part: &names::HEAD, layer: None };
        if self.config.tied || !self.weights.has(place, "weight") {
            self.weights.pass_over(place);
            return Ok(None);
        }
        self.matrix(&names::HEAD, self.config.vocabulary, self.config.width).map(Some)
    }
}
