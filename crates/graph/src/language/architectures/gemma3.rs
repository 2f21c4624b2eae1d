//! Gemma 3: Gemma 2 without caps on scores, with norms of single heads, and five layers of a window, turning faster, to each
//! that sees everything.

use serde_json::{Value, json};

use super::{Architecture, shared};
use crate::language::{
    ImportRefusal,
    config::Config,
    rotation::Rotation,
    settings::{Dialect, Settings},
    weights::Weights,
};

pub static ARCHITECTURE: Architecture = Architecture {
    name: "Gemma 3",
    gguf: &["gemma3"],
    hugging_face: &["Gemma3ForCausalLM", "gemma3_text"],
    read,
    interleaved_gguf: false,
    interleaved_hugging_face: false,
    gain_offset: 1.0,
};

/// One layer in so many sees everything.
const PATTERN: usize = 6;
const LOCAL_THETA: f64 = 10_000.0;
const GLOBAL_THETA: f64 = 1_000_000.0;

/// What `config.json` means where it says nothing: those of models that see pictures too say only what is otherwise.
fn usual() -> Value {
    json!({
        "vocab_size": 262_208, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
        "max_position_embeddings": 131_072, "rms_norm_eps": 1e-6, "query_pre_attn_scalar": 256, "sliding_window": 4096,
        "tie_word_embeddings": true,
    })
}

fn read(settings: &Settings, weights: &mut Weights, context: Option<usize>) -> Result<Config, ImportRefusal> {
    let settings = &settings.or(usual());
    let mut config = shared::plain(settings, weights, context)?;
    super::gemma2::around(settings, &mut config)?;
    let parameters = settings.within("rope_parameters");
    let of = |kind: &str| parameters.as_ref().and_then(|parameters| parameters.within(kind));
    let (head, context) = (config.attention.head, config.context);
    let (local, global) = match (settings.dialect, of("sliding_attention"), of("full_attention")) {
        (Dialect::Gguf, ..) => {
            let local = settings.number_or("rope.freq_base_swa", LOCAL_THETA)?;
            let theta = settings.number_or("rope.freq_base", GLOBAL_THETA)?;
            (Rotation::plain(local, head), shared::rotation(settings, weights, head, context, theta)?)
        }
        (_, Some(local), Some(global)) => {
            let mut made = |scaled: &Settings, otherwise: f64| {
                let settings = settings.with("rope_parameters", scaled);
                let theta = scaled.number_or("rope_theta", otherwise)?;
                shared::rotation(&settings, weights, head, context, theta)
            };
            (made(&local, LOCAL_THETA)?, made(&global, GLOBAL_THETA)?)
        }
        _ => {
            let theta = settings.number_or("rope_theta", GLOBAL_THETA)?;
            let local = settings.number_or("rope_local_base_freq", LOCAL_THETA)?;
            (Rotation::plain(local, head), shared::rotation(settings, weights, head, context, theta)?)
        }
    };
    config.rotations = vec![global, local];
    let window = settings.optional_size(settings.key("attention.sliding_window", "sliding_window"))?;
    let pattern = settings.size_or("sliding_window_pattern", PATTERN)?;
    let named = shared::named_windows(settings, config.layers.len())?;
    let within = shared::window(&config, window);
    for (index, layer) in config.layers.iter_mut().enumerate() {
        let is_local = window.is_some() && named.as_ref().map_or((index + 1) % pattern != 0, |named| named[index]);
        (layer.rotation, layer.window) = (usize::from(is_local), within.filter(|_| is_local));
    }
    // Only the largest, of 62 layers, divides by another root than that of a head's width.
    super::gemma2::attention_scale(settings, &mut config, 62)?;
    Ok(config)
}
