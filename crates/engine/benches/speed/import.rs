//! Sources to artefacts, so that a measurement starts where a server does: at an artefact on disk.

use std::{fs, path::Path};

use bytes::Bytes;
use engine::{CheckpointFiles, CompileOptions, Level, WeightFiles, compile_with};
use graph::{
    CacheFormat, Defaults, LanguageKind, Tensor,
    gguf::Gguf,
    onnx::{Arithmetic, OnnxSources, compile_onnx_with, onnx_inputs},
};

use storage::Incoming;

use crate::Outcome;

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/demo");
const BYTES_MAX: u64 = 1 << 40;
const DEFAULTS: Defaults = Defaults::greedy(256);

/// Whole or not at all: an interrupted run leaves nothing that looks finished.
pub fn import(source: &Path, target: &Path, kind: &str) -> Outcome<()> {
    match source.extension().and_then(|extension| extension.to_str()) {
        Some("onnx") => {
            let part = target.with_extension("part");
            fs::write(&part, onnx(source, kind)?)?;
            Ok(fs::rename(part, target)?)
        }
        Some("gguf") => gguf(source, target, kind),
        None => checkpoint(source, target, kind),
        Some(other) => Err(format!("nothing imports .{other} files").into()),
    }
}

/// The static scales come from the inputs that lie beside the file, in the folder `<name>.inputs`.
fn onnx(source: &Path, kind: &str) -> Outcome<Vec<u8>> {
    let file = fs::read(source)?;
    let arithmetic = if kind == "integer" { Arithmetic::Integer } else { Arithmetic::Ordered };
    let calibration =
        if kind == "integer" { calibration(&source.with_extension("inputs"), &file)? } else { Vec::new() };
    let name = source.file_stem().and_then(|stem| stem.to_str()).unwrap_or("tensors");
    let sources = OnnxSources { name, file: (&file).into(), arithmetic, calibration: &calibration, rows_max: 8 };
    Ok(compile_onnx_with(&sources, engine::program_kernels(Level::detect()))?.to_artefact())
}

/// Sets of inputs: the files `SET-INPUT.raw`, both counted from 0.
fn calibration(folder: &Path, file: &[u8]) -> Outcome<Vec<Vec<Tensor>>> {
    let inputs = onnx_inputs(file)?;
    let mut sets = Vec::new();
    while folder.join(format!("{}-0.raw", sets.len())).exists() {
        let mut set = Vec::new();
        for (index, (name, element, sizes)) in inputs.iter().enumerate() {
            let bytes = fs::read(folder.join(format!("{}-{index}.raw", sets.len())))?;
            let sizes: Vec<usize> = sizes.iter().map(|size| size.unwrap_or(1)).collect();
            let tensor = Tensor::from_bytes(*element, &sizes, &bytes);
            set.push(tensor.ok_or_else(|| format!("the file for input {name} does not fit it"))?);
        }
        sets.push(set);
    }
    Ok(sets)
}

/// A GGUF file as it is. Speed asks for no words, so tokenizer, template and calibration are the demo model's.
fn gguf(source: &Path, target: &Path, kind: &str) -> Outcome<()> {
    let file = Gguf::read(&storage::map_file(source)?)?;
    compile(WeightFiles::Gguf(&file), Path::new(DEMO), target, kind)
}

fn checkpoint(folder: &Path, target: &Path, kind: &str) -> Outcome<()> {
    let files = [storage::map_file(&folder.join("weights.safetensors"))?];
    let config = fs::read(folder.join("config.json"))?;
    compile(WeightFiles::Safetensors { files: &files, config: &config }, folder, target, kind)
}

/// Packed weights go to a file, a matrix at a time, as `og model compile` does it.
fn compile(weights: WeightFiles, words: &Path, target: &Path, kind: &str) -> Outcome<()> {
    let read =
        |name: &str| fs::read_to_string(words.join(name)).map_err(|cause| format!("failed to read {name}: {cause}"));
    let (tokenizer, template) = (read("tokenizer.json")?, read("chat_template.jinja")?);
    // A few positions set the scales of random weights as well as many would.
    let calibration = read("calibration.jsonl")?.lines().next().unwrap_or_default().to_owned();
    let files = CheckpointFiles {
        weights,
        tokenizer: tokenizer.as_bytes(),
        template: &template,
        calibration: &calibration,
        stop_tokens: &[],
    };
    let cache = if kind == "int8" { CacheFormat::Bytes } else { CacheFormat::Halves };
    let kind = if kind == "integer" { LanguageKind::Integer } else { LanguageKind::Ordered };
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut packed = Incoming::new(folder, BYTES_MAX)?;
    let mut keep = |bytes: Bytes| -> std::io::Result<Bytes> {
        let start = usize::try_from(packed.length()).map_err(std::io::Error::other)?;
        packed.write(&bytes).map_err(std::io::Error::other)?;
        Ok(packed.bytes().map_err(std::io::Error::other)?.slice(start..start + bytes.len()))
    };
    let options = CompileOptions { cache, ..CompileOptions::of(kind, DEFAULTS) };
    let model = compile_with(&files, "speed", &options, &mut keep)?;
    let mut artefact = Incoming::new(folder, BYTES_MAX)?;
    let mut written = Ok(());
    model.pieces(&mut |piece| {
        if written.is_ok() {
            written = artefact.write(piece);
        }
    });
    written?;
    Ok(artefact.keep(target)?)
}
