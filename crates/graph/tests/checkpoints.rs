//! Checkpoints that compile, and those that do not, each by its name.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bytes::Bytes;
use graph::{
    CacheFormat, CompileRefusal, Data, Defaults, LanguageKind, LanguageSources, Model, Tensor, compile_language,
    evaluate,
    language::{Decoder, Files, ImportRefusal, calculator::Plain, float_logits, weights::Precision},
    sampling::greatest,
};
use serde_json::{Map, Value, json};

const VOCABULARY: usize = 40;
const LAYERS: usize = 2;

fn config() -> Value {
    json!({
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": LAYERS,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": VOCABULARY,
        "max_position_embeddings": 24, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": true, "eos_token_id": [2, 1],
    })
}

fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), vec![VOCABULARY, 32]),
        ("model.norm.weight".to_owned(), vec![32]),
    ];
    let parts: [(&str, &[usize]); 9] = [
        ("input_layernorm", &[32]),
        ("self_attn.q_proj", &[32, 32]),
        ("self_attn.k_proj", &[16, 32]),
        ("self_attn.v_proj", &[16, 32]),
        ("self_attn.o_proj", &[32, 32]),
        ("post_attention_layernorm", &[32]),
        ("mlp.gate_proj", &[64, 32]),
        ("mlp.up_proj", &[64, 32]),
        ("mlp.down_proj", &[32, 64]),
    ];
    for layer in 0..LAYERS {
        shapes.extend(parts.map(|(part, shape)| (format!("model.layers.{layer}.{part}.weight"), shape.to_vec())));
    }
    shapes
}

/// Spoils a tensor's name, type, shape or values.
type Change<'a> = &'a dyn Fn(&mut String, &mut &str, &mut Vec<usize>, &mut Vec<f32>);

/// Random weights in the safetensors container; `change` may spoil a tensor's name, type, shape or values.
fn weights(change: Change) -> Vec<u8> {
    let mut state = 99_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state as i32 as f32) / 2_147_483_648.0
    };
    let (mut head, mut data) = (Map::new(), Vec::new());
    for (mut name, mut shape) in shapes() {
        let scale = shape.get(1).map_or(0.0, |columns| 2.0 / (*columns as f32).sqrt());
        let count = shape.iter().product::<usize>();
        let mut values: Vec<f32> =
            (0..count).map(|_| if shape.len() == 1 { 1.0 + 0.2 * next() } else { next() * scale }).collect();
        let mut dtype = "F32";
        change(&mut name, &mut dtype, &mut shape, &mut values);
        let start = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        head.insert(name, json!({"dtype": dtype, "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let head = Value::Object(head).to_string();
    [&(head.len() as u64).to_le_bytes()[..], head.as_bytes(), &data].concat()
}

fn good() -> Vec<u8> {
    weights(&|_, _, _, _| ())
}

fn texts() -> Vec<Vec<u32>> {
    (0..4).map(|text| (0..20).map(|i| (i * 7 + text * 3 + 3) % VOCABULARY as u32).collect()).collect()
}

fn compile(kind: LanguageKind, weights: &[u8], config: &Value, texts: &[Vec<u32>]) -> Result<Model, CompileRefusal> {
    let files = [Bytes::copy_from_slice(weights)];
    let config = config.to_string();
    let sources = LanguageSources {
        name: "small",
        kind,
        files: Files::Safetensors { weights: &files, config: config.as_bytes(), precision: Precision::Blocks },
        context: None,
        stop_tokens: &[],
        tokenizer: b"{}",
        template: "",
        defaults: Defaults::greedy(9),
        calibration: texts,
        calculator: &Plain,
        cache: CacheFormat::Halves,
    };
    compile_language(&sources, &mut |bytes| Ok(bytes))
}

#[test]
fn the_same_checkpoint_gives_the_same_bytes_and_frozen_roots() {
    let roots = [
        (LanguageKind::Integer, "d9dd0f996c9b758930c72d48af34bf36644c67833a103eee04c933e51e88c119", "integer"),
        (LanguageKind::Ordered, "ccf3ca51517c210d9c0ace1259b73b31f16ba2592a18d1419d60099a11e045c4", "ordered"),
    ];
    for (kind, root, word) in roots {
        let model = compile(kind, &good(), &config(), &texts()).unwrap();
        let bytes = model.to_artefact();
        assert_eq!(compile(kind, &good(), &config(), &texts()).unwrap().to_artefact(), bytes);
        let (read, found) = Model::from_artefact(&bytes.clone().into()).unwrap();
        assert_eq!(
            (read.kind(), read.parameters),
            (word, self::read(&good(), config().to_string().as_bytes()).unwrap())
        );
        assert_eq!(found.to_string(), root, "{kind:?}");
    }
}

#[test]
fn both_kinds_say_nearly_what_the_floats_say() {
    let mut decoder = Decoder::import(&good(), config().to_string().as_bytes()).unwrap();
    let mut all = Vec::new();
    float_logits(&mut decoder, &texts(), &Plain, &mut |_, logits| all.push(logits.to_vec())).unwrap();
    for (kind, allowed) in [(LanguageKind::Integer, 0.25), (LanguageKind::Ordered, 0.1)] {
        let model = compile(kind, &good(), &config(), &texts()).unwrap();
        let mut agree = 0;
        for (text, floats) in texts().iter().zip(&all) {
            let input = Tensor::of(&[text.len()], Data::I32(text.iter().map(|&token| token as i32).collect()));
            let exact = evaluate(&model.graph, &[input]).unwrap().remove(0);
            let exact: Vec<f32> = match exact.data() {
                Data::I32(logits) => logits.iter().map(|&logit| logit as f32 / 4096.0).collect(),
                Data::F32(logits) => logits.clone(),
                other => panic!("{other:?}"),
            };
            let (mut error, mut size) = (0.0, 0.0);
            for (exact, float) in exact.iter().zip(floats) {
                error += f64::from((exact - float).powi(2));
                size += f64::from(float.powi(2));
            }
            assert!((error / size).sqrt() < allowed, "{kind:?}: {}", (error / size).sqrt());
            let fixed = |row: &[f32]| row.iter().map(|logit| (logit * 65_536.0) as i64).collect::<Vec<i64>>();
            agree += exact
                .chunks(VOCABULARY)
                .zip(floats.chunks(VOCABULARY))
                .filter(|(one, other)| greatest(&fixed(one)) == greatest(&fixed(other)))
                .count();
        }
        assert!(agree >= 60, "{kind:?}: {agree} of 80");
    }
}

fn import(weights: &[u8], config: &Value) -> ImportRefusal {
    read(weights, config.to_string().as_bytes()).unwrap_err()
}

/// Reads all of a model; says how many numbers it has.
fn read(weights: &[u8], config: &[u8]) -> Result<u64, ImportRefusal> {
    Decoder::import(weights, config)?.parameters()
}

#[test]
fn weights_that_are_missing_misshapen_or_not_finite_are_refused() {
    let key = "model.layers.1.self_attn.k_proj.weight";
    let spoilt = |change: Change| {
        let only = |name: &mut String, dtype: &mut &str, shape: &mut Vec<usize>, values: &mut Vec<f32>| {
            if name == key {
                change(name, dtype, shape, values);
            }
        };
        import(&weights(&only), &config())
    };
    let missing = spoilt(&|name, _, _, _| name.push('x'));
    assert_eq!(missing, ImportRefusal::Missing { name: key.into() });
    let shape = spoilt(&|_, _, shape, _| *shape = vec![32, 16]);
    assert_eq!(shape, ImportRefusal::Shape { name: key.into(), expected: vec![16, 32], found: vec![32, 16] });
    let element = spoilt(&|_, dtype, _, _| *dtype = "I32");
    assert_eq!(element, ImportRefusal::Element { name: key.into(), expected: "F32, F16 or BF16", found: "I32".into() });
    for value in [f32::NAN, f32::INFINITY] {
        let poison = spoilt(&|_, _, _, values| values[5] = value);
        assert_eq!(poison, ImportRefusal::NotFinite { name: key.into(), index: 5 });
    }
    assert!(matches!(import(b"no weights", &config()), ImportRefusal::Weights { .. }));
}

#[test]
fn no_damage_to_a_weights_file_makes_the_importer_panic() {
    let bytes = good();
    for at in (0..bytes.len()).step_by(97).chain(0..600) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x41;
        drop(read(&changed, config().to_string().as_bytes()));
        assert!(read(&bytes[..at], config().to_string().as_bytes()).is_err());
    }
}

#[test]
fn configurations_that_are_not_understood_are_refused_by_their_key() {
    let cases = [
        ("hidden_act", json!("gelu")),
        ("hidden_size", json!(0)),
        ("num_hidden_layers", json!(1 << 30)),
        ("vocab_size", json!(-1)),
        ("rms_norm_eps", json!(0)),
        ("rope_theta", json!("many")),
        ("head_dim", json!(7)),
        ("eos_token_id", json!("end")),
        ("tie_word_embeddings", json!("yes")),
        ("is_causal", json!(false)),
        ("use_bidirectional_attention", json!(true)),
    ];
    for (key, value) in cases {
        let mut changed = config();
        changed[key] = value;
        match import(&good(), &changed) {
            ImportRefusal::Config { key: found, .. } => assert_eq!(found, key),
            other => panic!("{key}: {other}"),
        }
    }
    assert!(matches!(Decoder::import(&good(), b"{"), Err(ImportRefusal::Json { .. })));
    let with = |key: &str, value: Value| {
        let mut changed = config();
        changed[key] = value;
        import(&good(), &changed)
    };
    let scaling = with("rope_scaling", json!({"type": "stretched", "factor": 2.0}));
    assert!(
        matches!(scaling, ImportRefusal::Config { key, found, .. } if key == "type" && found.contains("stretched"))
    );
    let dynamic = with("rope_scaling", json!({"type": "dynamic"}));
    assert!(matches!(dynamic, ImportRefusal::Config { key, .. } if key == "factor"));
    let fixed = with("rope_scaling", json!({"type": "dynamic", "factor": 2.0, "alpha": 1000.0}));
    assert!(matches!(fixed, ImportRefusal::Config { key, .. } if key == "alpha"));
    let other = with("model_type", json!("mamba"));
    assert!(matches!(other, ImportRefusal::Architecture { found, .. } if found == "mamba"));
}

#[test]
fn a_rotation_whose_base_grows_with_the_text_is_the_plain_one_where_texts_end_in_time() {
    let model = |config: &Value| compile(LanguageKind::Ordered, &good(), config, &texts()).unwrap();
    let with = |scaling: Value| {
        let mut changed = config();
        changed["rope_scaling"] = scaling;
        model(&changed)
    };
    let dynamic = with(json!({"type": "dynamic", "factor": 4.0}));
    assert_eq!(dynamic.root(), model(&config()).root());
    let earlier = with(json!({"rope_type": "dynamic", "factor": 4.0, "original_max_position_embeddings": 16}));
    assert_eq!((dynamic.graph.rows_max(), earlier.graph.rows_max()), (24, 16));
}

#[test]
fn calibration_that_cannot_be_run_is_refused() {
    let refuse = |texts: &[Vec<u32>]| compile(LanguageKind::Integer, &good(), &config(), texts).unwrap_err();
    assert_eq!(refuse(&[]), CompileRefusal::NoCalibration);
    assert_eq!(refuse(&[vec![1], vec![]]), CompileRefusal::CalibrationLength { text: 1, tokens: 0, limit: 24 });
    assert_eq!(refuse(&[vec![1; 25]]), CompileRefusal::CalibrationLength { text: 0, tokens: 25, limit: 24 });
    assert_eq!(refuse(&[vec![40]]), CompileRefusal::CalibrationToken { text: 0, token: 40, vocabulary: VOCABULARY });
}

#[test]
fn weights_beyond_every_fixed_point_are_refused_by_their_site() {
    let huge = weights(&|name, _, _, values| {
        if name.contains("layers.0.self_attn.o_proj") {
            values.iter_mut().for_each(|value| *value = 1e-30);
        }
    });
    let refused = compile(LanguageKind::Integer, &huge, &config(), &texts()).unwrap_err();
    assert!(matches!(&refused, CompileRefusal::Scale { site, .. } if site == "layers.0.output"), "{refused}");
}
