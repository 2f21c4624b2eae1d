//! Qwen2 with experts, and a shared one that says as much as its own score allows.

use super::{Architecture, shared};
use crate::language::{ImportRefusal, config::Config, settings::Settings, weights::Weights};

pub static ARCHITECTURE: Architecture = Architecture {
    name: "Qwen2-MoE",
    gguf: &["qwen2moe"],
    hugging_face: &["Qwen2MoeForCausalLM", "qwen2_moe"],
    read,
    interleaved_gguf: false,
    interleaved_hugging_face: false,
    gain_offset: 0.0,
};

fn read(settings: &Settings, weights: &mut Weights, context: Option<usize>) -> Result<Config, ImportRefusal> {
    let mut config = shared::plain(settings, weights, context)?;
    super::qwen2::windows(settings, &mut config)?;
    let own = if settings.find("num_experts").is_some() { "num_experts" } else { "num_local_experts" };
    let count = settings.size(settings.key("expert_count", own))?;
    let width = settings.size(settings.key("expert_feed_forward_length", "moe_intermediate_size"))?;
    let mut experts = shared::experts(settings, count, width, settings.flag_or("norm_topk_prob", false)?)?;
    let key = settings.key("expert_shared_feed_forward_length", "shared_expert_intermediate_size");
    experts.shared = settings.optional_size(key)?;
    config.experts = Some(experts);
    shared::sparse_layers(settings, &mut config.layers)?;
    Ok(config)
}
