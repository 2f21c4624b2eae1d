"""Llama files with random weights: python random_gguf.py {tiny|100m|1b|moe} {f32|f16|q8_0|q4_0|q4_k_m|q6_k} out.gguf

For speed, where only shapes and formats count: quantised blocks are random bytes under scales that give every matrix a sensible
deviation. The same arguments give the same file. The vocabulary is the 256 bytes, a few pairs of letters, and control tokens.
"""

import os
import sys

import gguf
import numpy as np

SHAPES = {  # width, layers, heads, key-value heads, feed-forward, vocabulary
    "tiny": (256, 2, 4, 2, 768, 1024),
    "100m": (768, 12, 12, 12, 2048, 32_000),
    "1b": (2048, 16, 32, 8, 8192, 32_000),
    "moe": (1024, 8, 16, 4, 1024, 32_000),
}
EXPERTS = {"moe": (16, 4)}  # of each layer, and chosen; the feed-forward width is one expert's
CONTEXT = 2048
KINDS = {
    "f32": gguf.LlamaFileType.ALL_F32,
    "f16": gguf.LlamaFileType.MOSTLY_F16,
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    "q4_0": gguf.LlamaFileType.MOSTLY_Q4_0,
    "q4_k_m": gguf.LlamaFileType.MOSTLY_Q4_K_M,
    "q6_k": gguf.LlamaFileType.MOSTLY_Q6_K,
}
TYPE = gguf.GGMLQuantizationType


def type_of(kind, tensor, layer, layers):
    """What llama.cpp's own quantiser would choose."""
    if kind != "q4_k_m":
        return TYPE[kind.upper()]
    more = layer is not None and (layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2)
    is_wide = tensor == "output" or (tensor in ("attn_v", "ffn_down") and more)
    return TYPE.Q6_K if is_wide else TYPE.Q4_K


def halves(values):
    return values.astype(np.float16).view(np.uint8).reshape(len(values), 2)


def blocks(rng, kind, count):
    """Random blocks of a format, deviation about 1."""
    scale = rng.uniform(0.8, 1.2, count)
    noise = lambda bytes_: rng.integers(0, 256, (count, bytes_), dtype=np.uint8)
    if kind == TYPE.Q8_0:
        return [halves(scale * 3**0.5 / 127), noise(32)]
    if kind == TYPE.Q4_0:
        return [halves(scale * 3**0.5 / 8), noise(16)]
    if kind == TYPE.Q4_K:  # scales and minima are 0 to 63 and 7.5 on average, so that the mean is near 0
        return [halves(scale * 0.0043), halves(scale * 0.0043 * 7.5), noise(12), noise(128)]
    if kind == TYPE.Q6_K:
        return [noise(128), noise(64), noise(16), halves(scale * 0.00073)]
    raise ValueError(f"no random blocks for {kind}")


def matrix(rng, kind, rows, columns, deviation):
    if kind in (TYPE.F32, TYPE.F16):
        values = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(deviation)
        return values.astype(np.float16 if kind == TYPE.F16 else np.float32)
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    parts = blocks(rng, kind, rows * columns // block)
    for at, part in enumerate(parts):
        if part.shape[1] == 2:
            half = part.view(np.float16)
            parts[at] = (half.astype(np.float32) * deviation).astype(np.float16).view(np.uint8)
    return np.concatenate(parts, 1).reshape(rows, -1)


def vocabulary(writer, size):
    """A byte-level vocabulary that needs no file."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable} | {byte: chr(256 + at) for at, byte in enumerate(others)}
    pairs = ["th", "he", "in", "er", "an"]
    plain = [letters[byte] for byte in range(256)] + pairs
    control = [f"<|{index}|>" for index in range(len(plain), size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(plain + control)
    writer.add_token_types([gguf.TokenType.NORMAL] * len(plain) + [gguf.TokenType.CONTROL] * len(control))
    writer.add_token_merges([f"{first} {second}" for first, second in pairs])
    writer.add_bos_token_id(len(plain))
    writer.add_eos_token_id(len(plain) + 1)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for message in messages %}{{ message.content }}{% endfor %}")


def write(size, kind, path):
    width, layers, heads, kv_heads, feed_forward, words = SHAPES[size]
    head, rng = width // heads, np.random.default_rng(7)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(f"random {size} {kind}")
    writer.add_file_type(KINDS[kind])
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(head)
    writer.add_vocab_size(words)
    experts, chosen = EXPERTS.get(size, (0, 0))
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(chosen)
    vocabulary(writer, words)

    def add(name, rows, columns, deviation, layer=None):
        chosen = type_of(kind, name, layer, layers)
        place = name if layer is None else f"blk.{layer}.{name}"
        writer.add_tensor(f"{place}.weight", matrix(rng, chosen, rows, columns, deviation), raw_dtype=chosen)

    def stack(name, rows, columns, layer):
        kind_ = type_of(kind, name, layer, layers)
        every = [matrix(rng, kind_, rows, columns, columns**-0.5) for _ in range(experts)]
        writer.add_tensor(f"blk.{layer}.{name}.weight", np.stack(every), raw_dtype=kind_)

    def norm(name):
        writer.add_tensor(f"{name}.weight", rng.uniform(0.9, 1.1, width).astype(np.float32))

    add("token_embd", words, width, 1.0)
    add("output", words, width, width**-0.5)
    norm("output_norm")
    for layer in range(layers):
        norm(f"blk.{layer}.attn_norm")
        norm(f"blk.{layer}.ffn_norm")
        add("attn_q", width, width, 2 * width**-0.5, layer)
        add("attn_k", kv_heads * head, width, 2 * width**-0.5, layer)
        add("attn_v", kv_heads * head, width, width**-0.5, layer)
        add("attn_output", width, width, width**-0.5, layer)
        if experts:
            router = matrix(rng, TYPE.F32, experts, width, width**-0.5)
            writer.add_tensor(f"blk.{layer}.ffn_gate_inp.weight", router, raw_dtype=TYPE.F32)
            stack("ffn_gate_exps", feed_forward, width, layer)
            stack("ffn_up_exps", feed_forward, width, layer)
            stack("ffn_down_exps", width, feed_forward, layer)
            continue
        add("ffn_gate", feed_forward, width, width**-0.5, layer)
        add("ffn_up", feed_forward, width, width**-0.5, layer)
        add("ffn_down", width, feed_forward, feed_forward**-0.5, layer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    size, kind, path = sys.argv[1:]
    # Whole or not at all: an interrupted run leaves nothing that looks finished.
    write(size, kind, f"{path}.part")
    os.replace(f"{path}.part", path)
