//! A Llama checkpoint in memory: `config.json` and a safetensors file, checked against each other.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;

use crate::float::from_half;

/// The numbers of `config.json` that decide the shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub width: usize,
    pub feed_forward: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    /// Width of one head.
    pub head: usize,
    pub vocabulary: usize,
    pub context: usize,
    pub epsilon: f32,
    pub theta: f64,
    pub tied: bool,
    pub stop_tokens: Vec<u32>,
}

/// A matrix of `rows` outputs, each `columns` weights wide.
#[derive(Clone, Debug)]
pub struct Matrix {
    pub rows: usize,
    pub columns: usize,
    pub values: Vec<f32>,
}

#[derive(Clone, Debug)]
pub struct Layer {
    pub attention_norm: Vec<f32>,
    pub query: Matrix,
    pub key: Matrix,
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

/// Why files are no checkpoint that can be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportRefusal {
    #[error("the configuration is no JSON object: {cause}")]
    Json { cause: String },
    #[error("the configuration's {key} is {found}, expected {expected}")]
    Config { key: &'static str, expected: &'static str, found: String },
    #[error("the weights are no safetensors file: {cause}")]
    Weights { cause: String },
    #[error("the weights have no tensor {name}")]
    Missing { name: String },
    #[error("tensor {name} has shape {found:?}, expected {expected:?}")]
    Shape { name: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("tensor {name} has elements {found}, expected F32, F16 or BF16")]
    Element { name: String, found: String },
    #[error("tensor {name} holds a number that is not finite, at index {index}")]
    NotFinite { name: String, index: usize },
}

const SIZE_MAX: u64 = 1 << 20;

impl Config {
    pub fn parse(json: &[u8]) -> Result<Self, ImportRefusal> {
        let value: Value =
            serde_json::from_slice(json).map_err(|cause| ImportRefusal::Json { cause: cause.to_string() })?;
        check_supported(&value)?;
        let heads = size(&value, "num_attention_heads")?;
        let width = size(&value, "hidden_size")?;
        let optional =
            |key, otherwise| if value.get(key).is_none_or(Value::is_null) { Ok(otherwise) } else { size(&value, key) };
        let config = Self {
            width,
            feed_forward: size(&value, "intermediate_size")?,
            layers: size(&value, "num_hidden_layers")?,
            heads,
            kv_heads: optional("num_key_value_heads", heads)?,
            head: optional("head_dim", width / heads)?,
            vocabulary: size(&value, "vocab_size")?,
            context: size(&value, "max_position_embeddings")?,
            epsilon: number(&value, "rms_norm_eps")? as f32,
            theta: if value.get("rope_theta").is_some() { number(&value, "rope_theta")? } else { 10_000.0 },
            tied: value.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(false),
            stop_tokens: stop_tokens(&value)?,
        };
        if config.head == 0 || !config.head.is_multiple_of(2) || !heads.is_multiple_of(config.kv_heads) {
            let found = format!("{} with {} heads, {} of them for keys", config.head, heads, config.kv_heads);
            return Err(ImportRefusal::Config { key: "head_dim", expected: "an even width of heads in groups", found });
        }
        Ok(config)
    }
}

/// Refuses what a Llama decoder may have and this compiler would silently leave out.
fn check_supported(value: &Value) -> Result<(), ImportRefusal> {
    let refuse = |key: &'static str, expected: &'static str| {
        let found = value.get(key).map_or_else(|| "missing".to_owned(), Value::to_string);
        Err(ImportRefusal::Config { key, expected, found })
    };
    if value.get("model_type").and_then(Value::as_str) != Some("llama") {
        return refuse("model_type", "\"llama\"");
    }
    if value.get("hidden_act").and_then(Value::as_str).is_some_and(|name| name != "silu") {
        return refuse("hidden_act", "\"silu\"");
    }
    for key in ["attention_bias", "mlp_bias"] {
        if value.get(key).and_then(Value::as_bool) == Some(true) {
            return refuse(key, "false");
        }
    }
    if value.get("rope_scaling").is_some_and(|scaling| !scaling.is_null()) {
        return refuse("rope_scaling", "null");
    }
    Ok(())
}

fn size(value: &Value, key: &'static str) -> Result<usize, ImportRefusal> {
    match value.get(key).and_then(Value::as_u64) {
        Some(size) if (1..=SIZE_MAX).contains(&size) => Ok(size as usize),
        _ => {
            let found = value.get(key).map_or_else(|| "missing".to_owned(), Value::to_string);
            Err(ImportRefusal::Config { key, expected: "an integer from 1 to 1048576", found })
        }
    }
}

fn number(value: &Value, key: &'static str) -> Result<f64, ImportRefusal> {
    match value.get(key).and_then(Value::as_f64) {
        Some(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => {
            let found = value.get(key).map_or_else(|| "missing".to_owned(), Value::to_string);
            Err(ImportRefusal::Config { key, expected: "a number above 0", found })
        }
    }
}

/// `eos_token_id`: one token, a list, or none.
fn stop_tokens(value: &Value) -> Result<Vec<u32>, ImportRefusal> {
    let found = value.get("eos_token_id").cloned().unwrap_or(Value::Null);
    let list = match &found {
        Value::Null => Vec::new(),
        Value::Array(items) => items.clone(),
        _ => vec![found.clone()],
    };
    let tokens: Option<Vec<u32>> =
        list.iter().map(|token| token.as_u64().and_then(|token| u32::try_from(token).ok())).collect();
    let expected = "a token or a list of tokens";
    let mut tokens = tokens.ok_or(ImportRefusal::Config { key: "eos_token_id", expected, found: found.to_string() })?;
    tokens.sort_unstable();
    tokens.dedup();
    Ok(tokens)
}

impl Decoder {
    pub fn import(weights: &[u8], config: &[u8]) -> Result<Self, ImportRefusal> {
        let config = Config::parse(config)?;
        let file =
            SafeTensors::deserialize(weights).map_err(|cause| ImportRefusal::Weights { cause: cause.to_string() })?;
        let matrix = |name: &str, rows, columns| -> Result<Matrix, ImportRefusal> {
            Ok(Matrix { rows, columns, values: read(&file, name, &[rows, columns])? })
        };
        let embedding = matrix("model.embed_tokens.weight", config.vocabulary, config.width)?;
        let mut layers = Vec::new();
        for layer in 0..config.layers {
            layers.push(Layer::import(&file, &config, layer)?);
        }
        let norm = read(&file, "model.norm.weight", &[config.width])?;
        let head = if config.tied { None } else { Some(matrix("lm_head.weight", config.vocabulary, config.width)?) };
        Ok(Self { config, embedding, layers, norm, head })
    }

    /// The matrix that makes logits.
    pub fn head(&self) -> &Matrix {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// Trained numbers.
    pub fn parameters(&self) -> u64 {
        let of_layer = |layer: &Layer| {
            let Layer { attention_norm, query, key, value, output, feed_norm, gate, up, down } = layer;
            let matrices: usize =
                [query, key, value, output, gate, up, down].map(|matrix| matrix.values.len()).iter().sum();
            attention_norm.len() + feed_norm.len() + matrices
        };
        let layers: usize = self.layers.iter().map(of_layer).sum();
        let head = self.head.as_ref().map_or(0, |head| head.values.len());
        (self.embedding.values.len() + layers + self.norm.len() + head) as u64
    }
}

impl Layer {
    fn import(file: &SafeTensors, config: &Config, layer: usize) -> Result<Self, ImportRefusal> {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        let matrix = |part: &str, rows, columns| -> Result<Matrix, ImportRefusal> {
            Ok(Matrix { rows, columns, values: read(file, &name(part), &[rows, columns])? })
        };
        let (width, inner) = (config.width, config.feed_forward);
        let (queries, keys) = (config.heads * config.head, config.kv_heads * config.head);
        Ok(Self {
            attention_norm: read(file, &name("input_layernorm"), &[width])?,
            query: matrix("self_attn.q_proj", queries, width)?,
            key: matrix("self_attn.k_proj", keys, width)?,
            value: matrix("self_attn.v_proj", keys, width)?,
            output: matrix("self_attn.o_proj", width, queries)?,
            feed_norm: read(file, &name("post_attention_layernorm"), &[width])?,
            gate: matrix("mlp.gate_proj", inner, width)?,
            up: matrix("mlp.up_proj", inner, width)?,
            down: matrix("mlp.down_proj", width, inner)?,
        })
    }
}

fn read(file: &SafeTensors, name: &str, expected: &[usize]) -> Result<Vec<f32>, ImportRefusal> {
    let tensor = file.tensor(name).map_err(|_| ImportRefusal::Missing { name: name.to_owned() })?;
    if tensor.shape() != expected {
        let found = tensor.shape().to_vec();
        return Err(ImportRefusal::Shape { name: name.to_owned(), expected: expected.to_vec(), found });
    }
    let values = floats(&tensor)
        .ok_or_else(|| ImportRefusal::Element { name: name.to_owned(), found: format!("{:?}", tensor.dtype()) })?;
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(ImportRefusal::NotFinite { name: name.to_owned(), index }),
        None => Ok(values),
    }
}

fn floats(tensor: &TensorView) -> Option<Vec<f32>> {
    let bytes = tensor.data();
    let pairs = || bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    match tensor.dtype() {
        Dtype::F32 => {
            Some(bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
        }
        Dtype::F16 => Some(pairs().map(from_half).collect()),
        Dtype::BF16 => Some(pairs().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect()),
        _ => None,
    }
}
