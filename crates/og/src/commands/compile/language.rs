//! A GGUF file, or a folder with safetensors, to an artefact. Weights are packed a matrix at a time into a file beside the
//! artefact, so that a model larger than memory compiles.

use std::path::{Component, Path};

use anyhow::{Context as _, Result, bail};
use api::limits::{PENALTY_MICROS_MAX, TEMPERATURE_MICROS_MAX, TOKENS_MAX, TOP_P_MICROS_MAX};
use bytes::Bytes;
use engine::{
    CheckpointFiles, Comparison, CompileOptions, Model, WeightFiles, compare, compile_with, float_decoder,
    stop_tokens_from_gguf, tokenizer_from_files, tokenizer_from_gguf,
};
use graph::{
    Defaults, LanguageKind,
    gguf::Gguf,
    language::{Decoder, settings::Settings, weights::Precision},
};
use serde_json::Value;
use storage::Incoming;

use super::{
    artefact, json,
    measured::{self, Parts},
    read, read_text, sampling, sentences, split, template,
};
use crate::cli::ModelCompile;

/// Most tokens of an answer where nobody says it: each call that names none reserves and is quoted for so many.
const ANSWER_TOKENS: u32 = 2_048;

/// What is said of a compiled model beside what its artefact says of itself.
#[derive(Default)]
pub struct Compiled {
    /// What its numbers are to be compared with, where it is made of integers.
    pub measure: Option<Measure>,
    /// What its files ask for and it does not have, or has within bounds alone.
    pub notes: Vec<String>,
}

/// What an integer model is measured beside.
pub struct Measure {
    floats: Decoder<'static>,
    dialogues: String,
    /// What the dialogues are.
    pub on: String,
}

impl Measure {
    pub fn of(mut self, model: &Model) -> Result<Comparison> {
        let language = model.as_language().context("a model of tensors has no perplexity")?;
        Ok(compare(language, &mut self.floats, &self.dialogues)?)
    }
}

/// The files of a model, read or mapped.
struct Sources {
    gguf: Option<Gguf>,
    weights: Vec<Bytes>,
    config: Vec<u8>,
    tokenizer: Vec<u8>,
    template: String,
    stop_tokens: Vec<u32>,
    calibration: Option<String>,
    /// `generation_config.json`, or what a GGUF file says under its own keys, or null.
    generation: Value,
}

/// Writes the artefact.
pub fn compile(options: &ModelCompile, name: &str, is_gguf: bool) -> Result<Compiled> {
    let sources = if is_gguf { of_gguf(options)? } else { of_folder(options)? };
    let provable = options.provable || (!options.ordered && !is_gguf && sources.calibration.is_some());
    let kind = if provable { LanguageKind::Integer } else { LanguageKind::Ordered };
    let parts = match kind {
        LanguageKind::Integer => Some(parts(options, sources.calibration.as_deref())?),
        LanguageKind::Ordered if options.measure.is_some() => {
            bail!("--measure is for what is made of integers; hint: --provable makes such a model")
        }
        LanguageKind::Ordered => None,
    };
    let calibration = parts.as_ref().map_or("", |parts| parts.calibration.as_str());
    let weights = match &sources.gguf {
        Some(file) => WeightFiles::Gguf(file),
        None => WeightFiles::Safetensors { files: &sources.weights, config: &sources.config },
    };
    let (tokenizer, template) = (sources.tokenizer.as_slice(), sources.template.as_str());
    let files = CheckpointFiles { weights, tokenizer, template, calibration, stop_tokens: &sources.stop_tokens };
    let precision = if options.keep_floats { Precision::AsStored } else { Precision::Blocks };
    let cache = options.cache.format();
    let from = if is_gguf { "general.sampling of the file" } else { "generation_config.json" };
    let defaults = defaults(options, &sources.generation).context(from)?;
    let mut notes = sampling::passed_over(&sources.generation);
    notes.extend(notes_of(&sources.config));
    notes.extend(template::note(template));
    let chosen = CompileOptions { kind, precision, context: options.context, defaults, cache };
    write(&options.out, &files, name, &chosen)?;
    let floats = provable.then(|| float_decoder(&files, options.context)).transpose()?;
    let measure = floats.zip(parts).map(|(floats, parts)| Measure { floats, dialogues: parts.measured, on: parts.on });
    Ok(Compiled { measure, notes })
}

/// The dialogues that scales are found by, and those that are measured on.
fn parts(options: &ModelCompile, calibration: Option<&str>) -> Result<Parts<String>> {
    let calibration = calibration
        .context("the integer kind needs dialogues to find its scales by; hint: --calibration FILE, or --ordered")?;
    match &options.measure {
        Some(path) => Ok(Parts::said(calibration.to_owned(), read_text(path)?, path)),
        None => Ok(measured::dialogues(calibration)),
    }
}

/// What a `config.json` asks for and the model does not have, or has within bounds.
fn notes_of(config: &[u8]) -> Vec<String> {
    // Of a GGUF file there is none; one that cannot be read is refused where it is needed.
    let Ok(settings) = Settings::of_json(config) else { return Vec::new() };
    let sight = settings.wrapper().map(|name| format!("of {name} the texts' decoder: what sees pictures is left out"));
    sight.into_iter().chain(rotation_note(&settings)).collect()
}

/// A rotation whose base grows with a text is the plain one within what the model was trained for, and no longer text is
/// served.
fn rotation_note(settings: &Settings) -> Option<String> {
    let scaled = settings.within("rope_parameters").or_else(|| settings.within("rope_scaling"))?;
    let kind = scaled.find("rope_type").or_else(|| scaled.find("type"))?;
    (kind == "dynamic").then(|| "dynamic rotation: as it is up to the trained length, where texts end".to_owned())
}

/// Compiles with packed weights kept in a file, then copies them behind the manifest.
fn write(out: &Path, files: &CheckpointFiles, name: &str, options: &CompileOptions) -> Result<()> {
    let mut packed = Incoming::new(artefact::folder(out), artefact::BYTES_MAX)?;
    let mut keep = |bytes: Bytes| -> std::io::Result<Bytes> {
        let start = usize::try_from(packed.length()).map_err(std::io::Error::other)?;
        packed.write(&bytes).map_err(std::io::Error::other)?;
        Ok(packed.bytes().map_err(std::io::Error::other)?.slice(start..start + bytes.len()))
    };
    let model = compile_with(files, name, options, &mut keep)?;
    artefact::write(out, &model)
}

fn of_gguf(options: &ModelCompile) -> Result<Sources> {
    let file = split::open(&options.source)?;
    Ok(Sources {
        tokenizer: tokenizer_from_gguf(&file)?,
        template: template::of_gguf(&file, options.template.as_deref())?,
        stop_tokens: stop_tokens_from_gguf(&file)?,
        generation: sampling::of_gguf(&file),
        calibration: options.calibration.as_deref().map(read_text).transpose()?,
        gguf: Some(file),
        weights: Vec::new(),
        config: Vec::new(),
    })
}

/// What a request that says nothing gets: what was said here, else what the model's own files say, else sampling as other
/// services do it. None is more than a caller may ask for.
fn defaults(options: &ModelCompile, generation: &Value) -> Result<Defaults> {
    let own = |name: &str| generation.get(name).filter(|value| !value.is_null());
    // In millionths; `usual` where nobody says any.
    let micros = |said: Option<f64>, name: &str, range: (i32, u32), usual: f64| -> Result<i32> {
        let value = match (said, own(name)) {
            (Some(value), _) => value,
            (None, Some(value)) => value.as_f64().with_context(|| no_number(name, value, "number"))?,
            (None, None) => usual,
        };
        let (least, most) = (f64::from(range.0) / 1e6, f64::from(range.1) / 1e6);
        if !(least..=most).contains(&value) {
            let flag = name.replace('_', "-");
            bail!("{name} is {value}, expected {least} to {most}; hint: --{flag} says another one");
        }
        Ok((value * 1e6).round() as i32)
    };
    let positive = |said, name, most, usual| micros(said, name, (0, most), usual).map(i32::unsigned_abs);
    let signed = (-PENALTY_MICROS_MAX.cast_signed(), PENALTY_MICROS_MAX);
    let penalty = |said, name| micros(said, name, signed, 0.0);
    let count = |said: Option<u32>, name: &str, other: u32| -> Result<u32> {
        match (said, own(name)) {
            (Some(count), _) => Ok(count),
            (None, Some(value)) => {
                let count = value.as_u64().with_context(|| no_number(name, value, "count"))?;
                Ok(u32::try_from(count).unwrap_or(u32::MAX))
            }
            (None, None) => Ok(other),
        }
    };
    let is_greedy = own("do_sample") == Some(&Value::Bool(false)) && options.temperature.is_none();
    let repetition_penalty = positive(options.repetition_penalty, "repetition_penalty", PENALTY_MICROS_MAX, 1.0)?;
    if repetition_penalty == 0 {
        bail!("repetition_penalty is 0, more expected; hint: --repetition-penalty 1 changes nothing");
    }
    Ok(Defaults {
        max_tokens: count(options.max_tokens, "max_new_tokens", ANSWER_TOKENS)?.clamp(1, TOKENS_MAX),
        temperature_micros: if is_greedy {
            0
        } else {
            positive(options.temperature, "temperature", TEMPERATURE_MICROS_MAX, 1.0)?
        },
        top_p_micros: positive(options.top_p, "top_p", TOP_P_MICROS_MAX, 1.0)?,
        top_k: count(options.top_k, "top_k", 0)?,
        min_p_micros: positive(options.min_p, "min_p", TOP_P_MICROS_MAX, 0.0)?,
        repetition_penalty_micros: repetition_penalty,
        presence_penalty_micros: penalty(options.presence_penalty, "presence_penalty")?,
        frequency_penalty_micros: penalty(options.frequency_penalty, "frequency_penalty")?,
    })
}

/// Of a setting in a model's files; each has a flag that is said in its place.
fn no_number(name: &str, value: &Value, expected: &str) -> String {
    let flag = if name == "max_new_tokens" { "max-tokens".to_owned() } else { name.replace('_', "-") };
    format!("{name} is {value}, a {expected} expected; hint: --{flag} says another one")
}

fn of_folder(options: &ModelCompile) -> Result<Sources> {
    sentences::check(&options.source)?;
    let file = |name: &str| options.source.join(name);
    let optional = |name: &str| file(name).exists().then(|| read(&file(name))).transpose();
    let tokenizer_config = optional("tokenizer_config.json")?;
    let described = json("tokenizer_config.json", tokenizer_config.as_deref())?;
    let template = template::of_folder(&options.source, &described, options.template.as_deref())?;
    let mut tokenizer = read(&file("tokenizer.json"))?;
    // Only templates that write these tokens by name need to know them.
    if let Some(config) = tokenizer_config.filter(|_| template.contains("bos_token") || template.contains("eos_token"))
    {
        tokenizer = tokenizer_from_files(&tokenizer, &config)?;
    }
    let generation = json("generation_config.json", optional("generation_config.json")?.as_deref())?;
    let calibration = match &options.calibration {
        Some(path) => Some(read_text(path)?),
        None => file("calibration.jsonl").exists().then(|| read_text(&file("calibration.jsonl"))).transpose()?,
    };
    Ok(Sources {
        gguf: None,
        weights: shards(&options.source)?,
        config: read(&file("config.json"))?,
        tokenizer,
        template,
        stop_tokens: stop_tokens(generation.get("eos_token_id")),
        calibration,
        generation,
    })
}

/// One token, or a list of them; what is neither is left to `config.json`.
fn stop_tokens(value: Option<&Value>) -> Vec<u32> {
    let token = |value: &Value| value.as_u64().and_then(|token| u32::try_from(token).ok());
    match value {
        Some(Value::Array(list)) => list.iter().filter_map(token).collect(),
        Some(value) => token(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// The files of the weights, mapped: one, or those that the index names.
fn shards(folder: &Path) -> Result<Vec<Bytes>> {
    let one = ["model.safetensors", "weights.safetensors"].map(|name| folder.join(name));
    if let Some(path) = one.iter().find(|path| path.exists()) {
        return Ok(vec![storage::map_file(path)?]);
    }
    let name = "model.safetensors.index.json";
    let index = json(name, Some(&read(&folder.join(name))?))?;
    let map = index.get("weight_map").and_then(Value::as_object).context("the index has no weight_map")?;
    let mut names: Vec<&str> = map.values().filter_map(Value::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let shard = |name: &&str| -> Result<Bytes> {
        // An index speaks of files beside it and of nothing else.
        match Path::new(name).components().collect::<Vec<_>>().as_slice() {
            [Component::Normal(_)] => Ok(storage::map_file(&folder.join(name))?),
            _ => {
                bail!("the index names {name}, expected a file beside it; hint: put the shards into the model's folder")
            }
        }
    };
    names.iter().map(shard).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{CommandLine, Model as ModelVerb, Verb};

    fn decided(flags: &[&str], generation: &Value) -> Result<Defaults, String> {
        let words = ["og", "model", "compile", "folder", "--out", "file"].iter().chain(flags);
        let Verb::Model(ModelVerb::Compile(options)) = CommandLine::try_parse_from(words).unwrap().verb else {
            panic!("compile was said")
        };
        defaults(&options, generation).map_err(|error| error.to_string())
    }

    fn sampled(max_tokens: u32, temperature_micros: u32, top_p_micros: u32, top_k: u32) -> Result<Defaults, String> {
        Ok(Defaults { temperature_micros, top_p_micros, top_k, ..Defaults::greedy(max_tokens) })
    }

    #[test]
    fn what_is_said_comes_before_what_the_files_say_and_that_before_what_is_usual() {
        let own = serde_json::json!({
            "do_sample": true, "temperature": 0.6, "top_p": 0.95, "top_k": 20, "max_new_tokens": 700, "eos_token_id": 2,
        });
        assert_eq!(decided(&[], &Value::Null), sampled(2_048, 1_000_000, 1_000_000, 0));
        assert_eq!(decided(&[], &own), sampled(700, 600_000, 950_000, 20));
        let flags = ["--temperature", "0.25", "--top-p", "1", "--top-k", "0", "--max-tokens", "9"];
        assert_eq!(decided(&flags, &own), sampled(9, 250_000, 1_000_000, 0));
        let greedy = serde_json::json!({ "do_sample": false, "temperature": null, "max_new_tokens": 1_000_000 });
        assert_eq!(decided(&[], &greedy), Ok(Defaults::greedy(65_536)));
        assert_eq!(decided(&["--temperature", "1"], &greedy).unwrap().temperature_micros, 1_000_000);
    }

    #[test]
    fn a_file_beside_the_weights_that_is_no_json_is_refused_and_one_that_is_not_there_says_nothing() {
        assert_eq!(json("generation_config.json", None).unwrap(), Value::Null);
        let refused = json("tokenizer_config.json", Some(b"{")).unwrap_err().to_string();
        assert!(refused.starts_with("tokenizer_config.json is not JSON; hint:"), "{refused}");
    }

    #[test]
    fn what_a_configuration_asks_for_and_the_model_does_not_have_is_told() {
        let notes = |config: Value| notes_of(config.to_string().as_bytes());
        let decoder = serde_json::json!({ "model_type": "gemma3_text", "rope_scaling": { "rope_type": "dynamic" } });
        let dynamic = "dynamic rotation: as it is up to the trained length, where texts end";
        assert_eq!(notes(decoder.clone()), [dynamic]);
        let sees = serde_json::json!({ "architectures": ["Gemma3ForConditionalGeneration"], "text_config": decoder });
        let sight = "of Gemma3ForConditionalGeneration the texts' decoder: what sees pictures is left out";
        assert_eq!(notes(sees), [sight, dynamic]);
        assert!(notes(serde_json::json!({ "model_type": "llama", "rope_scaling": null })).is_empty());
        assert!(notes_of(b"").is_empty());
    }

    #[test]
    fn weights_in_shards_are_those_that_the_index_names_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let refused = |index: &str| {
            write("model.safetensors.index.json", index);
            format!("{:#}", shards(folder.path()).unwrap_err())
        };
        write("one", "1");
        write("two", "2");
        assert!(refused("{").contains("model.safetensors.index.json is not JSON"));
        assert!(refused("{}").contains("no weight_map"));
        for name in ["../one", "/one", "a/one", ""] {
            let index = serde_json::json!({ "weight_map": { "a": name } }).to_string();
            assert!(refused(&index).contains("expected a file beside it; hint:"), "{name}");
        }
        assert!(refused(r#"{"weight_map": {"a": "three"}}"#).contains("three"));
        write("model.safetensors.index.json", r#"{"weight_map": {"a": "two", "b": "one", "c": "two"}}"#);
        assert_eq!(shards(folder.path()).unwrap(), ["1", "2"]);
    }

    #[test]
    fn penalties_and_the_least_share_are_said_in_the_same_ways() {
        let own = serde_json::json!({
            "min_p": 0.05, "repetition_penalty": 1.1, "presence_penalty": -0.5, "frequency_penalty": 0.25,
        });
        let expected = Defaults {
            min_p_micros: 50_000,
            repetition_penalty_micros: 1_100_000,
            presence_penalty_micros: -500_000,
            frequency_penalty_micros: 250_000,
            ..sampled(2_048, 1_000_000, 1_000_000, 0).unwrap()
        };
        assert_eq!(decided(&[], &own), Ok(expected));
        let flags =
            ["--min-p", "0", "--repetition-penalty", "1", "--presence-penalty", "-2", "--frequency-penalty", "0"];
        let said = Defaults { presence_penalty_micros: -2_000_000, ..sampled(2_048, 1_000_000, 1_000_000, 0).unwrap() };
        assert_eq!(decided(&flags, &own), Ok(said));
    }

    #[test]
    fn a_default_that_is_none_is_refused_by_name() {
        let refused = |own: Value| decided(&[], &own).unwrap_err();
        assert!(refused(serde_json::json!({ "temperature": 3 })).contains("temperature is 3, expected 0 to 2"));
        assert!(refused(serde_json::json!({ "top_p": "much" })).contains("top_p is \"much\", a number expected"));
        assert!(refused(serde_json::json!({ "top_k": -1 })).contains("top_k is -1, a count expected"));
        assert!(
            refused(serde_json::json!({ "repetition_penalty": 0 })).contains("repetition_penalty is 0, more expected")
        );
        let penalty = refused(serde_json::json!({ "presence_penalty": -2.5 }));
        assert!(penalty.contains("-2.5, expected -2 to 2; hint: --presence-penalty"), "{penalty}");
        assert!(decided(&["--top-p", "1.5"], &Value::Null).unwrap_err().contains("expected 0 to 1"));
    }
}
