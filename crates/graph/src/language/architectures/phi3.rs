//! Phi-3 and Phi-4-mini: queries, keys and values in one matrix, gates and what they gate in another.

use super::{Architecture, shared};
use crate::language::{ImportRefusal, config::Config, settings::Settings, weights::Weights};

pub static ARCHITECTURE: Architecture = Architecture {
    name: "Phi-3",
    gguf: &["phi3"],
    hugging_face: &["Phi3ForCausalLM", "phi3"],
    read,
    interleaved_gguf: false,
    interleaved_hugging_face: false,
    gain_offset: 0.0,
};

fn read(settings: &Settings, weights: &mut Weights, context: Option<usize>) -> Result<Config, ImportRefusal> {
    let mut config = shared::plain(settings, weights, context)?;
    let window = settings.optional_size(settings.key("attention.sliding_window", "sliding_window"))?;
    let window = shared::window(&config, window);
    config.layers.iter_mut().for_each(|layer| layer.window = window);
    Ok(config)
}
