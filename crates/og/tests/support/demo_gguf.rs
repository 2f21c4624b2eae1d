//! The model that ships with the project as a GGUF file, in kinds that quantisers mix where rows are no multiple of 256.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use graph::{
    float::{from_half, to_half},
    formats::q8_0,
    gguf::{TensorKind, Writer},
};
use serde_json::Value;

const BLOCK: usize = 32;
/// From the names of safetensors to those of GGUF, for each layer.
const PARTS: [(&str, &str, TensorKind); 9] = [
    ("input_layernorm", "attn_norm", TensorKind::F32),
    ("self_attn.q_proj", "attn_q", TensorKind::Q5_0),
    ("self_attn.k_proj", "attn_k", TensorKind::Q5_0),
    ("self_attn.v_proj", "attn_v", TensorKind::Q5_1),
    ("self_attn.o_proj", "attn_output", TensorKind::Q5_0),
    ("post_attention_layernorm", "ffn_norm", TensorKind::F32),
    ("mlp.gate_proj", "ffn_gate", TensorKind::Q4_1),
    ("mlp.up_proj", "ffn_up", TensorKind::Q5_0),
    ("mlp.down_proj", "ffn_down", TensorKind::Q5_1),
];

/// A file of the model's folder.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/demo").join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

/// The model, with or without saying how it chats.
pub fn file(has_template: bool) -> Vec<u8> {
    parts(has_template, 1).remove(0)
}

/// The same in so many files, each with every so manieth tensor.
pub fn parts(has_template: bool, count: usize) -> Vec<Vec<u8>> {
    let config = json("config.json");
    let number = |key: &str| u32::try_from(config[key].as_u64().unwrap()).unwrap();
    let float = |key: &str| config[key].as_f64().unwrap() as f32;
    let mut file = Writer::new();
    file.text("general.architecture", "llama")
        .number("llama.context_length", number("max_position_embeddings"))
        .number("llama.embedding_length", number("hidden_size"))
        .number("llama.block_count", number("num_hidden_layers"))
        .number("llama.feed_forward_length", number("intermediate_size"))
        .number("llama.attention.head_count", number("num_attention_heads"))
        .number("llama.attention.head_count_kv", number("num_key_value_heads"))
        .number("llama.rope.dimension_count", number("head_dim"))
        .float("llama.attention.layer_norm_rms_epsilon", float("rms_norm_eps"))
        .float("llama.rope.freq_base", float("rope_theta"));
    words(&mut file);
    if has_template {
        file.text("tokenizer.chat_template", &std::fs::read_to_string(path("chat_template.jinja")).unwrap());
    }
    let mut files = vec![Writer::new(); count];
    files[0] = file;
    let (weights, mut written) = (weights(), 0);
    let mut put = |from: &str, to: &str, kind: TensorKind| {
        let (shape, values) = &weights[&format!("model.{from}.weight")];
        let sizes: Vec<u64> = shape.iter().rev().map(|&size| size as u64).collect();
        let is_turned = to.ends_with("attn_q") || to.ends_with("attn_k");
        let turned = is_turned.then(|| interleaved(values, shape[1], number("head_dim") as usize));
        let data = encoded(kind, turned.as_ref().unwrap_or(values));
        files[written % count].tensor(&format!("{to}.weight"), kind, &sizes, &data);
        written += 1;
    };
    put("embed_tokens", "token_embd", TensorKind::Q8_0);
    put("norm", "output_norm", TensorKind::F32);
    for layer in 0..number("num_hidden_layers") {
        for (from, to, kind) in PARTS {
            put(&format!("layers.{layer}.{from}"), &format!("blk.{layer}.{to}"), kind);
        }
    }
    if count > 1 {
        let number = |number: usize| u32::try_from(number).unwrap();
        for (part, file) in files.iter_mut().enumerate() {
            file.number("split.no", number(part)).number("split.count", number(count));
            file.number("split.tensors.count", number(written));
        }
    }
    files.iter().map(Writer::finish).collect()
}

/// The vocabulary: what cuts a text into words is the same under one of GGUF's names.
fn words(file: &mut Writer) {
    let tokenizer = json("tokenizer.json");
    let vocabulary = tokenizer["model"]["vocab"].as_object().unwrap();
    let at = |id: &Value| usize::try_from(id.as_u64().unwrap()).unwrap();
    let mut tokens = vec![""; vocabulary.len()];
    vocabulary.iter().for_each(|(text, id)| tokens[at(id)] = text);
    let mut kinds = vec![1; tokens.len()];
    for token in tokenizer["added_tokens"].as_array().unwrap() {
        kinds[at(&token["id"])] = if token["special"] == true { 3 } else { 4 };
    }
    let pair = |pair: &Value| format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
    let merges: Vec<String> = tokenizer["model"]["merges"].as_array().unwrap().iter().map(pair).collect();
    file.text("tokenizer.ggml.model", "gpt2")
        .text("tokenizer.ggml.pre", "smollm")
        .texts("tokenizer.ggml.tokens", &tokens)
        .integers("tokenizer.ggml.token_type", &kinds)
        .texts("tokenizer.ggml.merges", &merges)
        .number("tokenizer.ggml.eos_token_id", 2);
}

/// Every tensor of the checkpoint: its sizes and its numbers.
fn weights() -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = std::fs::read(path("weights.safetensors")).unwrap();
    let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header: BTreeMap<String, Value> = serde_json::from_slice(header).unwrap();
    let tensor = |(name, about): (String, Value)| {
        assert_eq!(about["dtype"], "F16");
        let list = |key: &str| -> Vec<usize> { serde_json::from_value(about[key].clone()).unwrap() };
        let offsets = list("data_offsets");
        let halves = data[offsets[0]..offsets[1]].as_chunks::<2>().0;
        let values: Vec<f32> = halves.iter().map(|half| from_half(u16::from_le_bytes(*half))).collect();
        (name, (list("shape"), values))
    };
    header.into_iter().filter(|(name, _)| name != "__metadata__").map(tensor).collect()
}

/// Rows in the order of GGUF, where the two that are turned together lie side by side.
fn interleaved(values: &[f32], columns: usize, head: usize) -> Vec<f32> {
    let from = |row: usize| row / head * head + row % 2 * (head / 2) + row % head / 2;
    let rows = (0..values.len() / columns).map(|row| &values[from(row) * columns..][..columns]);
    rows.flatten().copied().collect()
}

fn encoded(kind: TensorKind, values: &[f32]) -> Vec<u8> {
    match kind {
        TensorKind::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        TensorKind::Q8_0 => q8_0::quantise(values),
        kind => values.as_chunks::<BLOCK>().0.iter().flat_map(|block| quantised(kind, block)).collect(),
    }
}

/// A block of Q4_1, Q5_0 or Q5_1.
fn quantised(kind: TensorKind, block: &[f32; BLOCK]) -> Vec<u8> {
    let (is_centred, is_five) = (kind == TensorKind::Q5_0, kind != TensorKind::Q4_1);
    let steps = if is_five { 31.0 } else { 15.0 };
    let high = block.iter().fold(0.0_f32, |most, value| most.max(*value));
    let low = block.iter().fold(0.0_f32, |least, value| least.min(*value));
    let scale = to_half(if is_centred { high.max(-low) / 15.0 } else { (high - low) / steps });
    let (unit, mut bytes) = (from_half(scale), scale.to_le_bytes().to_vec());
    let least = if is_centred { -16.0 * unit } else { from_half(to_half(low)) };
    if !is_centred {
        bytes.extend(to_half(low).to_le_bytes());
    }
    let quant = |value: f32| if unit > 0.0 { ((value - least) / unit).round().clamp(0.0, steps) as u8 } else { 0 };
    let quants = block.map(quant);
    if is_five {
        let fifths = quants.iter().rev().fold(0_u32, |all, quant| all << 1 | u32::from(quant >> 4));
        bytes.extend(fifths.to_le_bytes());
    }
    let (first, last) = quants.split_at(BLOCK / 2);
    bytes.extend(first.iter().zip(last).map(|(first, last)| first & 15 | last << 4));
    bytes
}
