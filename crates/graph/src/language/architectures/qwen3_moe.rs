//! Qwen3 with experts, none of them shared.

use super::{Architecture, shared};
use crate::language::{
    ImportRefusal,
    config::Config,
    settings::{Dialect, Settings},
    weights::Weights,
};

pub static ARCHITECTURE: Architecture = Architecture {
    name: "Qwen3-MoE",
    gguf: &["qwen3moe"],
    hugging_face: &["Qwen3MoeForCausalLM", "qwen3_moe"],
    read,
    interleaved_gguf: false,
    interleaved_hugging_face: false,
    gain_offset: 0.0,
};

fn read(settings: &Settings, weights: &mut Weights, context: Option<usize>) -> Result<Config, ImportRefusal> {
    let mut config = shared::plain(settings, weights, context)?;
    super::qwen2::windows(settings, &mut config)?;
    // Newer files have taken the name that others use.
    let own = if settings.find("num_experts").is_some() { "num_experts" } else { "num_local_experts" };
    let count = settings.size(settings.key("expert_count", own))?;
    let width = settings.size(settings.key("expert_feed_forward_length", "moe_intermediate_size"))?;
    // GGUF files do not say it; all of this family divide.
    let normalise = settings.dialect == Dialect::Gguf || settings.flag_or("norm_topk_prob", false)?;
    config.experts = Some(shared::experts(settings, count, width, normalise)?);
    shared::sparse_layers(settings, &mut config.layers)?;
    Ok(config)
}
