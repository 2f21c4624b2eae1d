"""The demo model with the rounding of an integer engine, simulated in floats.

Weights int8 with one scale per output row, norm gains folded in first;
activations on one static scale per site, measured on the calibration
dialogues. Norm, softmax and SiLU stay in float here, so this tells how much
the int8 grid costs, not the exact bits of the integer engine.
"""
import torch
import torch.nn.functional as functional

from model import rotate

# name -> bits of each group of sites; None leaves the site in float.
SCHEMES = {
    "float": None,
    "int8": {"weight": 8, "input": 8, "down": 8, "residual": 16, "cache": 8},
    "int8, down input int16": {"weight": 8, "input": 8, "down": 16, "residual": 16, "cache": 8},
}


def round_to(x, scale, bits):
    top = 2 ** (bits - 1) - 1
    return (x / scale).round().clamp(-top, top) * scale


class Quantised:
    """Calls like the model. `calibrate` must have seen text before it rounds activations."""

    def __init__(self, model, bits):
        self.model, self.bits = model, bits
        self.largest, self.calibrating = {}, False
        self.weights = {}
        norms = dict(model.named_parameters())
        for name, module in model.named_modules():
            if not isinstance(module, torch.nn.Linear):
                continue
            block = ".".join(name.split(".")[:2])
            weight = module.weight.detach()
            if name.endswith(("q_proj", "k_proj", "v_proj")):
                weight = weight * norms[f"{block}.input_layernorm.weight"]
            elif name.endswith(("gate_proj", "up_proj")):
                weight = weight * norms[f"{block}.post_attention_layernorm.weight"]
            self.weights[name] = self._rows(weight)
        self.embedding = self._rows(model.embed_tokens.weight.detach())
        # The head has the final gain folded in, so it is rounded apart from the embedding.
        self.head = self._rows(model.embed_tokens.weight.detach() * model.norm.weight)

    def _rows(self, weight):
        scale = weight.abs().amax(1, keepdim=True) / (2 ** (self.bits["weight"] - 1) - 1)
        return round_to(weight, scale, self.bits["weight"])

    def _site(self, name, x, group):
        if self.calibrating:
            self.largest[name] = max(self.largest.get(name, 0.0), x.abs().max().item())
            return x
        bits = self.bits[group]
        # Rare values beyond the calibration are cut; a little room keeps them few.
        return round_to(x, 1.05 * self.largest[name] / (2 ** (bits - 1) - 1), bits)

    def calibrate(self, batches):
        self.calibrating = True
        for batch in batches:
            self(batch)
        self.calibrating = False

    def _normed(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.model.shape["norm_epsilon"])

    @torch.no_grad()
    def __call__(self, tokens):
        x = self._site("embedding", functional.embedding(tokens, self.embedding), "residual")
        for at in range(self.model.shape["layers"]):
            x = self._site(f"{at}.middle", x + self._attention(at, x), "residual")
            x = self._site(f"{at}.end", x + self._feed_forward(at, x), "residual")
        return functional.linear(self._site("head", self._normed(x), "input"), self.head)

    def _attention(self, at, x):
        shape, prefix = self.model.shape, f"layers.{at}.self_attn"
        batch, length, _ = x.shape
        h = self._site(f"{at}.attention", self._normed(x), "input")
        query, key, value = (
            functional.linear(h, self.weights[f"{prefix}.{part}"]).view(batch, length, -1, shape["head_width"]).transpose(1, 2)
            for part in ("q_proj", "k_proj", "v_proj"))
        cosine, sine = self.model.cosine[:length], self.model.sine[:length]
        query = self._site(f"{at}.query", rotate(query, cosine, sine), "cache")
        key = self._site(f"{at}.key", rotate(key, cosine, sine), "cache")
        value = self._site(f"{at}.value", value, "cache")
        group = shape["heads"] // shape["kv_heads"]
        mixed = functional.scaled_dot_product_attention(
            query, key.repeat_interleave(group, 1), value.repeat_interleave(group, 1), is_causal=True)
        mixed = self._site(f"{at}.mixed", mixed.transpose(1, 2).reshape(batch, length, -1), "input")
        return functional.linear(mixed, self.weights[f"{prefix}.o_proj"])

    def _feed_forward(self, at, x):
        prefix = f"layers.{at}.mlp"
        h = self._site(f"{at}.mlp", self._normed(x), "input")
        gate = functional.linear(h, self.weights[f"{prefix}.gate_proj"])
        up = functional.linear(h, self.weights[f"{prefix}.up_proj"])
        inner = self._site(f"{at}.down", functional.silu(gate) * up, "down")
        return functional.linear(inner, self.weights[f"{prefix}.down_proj"])
