//! Qwen2 and Qwen2.5: biases on queries, keys and values; a window only where it is switched on.

use super::{Architecture, shared};
use crate::language::{ImportRefusal, config::Config, settings::Settings, weights::Weights};

pub static ARCHITECTURE: Architecture = Architecture {
    name: "Qwen2",
    gguf: &["qwen2"],
    hugging_face: &["Qwen2ForCausalLM", "qwen2"],
    read,
    interleaved_gguf: false,
    interleaved_hugging_face: false,
    gain_offset: 0.0,
};

fn read(settings: &Settings, weights: &mut Weights, context: Option<usize>) -> Result<Config, ImportRefusal> {
    let mut config = shared::plain(settings, weights, context)?;
    windows(settings, &mut config)?;
    Ok(config)
}

/// The windows of the Qwen family: on layers that are named so, or from a layer on.
pub(super) fn windows(settings: &Settings, config: &mut Config) -> Result<(), ImportRefusal> {
    if !settings.flag_or("use_sliding_window", false)? {
        return Ok(());
    }
    let window = shared::window(config, settings.optional_size("sliding_window")?);
    let first = settings.count("max_window_layers")?;
    let named = shared::named_windows(settings, config.layers.len())?;
    for (index, layer) in config.layers.iter_mut().enumerate() {
        let has = named.as_ref().map_or(index >= first, |named| named[index]);
        layer.window = window.filter(|_| has);
    }
    Ok(())
}
