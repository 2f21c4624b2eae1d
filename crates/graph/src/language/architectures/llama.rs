//! Llama 2 and 3, Mistral, SmolLM and what else shares their shape; in GGUF Mixtral too, which is told by its experts.

use super::{Architecture, shared};
use crate::language::{
    ImportRefusal,
    config::{Config, FeedKind},
    settings::Settings,
    weights::Weights,
};

pub static ARCHITECTURE: Architecture = Architecture {
    name: "Llama",
    gguf: &["llama"],
    hugging_face: &["LlamaForCausalLM", "MistralForCausalLM", "llama", "mistral"],
    read,
    interleaved_gguf: true,
    interleaved_hugging_face: false,
    gain_offset: 0.0,
};

fn read(settings: &Settings, weights: &mut Weights, context: Option<usize>) -> Result<Config, ImportRefusal> {
    let mut config = shared::plain(settings, weights, context)?;
    let window = shared::window(&config, settings.optional_size("sliding_window")?);
    config.layers.iter_mut().for_each(|layer| layer.window = window);
    if let Some(count) = settings.optional_size("expert_count")? {
        let width = settings.size_or("expert_feed_forward_length", config.feed_forward)?;
        config.experts = Some(shared::experts(settings, count, width, true)?);
        config.layers.iter_mut().for_each(|layer| layer.feed = FeedKind::Experts);
    }
    Ok(config)
}
