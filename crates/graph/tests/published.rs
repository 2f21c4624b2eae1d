//! Checkpoints as their publishers wrote them: bytes with scales of blocks, and decoders within models that see pictures.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use graph::{
    CacheFormat, CompileRefusal, Defaults, LanguageKind, LanguageSources, Model, compile_language,
    language::{
        Decoder, Files, ImportRefusal, architectures,
        calculator::Plain,
        config::Config,
        rotation::{Rotation, Scaling},
        settings::Settings,
        weights::{Place, Precision, Rows, Weights, names},
    },
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};

const QUERY: &str = "model.layers.0.self_attn.q_proj.weight";
const ROWS: usize = 130;
const COLUMNS: usize = 260;

/// A tensor's type, sizes and bytes.
type Stored = (Dtype, Vec<usize>, Vec<u8>);
type Tensors = BTreeMap<String, Stored>;

fn read(family: &str, name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/architectures");
    std::fs::read(folder.join(family).join(name)).unwrap()
}

fn config(family: &str) -> Value {
    serde_json::from_slice(&read(family, "config.json")).unwrap()
}

fn tensors(family: &str) -> Tensors {
    let file = read(family, "model.safetensors");
    let all = SafeTensors::deserialize(&file).unwrap().tensors();
    all.into_iter().map(|(name, view)| (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))).collect()
}

fn view<'a>((name, (dtype, shape, data)): (&'a String, &'a Stored)) -> (&'a str, TensorView<'a>) {
    (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap())
}

fn file(tensors: &Tensors) -> Bytes {
    Bytes::from(safetensors::serialize(tensors.iter().map(view), None).unwrap())
}

fn compile(tensors: &Tensors, config: &Value, precision: Precision) -> Result<Model, CompileRefusal> {
    compile_file(&file(tensors), config.to_string().as_bytes(), precision)
}

fn compile_file(file: &Bytes, config: &[u8], precision: Precision) -> Result<Model, CompileRefusal> {
    let weights = [file.clone()];
    let sources = LanguageSources {
        name: "published",
        kind: LanguageKind::Ordered,
        files: Files::Safetensors { weights: &weights, config, precision },
        context: None,
        stop_tokens: &[],
        tokenizer: b"{}",
        template: "",
        defaults: Defaults::greedy(9),
        calibration: &[],
        calculator: &Plain,
        cache: CacheFormat::Halves,
    };
    compile_language(&sources, &mut |bytes| Ok(bytes))
}

fn refused(tensors: &Tensors, config: &Value) -> ImportRefusal {
    match compile(tensors, config, Precision::Blocks) {
        Err(CompileRefusal::Import(refusal)) => refusal,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("compiled from {config}"),
    }
}

fn as_bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// What a byte of F8_E4M3 stands for: a sign, four bits of exponent, three of fraction.
fn value(byte: u8) -> f32 {
    let (exponent, fraction) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
    let size = match exponent {
        0 => fraction * 2_f32.powi(-9),
        15 if byte & 7 == 7 => f32::NAN,
        _ => (8.0 + fraction) * 2_f32.powi(exponent - 10),
    };
    if byte & 0x80 == 0 { size } else { -size }
}

/// What DeepSeek-V3's configuration says of its weights.
fn quantised() -> Value {
    json!({ "activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128] })
}

/// The tiny DeepSeek as its family is published, and as binary32: all matrices but the router's are bytes.
fn deepseek() -> (Tensors, Tensors) {
    let (mut published, mut plain) = (tensors("deepseek3"), tensors("deepseek3"));
    for (index, (name, (_, shape, data))) in tensors("deepseek3").into_iter().enumerate() {
        let is_matrix = name.ends_with("_proj.weight") || name.ends_with("_proj_with_mqa.weight");
        if !is_matrix {
            continue;
        }
        // The upper half of a binary16 makes a byte like any other.
        let bytes: Vec<u8> = data.chunks_exact(2).map(|half| half[1]).collect();
        let scale = 0.37 + index as f32 / 100.0;
        let numbers: Vec<f32> = bytes.iter().map(|&byte| value(byte) * scale).collect();
        published.insert(format!("{name}_scale_inv"), (Dtype::F32, vec![1, 1], as_bytes(&[scale])));
        plain.insert(name.clone(), (Dtype::F32, shape.clone(), as_bytes(&numbers)));
        published.insert(name, (Dtype::F8_E4M3, shape, bytes));
    }
    (published, plain)
}

fn deepseek_config() -> Value {
    let mut config = config("deepseek3");
    config["quantization_config"] = quantised();
    config
}

#[test]
fn bytes_with_scales_are_the_floats_that_they_stand_for() {
    let (published, plain) = deepseek();
    assert!(published.len() > plain.len() + 30, "{}", published.len());
    for precision in [Precision::Blocks, Precision::AsStored] {
        let one = compile(&published, &deepseek_config(), precision).unwrap();
        let other = compile(&plain, &config("deepseek3"), precision).unwrap();
        assert_eq!((one.root(), one.parameters), (other.root(), other.parameters), "{precision:?}");
    }
    // What the integer kind is made of.
    let of = |tensors: &Tensors, config: &Value| {
        let mut decoder = Decoder::import(&file(tensors), config.to_string().as_bytes()).unwrap();
        (0..2).map(|layer| format!("{:?}", decoder.layer(layer).unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(of(&published, &deepseek_config()), of(&plain, &config("deepseek3")));
}

/// A matrix of several blocks, the last of which are cut, with scales of that type.
fn query(dtype: Dtype) -> (Tensors, Vec<f32>) {
    let scales: Vec<f32> = (0..6).map(|index| 2_f32.powi(index - 3) * 1.5).collect();
    let of_scales = match dtype {
        Dtype::F32 => as_bytes(&scales),
        // These have no more bits than that.
        _ => scales.iter().flat_map(|scale| ((scale.to_bits() >> 16) as u16).to_le_bytes()).collect(),
    };
    let bytes: Vec<u8> = (0..ROWS * COLUMNS).map(|at| (at * 37 + at / 256) as u8).map(numeric).collect();
    let number = |(at, &byte): (usize, &u8)| value(byte) * scales[at / COLUMNS / 128 * 3 + at % COLUMNS / 128];
    let numbers = bytes.iter().enumerate().map(number).collect();
    let weight = (QUERY.to_owned(), (Dtype::F8_E4M3, vec![ROWS, COLUMNS], bytes));
    (Tensors::from([weight, (format!("{QUERY}_scale_inv"), (dtype, vec![2, 3], of_scales))]), numbers)
}

/// Another byte in the place of one that is no number.
fn numeric(byte: u8) -> u8 {
    if byte & 0x7f == 0x7f { byte ^ 1 } else { byte }
}

fn settings(config: &Value) -> Settings {
    Settings::of_json(config.to_string().as_bytes()).unwrap()
}

/// The numbers of that matrix, as a decoder whose settings say this of quantisation reads them.
fn widened(tensors: &Tensors, quantisation: &Value) -> Result<Vec<f32>, ImportRefusal> {
    let settings = settings(&json!({ "model_type": "llama", "quantization_config": quantisation }));
    let mut weights = Weights::of_safetensors(&[file(tensors)], &settings, Precision::AsStored, None)?;
    weights.widened(&Rows::all(Place { part: &names::QUERY, layer: Some(0) }, ROWS, COLUMNS))
}

#[test]
fn every_number_is_its_byte_times_the_scale_of_its_block() {
    for dtype in [Dtype::F32, Dtype::BF16] {
        let (tensors, numbers) = query(dtype);
        assert_eq!(widened(&tensors, &quantised()).unwrap(), numbers, "{dtype:?}");
        let least = json!({ "quant_method": "fp8", "weight_block_size": [128, 128] });
        assert_eq!(widened(&tensors, &least).unwrap(), numbers, "{dtype:?}");
    }
}

#[test]
fn bytes_without_the_scales_that_belong_to_them_are_refused() {
    let of_scales = format!("{QUERY}_scale_inv");
    let with = |name: &str, change: &dyn Fn(&mut Stored)| {
        let (mut tensors, _) = query(Dtype::F32);
        change(tensors.get_mut(name).unwrap());
        widened(&tensors, &quantised()).unwrap_err()
    };
    let (mut tensors, _) = query(Dtype::F32);
    let element =
        |name: &str, expected, found: &str| ImportRefusal::Element { name: name.into(), expected, found: found.into() };
    assert_eq!(widened(&tensors, &Value::Null), Err(element(QUERY, "F32, F16 or BF16", "F8_E4M3")));
    tensors.remove(&of_scales);
    assert_eq!(widened(&tensors, &quantised()), Err(ImportRefusal::Missing { name: of_scales.clone() }));
    let shape = with(&of_scales, &|(_, shape, _)| *shape = vec![3, 2]);
    assert_eq!(shape, ImportRefusal::Shape { name: of_scales.clone(), expected: vec![2, 3], found: vec![3, 2] });
    let deep = with(QUERY, &|(_, shape, _)| *shape = vec![2, ROWS / 2, COLUMNS]);
    assert_eq!(deep, element(QUERY, "a matrix where they are F8_E4M3", "F8_E4M3 in 3 sizes"));
    let of_bytes = with(&of_scales, &|stored| *stored = (Dtype::F8_E4M3, vec![2, 3], vec![1; 6]));
    assert_eq!(of_bytes, element(&of_scales, "F32, F16 or BF16", "F8_E4M3"));
    let of_powers = with(&of_scales, &|stored| *stored = (Dtype::F8_E8M0, vec![2, 3], vec![1; 6]));
    assert_eq!(of_powers, element(&of_scales, "F32, F16, BF16 or F8_E4M3", "F8_E8M0"));
    let other = with(QUERY, &|(dtype, ..)| *dtype = Dtype::F8_E5M2);
    assert_eq!(other, element(QUERY, "F32, F16, BF16 or F8_E4M3", "F8_E5M2"));
    let no_number = with(QUERY, &|(.., bytes)| bytes[7] = 0xff);
    assert_eq!(no_number, ImportRefusal::NotFinite { name: QUERY.into(), index: 7 });
    for scale in [f32::INFINITY, f32::NAN, f32::MAX] {
        let beyond = with(&of_scales, &|(.., bytes)| bytes[..4].copy_from_slice(&scale.to_le_bytes()));
        assert!(matches!(beyond, ImportRefusal::NotFinite { name, .. } if name == QUERY), "{scale}");
    }
    let unused = {
        let (mut published, _) = deepseek();
        published.insert("model.norm.weight_scale_inv".into(), (Dtype::F32, vec![1, 1], as_bytes(&[1.0])));
        refused(&published, &deepseek_config())
    };
    assert!(matches!(unused, ImportRefusal::Unused { name, .. } if name == "model.norm.weight_scale_inv"));
}

#[test]
fn other_quantisations_are_refused_by_their_key() {
    let (tensors, _) = query(Dtype::F32);
    let cases = [
        ("quant_method", json!("gptq"), "\"gptq\""),
        ("quant_method", json!("compressed-tensors"), "\"compressed-tensors\""),
        ("quant_method", Value::Null, "missing"),
        ("weight_block_size", json!([64, 128]), "[64,128]"),
        ("weight_block_size", Value::Null, "missing"),
        ("fmt", json!("e5m2"), "\"e5m2\""),
        ("activation_scheme", json!("static"), "\"static\""),
    ];
    for (key, said, shown) in cases {
        let mut quantisation = quantised();
        quantisation[key] = said;
        match widened(&tensors, &quantisation) {
            Err(ImportRefusal::Config { key: named, found, .. }) => {
                assert_eq!((named.as_str(), found.as_str()), (key, shown))
            }
            other => panic!("{key}: {other:?}"),
        }
    }
    let gptq = widened(&tensors, &json!({ "quant_method": "gptq" })).unwrap_err().to_string();
    assert!(gptq.contains("quant_method is \"gptq\", expected \"fp8\"; hint: take the model as it was"), "{gptq}");
    let none = widened(&tensors, &json!(8)).unwrap_err();
    assert!(matches!(none, ImportRefusal::Config { key, .. } if key == "quantization_config"));
}

/// A model that sees pictures, around a family's decoder; the tensors' names as transformers wrote them first, or as it
/// does now.
fn seeing(name: &str, family: &str, is_older: bool) -> (Tensors, Value) {
    let (mut decoder, eyes) = (config(family), if is_older { "" } else { "model." });
    let object = decoder.as_object_mut().unwrap();
    object.remove("architectures");
    let eos = object.remove("eos_token_id");
    let within = |name: String| match (is_older, name.strip_prefix("model.")) {
        (true, _) => format!("language_model.{name}"),
        (false, Some(rest)) => format!("model.language_model.{rest}"),
        (false, None) => name,
    };
    let mut all: Tensors = tensors(family).into_iter().map(|(name, stored)| (within(name), stored)).collect();
    for part in ["vision_tower.vision_model.embeddings.patch_embedding.weight", "multi_modal_projector.linear_1.weight"]
    {
        // Nobody asks what they are made of.
        all.insert(format!("{eyes}{part}"), (Dtype::I32, vec![2, 2], vec![0; 16]));
    }
    let config = json!({
        "architectures": [name], "eos_token_id": eos, "image_token_index": 3, "text_config": decoder, "vision_config": {},
    });
    (all, config)
}

const GEMMA: &str = "Gemma3ForConditionalGeneration";

#[test]
fn the_decoder_of_a_model_that_sees_pictures_is_the_decoder_alone() {
    for (name, family) in [(GEMMA, "gemma3"), ("Mistral3ForConditionalGeneration", "mistral")] {
        let alone = compile(&tensors(family), &config(family), Precision::Blocks).unwrap();
        for is_older in [true, false] {
            let (tensors, config) = seeing(name, family, is_older);
            let within = compile(&tensors, &config, Precision::Blocks).unwrap();
            assert_eq!((within.root(), within.parameters), (alone.root(), alone.parameters), "{name} {is_older}");
            assert_eq!(settings(&config).wrapper(), Some(name));
        }
    }
    assert_eq!(settings(&config("gemma3")).wrapper(), None);
}

#[test]
fn a_decoder_within_may_be_quantised_by_what_is_said_of_the_whole() {
    let (published, plain) = deepseek();
    let (mut decoder, whole) = (
        config("deepseek3"),
        |decoder: &Value| json!({ "architectures": [GEMMA], "text_config": decoder, "quantization_config": quantised() }),
    );
    decoder.as_object_mut().unwrap().remove("architectures");
    let within: Tensors =
        published.into_iter().map(|(name, stored)| (format!("language_model.{name}"), stored)).collect();
    let one = compile(&within, &whole(&decoder), Precision::Blocks).unwrap();
    assert_eq!(one.root(), compile(&plain, &config("deepseek3"), Precision::Blocks).unwrap().root());
}

fn shape(config: &Value) -> Config {
    let settings = settings(config);
    let mut weights = Weights::of_safetensors(&[], &settings, Precision::AsStored, None).unwrap();
    architectures::read(&settings, &mut weights, None).unwrap().config
}

#[test]
fn what_gemma_3_does_not_say_of_itself_is_what_its_family_means() {
    // All that is said of the decoder of 4 billion numbers.
    let config = shape(&json!({
        "architectures": [GEMMA], "eos_token_id": [1, 106], "model_type": "gemma3",
        "text_config": {
            "hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34,
            "rope_scaling": { "factor": 8.0, "rope_type": "linear" }, "sliding_window": 1024,
        },
    }));
    let attention = &config.attention;
    assert_eq!((attention.heads, attention.kv_heads, attention.head, attention.scale), (8, 4, 256, Some(0.0625)));
    assert_eq!((config.vocabulary, config.context, config.tied), (262_208, 32_768, true));
    assert_eq!((config.epsilon, config.stop_tokens.as_slice()), (1e-6, &[1, 106][..]));
    let global = Rotation { scaling: Scaling::Linear { factor: 8.0 }, ..Rotation::plain(1e6, 256) };
    assert_eq!(config.rotations, [global, Rotation::plain(1e4, 256)]);
    let windows: Vec<bool> = config.layers.iter().map(|layer| layer.window == Some(1024)).collect();
    assert_eq!((windows.len(), windows.iter().filter(|has| !**has).count(), windows[5]), (34, 5, false));
    // What is said to be none is none.
    let mut said = self::config("gemma3");
    said["sliding_window"] = Value::Null;
    assert!(shape(&said).layers.iter().all(|layer| layer.window.is_none()));
}

#[test]
fn models_around_decoders_that_are_not_known_are_refused_by_name() {
    let of = |change: &dyn Fn(&mut Value)| {
        let (_, mut config) = seeing("Mistral3ForConditionalGeneration", "mistral", true);
        change(&mut config);
        refused(&Tensors::new(), &config)
    };
    let architecture = |refusal: &ImportRefusal, name: &str| {
        assert!(
            matches!(refusal, ImportRefusal::Architecture { found, known } if found == name && known.contains(GEMMA)),
            "{refusal}"
        );
    };
    // Its rotation has another form.
    architecture(&of(&|config| config["text_config"]["model_type"] = json!("ministral3")), "ministral3");
    for name in
        ["Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration", "Gemma3nForConditionalGeneration"]
    {
        architecture(&of(&|config| config["architectures"] = json!([name])), name);
    }
    let without = of(&|config| config["text_config"] = json!(null));
    assert!(matches!(without, ImportRefusal::Config { key, .. } if key == "text_config"));
    let unnamed = of(&|config| _ = config["text_config"].as_object_mut().unwrap().remove("model_type"));
    assert!(matches!(unnamed, ImportRefusal::Config { key, .. } if key == "model_type"));
}

#[test]
fn what_belongs_to_no_part_that_is_known_is_refused() {
    let (mut tensors, config) = seeing(GEMMA, "gemma3", true);
    tensors.insert("audio_tower.weight".into(), (Dtype::F32, vec![1], vec![0; 4]));
    let unused = refused(&tensors, &config);
    assert!(matches!(unused, ImportRefusal::Unused { name, .. } if name == "audio_tower.weight"));
    let (older, newer) = (seeing(GEMMA, "gemma3", true).0, seeing(GEMMA, "gemma3", false).0);
    let both: Tensors = older.into_iter().chain(newer).collect();
    assert!(matches!(refused(&both, &config), ImportRefusal::Twice { .. }));
    // A decoder alone has no eyes.
    let mut alone = self::tensors("gemma3");
    alone.insert("vision_tower.weight".into(), (Dtype::F32, vec![1], vec![0; 4]));
    let unused = refused(&alone, &self::config("gemma3"));
    assert!(matches!(unused, ImportRefusal::Unused { name, .. } if name == "vision_tower.weight"));
}

#[test]
fn no_damage_to_files_or_configurations_makes_the_importer_panic() {
    let (gemma, gemma_config) = seeing(GEMMA, "gemma3", false);
    for (tensors, config) in [(deepseek().0, deepseek_config()), (gemma, gemma_config)] {
        let (whole, config) = (file(&tensors), config.to_string());
        for at in (0..whole.len().min(9_000)).step_by(29).chain((9_000..whole.len()).step_by(2_003)) {
            let mut changed = whole.to_vec();
            changed[at] ^= 0x15;
            drop(compile_file(&Bytes::from(changed), config.as_bytes(), Precision::Blocks));
        }
        for at in (0..config.len()).step_by(5) {
            let mut changed = config.clone().into_bytes();
            changed[at] = b'7';
            drop(compile_file(&whole, &changed, Precision::Blocks));
        }
    }
}
