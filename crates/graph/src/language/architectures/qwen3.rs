//! Qwen3: the norms of single heads of queries and keys are found by their tensors.

use super::{Architecture, shared};
use crate::language::{ImportRefusal, config::Config, settings::Settings, weights::Weights};

pub static ARCHITECTURE: Architecture = Architecture {
    name: "Qwen3",
    gguf: &["qwen3"],
    hugging_face: &["Qwen3ForCausalLM", "qwen3"],
    read,
    interleaved_gguf: false,
    interleaved_hugging_face: false,
    gain_offset: 0.0,
};

fn read(settings: &Settings, weights: &mut Weights, context: Option<usize>) -> Result<Config, ImportRefusal> {
    let mut config = shared::plain(settings, weights, context)?;
    super::qwen2::windows(settings, &mut config)?;
    Ok(config)
}
