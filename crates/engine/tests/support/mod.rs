//! A tiny Llama checkpoint with random weights and a byte tokenizer: small enough to run the oracle on.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part; a test that cannot go on fails")]

use engine::{CheckpointFiles, CompileOptions, Model, Options, WeightFiles, compile_checkpoint};
use graph::{CacheFormat, Defaults, LanguageKind, language::weights::Precision};
use protocol::{Message, Parameters, Speaker, Text};
use serde_json::{Map, Value, json};

pub const VOCABULARY: usize = 262;
pub const CONTEXT: usize = 96;
pub const DEFAULTS: Defaults = Defaults::greedy(64);
pub const TEMPLATE: &str = "{%- for m in messages -%}{{- \"<|im_start|>\" ~ m.role ~ \"\\n\" ~ m.content ~ \"<|im_end|>\\n\" -}}{%- endfor -%}{%- if add_generation_prompt -%}{{- \"<|im_start|>assistant\\n\" -}}{%- endif -%}";

/// What a digest of logits begins with.
pub const DIGEST: u64 = 0xcbf2_9ce4_8422_2325;

/// A digest (FNV-1a, a logit a step) carried on: those that tests print are compared between CPUs.
pub fn digest(begun: u64, logits: &[Vec<i64>]) -> u64 {
    logits.iter().flatten().fold(begun, |digest, &logit| (digest ^ logit as u64).wrapping_mul(0x0100_0000_01b3))
}

pub struct Checkpoint {
    pub weights: Vec<u8>,
    pub config: Vec<u8>,
    pub tokenizer: Vec<u8>,
}

pub fn checkpoint(seed: u64) -> Checkpoint {
    altered(seed, |_, _, weight| weight)
}

/// The same with weights that are others, told by tensor, place in it and what would be there.
fn altered(seed: u64, alter: impl Fn(&str, usize, f32) -> f32) -> Checkpoint {
    let (width, heads, kv_heads, head, inner, layers) = (32, 4, 2, 16, 64, 2);
    let config = json!({
        "model_type": "llama", "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head, "vocab_size": VOCABULARY,
        "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": true, "eos_token_id": 2,
    });
    let mut shapes: Vec<(String, Vec<usize>)> =
        vec![("model.embed_tokens.weight".into(), vec![VOCABULARY, width]), ("model.norm.weight".into(), vec![width])];
    for layer in 0..layers {
        let mut add = |part: &str, shape: &[usize]| {
            shapes.push((format!("model.layers.{layer}.{part}.weight"), shape.to_vec()));
        };
        add("input_layernorm", &[width]);
        add("self_attn.q_proj", &[heads * head, width]);
        add("self_attn.k_proj", &[kv_heads * head, width]);
        add("self_attn.v_proj", &[kv_heads * head, width]);
        add("self_attn.o_proj", &[width, heads * head]);
        add("post_attention_layernorm", &[width]);
        add("mlp.gate_proj", &[inner, width]);
        add("mlp.up_proj", &[inner, width]);
        add("mlp.down_proj", &[width, inner]);
    }
    let config = config.to_string().into_bytes();
    Checkpoint { weights: safetensors(&shapes, seed, alter), config, tokenizer: tokenizer() }
}

/// Random weights in the safetensors container: a length, a JSON head, the data.
fn safetensors(shapes: &[(String, Vec<usize>)], seed: u64, alter: impl Fn(&str, usize, f32) -> f32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state as i32 as f32) / 2_147_483_648.0
    };
    let (mut head, mut data) = (Map::new(), Vec::new());
    for (name, shape) in shapes {
        let start = data.len();
        let scale = shape.get(1).map_or(0.0, |columns| 2.0 / (*columns as f32).sqrt());
        for place in 0..shape.iter().product::<usize>() {
            let weight = if shape.len() == 1 { 1.0 + 0.2 * next() } else { next() * scale };
            data.extend(alter(name, place, weight).to_le_bytes());
        }
        head.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let head = Value::Object(head).to_string();
    [&(head.len() as u64).to_le_bytes()[..], head.as_bytes(), &data].concat()
}

/// One token for each byte, after six special ones.
fn tokenizer() -> Vec<u8> {
    let specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<|five|>"];
    let mut vocabulary = Map::new();
    for (id, special) in specials.iter().enumerate() {
        vocabulary.insert((*special).into(), json!(id));
    }
    let mut next = 256;
    for byte in 0..=255_u8 {
        // The alphabet of byte-level tokenizers: printable bytes stand for themselves, others for letters from U+0100.
        let plain = matches!(byte, 33..=126 | 161..=172 | 174..=255);
        let letter = if plain { char::from(byte) } else { char::from_u32(next).unwrap() };
        next += u32::from(!plain);
        vocabulary.insert(letter.to_string(), json!(usize::from(byte) + specials.len()));
    }
    let added: Vec<Value> = specials
        .iter()
        .enumerate()
        .map(|(id, content)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocabulary, "merges": []},
    })
    .to_string()
    .into_bytes()
}

/// How the checkpoint is compiled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Integer,
    Ordered,
    /// Ordered, with keys and values as bytes.
    Bytes,
}

impl From<LanguageKind> for Form {
    fn from(kind: LanguageKind) -> Self {
        match kind {
            LanguageKind::Integer => Self::Integer,
            LanguageKind::Ordered => Self::Ordered,
        }
    }
}

pub const KINDS: [Form; 3] = [Form::Integer, Form::Ordered, Form::Bytes];

pub fn artefact(kind: impl Into<Form>) -> Vec<u8> {
    let (kind, cache) = match kind.into() {
        Form::Integer => (LanguageKind::Integer, CacheFormat::Halves),
        Form::Ordered => (LanguageKind::Ordered, CacheFormat::Halves),
        Form::Bytes => (LanguageKind::Ordered, CacheFormat::Bytes),
    };
    compiled(checkpoint(7), &CompileOptions { cache, ..CompileOptions::of(kind, DEFAULTS) })
}

/// The token behind which `overflowing` has no finite logits.
pub const OVERFLOWING: u32 = 6 + b'z' as u32;

/// A model of floats that overflows in the row of one token. That token alone points where one unit of the last layer
/// looks: the unit is infinite there, weighs nothing, and so makes the row's numbers none; no other row looks at it.
pub fn overflowing() -> Model {
    /// Squared, times the square of what the unit looks at: beyond the largest float from 4.5 on. A row of 32 numbers whose
    /// mean square is 1 has 5.6 where all of it lies there.
    const STEEP: f32 = 4.1e18;
    let (width, inner) = (32, 64);
    let points = |place: usize, scale: f32| if place.is_multiple_of(width) { scale } else { 0.0 };
    let alter = |name: &str, place: usize, weight: f32| match name {
        "model.embed_tokens.weight" if place / width == OVERFLOWING as usize => points(place, 100.0),
        "model.layers.1.post_attention_layernorm.weight" if place == 0 => 1.0,
        "model.layers.1.mlp.gate_proj.weight" | "model.layers.1.mlp.up_proj.weight" if place < width => {
            points(place, STEEP)
        }
        "model.layers.1.mlp.down_proj.weight" if place.is_multiple_of(inner) => 0.0,
        _ => weight,
    };
    let options =
        CompileOptions { precision: Precision::AsStored, ..CompileOptions::of(LanguageKind::Ordered, DEFAULTS) };
    Model::load(compiled(altered(7, alter), &options)).unwrap()
}

fn compiled(checkpoint: Checkpoint, options: &CompileOptions) -> Vec<u8> {
    let Checkpoint { weights, config, tokenizer } = checkpoint;
    let calibration = ["A word.", "Why 12 of 345?", "Näher"].map(|text| {
        json!({"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "So it is."}]})
            .to_string()
    });
    let calibration = calibration.join("\n");
    let files = CheckpointFiles {
        weights: WeightFiles::Safetensors { files: &[weights.into()], config: &config },
        tokenizer: &tokenizer,
        template: TEMPLATE,
        calibration: &calibration,
        stop_tokens: &[],
    };
    compile_checkpoint(&files, "tiny", options).unwrap()
}

pub fn model(kind: Form) -> Model {
    Model::load(artefact(kind)).unwrap()
}

pub fn model_with(kind: Form, options: Options) -> Model {
    Model::load_with(artefact(kind), options).unwrap()
}

pub fn user(content: &str) -> Message {
    Message::say(Speaker::User, Text::new(content).unwrap())
}

pub fn sampled(seed: u64) -> Parameters {
    Parameters { max_tokens: 24, temperature_micros: 900_000, seed, ..Parameters::default() }
}

/// A text of that many tokens that are no special ones.
pub fn tokens(count: usize, seed: u64) -> Vec<u32> {
    (0..count as u64)
        .map(|i| 6 + ((i + 1).wrapping_mul(seed | 1).wrapping_mul(0x9e37_79b9) >> 7) as u32 % 256)
        .collect()
}
