"""Evaluates the shipped weights: perplexity and checked greedy answers per kind.

    python3 eval.py [--json FILE] [--answers FILE]

Float, and with the roundings of quantised.py. Perplexity is over the last
answers of heldout.jsonl; pass rates are those of check.py.
"""
import argparse
import json
import math
import os
import pathlib

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
import torch.nn.functional as functional
from safetensors.torch import load_file
from tokenizers import Tokenizer

import check
import release
import tokens
from corpus import concepts, dialogues, markets, sensors, sums
from model import DemoModel
from quantised import SCHEMES, Quantised

HERE = pathlib.Path(__file__).parent
LONGEST_ANSWER = 64


def shipped_model():
    stored = {name.removeprefix("model."): tensor.float()
              for name, tensor in load_file(HERE / "weights.safetensors").items()}
    model = DemoModel()
    model.load_state_dict(stored)
    return model.eval()


def pairs(messages):
    return [(m["role"], m["content"]) for m in messages]


@torch.no_grad()
def greedy(model, prompts):
    """Greedy continuations until the end of the turn, all prompts at once."""
    rows = [list(prompt) for prompt in prompts]
    running = list(range(len(rows)))
    for _ in range(LONGEST_ANSWER):
        if not running:
            break
        padded = torch.zeros(len(running), max(len(rows[at]) for at in running), dtype=torch.long)
        for line, at in enumerate(running):
            padded[line, :len(rows[at])] = torch.tensor(rows[at])
        logits = model(padded)
        still = []
        for line, at in enumerate(running):
            chosen = int(logits[line, len(rows[at]) - 1].argmax())
            if chosen != tokens.END_OF_TURN:
                rows[at].append(chosen)
                still.append(at)
        running = still
    return [row[len(prompt):] for row, prompt in zip(rows, prompts)]


@torch.no_grad()
def answer_losses(model, tokenizer, questions):
    """kind -> (summed loss, tokens) of the generator's own answers."""
    totals = {}
    for question in questions:
        prompt = tokens.prompt_ids(tokenizer, pairs(question["messages"]))
        reply = tokenizer.encode(question["answer"] + "<|im_end|>").ids
        row = torch.tensor([prompt + reply])
        logits = model(row)[0, len(prompt) - 1:-1]
        loss = functional.cross_entropy(logits, torch.tensor(reply), reduction="sum").item()
        before = totals.get(question["kind"], (0.0, 0))
        totals[question["kind"]] = (before[0] + loss, before[1] + len(reply))
    return totals


def evaluate(model, tokenizer, questions):
    prompts = [tokens.prompt_ids(tokenizer, pairs(q["messages"])) for q in questions]
    # Prompts of like length together: little padding.
    order = sorted(range(len(prompts)), key=lambda at: len(prompts[at]))
    replies = {}
    for start in range(0, len(order), 25):
        part = order[start:start + 25]
        for at, reply in zip(part, greedy(model, [prompts[at] for at in part])):
            replies[at] = tokenizer.decode(reply)
    said = [replies[at] for at in range(len(prompts))]
    kinds = {}
    for kind, (loss, count) in answer_losses(model, tokenizer, questions).items():
        asked = [(q, answer) for q, answer in zip(questions, said) if q["kind"] == kind]
        passed = sum(check.check(kind, q["slots"], answer) is None for q, answer in asked)
        kinds[kind] = {"perplexity": round(math.exp(loss / count), 4), "passed": passed, "asked": len(asked)}
    losses = answer_losses(model, tokenizer, questions).values()
    total = {
        "perplexity": round(math.exp(sum(loss for loss, _ in losses) / sum(count for _, count in losses)), 4),
        "passed": sum(tally["passed"] for tally in kinds.values()),
        "asked": len(questions),
    }
    return {"all": total, "kinds": kinds}, said


def questions_with_answers():
    """heldout.jsonl does not say the answers; the generator does."""
    say = {"concept": concepts.answer, "market": markets.answer, "sensor": sensors.answer,
           "dialogue": dialogues.answer, "arithmetic": sums.answer}
    rows = check.read(HERE / "heldout.jsonl")
    return [{**row, "answer": say[row["kind"]](row["slots"])} for row in rows]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--answers", type=pathlib.Path, help="writes the float answers as rows for check.py")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(HERE / "tokenizer.json"))
    model = shipped_model()
    questions = questions_with_answers()
    calibration = [torch.tensor([tokens.encode(tokenizer, pairs(row["messages"]))[0]])
                   for row in check.read(HERE / "calibration.jsonl")]
    results = {}
    for name, bits in SCHEMES.items():
        subject = model
        if bits:
            subject = Quantised(model, bits)
            subject.calibrate(calibration)
        results[name], said = evaluate(subject, tokenizer, questions)
        print(name, json.dumps(results[name]), flush=True)
        if name == "float" and options.answers:
            options.answers.write_text(release.lines(
                {"id": q["id"], "answer": answer} for q, answer in zip(questions, said)))
        for question, answer in zip(questions, said):
            wrong = check.check(question["kind"], question["slots"], answer)
            if wrong:
                print(f"    {question['id']}: {wrong}\n        {question['messages'][-1]['content']!r} -> {answer!r}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
