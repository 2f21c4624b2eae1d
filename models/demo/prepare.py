"""Generates the training corpus, trains the tokenizer and writes the encoded rows.

    python3 prepare.py STATE

Writes one file of rows for each stage. Everything written is a function of
the generator; STATE/corpus.json says which corpus it is.
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
    options = parser.parse_args()
    options.state.mkdir(parents=True, exist_ok=True)

    dialogues = [build.training_dialogue(index) for index in range(build.DIALOGUES)]
    tokenizer = tokens.train_tokenizer(tokens.render(d) for d in dialogues[:TOKENIZER_DIALOGUES])
    tokenizer.save(str(options.state / "tokenizer.json"))

    counts = []
    for stage in build.STAGE_STARTS:
        part = [dialogues[index] for index in build.stage_range(stage)]
        counts.append(write_rows(options.state / f"rows-{stage}.npz", tokenizer, part))
    about = {
        "seed": build.SEED,
        "dialogues": build.DIALOGUES,
        "stage_starts": list(build.STAGE_STARTS.values()),
        "tokens": counts,
        "sha256": build.digest_of(dialogues),
    }
    (options.state / "corpus.json").write_text(json.dumps(about, indent=2) + "\n")
    print(json.dumps(about))


if __name__ == "__main__":
    main()
