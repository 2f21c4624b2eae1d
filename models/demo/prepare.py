"""Generates the training corpus, trains the tokenizer and writes the encoded rows.

    python3 prepare.py STATE [--dialogues N]

Writes one file of rows for each of the two stages. Everything written is a
function of the generator and N; STATE/corpus.json says which corpus it is.
"""
import argparse
import json
import pathlib

import numpy

import tokens
from corpus import build
from model import SHAPE

TOKENIZER_DIALOGUES = 40_000


def write_rows(path, tokenizer, dialogues):
    """The number of tokens written. Dialogues beyond the context are left out; there are none so far."""
    ids, written, ends = [], [], []
    for messages in dialogues:
        row, mask = tokens.encode(tokenizer, messages)
        if len(row) <= SHAPE["context"]:
            ids += row
            written += mask
            ends.append(len(ids))
    numpy.savez(
        path,
        ids=numpy.array(ids, numpy.uint16),
        written=numpy.array(written, numpy.uint8),
        ends=numpy.array(ends, numpy.int64),
    )
    return len(ids)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("state", type=pathlib.Path)
    parser.add_argument("--dialogues", type=int, default=384_000)
    options = parser.parse_args()
    options.state.mkdir(parents=True, exist_ok=True)

    dialogues = [build.training_dialogue(index) for index in range(options.dialogues)]
    tokenizer = tokens.train_tokenizer(tokens.render(d) for d in dialogues[:TOKENIZER_DIALOGUES])
    tokenizer.save(str(options.state / "tokenizer.json"))

    stages = [dialogues[:build.STAGE_TWO_FROM], dialogues[build.STAGE_TWO_FROM:]]
    counts = [write_rows(options.state / f"rows-{at}.npz", tokenizer, part) for at, part in enumerate(stages, 1)]
    about = {
        "seed": build.SEED,
        "dialogues": options.dialogues,
        "stage_two_from": build.STAGE_TWO_FROM,
        "tokens": counts,
        "sha256": build.digest_of(dialogues),
    }
    (options.state / "corpus.json").write_text(json.dumps(about, indent=2) + "\n")
    print(json.dumps(about))


if __name__ == "__main__":
    main()
