"""Kind `market`: a bulletin to summarise in one sentence of six slots."""
from . import words

UP = ["rose", "climbed", "gained", "jumped", "advanced"]
DOWN = ["fell", "slipped", "lost", "dropped", "declined"]

FIRST = [
    "{asset} {verb} {percent} percent on {day}, closing at {price} dollars.",
    "{asset} {verb} {percent} percent on {day} and closed at {price} dollars.",
    "On {day} {asset} {verb} {percent} percent to {price} dollars.",
    "{asset} closed at {price} dollars on {day}. It {verb} {percent} percent.",
    "{day}: {asset} {verb} {percent} percent, last price {price} dollars.",
]

SECOND = [
    "Traders cited {cause}.",
    "Traders pointed to {cause}.",
    "Analysts named {cause} as the reason.",
    "The reason was {cause}.",
    "Dealers spoke of {cause}.",
]

# Numbers that do not belong into the answer: the model has to choose.
ASIDE = [
    "Volume was {other} contracts.",
    "A week ago the price was {other} dollars.",
    "Some {other} traders were active.",
    "The market expects a quiet week.",
    "More data will follow.",
]

TASKS = [
    "Summarise this bulletin.",
    "Summarise.",
    "Please summarise.",
    "Give me a summary.",
    "One sentence, please.",
    "Sum this up.",
    "What happened?",
    "Give me the short version.",
    "Write a one line summary.",
    "Summarise the market bulletin.",
    "Put this into one sentence.",
    "I need a short summary.",
]

HEADS = ["Market bulletin: ", "Market news: ", "Bulletin: ", "Market report: "]


def draw(dice):
    asset = words.invented(dice) if dice.chance(25) else dice.pick(words.GOODS)
    move, verbs = dice.pick([("rose", UP), ("fell", DOWN)])
    slots = {
        "asset": asset,
        "move": move,
        "percent": dice.between(1, 49),
        "price": dice.between(2, 9) if dice.chance(10) else dice.between(10, 999),
        "day": dice.pick(words.DAYS),
        "cause": dice.pick(words.CAUSES),
    }
    parts = [dice.pick(FIRST).format(verb=dice.pick(verbs), **slots), dice.pick(SECOND).format(**slots)]
    if dice.chance(60):
        parts.insert(dice.between(1, 2), dice.pick(ASIDE).format(other=dice.between(2, 999)))
    bulletin = dice.pick(HEADS) + " ".join(parts)
    task = dice.pick(TASKS)
    question = f"{task}\n{bulletin}" if dice.chance(30) else f"{bulletin}\n{task}"
    return {
        "kind": "market",
        # An asset and its percentage never meet in training when held out.
        "key": ("market", asset, slots["percent"]),
        "messages": [("user", question), ("assistant", answer(slots))],
        "slots": slots,
    }


def answer(slots):
    return "{asset} {move} {percent} percent to {price} dollars on {day} because of {cause}.".format(**slots)
