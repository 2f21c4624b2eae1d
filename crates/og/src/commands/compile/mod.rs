//! `og model compile`: weights to an artefact. The same files give the same bytes on every machine.

mod artefact;
mod language;
mod measured;
mod onnx;
mod sampling;
mod sentences;
mod sidecars;
mod split;
mod template;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use engine::Model;
use serde_json::{Value, json};

use super::{context, show};
use crate::{
    cli::{CacheChoice, Common, ModelCompile},
    remote::Remote,
};

const FILE_BYTES_MAX: u64 = 4 << 30;

pub fn run(remote: &Remote, common: &Common, options: &ModelCompile) -> Result<()> {
    let name = match &options.name {
        Some(name) => name.clone(),
        None => split::of_model(&stem(&options.source)?).to_owned(),
    };
    let is_gguf = options.source.extension().is_some_and(|extension| extension == "gguf");
    let (mut compiled, mut fidelity) = (language::Compiled::default(), None);
    if options.source.is_dir() || is_gguf {
        if options.float {
            bail!("only ONNX files have a float form; hint: --ordered keeps floats, exactly");
        }
        compiled = language::compile(options, &name, is_gguf)?;
    } else if options.cache != CacheChoice::F16 {
        bail!("an ONNX model keeps no keys and values from call to call; hint: leave --cache out");
    } else if options.template.is_some() {
        bail!("nobody chats with an ONNX model; hint: leave --template out");
    } else {
        let (model, of) = onnx::compile(options, &name)?;
        artefact::write(&options.out, &model)?;
        fidelity = of;
    }
    let artefact = storage::map_file(&options.out)?;
    let bytes = artefact.len();
    let model = Model::load(artefact).context("the compiled artefact does not load")?;
    let card = model.card();
    let mut said = json!({
        "name": card.name,
        "kind": card.kind,
        "parameters": card.parameters,
        "context": card.context,
        "root": model.root().to_string(),
        "bytes": bytes,
        "file": options.out,
    });
    if !compiled.notes.is_empty() {
        said["notes"] = json!(compiled.notes);
    }
    if let Some(measure) = compiled.measure {
        said["measured_on"] = json!(measure.on);
        let measured = measure.of(&model)?;
        said["tokens_measured"] = json!(measured.tokens);
        said["perplexity"] = json!(measured.exact_perplexity);
        said["perplexity_in_floats"] = json!(measured.float_perplexity);
        said["same_first_token"] = json!(measured.agreement);
    }
    if let (Some(fidelity), Some(model)) = (fidelity, model.as_tensor()) {
        let found = fidelity.of(model)?;
        said["measured_on"] = json!(fidelity.on);
        said["sets_measured"] = json!(found.sets);
        said["cosine_to_floats"] = json!(found.cosine);
        said["same_greatest"] = json!(found.agreement);
        if let Some(labels) = found.labels {
            said["same_labels"] = json!(labels);
        }
    }
    let beside = options.out.with_extension("card.json");
    storage::write_file(&beside, format!("{said:#}\n").as_bytes())?;
    // What the folder's network makes of it is no part of the card: the same files give the same bytes.
    context::tell_of(&model.within(context::work_max(remote, None)), &mut said);
    show(common, &said, |said| {
        let fields = said.as_object().into_iter().flatten();
        fields.map(|(key, value)| format!("{key:<21} {}", value.to_string().trim_matches('"'))).collect()
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

/// What a file beside the weights says; null where there is none.
fn json(name: &str, bytes: Option<&[u8]>) -> Result<Value> {
    let Some(bytes) = bytes else { return Ok(Value::Null) };
    serde_json::from_slice(bytes)
        .with_context(|| format!("{name} is not JSON; hint: take it anew from where the model is from"))
}

fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).with_context(|| format!("{} is not text; hint: UTF-8 is expected", path.display()))
}
