//! DeepSeek V2 and V3: keys and values compressed to one narrow row for all heads, experts chosen in groups, some shared.

use super::{Architecture, shared};
use crate::language::{
    ImportRefusal,
    config::{Attention, Config, Experts, FeedKind, Groups, Latent, Scores},
    rotation::{Scaling, Yarn},
    settings::{Dialect, Settings},
    weights::Weights,
};

pub static ARCHITECTURE: Architecture = Architecture {
    name: "DeepSeek",
    gguf: &["deepseek2"],
    hugging_face: &["DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM", "deepseek_v2", "deepseek_v3"],
    read,
    interleaved_gguf: true,
    interleaved_hugging_face: true,
    gain_offset: 0.0,
};

/// Code of scores by sigmoid in GGUF; 1 and a missing one are softmax.
const SIGMOID: usize = 2;

fn read(settings: &Settings, weights: &mut Weights, context: Option<usize>) -> Result<Config, ImportRefusal> {
    let mut config = shared::plain(settings, weights, context)?;
    let skipped = settings.count("nextn_predict_layers")?;
    config.layers.truncate(config.layers.len().saturating_sub(skipped));
    let latent = latent(settings)?;
    let head = latent.plain + latent.turned;
    let theta = shared::theta(settings, settings.key("rope.freq_base", "rope_theta"), 10_000.0)?;
    let mut rotation = shared::rotation(settings, weights, latent.turned, config.context, theta)?;
    let mut scale = 1.0 / (head as f64).sqrt();
    if let Scaling::Yarn(yarn) = &rotation.scaling {
        let (weight, of_rotation) = sharpness(settings, yarn.factor, rotation.magnitude)?;
        scale *= weight * weight;
        rotation.magnitude = of_rotation;
    }
    config.attention = Attention {
        kv_heads: 1,
        head: latent.rank + latent.turned,
        scale: Some(scale as f32),
        latent: Some(latent),
        ..config.attention
    };
    config.rotations = vec![rotation];
    config.experts = experts(settings)?;
    let dense = settings.count(settings.key("leading_dense_block_count", "first_k_dense_replace"))?;
    let every = settings.size_or("moe_layer_freq", 1)?;
    for (index, layer) in config.layers.iter_mut().enumerate() {
        let sparse = config.experts.is_some() && index >= dense && index % every == 0;
        layer.feed = if sparse { FeedKind::Experts } else { FeedKind::Dense };
    }
    Ok(config)
}

fn latent(settings: &Settings) -> Result<Latent, ImportRefusal> {
    let query_rank = settings.optional_size(settings.key("attention.q_lora_rank", "q_lora_rank"))?;
    let rank = settings.size(settings.key("attention.kv_lora_rank", "kv_lora_rank"))?;
    let turned = settings.size(settings.key("rope.dimension_count", "qk_rope_head_dim"))?;
    let (plain, value) = match settings.dialect {
        Dialect::HuggingFace => (settings.size("qk_nope_head_dim")?, settings.size("v_head_dim")?),
        Dialect::Gguf => {
            // Newer files say the sizes before compression apart.
            let both = settings.size_or("attention.key_length_mla", settings.size("attention.key_length")?)?;
            let value = settings.size_or("attention.value_length_mla", settings.size("attention.value_length")?)?;
            (both.saturating_sub(turned), value)
        }
    };
    if plain == 0 || !turned.is_multiple_of(2) {
        let key = settings.key("rope.dimension_count", "qk_rope_head_dim");
        return Err(settings.refuse(key, "an even part of a head"));
    }
    Ok(Latent { query_rank, rank, plain, turned, value })
}

/// What a stretched rotation multiplies scores with, on either side, and what is left to its own cosines and sines.
fn sharpness(settings: &Settings, factor: f64, magnitude: f64) -> Result<(f64, f64), ImportRefusal> {
    match settings.dialect {
        Dialect::Gguf => {
            let Some(tenth) = settings.optional_number("rope.scaling.yarn_log_multiplier")? else {
                return Ok((1.0, magnitude));
            };
            // Stored as a tenth of the weight. The other weight is in no key: it is the same in the second version's settings, and in the
            // third's both are 1, so that what is left to the rotation is what the file says of it.
            let left = settings.number_or("rope.scaling.attn_factor", 1.0)?;
            Ok((Yarn::sharpness(factor, tenth * 10.0), left))
        }
        Dialect::HuggingFace => {
            let scaled = settings.within("rope_parameters").or_else(|| settings.within("rope_scaling"));
            let all = scaled.map_or(Ok(None), |scaled| scaled.optional_number("mscale_all_dim"))?;
            Ok((all.map_or(1.0, |weight| Yarn::sharpness(factor, weight)), magnitude))
        }
    }
}

fn experts(settings: &Settings) -> Result<Option<Experts>, ImportRefusal> {
    let Some(count) = settings.optional_size(settings.key("expert_count", "n_routed_experts"))? else {
        return Ok(None);
    };
    let width = settings.size(settings.key("expert_feed_forward_length", "moe_intermediate_size"))?;
    let is_third = settings.architecture().is_ok_and(|name| name.contains("V3") || name.contains("v3"));
    let normalise = match settings.dialect {
        Dialect::Gguf => settings.flag_or("expert_weights_norm", false)?,
        // The second version never divides, whatever its settings say.
        Dialect::HuggingFace => is_third && settings.flag_or("norm_topk_prob", true)?,
    };
    let mut experts = shared::experts(settings, count, width, normalise)?;
    let shared = settings.count(settings.key("expert_shared_count", "n_shared_experts"))?;
    experts.shared = Some(shared * width).filter(|&width| width > 0);
    let sigmoid = match settings.dialect {
        Dialect::Gguf => settings.count("expert_gating_func")? == SIGMOID,
        Dialect::HuggingFace => is_third,
    };
    experts.scores = if sigmoid { Scores::Sigmoid } else { Scores::Softmax };
    let of_groups = settings.key("expert_group_count", "n_group");
    let kept = settings.size_or(settings.key("expert_group_used_count", "topk_group"), 1)?;
    let groups = settings.size_or(of_groups, 1)?;
    let greedy = settings.find("topk_method").is_some_and(|method| method == "greedy");
    if groups > 1 && !greedy {
        experts.groups = Some(Groups { count: groups, kept, best: if sigmoid { 2 } else { 1 } });
    }
    Ok(Some(experts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_dialects_turn_and_sharpen_alike() {
        // Published settings: of V2 (both weights 0.707), of V3 (both 1), and a file that says nothing of them.
        for weight in [0.707, 1.0] {
            let plain = r#"{"rope_scaling": {"mscale": W, "mscale_all_dim": W}}"#.replace('W', &weight.to_string());
            let mut gguf =
                Settings::of_json(format!(r#"{{"rope.scaling.yarn_log_multiplier": {}}}"#, weight / 10.0).as_bytes())
                    .unwrap();
            gguf.dialect = Dialect::Gguf;
            let plain = sharpness(&Settings::of_json(plain.as_bytes()).unwrap(), 40.0, 1.0).unwrap();
            // What a rotation has of itself before.
            let turned = sharpness(&gguf, 40.0, Yarn::sharpness(40.0, 1.0)).unwrap();
            assert!((plain.0 - turned.0).abs() < 1e-9 && (plain.1, turned.1) == (1.0, 1.0), "{plain:?} {turned:?}");
        }
        let mut silent = Settings::of_json(b"{}").unwrap();
        silent.dialect = Dialect::Gguf;
        assert_eq!(sharpness(&silent, 40.0, 1.37).unwrap(), (1.0, 1.37));
    }
}
