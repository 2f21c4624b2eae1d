"""A quick look at a model during training: held-out perplexity and exact answers per kind.

An answer whose every token is the model's first choice, given the tokens
before it, is what greedy decoding would say; so one forward pass decides.
The examples are held out, but they are not those of heldout.jsonl.
"""
import math

import torch
import torch.nn.functional as functional

import tokens
from corpus import build

PER_KIND = 40
FIRST_INDEX = 10_000


def examples(tokenizer, per_kind=PER_KIND, first=FIRST_INDEX):
    """kind -> list of (ids, where the last answer starts)."""
    found = {}
    for kind in build.KINDS:
        for index in range(first, first + per_kind):
            messages = build.held_out_example(kind, index)["messages"]
            ids, _ = tokens.encode(tokenizer, messages)
            start = len(tokens.prompt_ids(tokenizer, messages[:-1]))
            # Less the newline after the end of the turn, which nobody generates.
            found.setdefault(kind, []).append((ids[:-1], start))
    return found


@torch.no_grad()
def measure(model, group):
    """(perplexity of the last answers, exact answers) of some examples."""
    loss, count, exact = 0.0, 0, 0
    for at in range(0, len(group), 10):
        part = group[at:at + 10]
        padded = torch.zeros(len(part), max(len(ids) for ids, _ in part), dtype=torch.long)
        for row, (ids, _) in enumerate(part):
            padded[row, :len(ids)] = torch.tensor(ids)
        logits = model(padded)
        for row, (ids, start) in enumerate(part):
            target = padded[row, start:len(ids)]
            said = logits[row, start - 1:len(ids) - 1]
            loss += functional.cross_entropy(said, target, reduction="sum").item()
            count += len(target)
            exact += int((said.argmax(-1) == target).all())
    return math.exp(loss / count), exact


def report(model, found):
    parts = []
    for kind, group in found.items():
        perplexity, exact = measure(model, group)
        parts.append(f"{kind} {perplexity:.3f} {exact}/{len(group)}")
    return "; ".join(parts)
