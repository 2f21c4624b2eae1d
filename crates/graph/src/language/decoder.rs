//! A decoder in floats: what the integer kind is calibrated and compiled from.
//!
//! Matrices are read when they are needed, a layer at a time, so that a model needs the memory of one layer and not of all.

use bytes::Bytes;

use super::{
    ImportRefusal, architectures,
    config::{Config, Experts, FeedKind, Latent, Norms},
    rotation::head_order,
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
    pub mixer: Mixer,
    pub output: Matrix,
    /// Gain of the norm behind it.
    pub after_attention: Option<Vec<f32>>,
    pub feed_norm: Vec<f32>,
    pub feed: Feed,
    pub after_feed: Option<Vec<f32>>,
}

/// What positions are mixed by.
#[derive(Clone, Debug)]
pub enum Mixer {
    Heads(Box<Heads>),
    Latent(Box<LatentHeads>),
}

#[derive(Clone, Debug)]
pub struct Heads {
    pub query: Matrix,
    pub key: Matrix,
    /// Gains of the norms of single heads.
    pub query_norm: Option<Vec<f32>>,
    pub key_norm: Option<Vec<f32>>,
    pub value: Matrix,
}

/// Heads over one compressed row.
#[derive(Clone, Debug)]
pub struct LatentHeads {
    pub latent: Latent,
    /// The narrow matrix that queries pass first, and the gain of the norm behind it.
    pub query_down: Option<(Matrix, Vec<f32>)>,
    /// Of all heads: the part that is not turned by its position, and that which is.
    pub query_plain: Matrix,
    pub query_turned: Matrix,
    pub compressed: Matrix,
    pub compressed_norm: Vec<f32>,
    pub key_turned: Matrix,
    /// For each head: from its query to what is compressed, and from that to its value.
    pub key_stack: Vec<Matrix>,
    pub value_stack: Vec<Matrix>,
}

#[derive(Clone, Debug)]
pub enum Feed {
    Dense(Gated),
    Experts(Box<ExpertFeed>),
}

/// Gates, what they gate, and the way back.
#[derive(Clone, Debug)]
pub struct Gated {
    pub gate: Matrix,
    pub up: Matrix,
    pub down: Matrix,
}

#[derive(Clone, Debug)]
pub struct ExpertFeed {
    pub config: Experts,
    pub router: Matrix,
    /// What is added to scores before the choice.
    pub correction: Option<Vec<f32>>,
    pub experts: Vec<Gated>,
    /// What every row passes beside its experts, and the row whose score says how much of it.
    pub shared: Option<Gated>,
    pub shared_score: Option<Matrix>,
}

/// Where a decoder's matrices are, and its shape.
pub struct Decoder<'a> {
    pub config: Config,
    interleaved: bool,
    gain_offset: f32,
    weights: Weights<'a>,
}

impl Decoder<'static> {
    /// Opens a safetensors file and its `config.json`.
    pub fn import(weights: &[u8], config: &[u8]) -> Result<Self, ImportRefusal> {
        Self::of_safetensors(&[Bytes::copy_from_slice(weights)], config, None)
    }

    pub fn of_safetensors(files: &[Bytes], config: &[u8], context: Option<usize>) -> Result<Self, ImportRefusal> {
        let settings = Settings::of_json(config)?;
        Self::open(&settings, Weights::of_safetensors(files, &settings, Precision::AsStored, None)?, context)
    }

    pub fn of_gguf(file: &Gguf, context: Option<usize>) -> Result<Self, ImportRefusal> {
        Self::open(&Settings::of_gguf(file)?, Weights::of_gguf(file, None), context)
    }
}

impl<'a> Decoder<'a> {
    /// Refuses, by its feature, what has no integer form yet.
    pub fn open(settings: &Settings, mut weights: Weights<'a>, context: Option<usize>) -> Result<Self, ImportRefusal> {
        let reading = architectures::read(settings, &mut weights, context)?;
        refuse_unsupported(&reading.config)?;
        let architectures::Reading { config, interleaved, gain_offset, .. } = reading;
        Ok(Self { config, interleaved, gain_offset, weights })
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
        let width = self.config.width;
        self.reader(None).gain(&names::NORM, width)
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
        let (interleaved, gain_offset) = (self.interleaved, self.gain_offset);
        Reader { weights: &mut self.weights, config: &self.config, interleaved, gain_offset, layer }
    }
}

/// The features that have no integer form; no family has any of them.
fn refuse_unsupported(config: &Config) -> Result<(), ImportRefusal> {
    let has_experts = config.layers.iter().any(|layer| layer.feed == FeedKind::Experts);
    if has_experts && config.norms == Norms::Around {
        return Err(ImportRefusal::Integer { feature: "norms behind experts" });
    }
    Ok(())
}

struct Reader<'a, 'b> {
    weights: &'a mut Weights<'b>,
    config: &'a Config,
    interleaved: bool,
    gain_offset: f32,
    layer: Option<usize>,
}

/// Where rows lie: in a tensor of their own, or in one that holds others too.
#[derive(Clone, Copy)]
struct Home {
    own: &'static Part,
    fused: &'static Part,
    /// Where they begin in the fused tensor, and all rows of that.
    start: usize,
    of: usize,
}

/// Where a matrix of each of some lies: in a stack, in tensors of their own, or as a part, which begins there, of a fused
/// stack of two.
struct Stack {
    own: &'static Part,
    one: &'static Part,
    fused: Option<(&'static Part, usize)>,
}

impl Reader<'_, '_> {
    fn place(&self, part: &'static Part) -> Place {
        Place { part, layer: self.layer }
    }

    fn matrix(&mut self, part: &'static Part, rows: usize, columns: usize) -> Result<Matrix, ImportRefusal> {
        let rows = Rows::all(self.place(part), rows, columns);
        self.read(&rows)
    }

    /// The rows of `order`, from the fused tensor where the file has one.
    fn fused(&mut self, home: Home, order: Vec<usize>, is_fused: bool) -> Result<Matrix, ImportRefusal> {
        let columns = self.config.width;
        if !is_fused {
            let place = self.place(home.own);
            return self.read(&Rows { place, of: order.len(), columns, order });
        }
        let order = order.into_iter().map(|row| home.start + row).collect();
        let place = self.place(home.fused);
        self.read(&Rows { place, of: home.of, columns, order })
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

    fn gain(&mut self, part: &'static Part, width: usize) -> Result<Vec<f32>, ImportRefusal> {
        let gain = self.weights.vector(self.place(part), "weight", width)?;
        let offset = self.gain_offset;
        Ok(if offset == 0.0 { gain } else { gain.into_iter().map(|gain| gain + offset).collect() })
    }

    /// The gain of the norm behind a part.
    fn gain_behind(&mut self, part: &'static Part) -> Result<Option<Vec<f32>>, ImportRefusal> {
        match self.config.norms {
            Norms::Before => Ok(None),
            Norms::Around => self.gain(part, self.config.width).map(Some),
        }
    }

    /// The gain of a norm of single heads, where the file has one, in the order of a head's rows.
    fn head_norm(&mut self, part: &'static Part) -> Result<Option<Vec<f32>>, ImportRefusal> {
        if !self.weights.has(self.place(part), "weight") {
            return Ok(None);
        }
        let gain = self.gain(part, self.config.attention.head)?;
        Ok(Some(self.within().iter().filter_map(|&row| gain.get(row).copied()).collect()))
    }

    /// The order of a head's rows: pairs in halves.
    fn within(&self) -> Vec<usize> {
        let head = self.config.attention.head;
        let rotation = self.layer.and_then(|layer| self.config.layers.get(layer)).map_or(0, |layer| layer.rotation);
        let turned = self.config.rotations.get(rotation).map_or(head, |rotation| rotation.width);
        head_order(head, turned, self.interleaved)
    }

    fn heads(&mut self) -> Result<Heads, ImportRefusal> {
        let attention = &self.config.attention;
        let (heads, kv_heads, head) = (attention.heads, attention.kv_heads, attention.head);
        let (queries, keys, within) = (heads * head, kv_heads * head, self.within());
        let turned = |count: usize| -> Vec<usize> {
            (0..count).flat_map(|index| within.iter().map(move |place| index * head + place)).collect()
        };
        let (fused, of) = (&names::FUSED, queries + 2 * keys);
        let is_fused = self.weights.has(self.place(fused), "weight");
        Ok(Heads {
            query: self.fused(Home { own: &names::QUERY, fused, start: 0, of }, turned(heads), is_fused)?,
            key: self.fused(Home { own: &names::KEY, fused, start: queries, of }, turned(kv_heads), is_fused)?,
            query_norm: self.head_norm(&names::QUERY_NORM)?,
            key_norm: self.head_norm(&names::KEY_NORM)?,
            value: {
                let home = Home { own: &names::VALUE, fused, start: queries + keys, of };
                self.fused(home, (0..keys).collect(), is_fused)?
            },
        })
    }

    fn dense(&mut self) -> Result<Gated, ImportRefusal> {
        let Config { width, feed_forward: inner, .. } = *self.config;
        let (fused, of) = (&names::GATE_AND_UP, 2 * inner);
        let is_fused = !self.weights.has(self.place(&names::GATE), "weight");
        Ok(Gated {
            gate: self.fused(Home { own: &names::GATE, fused, start: 0, of }, (0..inner).collect(), is_fused)?,
            up: self.fused(Home { own: &names::UP, fused, start: inner, of }, (0..inner).collect(), is_fused)?,
            down: self.matrix(&names::DOWN, width, inner)?,
        })
    }

    /// A matrix of each of some: in one stack, a part of a fused one, or apart.
    fn each(&mut self, stack: Stack, rows: usize, columns: usize, count: usize) -> Result<Vec<Matrix>, ImportRefusal> {
        let has = |reader: &Self, part: &'static Part| reader.weights.has(reader.place(part), "weight");
        let fused = stack.fused.filter(|(part, _)| has(self, part));
        let all = if let Some((part, start)) = fused {
            let (place, order) = (self.place(part), (start..start + rows).collect());
            self.weights.widened_stack(&Rows { place, of: 2 * rows, columns, order }, count)?
        } else if has(self, stack.own) {
            self.weights.widened_stack(&Rows::all(self.place(stack.own), rows, columns), count)?
        } else {
            self.weights.widened_each(&Rows::all(self.place(stack.one), rows, columns), count)?
        };
        Ok(all.into_iter().map(|values| Matrix { rows, columns, values, bias: None }).collect())
    }

    fn experts(&mut self, experts: &Experts) -> Result<ExpertFeed, ImportRefusal> {
        let (width, inner, count) = (self.config.width, experts.width, experts.count);
        let router = self.matrix(&names::ROUTER, count, width)?;
        let bias = self.place(&names::ROUTER_BIAS);
        let has_bias = self.weights.has(bias, "bias");
        let correction = if has_bias { Some(self.weights.vector(bias, "bias", count)?) } else { None };
        let fused = |start| Some((&names::EXPERT_GATES_AND_UPS, start));
        let gates = Stack { own: &names::EXPERT_GATES, one: &names::ONE_GATE, fused: fused(0) };
        let ups = Stack { own: &names::EXPERT_UPS, one: &names::ONE_UP, fused: fused(inner) };
        let downs = Stack { own: &names::EXPERT_DOWNS, one: &names::ONE_DOWN, fused: None };
        let gates = self.each(gates, inner, width, count)?;
        let ups = self.each(ups, inner, width, count)?;
        let downs = self.each(downs, width, inner, count)?;
        let all = gates.into_iter().zip(ups).zip(downs).map(|((gate, up), down)| Gated { gate, up, down }).collect();
        let (mut shared, mut shared_score) = (None, None);
        if let Some(inner) = experts.shared {
            shared = Some(Gated {
                gate: self.matrix(&names::SHARED_GATE, inner, width)?,
                up: self.matrix(&names::SHARED_UP, inner, width)?,
                down: self.matrix(&names::SHARED_DOWN, width, inner)?,
            });
            let place = self.place(&names::SHARED_SCORE);
            if self.weights.has(place, "weight") {
                let values = self.weights.vector(place, "weight", width)?;
                shared_score = Some(Matrix { rows: 1, columns: width, values, bias: None });
            }
        }
        Ok(ExpertFeed { config: experts.clone(), router, correction, experts: all, shared, shared_score })
    }

    fn latent(&mut self, latent: &Latent) -> Result<LatentHeads, ImportRefusal> {
        let (width, heads) = (self.config.width, self.config.attention.heads);
        let Latent { rank, plain, turned, .. } = *latent;
        let (query_down, part, columns) = match latent.query_rank {
            None => (None, &names::QUERY, width),
            Some(rank) => {
                let down = self.matrix(&names::QUERY_DOWN, rank, width)?;
                (Some((down, self.gain(&names::QUERY_DOWN_NORM, rank)?)), &names::QUERY_UP, rank)
            }
        };
        let (both, within) = (plain + turned, head_order(turned, turned, self.interleaved));
        let of_plain = (0..heads).flat_map(|head| (0..plain).map(move |place| head * both + place)).collect();
        let of_turned = |head: usize| within.iter().map(move |place| head * both + plain + place);
        let (place, of) = (self.place(part), heads * both);
        let query_plain = self.read(&Rows { place, of, columns, order: of_plain })?;
        let query_turned = self.read(&Rows { place, of, columns, order: (0..heads).flat_map(of_turned).collect() })?;
        let (place, of) = (self.place(&names::COMPRESSED), rank + turned);
        let compressed = self.read(&Rows { place, of, columns: width, order: (0..rank).collect() })?;
        let order = within.iter().map(|place| rank + place).collect();
        let key_turned = self.read(&Rows { place, of, columns: width, order })?;
        let compressed_norm = self.gain(&names::COMPRESSED_NORM, rank)?;
        let (key_stack, value_stack) = self.stacks(latent, heads)?;
        Ok(LatentHeads {
            latent: *latent,
            query_down,
            query_plain,
            query_turned,
            compressed,
            compressed_norm,
            key_turned,
            key_stack,
            value_stack,
        })
    }

    /// From each head's queries to what is compressed, and from that to its values.
    fn stacks(&mut self, latent: &Latent, heads: usize) -> Result<(Vec<Matrix>, Vec<Matrix>), ImportRefusal> {
        let Latent { rank, plain, value, .. } = *latent;
        if self.weights.has(self.place(&names::KEY_STACK), "weight") {
            let own = |own| Stack { own, one: own, fused: None };
            let keys = self.each(own(&names::KEY_STACK), rank, plain, heads)?;
            return Ok((keys, self.each(own(&names::VALUE_STACK), value, rank, heads)?));
        }
        // Keys and values of all heads out of one matrix, that of the keys turned on its side.
        let both = plain + value;
        let all = self.matrix(&names::EXPANSION, heads * both, rank)?.values;
        let at = |head: usize, row: usize, column: usize| all[(head * both + row) * rank + column];
        let keys = |head: usize| (0..rank).flat_map(move |column| (0..plain).map(move |row| (head, row, column)));
        let key = |head: usize| {
            let values = keys(head).map(|(head, row, column)| at(head, row, column)).collect();
            Matrix { rows: rank, columns: plain, values, bias: None }
        };
        let value_of = |head: usize| {
            let values = all[(head * both + plain) * rank..][..value * rank].to_vec();
            Matrix { rows: value, columns: rank, values, bias: None }
        };
        Ok(((0..heads).map(key).collect(), (0..heads).map(value_of).collect()))
    }

    fn layer(&mut self) -> Result<Layer, ImportRefusal> {
        let config = self.config;
        let (width, attention) = (config.width, &config.attention);
        let mixed = attention.heads * attention.latent.map_or(attention.head, |latent| latent.value);
        let feed = self.layer.and_then(|layer| config.layers.get(layer)).map(|layer| layer.feed);
        Ok(Layer {
            attention_norm: self.gain(&names::ATTENTION_NORM, width)?,
            mixer: match &attention.latent {
                Some(latent) => Mixer::Latent(Box::new(self.latent(latent)?)),
                None => Mixer::Heads(Box::new(self.heads()?)),
            },
            output: self.matrix(&names::OUTPUT, width, mixed)?,
            after_attention: self.gain_behind(&names::AFTER_ATTENTION)?,
            feed_norm: self.gain(&names::FEED_NORM, width)?,
            feed: match (feed, &config.experts) {
                (Some(FeedKind::Experts), Some(experts)) => Feed::Experts(Box::new(self.experts(experts)?)),
                _ => Feed::Dense(self.dense()?),
            },
            after_feed: self.gain_behind(&names::AFTER_FEED)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_integer_form_is_refused_by_its_name() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/architectures/mixtral/config.json");
        let settings = Settings::of_json(&std::fs::read(path).unwrap()).unwrap();
        let mut weights = Weights::of_safetensors(&[], &settings, Precision::AsStored, None).unwrap();
        let mut config = architectures::read(&settings, &mut weights, None).unwrap().config;
        assert_eq!(refuse_unsupported(&config), Ok(()));
        config.norms = Norms::Around;
        let refusal = ImportRefusal::Integer { feature: "norms behind experts" };
        assert_eq!(refuse_unsupported(&config), Err(refusal));
    }
}
