"""Kind `arithmetic`: sums, differences and comparisons below 100, worked digit by digit from the right."""

SUM = [
    "What is {a} plus {b}?", "What is {a} + {b}?", "{a} + {b} =", "Add {a} and {b}.", "Compute {a} + {b}.",
    "How much is {a} plus {b}?", "Please add {a} and {b}.", "Calculate {a} plus {b}.", "{a} plus {b}?",
    "Give me the sum of {a} and {b}.", "What do {a} and {b} make together?", "I need {a} + {b}.",
    "A node serves {a} requests in the morning and {b} in the evening. How many in total?",
    "A block holds {a} receipts, the next one {b}. How many together?",
    "I have {a} tokens and get {b} more. How many do I have?",
    "One worker earns {a} tokens, another {b}. What is the total?",
    "There are {a} sensors in the barn and {b} in the cellar. How many is that?",
    "An epoch has {a} audits, the next {b}. How many audits in both?",
]

DIFFERENCE = [
    "What is {a} minus {b}?", "What is {a} - {b}?", "{a} - {b} =", "Subtract {b} from {a}.", "Compute {a} - {b}.",
    "How much is {a} minus {b}?", "Please take {b} away from {a}.", "Calculate {a} minus {b}.", "{a} minus {b}?",
    "Give me the difference of {a} and {b}.", "What is left when I take {b} from {a}?", "I need {a} - {b}.",
    "A client has {a} tokens and pays {b}. How many are left?",
    "Of {a} sensors {b} are broken. How many still work?",
    "A batch has {a} receipts and {b} are audited. How many are not?",
    "I had {a} tokens and spent {b}. How many do I still have?",
    "There were {a} workers and {b} went offline. How many remain?",
    "The stake was {a} tokens and {b} were slashed. What remains?",
]

COMPARISON = [
    "Which is larger, {a} or {b}?", "Which number is larger: {a} or {b}?", "What is more, {a} or {b}?",
    "Compare {a} and {b}.", "Is {a} more than {b}?", "Please compare {a} with {b}.",
    "Of {a} and {b}, which is the larger one?", "One worker asks {a} tokens, another {b}. Which asks more?",
    "Is {a} larger than {b}?", "Pick the larger number: {a}, {b}.",
]


def operand(dice):
    return dice.between(1, 9) if dice.chance(12) else dice.between(10, 99)


def draw(dice):
    task = dice.weighted([("sum", 42), ("difference", 42), ("comparison", 16)])
    a, b = operand(dice), operand(dice)
    if task == "difference":
        a, b = max(a, b), min(a, b)
    if task == "comparison" and a == b:
        b = a % 99 + 1
    phrases = {"sum": SUM, "difference": DIFFERENCE, "comparison": COMPARISON}[task]
    slots = {"task": task, "a": a, "b": b, "result": result(task, a, b)}
    return {
        "kind": "arithmetic",
        # 47 + 38 and 38 + 47 are held out together.
        "key": ("arithmetic", task, max(a, b), min(a, b)),
        "messages": [("user", dice.pick(phrases).format(a=a, b=b)), ("assistant", answer(slots))],
        "slots": slots,
    }


def result(task, a, b):
    return {"sum": a + b, "difference": a - b, "comparison": max(a, b)}[task]


def answer(slots):
    a, b = slots["a"], slots["b"]
    if slots["task"] == "sum":
        carry, units = divmod(a % 10 + b % 10, 10)
        tens = a // 10 + b // 10 + carry
        return (f"{a} + {b}: {a % 10}+{b % 10}={10 * carry + units}, "
                f"{a // 10}+{b // 10}+{carry}={tens}, so {a + b}.")
    if slots["task"] == "difference":
        borrow = int(a % 10 < b % 10)
        top = a % 10 + 10 * borrow
        return (f"{a} - {b}: {top}-{b % 10}={top - b % 10}, "
                f"{a // 10}-{b // 10}-{borrow}={a // 10 - b // 10 - borrow}, so {a - b}.")
    return f"{max(a, b)} is larger than {min(a, b)}."
