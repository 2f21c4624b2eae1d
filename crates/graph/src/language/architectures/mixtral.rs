//! Mixtral: Llama with experts in every layer, as safetensors.

use super::{Architecture, shared};
use crate::language::{
    ImportRefusal,
    config::{Config, FeedKind},
    settings::Settings,
    weights::Weights,
};

pub static ARCHITECTURE: Architecture = Architecture {
    name: "Mixtral",
    gguf: &[],
    hugging_face: &["MixtralForCausalLM", "mixtral"],
    read,
    interleaved_gguf: false,
    interleaved_hugging_face: false,
    gain_offset: 0.0,
};

fn read(settings: &Settings, weights: &mut Weights, context: Option<usize>) -> Result<Config, ImportRefusal> {
    let mut config = shared::plain(settings, weights, context)?;
    let window = shared::window(&config, settings.optional_size("sliding_window")?);
    let count = settings.size("num_local_experts")?;
    config.experts = Some(shared::experts(settings, count, config.feed_forward, true)?);
    for layer in &mut config.layers {
        (layer.window, layer.feed) = (window, FeedKind::Experts);
    }
    Ok(config)
}
