"""The demo model as a PyTorch module: a small Llama decoder.

It has no bias, no dropout and no post-norm, and the output head is the
embedding table: nothing that the integer engine would have to treat apart.
"""
import math

import torch
import torch.nn.functional as functional
from torch import nn

# Every dimension is a multiple of 64, so that int8 rows fill vector registers
# and quantisation blocks of 32 exactly.
SHAPE = dict(
    vocabulary=1536,
    width=256,
    layers=5,
    heads=4,
    kv_heads=2,
    head_width=64,
    feed_forward=512,
    context=512,
    rope_theta=10000.0,
    norm_epsilon=1e-5,
)


class Norm(nn.Module):
    """RMSNorm with a gain."""

    def __init__(self, width, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weight


def rotate(x, cosine, sine):
    """Rotary positions in the half-rotation form of Llama checkpoints."""
    low, high = x.chunk(2, -1)
    return torch.cat((low * cosine - high * sine, high * cosine + low * sine), -1)


class Attention(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        width, head = shape["width"], shape["head_width"]
        self.q_proj = nn.Linear(width, shape["heads"] * head, bias=False)
        self.k_proj = nn.Linear(width, shape["kv_heads"] * head, bias=False)
        self.v_proj = nn.Linear(width, shape["kv_heads"] * head, bias=False)
        self.o_proj = nn.Linear(shape["heads"] * head, width, bias=False)

    def forward(self, x, cosine, sine):
        batch, length, _ = x.shape
        head = self.shape["head_width"]
        query = self.q_proj(x).view(batch, length, -1, head).transpose(1, 2)
        key = self.k_proj(x).view(batch, length, -1, head).transpose(1, 2)
        value = self.v_proj(x).view(batch, length, -1, head).transpose(1, 2)
        query, key = rotate(query, cosine, sine), rotate(key, cosine, sine)
        group = self.shape["heads"] // self.shape["kv_heads"]
        key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))


class FeedForward(nn.Module):
    def __init__(self, shape):
        super().__init__()
        width, inner = shape["width"], shape["feed_forward"]
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.input_layernorm = Norm(shape["width"], shape["norm_epsilon"])
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = Norm(shape["width"], shape["norm_epsilon"])
        self.mlp = FeedForward(shape)

    def forward(self, x, cosine, sine):
        x = x + self.self_attn(self.input_layernorm(x), cosine, sine)
        return x + self.mlp(self.post_attention_layernorm(x))


class DemoModel(nn.Module):
    """Parameter names are those of Llama checkpoints less the `model.` prefix."""

    def __init__(self, shape=None):
        super().__init__()
        shape = dict(SHAPE, **(shape or {}))
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape["vocabulary"], shape["width"])
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape["layers"]))
        self.norm = Norm(shape["width"], shape["norm_epsilon"])
        half = torch.arange(0, shape["head_width"], 2).float() / shape["head_width"]
        angle = torch.outer(torch.arange(shape["context"]).float(), shape["rope_theta"] ** -half)
        self.register_buffer("cosine", angle.cos(), persistent=False)
        self.register_buffer("sine", angle.sin(), persistent=False)
        self.start_weights()

    def start_weights(self):
        """Writers into the residual stream start small, so that depth adds no variance."""
        damping = 1 / math.sqrt(2 * self.shape["layers"])
        for name, weight in self.named_parameters():
            if weight.ndim != 2:
                continue
            if "embed" in name:
                deviation = 0.02
            else:
                deviation = 1 / math.sqrt(weight.shape[1])
                if "o_proj" in name or "down_proj" in name:
                    deviation *= damping
            nn.init.normal_(weight, std=deviation)

    def forward(self, tokens):
        length = tokens.shape[1]
        x = self.embed_tokens(tokens)
        for block in self.layers:
            x = block(x, self.cosine[:length], self.sine[:length])
        return functional.linear(self.norm(x), self.embed_tokens.weight)
