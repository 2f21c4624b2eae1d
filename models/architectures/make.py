"""Tiny models of every family, with the logits that their own runtimes give: python make.py LLAMA_CPP_SOURCE [family ...]

For each family a folder: `config.json` and `model.safetensors` (binary16, as transformers saves them), `model.gguf` (as llama.cpp's
own script converts them) and `expected.json`: tokens, the logits of torch in binary32, and those of llama.cpp.
"""

import json
import pathlib
import sys

import numpy as np
import torch
import transformers

HERE = pathlib.Path(__file__).parent
TOKENS = [1, 5, 9, 60, 33, 7, 7, 12, 40, 3, 22, 17, 50, 2, 28, 44]
BASE = dict(
    vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=128, pad_token_id=0, bos_token_id=1, eos_token_id=2, torch_dtype="float16",
)
LLAMA3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=32)
LONG = dict(rope_type="longrope", rope_theta=10000.0, short_factor=[1.0, 1.1, 1.2], long_factor=[1.5, 2.5, 4.0],
            original_max_position_embeddings=32)
EXPERTS = dict(num_experts_per_tok=2, moe_intermediate_size=24)
LATENT = dict(
    EXPERTS, n_routed_experts=8, n_shared_experts=1, kv_lora_rank=16, q_lora_rank=24, qk_nope_head_dim=8, qk_rope_head_dim=4,
    v_head_dim=12, first_k_dense_replace=1, num_key_value_heads=4, head_dim=4, routed_scaling_factor=1.5,
)
# name: (configuration class, settings)
FAMILIES = {
    "llama": ("LlamaConfig", dict(rope_parameters=LLAMA3)),
    "mistral": ("MistralConfig", dict(sliding_window=6)),
    "mixtral": ("MixtralConfig", dict(num_local_experts=4, num_experts_per_tok=2, sliding_window=None)),
    "qwen2": ("Qwen2Config", dict(tie_word_embeddings=True)),
    "qwen2_yarn": ("Qwen2Config", dict(rope_parameters=YARN)),
    "qwen3": ("Qwen3Config", dict(head_dim=16)),
    "qwen2_moe": ("Qwen2MoeConfig", dict(EXPERTS, num_experts=4, shared_expert_intermediate_size=40)),
    "qwen3_moe": ("Qwen3MoeConfig", dict(EXPERTS, head_dim=16, num_experts=4, norm_topk_prob=True)),
    "gemma2": ("Gemma2Config", dict(head_dim=8, query_pre_attn_scalar=8, sliding_window=6)),
    "gemma3": ("Gemma3TextConfig", dict(head_dim=8, query_pre_attn_scalar=8, sliding_window=6, num_hidden_layers=6)),
    "phi3": ("Phi3Config", dict(rope_parameters=dict(rope_type="default", rope_theta=10000.0,
                                                      original_max_position_embeddings=128))),
    "phi3_long": ("Phi3Config", dict(rope_parameters=dict(LONG, partial_rotary_factor=0.75),
                                     original_max_position_embeddings=32)),
    "deepseek2": ("DeepseekV2Config", dict(LATENT, topk_method="greedy", n_group=1, topk_group=1)),
    "deepseek3": ("DeepseekV3Config", dict(LATENT, n_group=4, topk_group=2, norm_topk_prob=True,
                                           rope_parameters=dict(YARN, mscale=1.0, mscale_all_dim=1.0))),
}


def fill(model):
    """Weights large enough that every part has a say, on the grid of binary16."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, tensor in list(model.named_parameters()) + list(model.named_buffers()):
            if "inv_freq" in name or not tensor.is_floating_point() or tensor.ndim == 0:
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if "norm" in name:
                offset = 0.0 if "gemma" in type(model).__name__.lower() else 1.0
                noise = offset + 0.2 * noise
            elif tensor.ndim == 1:
                noise = 0.2 * noise
            elif "embed" not in name:
                noise = noise * (1.5 / tensor.shape[-1] ** 0.5)
            tensor.copy_(noise.to(torch.float16).to(tensor.dtype))


def convert(source, folder):
    """The GGUF file, by llama.cpp's own script, with a vocabulary of no words."""
    sys.path[:0] = [str(source), str(source / "gguf-py")]
    import gguf
    from conversion.base import ModelBase, ModelType, TextModel, get_model_architecture
    import convert_hf_to_gguf as script

    def none(self):
        self.gguf_writer.add_tokenizer_model("none")
        self.gguf_writer.add_vocab_size(self.hparams["vocab_size"])

    hparams = ModelBase.load_hparams(folder, False)
    kind = script.get_model_class(get_model_architecture(hparams, ModelType.TEXT), mmproj=False)
    kind = type(kind.__name__, (kind,), {"set_vocab": none, "model_arch": kind.model_arch})
    kind(folder, gguf.LlamaFileType.MOSTLY_F16, folder / "model.gguf", eager=True).write()


def peer(path, tokens):
    """llama.cpp's logits of every position; `None` where it refuses the file."""
    import llama_cpp

    try:
        llama = llama_cpp.Llama(str(path), n_ctx=128, logits_all=True, verbose=False, n_threads=1)
    except ValueError:
        return None
    llama.eval(tokens)
    return np.array(llama.scores[: len(tokens)], dtype=np.float32)


def make(source, family):
    kind, settings = FAMILIES[family]
    config = getattr(transformers, kind)(**{**BASE, **settings})
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    fill(model)
    # Beyond the original context: the factors for long texts count.
    tokens = TOKENS * 3 if family == "phi3_long" else TOKENS
    folder = HERE / family
    folder.mkdir(exist_ok=True)
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0].float().numpy()
    model.half().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    words = folder / "tokenizer.json"
    words.write_text(json.dumps({"model": {"vocab": {str(i): i for i in range(64)}}, "added_tokens": []}))
    theirs = None
    try:
        convert(source, folder)
        theirs = peer(folder / "model.gguf", tokens)
    except Exception as cause:  # A family that the script or llama.cpp refuses has no second witness.
        print(f"{family}: no GGUF: {cause!r}")
    words.unlink()
    expected = {"tokens": tokens, "torch": rounded(logits), "llama_cpp": None if theirs is None else rounded(theirs)}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    if theirs is not None:
        print(f"{family}: cosine between torch and llama.cpp {cosine(logits, theirs):.7f}")


def rounded(logits):
    return [[round(float(x), 5) for x in row] for row in logits]


def cosine(one, other):
    return float((one * other).sum() / np.sqrt((one * one).sum() * (other * other).sum()))


if __name__ == "__main__":
    for family in sys.argv[2:] or FAMILIES:
        make(pathlib.Path(sys.argv[1]), family)
