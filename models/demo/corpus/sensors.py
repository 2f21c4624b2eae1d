"""Kind `sensor`: a reading and two limits; the answer copies them and says ok, warning or alarm."""
from . import words

READINGS = [
    "The {quantity} at {place} is {value} {unit}.",
    "{place} reports a {quantity} of {value} {unit}.",
    "The {quantity} sensor at {place} reads {value} {unit}.",
    "At {place} the {quantity} stands at {value} {unit}.",
    "{quantity} at {place}: {value} {unit}.",
]

LIMITS = [
    "Warning from {warning}, alarm from {alarm}.",
    "Limits: warning {warning}, alarm {alarm}.",
    "It is a warning from {warning} and an alarm from {alarm}.",
    "The alarm starts at {alarm}, the warning at {warning}.",
    "Alarm from {alarm}, warning from {warning}.",
]

ASIDE = [
    "The battery is at {other} percent.",
    "The last service was {other} days ago.",
    "The sensor is {other} months old.",
    "The reading is fresh.",
]

TASKS = [
    "Classify this reading.",
    "Classify.",
    "Is this ok, a warning or an alarm?",
    "What is the status?",
    "Which class is it?",
    "Is everything ok?",
    "Please classify the sensor.",
    "Do I need to worry?",
    "Status, please.",
    "Ok, warning or alarm?",
    "Check this reading.",
    "How serious is this?",
]

HEADS = ["Sensor bulletin: ", "Sensor report: ", "Sensor: ", "New reading: "]


def status_of(value, warning, alarm):
    if value >= alarm:
        return "alarm"
    return "warning" if value >= warning else "ok"


def values_for(status, warning, alarm):
    if status == "ok":
        return 10, warning - 1
    return (warning, alarm - 1) if status == "warning" else (alarm, 99)


def _limits(dice):
    """Mostly round numbers, as operators set them."""
    if dice.chance(30):
        warning = dice.between(20, 80)
        return warning, dice.between(warning + 2, 95)
    warning = 10 * dice.between(2, 8)
    return warning, 10 * dice.between(warning // 10 + 1, 9)


def draw(dice):
    warning, alarm = _limits(dice)
    # The status is drawn first, so that no class can be won by guessing.
    status = dice.pick(["ok", "warning", "alarm"])
    value = dice.between(*values_for(status, warning, alarm))
    quantity = dice.pick(sorted(words.QUANTITIES))
    slots = {
        "place": f"{dice.pick(words.SITES)} {dice.between(1, 60)}",
        "quantity": quantity,
        "value": value,
        "unit": words.QUANTITIES[quantity],
        "warning": warning,
        "alarm": alarm,
        "status": status,
    }
    parts = dice.shuffled([dice.pick(READINGS), dice.pick(LIMITS)]) if dice.chance(30) else [
        dice.pick(READINGS), dice.pick(LIMITS)]
    if dice.chance(40):
        parts.insert(dice.between(0, 2), dice.pick(ASIDE).format(other=dice.between(2, 99)))
    bulletin = dice.pick(HEADS) + " ".join(parts).format(**slots)
    task = dice.pick(TASKS)
    question = f"{task}\n{bulletin}" if dice.chance(30) else f"{bulletin}\n{task}"
    return {
        "kind": "sensor",
        # A place and its value never meet in training when held out.
        "key": ("sensor", slots["place"], value),
        "messages": [("user", question), ("assistant", answer(slots))],
        "slots": slots,
    }


def answer(slots):
    # The numbers stand beside each other before the verdict, so that the
    # comparison looks at tokens close by.
    return "{quantity} at {place}: {value} {unit}, warning from {warning}, alarm from {alarm}: {status}.".format(**slots)
