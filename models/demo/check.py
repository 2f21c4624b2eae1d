"""Checks answers to the held-out questions, every slot of each.

    python3 check.py heldout.jsonl answers.jsonl [--json]

heldout.jsonl rows: {"id", "kind", "messages", "slots"}; answers.jsonl rows:
{"id", "answer"}. Prints the pass rate of each kind; exits 1 when fewer than
90 % of all answers pass, 2 when the files do not fit together.

Shares no code with the generator: the answer is parsed anew, so a slip in
the generator's own sentences would show.
"""
import argparse
import json
import re
import sys

BAR = 0.9


def concept(slots, answer):
    said = re.sub(r"\s+", " ", answer).strip().lower()
    for statement in slots["statements"]:
        wanted = statement.lower()
        if not said.startswith(wanted):
            return f"expected: {statement}"
        said = said[len(wanted):].strip()
    # A right statement followed by another fact would be an answer to some other question.
    return f"more than was asked: {said}" if said else None


def compare(pattern, wanted, answer):
    """Matches the whole answer and compares each named group with its slot."""
    found = re.fullmatch(pattern, answer.strip())
    if not found:
        return "not of the expected form"
    for name, said in found.groupdict().items():
        if said != str(wanted[name]):
            return f"{name}: expected {wanted[name]}, found {said}"
    return None


def market(slots, answer):
    return compare(
        r"(?P<asset>\w+) (?P<move>rose|fell) (?P<percent>\d+) percent to (?P<price>\d+) dollars "
        r"on (?P<day>\w+day) because of (?P<cause>[\w ]+)\.", slots, answer)


def sensor(slots, answer):
    return compare(
        r"(?P<quantity>\w+) at (?P<place>\w+ \d+): (?P<value>\d+) (?P<unit>\w+), "
        r"warning from (?P<warning>\d+), alarm from (?P<alarm>\d+): (?P<status>ok|warning|alarm)\.", slots, answer)


def dialogue(slots, answer):
    form = {"budget": r"(?P<value>\d+) tokens", "pet": r"a (?P<value>\w+)"}.get(slots["attribute"], r"(?P<value>\w+)")
    return compare(rf"Your (?P<attribute>\w+) is {form}\.", slots, answer)


def digits(number):
    return divmod(number, 10)


def arithmetic(slots, answer):
    """The working counts too: a right result from wrong steps does not pass."""
    a, b = slots["a"], slots["b"]
    if slots["task"] == "comparison":
        return compare(r"(?P<result>\d+) is larger than (?P<other>\d+)\.", {**slots, "other": min(a, b)}, answer)
    (a_tens, a_units), (b_tens, b_units) = digits(a), digits(b)
    if slots["task"] == "sum":
        sign, result = r"\+", a + b
        low = a_units + b_units
        steps = [a_units, b_units, low, a_tens, b_tens, low // 10, a_tens + b_tens + low // 10]
    else:
        sign, result = "-", a - b
        borrow = 1 if a_units < b_units else 0
        low = a_units + 10 * borrow
        steps = [low, b_units, low - b_units, a_tens, b_tens, borrow, a_tens - b_tens - borrow]
    names = ["first", "second", "low", "third", "fourth", "carry", "high"]
    wanted = dict(zip(names, steps), a=a, b=b, result=result)
    group = {name: rf"(?P<{name}>\d+)" for name in wanted}
    pattern = r"{a} @ {b}: {first}@{second}={low}, {third}@{fourth}@{carry}={high}, so {result}\."
    return compare(pattern.format(**group).replace("@", sign), wanted, answer)


CHECKS = {"concept": concept, "market": market, "sensor": sensor, "dialogue": dialogue, "arithmetic": arithmetic}


def check(kind, slots, answer):
    """None when every slot is right, else what is wrong."""
    return CHECKS[kind](slots, answer)


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def main():
    parser = argparse.ArgumentParser(description="Checks answers to the held-out questions, every slot of each.")
    parser.add_argument("heldout")
    parser.add_argument("answers")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    questions = read(options.heldout)
    answers = {row["id"]: row["answer"] for row in read(options.answers)}
    missing = [row["id"] for row in questions if row["id"] not in answers]
    if missing:
        print(f"no answer for {len(missing)} questions, the first is {missing[0]}", file=sys.stderr)
        return 2
    kinds, failures = {}, []
    for row in questions:
        tally = kinds.setdefault(row["kind"], {"passed": 0, "asked": 0})
        tally["asked"] += 1
        wrong = check(row["kind"], row["slots"], answers[row["id"]])
        if wrong is None:
            tally["passed"] += 1
        else:
            failures.append({"id": row["id"], "wrong": wrong, "answer": answers[row["id"]]})
    passed = len(questions) - len(failures)
    held = bool(questions) and passed >= BAR * len(questions)
    if options.json:
        print(json.dumps({"asked": len(questions), "passed": passed, "bar": BAR, "held": held, "kinds": kinds,
                          "failures": failures}))
    else:
        for failure in failures:
            print(f"{failure['id']}: {failure['wrong']}\n    {failure['answer']}", file=sys.stderr)
        for kind, tally in kinds.items():
            print(f"{kind:<12} {tally['passed']:>3} of {tally['asked']}")
        print(f"{'all':<12} {passed:>3} of {len(questions)}, {'held' if held else 'below the bar of 90 %'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
