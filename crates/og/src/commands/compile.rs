//! `og model compile`: weights to an artefact. The same files give the same bytes on every machine.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use engine::{CheckpointFiles, CompileOptions, Model, WeightFiles, compile_checkpoint};
use graph::{
    Data, Defaults, Input, LanguageKind, Tensor,
    onnx::{Arithmetic, OnnxSources, compile_onnx, import},
};
use serde_json::{Value, json};

use super::show;
use crate::cli::{Common, ModelCompile};

const FILE_BYTES_MAX: u64 = 4 << 30;
/// What a request that says nothing gets.
const DEFAULTS: Defaults = Defaults { max_tokens: 256, temperature_micros: 0, top_p_micros: 1_000_000, top_k: 0 };

pub fn run(common: &Common, options: &ModelCompile) -> Result<()> {
    let name = match &options.name {
        Some(name) => name.clone(),
        None => stem(&options.source)?,
    };
    let artefact = if options.source.is_dir() { checkpoint(options, &name)? } else { onnx(options, &name)? };
    let model = Model::load(artefact.clone()).context("the compiled artefact does not load")?;
    storage::write_file(&options.out, &artefact)?;
    let card = model.card();
    let said = json!({
        "name": card.name,
        "kind": card.kind,
        "parameters": card.parameters,
        "context": card.context,
        "root": model.root().to_string(),
        "bytes": artefact.len(),
        "file": options.out,
    });
    show(common, &said, |said| {
        let fields = said.as_object().into_iter().flatten();
        fields.map(|(key, value)| format!("{key:<12}  {}", value.to_string().trim_matches('"'))).collect()
    });
    Ok(())
}

fn stem(path: &Path) -> Result<String> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.map(str::to_owned).context("the model needs a name; hint: --name")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    Ok(storage::read_file(path, FILE_BYTES_MAX)?)
}

fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).with_context(|| format!("{} is not text", path.display()))
}

/// A folder with a checkpoint of a language model.
fn checkpoint(options: &ModelCompile, name: &str) -> Result<Vec<u8>> {
    let file = |name: &str| options.source.join(name);
    let calibration = options.calibration.clone().unwrap_or_else(|| file("calibration.jsonl"));
    let (weights, config, tokenizer) =
        (read(&file("weights.safetensors"))?, read(&file("config.json"))?, read(&file("tokenizer.json"))?);
    let (template, calibration) = (read_text(&file("chat_template.jinja"))?, read_text(&calibration)?);
    let files = CheckpointFiles {
        weights: WeightFiles::Safetensors { files: &[weights.into()], config: &config },
        tokenizer: &tokenizer,
        template: &template,
        calibration: &calibration,
    };
    let kind = if options.ordered { LanguageKind::Ordered } else { LanguageKind::Integer };
    Ok(compile_checkpoint(&files, name, &CompileOptions::of(kind, DEFAULTS))?)
}

fn onnx(options: &ModelCompile, name: &str) -> Result<Vec<u8>> {
    let file = read(&options.source)?;
    let calibration = match (&options.calibration, options.ordered) {
        (Some(path), _) => vec![matrices(path, &import(&file)?.inputs)?],
        (None, true) => Vec::new(),
        (None, false) => {
            bail!("the integer kind needs inputs to find its scales by; hint: --calibration FILE, or --ordered")
        }
    };
    let arithmetic = if options.ordered { Arithmetic::Ordered } else { Arithmetic::Integer };
    let sources = OnnxSources { name, arithmetic, file: &file, calibration: &calibration, rows_max: options.rows_max };
    Ok(compile_onnx(&sources)?.to_artefact())
}

/// Named matrices, in the order of the model's inputs.
fn matrices(path: &Path, inputs: &[Input]) -> Result<Vec<Tensor>> {
    let named: Value =
        serde_json::from_slice(&read(path)?).with_context(|| format!("{} is not JSON", path.display()))?;
    let one = |input: &Input| {
        matrix(&named[&input.name]).with_context(|| format!("{} holds no matrix {}", path.display(), input.name))
    };
    inputs.iter().map(one).collect()
}

fn matrix(value: &Value) -> Option<Tensor> {
    let rows = value.as_array()?;
    let width = rows.first()?.as_array()?.len();
    let cells = rows.iter().map(|row| row.as_array().filter(|row| row.len() == width));
    let cells: Vec<&Vec<Value>> = cells.collect::<Option<_>>()?;
    let values = cells.into_iter().flatten().map(|value| value.as_f64().map(|value| value as f32));
    Tensor::new(&[rows.len(), width], Data::F32(values.collect::<Option<_>>()?))
}
