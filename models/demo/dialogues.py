"""Held-out dialogues with their answers, of any seed: python3 dialogues.py SEED COUNT > dialogues.jsonl

What perplexity is measured on: text that neither training nor calibration has seen, nor the questions of `heldout.jsonl`.
"""
import json
import sys

from corpus import build
from release import as_messages


def rows(seed, count):
    """`count` dialogues of each kind."""
    for kind in build.KINDS:
        for index in range(count):
            drawn = build.held_out_example(kind, index, seed)
            yield {"kind": kind, "messages": as_messages(drawn["messages"])}


def main(seed, count):
    for row in rows(int(seed), int(count)):
        print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
