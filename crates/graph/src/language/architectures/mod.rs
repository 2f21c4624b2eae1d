//! The table of architectures: one file each, which reads the settings of that family into a [`Config`].
//!
//! A family is added by a file here and a row in [`ARCHITECTURES`]. What it does not know of is refused by its key.

mod deepseek;
mod gemma2;
mod gemma3;
mod llama;
mod mixtral;
mod phi3;
mod qwen2;
mod qwen2_moe;
mod qwen3;
mod qwen3_moe;
mod shared;

use super::{
    ImportRefusal,
    config::Config,
    pooling,
    settings::{Dialect, Settings, WRAPPERS},
    weights::Weights,
};

/// A family of decoders.
pub struct Architecture {
    pub name: &'static str,
    /// What GGUF calls it, and what `config.json` does.
    gguf: &'static [&'static str],
    hugging_face: &'static [&'static str],
    /// Weights are given for the few families that keep a part of their shape in tensors.
    read: fn(&Settings, &mut Weights, Option<usize>) -> Result<Config, ImportRefusal>,
    /// Whether a GGUF file has the pairs of each head side by side.
    interleaved_gguf: bool,
    interleaved_hugging_face: bool,
    /// What is added to the norms' gains of safetensors files.
    gain_offset: f32,
}

pub static ARCHITECTURES: &[&Architecture] = &[
    &deepseek::ARCHITECTURE,
    &gemma2::ARCHITECTURE,
    &gemma3::ARCHITECTURE,
    &llama::ARCHITECTURE,
    &mixtral::ARCHITECTURE,
    &phi3::ARCHITECTURE,
    &qwen2::ARCHITECTURE,
    &qwen2_moe::ARCHITECTURE,
    &qwen3::ARCHITECTURE,
    &qwen3_moe::ARCHITECTURE,
];

/// A model's shape, and how to read its tensors.
pub struct Reading {
    pub config: Config,
    pub architecture: &'static str,
    /// Whether the pairs of each head lie side by side.
    pub interleaved: bool,
    /// What is added to the norms' gains.
    pub gain_offset: f32,
}

/// Reads the settings of any known architecture. `context` cuts the longest text.
pub fn read(settings: &Settings, weights: &mut Weights, context: Option<usize>) -> Result<Reading, ImportRefusal> {
    let name = settings.architecture()?;
    let is = |architecture: &&&Architecture| names(architecture, settings.dialect).contains(&name);
    let Some(architecture) = ARCHITECTURES.iter().find(is) else {
        let wrappers = if settings.dialect == Dialect::HuggingFace { &WRAPPERS[..] } else { &[] };
        let known = ARCHITECTURES.iter().flat_map(|architecture| names(architecture, settings.dialect));
        let known = known.chain(wrappers).copied();
        return Err(ImportRefusal::Architecture {
            found: name.to_owned(),
            known: known.collect::<Vec<_>>().join(", "),
        });
    };
    pooling::check(settings)?;
    let config = (architecture.read)(settings, weights, context)?;
    let (interleaved, gain_offset) = match settings.dialect {
        Dialect::Gguf => (architecture.interleaved_gguf, 0.0),
        Dialect::HuggingFace => (architecture.interleaved_hugging_face, architecture.gain_offset),
    };
    Ok(Reading { config, architecture: architecture.name, interleaved, gain_offset })
}

fn names(architecture: &Architecture, dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Gguf => architecture.gguf,
        Dialect::HuggingFace => architecture.hugging_face,
    }
}
