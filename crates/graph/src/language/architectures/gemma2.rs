//! Gemma 2: norms around each part, caps on scores and logits, a window on every other layer.

use super::{Architecture, shared};
use crate::language::{
    ImportRefusal,
    config::{Activation, Config, Norms},
    settings::{Dialect, Settings},
    weights::Weights,
};

pub static ARCHITECTURE: Architecture = Architecture {
    name: "Gemma 2",
    gguf: &["gemma2"],
    hugging_face: &["Gemma2ForCausalLM", "gemma2"],
    read,
    interleaved_gguf: false,
    interleaved_hugging_face: false,
    gain_offset: 1.0,
};

fn read(settings: &Settings, weights: &mut Weights, context: Option<usize>) -> Result<Config, ImportRefusal> {
    let mut config = shared::plain(settings, weights, context)?;
    around(settings, &mut config)?;
    config.attention.softcap = settings.optional_number("attn_logit_softcapping")?.map(|cap| cap as f32);
    let window = settings.size_or(settings.key("attention.sliding_window", "sliding_window"), 4096)?;
    let window = shared::window(&config, Some(window));
    let named = shared::named_windows(settings, config.layers.len())?;
    for (index, layer) in config.layers.iter_mut().enumerate() {
        let has = named.as_ref().map_or(index % 2 == 0, |named| named[index]);
        layer.window = window.filter(|_| has);
    }
    // Only the largest, of 46 layers, divides by another root than that of a head's width.
    attention_scale(settings, &mut config, 46)?;
    Ok(config)
}

/// What Gemma 2 and 3 share.
pub(super) fn around(settings: &Settings, config: &mut Config) -> Result<(), ImportRefusal> {
    config.norms = Norms::Around;
    config.activation = Activation::GeluTanh;
    config.embedding_scale = Some((config.width as f32).sqrt());
    config.softcap = settings.optional_number("final_logit_softcapping")?.map(|cap| cap as f32);
    Ok(())
}

/// The scale of scores: as the settings say, in GGUF by the number of layers.
pub(super) fn attention_scale(settings: &Settings, config: &mut Config, largest: usize) -> Result<(), ImportRefusal> {
    let scalar = match settings.dialect {
        Dialect::HuggingFace => settings.optional_number("query_pre_attn_scalar")?,
        Dialect::Gguf if config.layers.len() == largest => Some((config.width / config.attention.heads) as f64),
        Dialect::Gguf => None,
    };
    config.attention.scale = scalar.map(|scalar| (1.0 / scalar.sqrt()) as f32);
    Ok(())
}
