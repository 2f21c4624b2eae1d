//! What families read alike: sizes, heads, rotation and experts, under the names of either dialect.

use crate::language::{
    ImportRefusal,
    config::{Activation, Attention, Config, Experts, FeedKind, LayerConfig, Norms, Scores},
    rotation::{Rotation, Scaling, Yarn},
    settings::{Dialect, Settings},
    weights::{Place, Weights, names},
};

/// A context that is chosen where nobody chooses one: tables grow with it.
const CONTEXT: usize = 32_768;
const HEADS_MAX: usize = 1 << 12;

/// A decoder with norms before its parts and gates through SiLU, as Llama is.
pub fn plain(settings: &Settings, weights: &mut Weights, context: Option<usize>) -> Result<Config, ImportRefusal> {
    let width = settings.size(settings.key("embedding_length", "hidden_size"))?;
    let heads = settings.size(settings.key("attention.head_count", "num_attention_heads"))?;
    let kv_heads = settings.size_or(settings.key("attention.head_count_kv", "num_key_value_heads"), heads)?;
    let key = settings.key("attention.key_length", "head_dim");
    let head = settings.size_or(key, width / heads)?;
    if head == 0 || !head.is_multiple_of(2) || !heads.is_multiple_of(kv_heads) || heads > HEADS_MAX {
        let found = format!("{head} with {heads} heads, {kv_heads} of them for keys");
        let expected = "an even width of at most 4096 heads in groups";
        return Err(ImportRefusal::Config { key: key.to_owned(), expected, found });
    }
    let vocabulary = match settings.dialect {
        Dialect::Gguf => weights.rows_of(Place { part: &names::EMBEDDING, layer: None })?,
        Dialect::HuggingFace => settings.size("vocab_size")?,
    };
    let trained = settings.size(settings.key("context_length", "max_position_embeddings"))?;
    let trained = trained.min(dynamic_limit(settings)?.unwrap_or(trained));
    let context = trained.min(context.unwrap_or(CONTEXT));
    let layers = settings.size(settings.key("block_count", "num_hidden_layers"))?;
    let theta = theta(settings, settings.key("rope.freq_base", "rope_theta"), 10_000.0)?;
    let rotation = rotation(settings, weights, head, context, theta)?;
    Ok(Config {
        width,
        vocabulary,
        context,
        epsilon: settings.number(settings.key("attention.layer_norm_rms_epsilon", "rms_norm_eps"))? as f32,
        stop_tokens: stop_tokens(settings)?,
        tied: settings.dialect == Dialect::HuggingFace && settings.flag_or("tie_word_embeddings", false)?,
        embedding_scale: None,
        softcap: None,
        norms: Norms::Before,
        attention: Attention { heads, kv_heads, head, scale: None, softcap: None, latent: None },
        activation: activation(settings)?,
        feed_forward: settings.size_or(settings.key("feed_forward_length", "intermediate_size"), width)?,
        experts: None,
        rotations: vec![rotation],
        layers: vec![LayerConfig { rotation: 0, window: None, feed: FeedKind::Dense }; layers],
    })
}

fn activation(settings: &Settings) -> Result<Activation, ImportRefusal> {
    let key = if settings.find("hidden_activation").is_some() { "hidden_activation" } else { "hidden_act" };
    match settings.find(key).map(|_| settings.text(key)).transpose()? {
        None | Some("silu" | "swish") => Ok(Activation::Silu),
        Some("gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
        Some(_) => Err(settings.refuse(key, "\"silu\" or \"gelu_pytorch_tanh\"")),
    }
}

fn stop_tokens(settings: &Settings) -> Result<Vec<u32>, ImportRefusal> {
    if settings.dialect == Dialect::HuggingFace {
        return settings.tokens("eos_token_id");
    }
    let mut tokens = Vec::new();
    for key in ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"] {
        tokens.extend(settings.tokens(key)?);
    }
    tokens.sort_unstable();
    tokens.dedup();
    Ok(tokens)
}

/// Where `config.json` keeps what it says of rotation: newer files under one key, older ones under another.
fn scaled(settings: &Settings) -> Option<Settings> {
    settings.within("rope_parameters").or_else(|| settings.within("rope_scaling"))
}

/// Where a rotation whose base grows with the text stops being the plain one: what follows would turn keys that were
/// turned already.
fn dynamic_limit(settings: &Settings) -> Result<Option<usize>, ImportRefusal> {
    let key = "original_max_position_embeddings";
    match scaled(settings).filter(|scaled| settings.dialect == Dialect::HuggingFace && is_dynamic(scaled)) {
        Some(scaled) => scaled.optional_size(key),
        None => Ok(None),
    }
}

fn is_dynamic(scaled: &Settings) -> bool {
    scaled.find("rope_type").or_else(|| scaled.find("type")).is_some_and(|kind| kind == "dynamic")
}

pub fn theta(settings: &Settings, key: &'static str, otherwise: f64) -> Result<f64, ImportRefusal> {
    match scaled(settings).filter(|scaled| scaled.find(key).is_some()) {
        Some(scaled) => scaled.number(key),
        None => settings.number_or(key, otherwise),
    }
}

/// How heads of that width turn in texts of that length.
pub fn rotation(
    settings: &Settings,
    weights: &mut Weights,
    head: usize,
    context: usize,
    theta: f64,
) -> Result<Rotation, ImportRefusal> {
    if theta <= 1.0 {
        return Err(settings.refuse(settings.key("rope.freq_base", "rope_theta"), "a number above 1"));
    }
    let found = match settings.dialect {
        Dialect::Gguf => gguf_rotation(settings, weights, head, context, theta)?,
        Dialect::HuggingFace => {
            let scaled = scaled(settings);
            let width = turned(settings, scaled.as_ref(), head)?;
            let plain = Rotation::plain(theta, width);
            match scaled {
                Some(scaled) => hugging_face_rotation(settings, &scaled, plain, context)?,
                None => plain,
            }
        }
    };
    if found.width > head || found.width == 0 || !found.width.is_multiple_of(2) {
        let key = settings.key("rope.dimension_count", "partial_rotary_factor").to_owned();
        let expected = "an even number of a head's numbers";
        return Err(ImportRefusal::Config { key, expected, found: format!("{} of {head}", found.width) });
    }
    match &found.scaling {
        Scaling::Factors(factors) if factors.len() != found.width / 2 => {
            let (key, expected) = ("the rotation's factors".to_owned(), "one for each pair of a head");
            Err(ImportRefusal::Config { key, expected, found: factors.len().to_string() })
        }
        _ => Ok(found),
    }
}

fn turned(settings: &Settings, scaled: Option<&Settings>, head: usize) -> Result<usize, ImportRefusal> {
    let key = "partial_rotary_factor";
    let of_scaled = scaled.filter(|scaled| scaled.find(key).is_some());
    let share = of_scaled.unwrap_or(settings).number_or(key, 1.0)?;
    Ok((head as f64 * share.min(1.0)) as usize)
}

fn hugging_face_rotation(
    settings: &Settings,
    scaled: &Settings,
    plain: Rotation,
    context: usize,
) -> Result<Rotation, ImportRefusal> {
    let key = if scaled.find("rope_type").is_some() { "rope_type" } else { "type" };
    let trained = settings.size("max_position_embeddings")? as f64;
    let original = |otherwise| match scaled.find("original_max_position_embeddings") {
        Some(_) => scaled.number("original_max_position_embeddings"),
        None => settings.number_or("original_max_position_embeddings", otherwise),
    };
    match scaled.find(key).map(|_| scaled.text(key)).transpose()? {
        None | Some("default") => Ok(plain),
        Some("linear") => Ok(Rotation { scaling: Scaling::Linear { factor: scaled.number("factor")? }, ..plain }),
        Some("llama3") => {
            let (factor, low) = (scaled.number("factor")?, scaled.number("low_freq_factor")?);
            let (high, original) = (scaled.number("high_freq_factor")?, original(trained)?);
            Ok(Rotation { scaling: Scaling::Llama3 { factor, low, high, original }, ..plain })
        }
        Some("yarn") => {
            if !scaled.flag_or("truncate", true)? {
                return Err(scaled.refuse("truncate", "true"));
            }
            let factor = scaled.number("factor")?;
            let (fast, slow) = (scaled.number_or("beta_fast", 32.0)?, scaled.number_or("beta_slow", 1.0)?);
            let sharpness = |key| -> Result<Option<f64>, ImportRefusal> {
                Ok(scaled.optional_number(key)?.map(|weight| Yarn::sharpness(factor, weight)))
            };
            let magnitude = match (sharpness("mscale")?, sharpness("mscale_all_dim")?) {
                (Some(one), Some(all)) => one / all,
                _ => Yarn::sharpness(factor, 1.0),
            };
            let magnitude = scaled.number_or("attention_factor", magnitude)?;
            let scaling = Scaling::Yarn(Yarn { factor, original: original(trained)?, fast, slow });
            Ok(Rotation { scaling, magnitude, ..plain })
        }
        Some("longrope" | "su") => {
            let original = original(trained)?;
            let factor = scaled.number_or("factor", trained / original)?;
            let magnitude = scaled.number_or("attention_factor", stretched(factor, original))?;
            let key = if context as f64 > original { "long_factor" } else { "short_factor" };
            Ok(Rotation { scaling: Scaling::Factors(scaled.numbers(key)?), magnitude, ..plain })
        }
        Some("dynamic") => dynamic(scaled, plain, context),
        Some(_) => Err(scaled.refuse(key, "default, linear, llama3, yarn, longrope or dynamic")),
    }
}

/// The base is that of the greater of the text's length and the trained one: within the latter, the plain one.
fn dynamic(scaled: &Settings, plain: Rotation, context: usize) -> Result<Rotation, ImportRefusal> {
    scaled.number("factor")?;
    if scaled.find("alpha").is_some() {
        return Err(scaled.refuse("alpha", "none, for a base that grows with the text"));
    }
    let trained = "original_max_position_embeddings";
    if scaled.optional_size(trained)?.is_some_and(|most| context > most) {
        return Err(scaled.refuse(trained, "the context or more; hint: --context"));
    }
    Ok(plain)
}

/// `√(1 + ln factor / ln original)`: what longer texts of this scaling are multiplied with.
fn stretched(factor: f64, original: f64) -> f64 {
    use crate::float::log_wide;
    if factor > 1.0 { (1.0 + log_wide(factor) / log_wide(original)).sqrt() } else { 1.0 }
}

fn gguf_rotation(
    settings: &Settings,
    weights: &mut Weights,
    head: usize,
    context: usize,
    theta: f64,
) -> Result<Rotation, ImportRefusal> {
    let mut rotation = Rotation::plain(theta, settings.size_or("rope.dimension_count", head)?);
    let attention = settings.number_or("rope.scaling.attn_factor", 1.0)?;
    rotation.magnitude = attention;
    let original = settings.number_or("rope.scaling.original_context_length", context as f64)?;
    let pairs = rotation.width / 2;
    let mut factors = |part| -> Result<Option<Vec<f64>>, ImportRefusal> {
        let place = Place { part, layer: None };
        if !weights.has(place, "weight") {
            return Ok(None);
        }
        Ok(Some(weights.floats(place, &[pairs])?.into_iter().map(f64::from).collect()))
    };
    let (all, long, short) =
        (factors(&names::ROTATION_FACTORS)?, factors(&names::LONG_FACTORS)?, factors(&names::SHORT_FACTORS)?);
    let by_length = if context as f64 > original { long } else { short };
    if let Some(factors) = all.or(by_length) {
        if factors.iter().any(|factor| *factor <= 0.0) {
            let (key, expected) = ("the rotation's factors".to_owned(), "numbers above 0");
            return Err(ImportRefusal::Config { key, expected, found: "one that is not".to_owned() });
        }
        rotation.scaling = Scaling::Factors(factors);
        return Ok(rotation);
    }
    let key = "rope.scaling.type";
    match settings.find(key).map(|_| settings.text(key)).transpose()? {
        None | Some("none" | "longrope") => {}
        Some("linear") => rotation.scaling = Scaling::Linear { factor: settings.number("rope.scaling.factor")? },
        Some("yarn") => {
            let factor = settings.number("rope.scaling.factor")?;
            let fast = settings.number_or("rope.scaling.yarn_beta_fast", 32.0)?;
            let slow = settings.number_or("rope.scaling.yarn_beta_slow", 1.0)?;
            rotation.scaling = Scaling::Yarn(Yarn { factor, original, fast, slow });
            rotation.magnitude = attention * Yarn::sharpness(factor, 1.0);
        }
        Some(_) => return Err(settings.refuse(key, "none, linear, yarn or longrope")),
    }
    Ok(rotation)
}

/// Windows that hide nothing in a text of the context's length are none.
pub fn window(config: &Config, window: Option<usize>) -> Option<usize> {
    window.filter(|&window| window < config.context)
}

/// Which layers have a window, where `config.json` names each layer's kind; `None` where it does not.
pub fn named_windows(settings: &Settings, layers: usize) -> Result<Option<Vec<bool>>, ImportRefusal> {
    let Some(list) = settings.find("layer_types") else { return Ok(None) };
    let expected = "full_attention or sliding_attention for each layer";
    let kinds = list
        .as_array()
        .filter(|kinds| kinds.len() == layers)
        .ok_or_else(|| settings.refuse("layer_types", expected))?;
    let kind = |kind: &serde_json::Value| match kind.as_str() {
        Some("full_attention") => Some(false),
        Some("sliding_attention") => Some(true),
        _ => None,
    };
    let kinds: Option<Vec<bool>> = kinds.iter().map(kind).collect();
    kinds.map(Some).ok_or_else(|| settings.refuse("layer_types", expected))
}

/// Experts that softmax scores choose, without groups.
pub fn experts(settings: &Settings, count: usize, width: usize, normalise: bool) -> Result<Experts, ImportRefusal> {
    let key = settings.key("expert_used_count", "num_experts_per_tok");
    let chosen = settings.size(key)?;
    if chosen > count {
        return Err(settings.refuse(key, "no more than there are experts"));
    }
    let (scores, shared, groups) = (Scores::Softmax, None, None);
    let scale = settings.number_or(settings.key("expert_weights_scale", "routed_scaling_factor"), 1.0)? as f32;
    Ok(Experts { count, chosen, width, shared, scores, normalise, scale, groups })
}

/// Gives experts to the layers that have them by the keys of the Qwen family: every so many, but for those named.
pub fn sparse_layers(settings: &Settings, layers: &mut [LayerConfig]) -> Result<(), ImportRefusal> {
    let step = settings.size_or("decoder_sparse_step", 1)?;
    let dense = settings.tokens("mlp_only_layers")?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let is_dense = dense.iter().any(|&dense| dense as usize == index);
        layer.feed = if !is_dense && (index + 1) % step == 0 { FeedKind::Experts } else { FeedKind::Dense };
    }
    Ok(())
}
