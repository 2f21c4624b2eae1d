"""A small model as GGUF, in floats and as llama.cpp quantises it: python small_gguf.py {llama|qwen2} DEMO out.gguf q8_0.gguf q4_k_m.gguf

DEMO is the folder of the shipped model, which is the one of Llama's family; Qwen2's has random weights: four queries to a key,
biases, an output that is not the embedding. Beside the first file come `out.tokens`, texts that the model itself writes (a line
of tokens each), and `out.logits`, what it says after each of their tokens: raw f32, computed here in binary64 from the f32
weights, by nobody's engine. The same arguments give the same files.
"""

import ctypes
import json
import os
import sys

import gguf
import llama_cpp as llama
import numpy as np

TEXTS, LENGTH = 6, 128
QUANTISED = {"q8_0": llama.LLAMA_FTYPE_MOSTLY_Q8_0, "q4_k_m": llama.LLAMA_FTYPE_MOSTLY_Q4_K_M}
# From the names of transformers to those of GGUF, for each layer.
NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}

QWEN2 = {
    "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 2,
    "head_dim": 32, "vocab_size": 1536, "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "rope_theta": 1_000_000.0,
}
STARTS = [[1, 5, 9, 60], [33, 7, 12], [40, 3, 22, 17]]


def trained(demo):
    """The shipped model: its settings, its weights, and how texts begin."""
    with open(os.path.join(demo, "config.json")) as file:
        config = json.load(file)
    with open(os.path.join(demo, "logits.json")) as file:
        starts = [each["ids"] for each in json.load(file)]
    return config, weights_of(os.path.join(demo, "weights.safetensors")), starts


def random(config):
    """Weights large enough that every part has a say."""
    rng = np.random.default_rng(13)
    width, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    inputs = {"self_attn.o_proj": config["num_attention_heads"] * head, "mlp.down_proj": inner}
    outputs = {"mlp.gate_proj": inner, "mlp.up_proj": inner, "self_attn.q_proj": config["num_attention_heads"] * head}
    outputs |= dict.fromkeys(["self_attn.k_proj", "self_attn.v_proj"], config["num_key_value_heads"] * head)
    noise = lambda *shape: rng.standard_normal(shape, dtype=np.float32)
    matrix = lambda rows, columns: noise(rows, columns) * np.float32(1.5 * columns**-0.5)
    weights = {"model.embed_tokens.weight": noise(config["vocab_size"], width), "model.norm.weight": 1 + noise(width) / 5}
    weights["lm_head.weight"] = matrix(config["vocab_size"], width)
    for layer in range(config["num_hidden_layers"]):
        for name in NAMES:
            place = f"model.layers.{layer}.{name}"
            if "norm" in name:
                weights[f"{place}.weight"] = 1 + noise(width) / 5
                continue
            rows = outputs.get(name, width)
            weights[f"{place}.weight"] = matrix(rows, inputs.get(name, width))
            if name.endswith(("q_proj", "k_proj", "v_proj")):
                weights[f"{place}.bias"] = noise(rows) / 5
    return config, weights, STARTS


def weights_of(path):
    """Every tensor of a safetensors file in binary32."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    kinds = {"F16": np.float16, "F32": np.float32}
    tensors = {name: about for name, about in header.items() if name != "__metadata__"}
    read = lambda about: np.frombuffer(data[slice(*about["data_offsets"])], kinds[about["dtype"]]).astype(np.float32)
    return {name: read(about).reshape(about["shape"]) for name, about in tensors.items()}


class Model:
    """The arithmetic of Llama's and Qwen2's families in binary64, a whole text at a time: the second has biases."""

    def __init__(self, config, weights):
        self.config = config
        self.weights = {name.removeprefix("model.").removesuffix(".weight"): each.astype(np.float64) for name, each in weights.items()}
        head = config["head_dim"]
        rates = config["rope_theta"] ** -(np.arange(0, head, 2) / head)
        angles = np.outer(np.arange(LENGTH), rates)
        self.cosines, self.sines = np.cos(angles), np.sin(angles)

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.config["rms_norm_eps"]) * self.weights[name]

    def turned(self, x):
        """Heads of rows `[rows, heads, head]`, each row turned by its place."""
        first, second = np.split(x, 2, -1)
        cosines, sines = self.cosines[: len(x), None], self.sines[: len(x), None]
        return np.concatenate([first * cosines - second * sines, second * cosines + first * sines], -1)

    def projected(self, x, name):
        return x @ self.weights[name].T + self.weights.get(f"{name}.bias", 0)

    def attention(self, x, name):
        heads, head = self.config["num_attention_heads"], self.config["head_dim"]
        q, k, v = (self.projected(x, f"{name}.{part}_proj").reshape(len(x), -1, head) for part in "qkv")
        q, k = self.turned(q), self.turned(k)
        q, k, v = (np.repeat(each, heads // each.shape[1], 1).swapaxes(0, 1) for each in (q, k, v))
        scores = q @ k.swapaxes(1, 2) / head**0.5
        scores += np.triu(np.full((len(x), len(x)), -np.inf), 1)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = shares / shares.sum(-1, keepdims=True) @ v
        return mixed.swapaxes(0, 1).reshape(len(x), -1) @ self.weights[f"{name}.o_proj"].T

    def logits(self, tokens):
        x = self.weights["embed_tokens"][tokens]
        for layer in range(self.config["num_hidden_layers"]):
            name = f"layers.{layer}"
            x = x + self.attention(self.norm(x, f"{name}.input_layernorm"), f"{name}.self_attn")
            inner = self.norm(x, f"{name}.post_attention_layernorm")
            gate, up = (inner @ self.weights[f"{name}.mlp.{part}_proj"].T for part in ("gate", "up"))
            x = x + (gate / (1 + np.exp(-gate)) * up) @ self.weights[f"{name}.mlp.down_proj"].T
        return self.norm(x, "norm") @ self.weights.get("lm_head", self.weights["embed_tokens"]).T

    def write_text(self, start, rng):
        """What the model says, drawn with its own probabilities."""
        tokens = list(start)
        while len(tokens) < LENGTH:
            shares = self.logits(tokens)[-1]
            shares = np.exp(shares - shares.max())
            tokens.append(int(rng.choice(len(shares), p=shares / shares.sum())))
        return tokens


def interleaved(weights, heads):
    """Rows in the order of GGUF, where the two that are turned together lie side by side."""
    rows, columns = weights.shape
    return weights.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write(family, config, weights, path):
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(path, family)
    writer.add_name("small")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"])
    if "lm_head.weight" in weights:
        writer.add_tensor("output.weight", weights["lm_head.weight"])
    for layer in range(config["num_hidden_layers"]):
        for name, short in NAMES.items():
            place = f"model.layers.{layer}.{name}"
            tensor = weights[f"{place}.weight"]
            # Qwen2's halves lie apart in GGUF, too.
            if family == "llama" and short in ("attn_q", "attn_k"):
                tensor = interleaved(tensor, heads if short == "attn_q" else kv_heads)
            writer.add_tensor(f"blk.{layer}.{short}.weight", tensor)
            if f"{place}.bias" in weights:
                writer.add_tensor(f"blk.{layer}.{short}.bias", weights[f"{place}.bias"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantise(source, target, kind):
    quiet = llama.llama_log_callback(lambda *_: None)
    llama.llama_log_set(quiet, ctypes.c_void_p(0))
    parameters = llama.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread = QUANTISED[kind], 1
    if llama.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(parameters)) != 0:
        sys.exit(f"error: llama.cpp does not quantise {source} to {kind}")


if __name__ == "__main__":
    family, demo, path, *targets = sys.argv[1:]
    config, weights, starts = trained(demo) if family == "llama" else random(QWEN2)
    model, rng = Model(config, weights), np.random.default_rng(5)
    texts = [model.write_text(starts[index % len(starts)], rng) for index in range(TEXTS)]
    base = path.removesuffix(".gguf")
    with open(f"{base}.tokens", "w") as file:
        file.writelines(",".join(map(str, text)) + "\n" for text in texts)
    np.concatenate([model.logits(text) for text in texts]).astype(np.float32).tofile(f"{base}.logits")
    write(family, config, weights, f"{path}.part")
    for kind, target in zip(QUANTISED, targets, strict=True):
        quantise(f"{path}.part", f"{target}.part", kind)
        os.replace(f"{target}.part", target)
    os.replace(f"{path}.part", path)
