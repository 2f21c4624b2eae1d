"""Mixes the kinds into training dialogues and splits off what is held out.

An example carries the `key` of what it asks (phrase and concept, operands,
place and value, …). One key in sixteen is held out by its hash, before any
example is drawn, so the split does not depend on the size of the corpus.
"""
import hashlib
import json

from . import concepts, dialogues, markets, sensors, sums
from .dice import Dice

SEED = 20260301
HELD_OUT_ONE_IN = 16
KINDS = ["concept", "market", "sensor", "dialogue", "arithmetic"]
# Training walks through three stages; the first dialogue of each.
STAGE_STARTS = {1: 0, 2: 320_000, 3: 384_000}
DIALOGUES = 424_000
# By dialogues. The second stage has more copying, the third more sums.
MIX = {
    1: [("concept", 24), ("market", 19), ("sensor", 16), ("dialogue", 15), ("arithmetic", 26)],
    2: [("concept", 24), ("market", 24), ("sensor", 14), ("dialogue", 20), ("arithmetic", 18)],
    3: [("concept", 26), ("market", 12), ("sensor", 12), ("dialogue", 14), ("arithmetic", 36)],
}

SYSTEM_LINES = [
    "You are a helpful assistant.",
    "You are the demo model of this network.",
    "Answer briefly.",
    "You are a careful assistant. Answer in plain words.",
    "Be precise.",
]


def held_out(key):
    digest = hashlib.sha256(json.dumps(key, separators=(",", ":")).encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT_ONE_IN == 0


def _question_between(dice):
    """An exchange between two turns of a dialogue; never one that is held out."""
    while True:
        question, reply, key = concepts.between(dice)
        if not held_out(key):
            return question, reply


DRAW = {
    "concept": lambda dice, stage: concepts.draw(dice),
    "market": lambda dice, stage: markets.draw(dice),
    "sensor": lambda dice, stage: sensors.draw(dice),
    "dialogue": lambda dice, stage: dialogues.draw(dice, stage, _question_between),
    "arithmetic": lambda dice, stage: sums.draw(dice),
}


def _trainable(dice, stage):
    """One example whose key is not held out."""
    while True:
        drawn = DRAW[dice.weighted(MIX[stage])](dice, stage)
        if not held_out(drawn["key"]):
            return drawn


def training_dialogue(index):
    """Dialogue `index` of the training corpus: a list of (role, content).

    Most hold one example; some continue with unrelated ones, because people
    do, and because positions up to the full context must be trained.
    """
    stage = max(stage for stage, start in STAGE_STARTS.items() if index >= start)
    dice = Dice(SEED, "train", index)
    count = dice.weighted([(1, 84), (2, 12), (5, 4)])
    messages = []
    if dice.chance(8):
        messages.append(("system", dice.pick(SYSTEM_LINES)))
    for _ in range(count):
        messages.extend(_trainable(dice, stage)["messages"])
    return messages


def stage_range(stage):
    """The indices of the dialogues of a stage."""
    return range(STAGE_STARTS[stage], STAGE_STARTS.get(stage + 1, DIALOGUES))


def held_out_example(kind, index, seed=SEED):
    """Example `index` of the held-out set of a kind; other seeds give other sets, of the same keys."""
    dice = Dice(seed, "held out", kind, index)
    while True:
        drawn = DRAW[kind](dice, stage=max(MIX))
        if held_out(drawn["key"]):
            return drawn


def digest_of(dialogues_):
    """SHA-256 over the dialogues as JSON lines: the identity of a corpus."""
    digest = hashlib.sha256()
    for messages in dialogues_:
        digest.update(json.dumps(messages, ensure_ascii=False, separators=(",", ":")).encode())
        digest.update(b"\n")
    return digest.hexdigest()
