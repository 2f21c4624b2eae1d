//! What the tensors of a decoder are called in files.

use crate::language::settings::Dialect;

/// A tensor's name in each dialect; where there are several, the first that a file has is meant.
pub struct Part {
    gguf: &'static [&'static str],
    hugging_face: &'static [&'static str],
}

const fn part(gguf: &'static [&'static str], hugging_face: &'static [&'static str]) -> Part {
    Part { gguf, hugging_face }
}

pub static EMBEDDING: Part = part(&["token_embd"], &["model.embed_tokens"]);
pub static NORM: Part = part(&["output_norm"], &["model.norm"]);
pub static HEAD: Part = part(&["output"], &["lm_head"]);
pub static ROTATION_FACTORS: Part = part(&["rope_freqs"], &[]);
pub static LONG_FACTORS: Part = part(&["rope_factors_long"], &[]);
pub static SHORT_FACTORS: Part = part(&["rope_factors_short"], &[]);

pub static ATTENTION_NORM: Part = part(&["attn_norm"], &["input_layernorm"]);
pub static QUERY: Part = part(&["attn_q"], &["self_attn.q_proj"]);
pub static KEY: Part = part(&["attn_k"], &["self_attn.k_proj"]);
pub static VALUE: Part = part(&["attn_v"], &["self_attn.v_proj"]);
/// Queries, keys and values in one.
pub static FUSED: Part = part(&["attn_qkv"], &["self_attn.qkv_proj"]);
pub static QUERY_NORM: Part = part(&["attn_q_norm"], &["self_attn.q_norm"]);
pub static KEY_NORM: Part = part(&["attn_k_norm"], &["self_attn.k_norm"]);
pub static OUTPUT: Part = part(&["attn_output"], &["self_attn.o_proj"]);
pub static AFTER_ATTENTION: Part = part(&["post_attention_norm"], &["post_attention_layernorm"]);

pub static QUERY_DOWN: Part = part(&["attn_q_a"], &["self_attn.q_a_proj"]);
pub static QUERY_DOWN_NORM: Part = part(&["attn_q_a_norm"], &["self_attn.q_a_layernorm"]);
pub static QUERY_UP: Part = part(&["attn_q_b"], &["self_attn.q_b_proj"]);
pub static COMPRESSED: Part = part(&["attn_kv_a_mqa"], &["self_attn.kv_a_proj_with_mqa"]);
pub static COMPRESSED_NORM: Part = part(&["attn_kv_a_norm"], &["self_attn.kv_a_layernorm"]);
/// From what is compressed to the keys and values of all heads.
pub static EXPANSION: Part = part(&["attn_kv_b"], &["self_attn.kv_b_proj"]);
/// The same as two stacks of a matrix per head, that of the keys transposed.
pub static KEY_STACK: Part = part(&["attn_k_b"], &[]);
pub static VALUE_STACK: Part = part(&["attn_v_b"], &[]);

pub static FEED_NORM: Part = part(&["ffn_norm"], &["pre_feedforward_layernorm", "post_attention_layernorm"]);
pub static GATE: Part = part(&["ffn_gate"], &["mlp.gate_proj"]);
pub static UP: Part = part(&["ffn_up"], &["mlp.up_proj"]);
pub static DOWN: Part = part(&["ffn_down"], &["mlp.down_proj"]);
/// Gates, then what they gate, in one. GGUF calls it as it calls the latter alone.
pub static GATE_AND_UP: Part = part(&["ffn_up"], &["mlp.gate_up_proj"]);
pub static AFTER_FEED: Part = part(&["post_ffw_norm"], &["post_feedforward_layernorm"]);

pub static ROUTER: Part = part(&["ffn_gate_inp"], &["mlp.gate", "block_sparse_moe.gate"]);
pub static ROUTER_BIAS: Part = part(&["exp_probs_b"], &["mlp.gate.e_score_correction"]);
pub static EXPERT_GATES: Part = part(&["ffn_gate_exps"], &[]);
pub static EXPERT_UPS: Part = part(&["ffn_up_exps"], &[]);
pub static EXPERT_DOWNS: Part = part(&["ffn_down_exps"], &["mlp.experts.down_proj"]);
pub static EXPERT_GATES_AND_UPS: Part = part(&["ffn_gate_up_exps"], &["mlp.experts.gate_up_proj"]);
/// One expert's, `{}` standing for its number.
pub static ONE_GATE: Part = part(&[], &["mlp.experts.{}.gate_proj", "block_sparse_moe.experts.{}.w1"]);
pub static ONE_UP: Part = part(&[], &["mlp.experts.{}.up_proj", "block_sparse_moe.experts.{}.w3"]);
pub static ONE_DOWN: Part = part(&[], &["mlp.experts.{}.down_proj", "block_sparse_moe.experts.{}.w2"]);
pub static SHARED_GATE: Part =
    part(&["ffn_gate_shexp"], &["mlp.shared_experts.gate_proj", "mlp.shared_expert.gate_proj"]);
pub static SHARED_UP: Part = part(&["ffn_up_shexp"], &["mlp.shared_experts.up_proj", "mlp.shared_expert.up_proj"]);
pub static SHARED_DOWN: Part =
    part(&["ffn_down_shexp"], &["mlp.shared_experts.down_proj", "mlp.shared_expert.down_proj"]);
/// How much the shared expert says.
pub static SHARED_SCORE: Part = part(&["ffn_gate_inp_shexp"], &["mlp.shared_expert_gate"]);

/// Buffers that files carry and no graph needs.
static IGNORED: [&str; 2] = ["rotary_emb.inv_freq", "self_attn.rotary_emb.inv_freq"];

/// What the tensors of a decoder are called within a model that sees pictures too, as transformers wrote them first and as
/// it does now, and what they are called in a decoder alone.
static WITHIN: [(&str, &str); 3] =
    [("language_model.model.", "model."), ("language_model.lm_head.", "lm_head."), ("model.language_model.", "model.")];
/// What such a model sees with.
static SIGHT: [&str; 4] =
    ["vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."];

/// The name that a tensor of such a model has in a decoder alone; `None` for what no decoder has.
pub fn of_decoder(name: &str) -> Option<String> {
    if SIGHT.iter().any(|start| name.starts_with(start)) {
        return None;
    }
    let own = WITHIN.iter().find_map(|(within, alone)| Some(format!("{alone}{}", name.strip_prefix(within)?)));
    Some(own.unwrap_or_else(|| name.to_owned()))
}

impl Part {
    /// The full names, in the order in which they are tried. `suffix` is `weight` or `bias`.
    pub fn names(&self, dialect: Dialect, layer: Option<usize>, suffix: &str) -> Vec<String> {
        let (names, start) = match dialect {
            Dialect::Gguf => (self.gguf, "blk"),
            Dialect::HuggingFace => (self.hugging_face, "model.layers"),
        };
        let full = |name: &&str| match (layer, *name) {
            // The one tensor whose suffix is part of its name.
            (Some(layer), "mlp.gate.e_score_correction") => format!("{start}.{layer}.{name}_bias"),
            (Some(layer), "mlp.experts.gate_up_proj" | "mlp.experts.down_proj") => format!("{start}.{layer}.{name}"),
            (Some(layer), _) => format!("{start}.{layer}.{name}.{suffix}"),
            (None, _) => format!("{name}.{suffix}"),
        };
        names.iter().map(full).collect()
    }
}

/// True for tensors that may be left over: buffers, and layers beyond the last, which only training uses.
pub fn may_be_left(name: &str, dialect: Dialect, layers: usize) -> bool {
    let start = match dialect {
        Dialect::Gguf => "blk.",
        Dialect::HuggingFace => "model.layers.",
    };
    let layer = name.strip_prefix(start).and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
    layer.is_some_and(|layer| layer >= layers) || IGNORED.iter().any(|ignored| name.ends_with(ignored))
}
