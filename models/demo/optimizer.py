"""Muon for the hidden matrices, AdamW for the embedding and the norm gains.

Each tensor is updated apart from all others, so workers can share the list.
"""
import torch

MUON_RATE = 0.02
MUON_MOMENTUM = 0.95
ADAM_RATE = 3e-3
ADAM_BETAS = (0.9, 0.95)
# Keeps weights and activations without outliers, which static int8 scales need.
WEIGHT_DECAY = 0.05


def orthogonal(matrix):
    """Five Newton-Schulz steps towards the nearest orthogonal matrix."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


class Optimizer:
    def __init__(self, parameters):
        self.parameters = parameters
        self.first = [torch.zeros_like(p).share_memory_() for _, p in parameters]
        self.second = [torch.zeros_like(p).share_memory_() if not self.is_hidden(at) else None
                       for at, (_, p) in enumerate(parameters)]

    def is_hidden(self, at):
        name, parameter = self.parameters[at]
        return parameter.ndim == 2 and "embed" not in name

    @torch.no_grad()
    def update(self, at, gradients, step, factor):
        gradient = gradients[0].clone()
        for other in gradients[1:]:
            gradient += other
        gradient /= len(gradients)
        if self.is_hidden(at):
            self._muon(at, gradient, factor)
        else:
            self._adam(at, gradient, step, factor)

    def _muon(self, at, gradient, factor):
        weight = self.parameters[at][1]
        self.first[at].lerp_(gradient, 1 - MUON_MOMENTUM)
        direction = orthogonal(gradient.lerp(self.first[at], MUON_MOMENTUM))
        rate = MUON_RATE * factor
        weight.mul_(1 - rate * WEIGHT_DECAY)
        weight.add_(direction, alpha=-rate * max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5)

    def _adam(self, at, gradient, step, factor):
        weight = self.parameters[at][1]
        slow, fast = ADAM_BETAS
        self.first[at].lerp_(gradient, 1 - slow)
        self.second[at].lerp_(gradient * gradient, 1 - fast)
        rate = ADAM_RATE * factor
        if weight.ndim == 2:
            weight.mul_(1 - rate * WEIGHT_DECAY)
        mean = self.first[at] / (1 - slow ** (step + 1))
        spread = (self.second[at] / (1 - fast ** (step + 1))).sqrt()
        weight.add_(mean / (spread + 1e-8), alpha=-rate)

    def saved(self):
        return {"first": self.first, "second": self.second}

    def load(self, saved):
        for own, theirs in zip(self.first, saved["first"]):
            own.copy_(theirs)
        for own, theirs in zip(self.second, saved["second"]):
            if own is not None:
                own.copy_(theirs)
