"""Kind `concept`: the network's own notions, as facts with one fixed answer each.

Answers do not vary: a second wording would only teach the model to toss a
coin. The questions vary instead (phrases.py, and the ones written here).
"""
from . import noise, phrases
from .facts import CONCEPTS, TALK

ASPECTS = {"what": phrases.WHAT, "why": phrases.WHY, "how": phrases.HOW}

NO_IDEA = "I do not know that. I am a small demo model and only know this network."


def _surface(dice, question):
    """The question as people type it; the wording, and so the held-out key, stays the same."""
    return noise.roughen(dice, dice.pick(phrases.FRAMES) + question)


def _example(dice, key, question, statements):
    slots = {"statements": statements}
    return {
        "kind": "concept",
        "key": ("concept",) + key,
        "messages": [("user", _surface(dice, question)), ("assistant", answer(slots))],
        "slots": slots,
    }


def answer(slots):
    return " ".join(slots["statements"])


def _fact(dice):
    name = dice.pick(sorted(CONCEPTS))
    concept = CONCEPTS[name]
    aspect = dice.pick(sorted(ASPECTS))
    own = concept["ask"][aspect]
    question = dice.pick(own) if dice.chance(25) else dice.pick(ASPECTS[aspect]).format(x=concept["x"])
    return _example(dice, (name, aspect, question), question, [concept[aspect]])


def _difference(dice):
    left, right = dice.shuffled(sorted(CONCEPTS))[:2]
    question = dice.pick(phrases.DIFFERENCE).format(x=CONCEPTS[left]["x"], y=CONCEPTS[right]["x"])
    # A pair is held out in both orders and all wordings.
    key = ("difference",) + tuple(sorted([left, right]))
    return _example(dice, key, question, [CONCEPTS[left]["what"], CONCEPTS[right]["what"]])


def _talk(dice):
    name = dice.pick(sorted(TALK))
    reply, questions = TALK[name]
    question = dice.pick(questions)
    return _example(dice, ("talk", name, question), question, [reply])


def _outside(dice):
    topic = dice.pick(phrases.TOPICS)
    question = dice.pick(phrases.OUTSIDE).format(t=topic)
    return _example(dice, ("outside", topic, question), question, [NO_IDEA])


SHAPES = {"fact": _fact, "difference": _difference, "talk": _talk, "outside": _outside}


def draw(dice):
    return SHAPES[dice.weighted([("fact", 76), ("difference", 13), ("talk", 6), ("outside", 5)])](dice)


def between(dice):
    """A question, its answer and its key, to stand between two turns of a dialogue."""
    if dice.chance(40):
        name = dice.pick(["thanks", "praise", "hello", "can"])
        reply, questions = TALK[name]
        question = dice.pick(questions)
        return question, reply, ("concept", "talk", name, question)
    name = dice.pick(sorted(CONCEPTS))
    question = dice.pick(phrases.WHAT).format(x=CONCEPTS[name]["x"])
    return question, CONCEPTS[name]["what"], ("concept", name, "what", question)
