//! Tiny models of every family, from safetensors and from GGUF, against the logits of their own runtimes
//! (`models/architectures`, made by its `make.py`).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use graph::{
    CacheFormat, CompileRefusal, Data, Defaults, LanguageKind, LanguageSources, Model, Tensor, compile_language,
    evaluate,
    gguf::Gguf,
    language::{Files, ImportRefusal, calculator::Plain, weights::Precision},
};
use safetensors::SafeTensors;
use serde_json::{Value, json};

const FAMILIES: [&str; 14] = [
    "deepseek2",
    "deepseek3",
    "gemma2",
    "gemma3",
    "llama",
    "mistral",
    "mixtral",
    "phi3",
    "phi3_long",
    "qwen2",
    "qwen2_moe",
    "qwen2_yarn",
    "qwen3",
    "qwen3_moe",
];

fn folder(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/architectures").join(family)
}

fn read(family: &str, file: &str) -> Vec<u8> {
    std::fs::read(folder(family).join(file)).unwrap()
}

fn sources() -> LanguageSources<'static> {
    LanguageSources {
        name: "tiny",
        kind: LanguageKind::Ordered,
        files: Files::Safetensors { weights: &[], config: b"{}", precision: Precision::AsStored },
        context: None,
        stop_tokens: &[],
        tokenizer: b"{}",
        template: "",
        defaults: Defaults::greedy(9),
        calibration: &[],
        calculator: &Plain,
        cache: CacheFormat::Halves,
    }
}

fn compile(files: Files) -> Result<Model, CompileRefusal> {
    compile_language(&LanguageSources { files, ..sources() }, &mut |bytes| Ok(bytes))
}

fn safetensors_model(family: &str, precision: Precision) -> Result<Model, CompileRefusal> {
    let (weights, config) = ([Bytes::from(read(family, "model.safetensors"))], read(family, "config.json"));
    compile(Files::Safetensors { weights: &weights, config: &config, precision })
}

fn gguf(family: &str) -> Result<Model, CompileRefusal> {
    compile(Files::Gguf(&Gguf::read(&read(family, "model.gguf").into()).unwrap()))
}

struct Expected {
    tokens: Vec<i32>,
    torch: Vec<f64>,
    llama_cpp: Vec<f64>,
}

fn expected(family: &str) -> Expected {
    let value: Value = serde_json::from_slice(&read(family, "expected.json")).unwrap();
    let rows = |key: &str| -> Vec<f64> {
        value[key]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|row| row.as_array().unwrap())
            .map(|x| x.as_f64().unwrap())
            .collect()
    };
    let tokens = value["tokens"].as_array().unwrap().iter().map(|token| token.as_i64().unwrap() as i32).collect();
    Expected { tokens, torch: rows("torch"), llama_cpp: rows("llama_cpp") }
}

fn logits(model: &Model, tokens: &[i32]) -> Vec<f64> {
    let input = Tensor::of(&[tokens.len()], Data::I32(tokens.to_vec()));
    let outputs = evaluate(&model.graph, &[input]).unwrap();
    assert_eq!(outputs[1].shape(), [tokens.len(), 32]);
    outputs[0].floats().unwrap().iter().map(|&logit| f64::from(logit)).collect()
}

/// The least cosine of any position's logits.
fn cosine(one: &[f64], other: &[f64], vocabulary: usize) -> f64 {
    let dot = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f64>();
    let of_row = |(one, other): (&[f64], &[f64])| dot(one, other) / (dot(one, one) * dot(other, other)).sqrt();
    one.chunks(vocabulary).zip(other.chunks(vocabulary)).map(of_row).fold(1.0, f64::min)
}

#[test]
fn every_family_says_what_its_own_runtimes_say() {
    for family in FAMILIES {
        let expected = expected(family);
        let from_safetensors = logits(&safetensors_model(family, Precision::AsStored).unwrap(), &expected.tokens);
        let near = cosine(&from_safetensors, &expected.torch, 64);
        assert!(near > 0.99999, "{family} from safetensors: {near} to torch");
        let from_gguf = logits(&gguf(family).unwrap(), &expected.tokens);
        // llama.cpp rounds what enters a matrix of binary16.
        let near = cosine(&from_gguf, &expected.llama_cpp, 64);
        assert!(near > 0.9999, "{family} from GGUF: {near} to llama.cpp");
        // Conversion loses the window of the one and the groups of the other.
        if !["mistral", "deepseek3"].contains(&family) {
            let near = cosine(&from_gguf, &from_safetensors, 64);
            assert!(near > 0.999_999, "{family}: {near} between both files");
        }
    }
}

#[test]
fn weights_in_blocks_are_near_those_that_were_stored() {
    // Among a handful of random experts the least difference may choose another.
    for family in ["gemma2", "gemma3", "llama", "mistral", "phi3", "qwen2", "qwen3"] {
        let expected = expected(family);
        let blocks = logits(&safetensors_model(family, Precision::Blocks).unwrap(), &expected.tokens);
        let near = cosine(&blocks, &expected.torch, 64);
        assert!(near > 0.99, "{family}: {near}");
    }
}

fn integer(family: &str, files: Files) -> Result<Model, CompileRefusal> {
    let calibration = [expected(family).tokens.iter().map(|&token| token as u32).collect()];
    let sources = LanguageSources { kind: LanguageKind::Integer, files, calibration: &calibration, ..sources() };
    compile_language(&sources, &mut |bytes| Ok(bytes))
}

/// Cosine of a model's logits to others over all positions, and the share of them at which both find the same token most
/// likely.
fn beside(family: &str, model: &Model, others: &[f64]) -> (f64, f64) {
    let tokens = expected(family).tokens;
    let input = Tensor::of(&[tokens.len()], Data::I32(tokens.clone()));
    let logits = evaluate(&model.graph, &[input]).unwrap().remove(0).integers().unwrap();
    let logits: Vec<f64> = logits.iter().map(|&logit| logit as f64).collect();
    let first = |row: &[f64]| row.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1)).map(|best| best.0);
    let pairs = logits.chunks(64).zip(others.chunks(64));
    let same = pairs.filter(|(one, other)| first(one) == first(other)).count();
    (cosine(&logits, others, logits.len()), same as f64 / tokens.len() as f64)
}

#[test]
fn every_family_has_an_integer_form_near_its_floats() {
    let mut far = Vec::new();
    for family in FAMILIES {
        let (weights, config) = ([Bytes::from(read(family, "model.safetensors"))], read(family, "config.json"));
        let files = Files::Safetensors { weights: &weights, config: &config, precision: Precision::AsStored };
        let file = Gguf::read(&read(family, "model.gguf").into()).unwrap();
        let torch = (files, expected(family).torch);
        let floats = (Files::Gguf(&file), logits(&gguf(family).unwrap(), &expected(family).tokens));
        for (files, others) in [torch, floats] {
            let model = integer(family, files).unwrap();
            assert_eq!(model.kind(), "integer");
            let (near, same) = beside(family, &model, &others);
            println!("{family}: {near:.4} to the floats, {:.0} % the same", same * 100.0);
            if near < 0.98 || same < 0.8 {
                far.push((family, near, same));
            }
        }
    }
    assert!(far.is_empty(), "{far:?}");
}

#[test]
fn the_integer_kind_has_no_cache_of_another_format() {
    let (weights, config) = ([Bytes::from(read("llama", "model.safetensors"))], read("llama", "config.json"));
    let files = Files::Safetensors { weights: &weights, config: &config, precision: Precision::AsStored };
    let bytes = LanguageSources { kind: LanguageKind::Integer, cache: CacheFormat::Bytes, files, ..sources() };
    assert_eq!(compile_language(&bytes, &mut |bytes| Ok(bytes)).unwrap_err(), CompileRefusal::Cache);
}

fn refused(family: &str, change: impl FnOnce(&mut Value)) -> ImportRefusal {
    let (weights, config) = ([Bytes::from(read(family, "model.safetensors"))], read(family, "config.json"));
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    change(&mut config);
    let config = config.to_string();
    let files = Files::Safetensors { weights: &weights, config: config.as_bytes(), precision: Precision::AsStored };
    match compile(files) {
        Err(CompileRefusal::Import(refusal)) => refusal,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{family} compiled from {config}"),
    }
}

#[test]
fn what_a_configuration_says_and_the_weights_do_not_have_is_refused_by_name() {
    let missing = refused("llama", |config| config["num_hidden_layers"] = json!(3));
    assert_eq!(missing, ImportRefusal::Missing { name: "model.layers.2.input_layernorm.weight".into() });
    let shape = refused("qwen3", |config| config["head_dim"] = json!(8));
    assert!(matches!(shape, ImportRefusal::Shape { name, .. } if name.ends_with("self_attn.q_proj.weight")));
    let unused = refused("qwen2_moe", |config| config["shared_expert_intermediate_size"] = json!(0));
    assert!(
        matches!(&unused, ImportRefusal::Unused { name, architecture: "Qwen2-MoE" } if name.contains("shared_expert")),
        "{unused}"
    );
    let other = refused("llama", |config| config["architectures"] = json!(["MambaForCausalLM"]));
    assert!(
        matches!(&other, ImportRefusal::Architecture { found, known } if found == "MambaForCausalLM" && known.contains("Qwen3MoeForCausalLM"))
    );
    let config = |family: &str, key: &str, value: Value| {
        let change = |config: &mut Value| *config.pointer_mut(&format!("/{}", key.replace('.', "/"))).unwrap() = value;
        match refused(family, change) {
            ImportRefusal::Config { key: found, .. } => assert!(key.ends_with(&found), "{key}: {found}"),
            other => panic!("{key}: {other}"),
        }
    };
    config("mixtral", "num_experts_per_tok", json!(5));
    config("gemma3", "layer_types", json!(["full_attention"]));
    config("gemma2", "layer_types", json!(["full_attention", "chunked_attention"]));
    config("gemma2", "query_pre_attn_scalar", json!(-1));
    config("phi3_long", "rope_parameters.long_factor", json!([1.0, -1.0, 2.0]));
    config("phi3_long", "rope_parameters.partial_rotary_factor", json!(0.05));
    config("qwen2_yarn", "rope_parameters.rope_type", json!("stretched"));
    config("qwen2_yarn", "rope_parameters.factor", json!("four"));
    let dynamic = json!({"rope_type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 16});
    let beyond = refused("gemma3", |config| config["rope_parameters"]["full_attention"] = dynamic);
    assert!(
        matches!(&beyond, ImportRefusal::Config { key, .. } if key == "original_max_position_embeddings"),
        "{beyond}"
    );
    config("deepseek3", "qk_rope_head_dim", json!(3));
    config("deepseek2", "kv_lora_rank", Value::Null);
}

#[test]
fn a_tensor_that_is_there_twice_or_of_another_type_is_refused() {
    let config = read("llama", "config.json");
    let file = Bytes::from(read("llama", "model.safetensors"));
    let twice = [file.clone(), file.clone()];
    let files = Files::Safetensors { weights: &twice, config: &config, precision: Precision::AsStored };
    assert!(matches!(compile(files), Err(CompileRefusal::Import(ImportRefusal::Twice { .. }))));
    let mut full = |_: Bytes| Err(std::io::Error::other("the disk is full"));
    let one = [file];
    let files = Files::Safetensors { weights: &one, config: &config, precision: Precision::AsStored };
    let sources = LanguageSources { files, ..sources() };
    let kept = compile_language(&sources, &mut full).unwrap_err();
    assert_eq!(kept, ImportRefusal::Keep { cause: "the disk is full".into() }.into());
}

#[test]
fn a_model_in_several_files_is_the_same_as_in_one() {
    let (whole, config) = (read("qwen2", "model.safetensors"), read("qwen2", "config.json"));
    let file = SafeTensors::deserialize(&whole).unwrap();
    let part = |rest: usize| {
        let views = file.tensors().into_iter().enumerate().filter(|(index, _)| index % 2 == rest).map(|(_, view)| view);
        Bytes::from(safetensors::serialize(views, None).unwrap())
    };
    let parts = [part(0), part(1)];
    let files = Files::Safetensors { weights: &parts, config: &config, precision: Precision::AsStored };
    let one = safetensors_model("qwen2", Precision::AsStored).unwrap();
    assert_eq!(compile(files).unwrap().root(), one.root());
}

#[test]
fn no_damage_to_a_file_makes_the_importer_panic() {
    for family in ["deepseek3", "phi3_long", "gemma3"] {
        let (bytes, config) = (read(family, "model.gguf"), read(family, "config.json"));
        for at in (0..bytes.len().min(12_000)).step_by(41) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x15;
            if let Ok(file) = Gguf::read(&changed.into()) {
                drop(compile(Files::Gguf(&file)));
            }
        }
        let weights = [Bytes::from(read(family, "model.safetensors"))];
        for at in (0..config.len()).step_by(7) {
            let mut changed = config.clone();
            changed[at] = b'7';
            let files = Files::Safetensors { weights: &weights, config: &changed, precision: Precision::AsStored };
            drop(compile(files));
        }
    }
}
