"""Generates the training corpus, trains the tokenizer and writes the encoded rows.

    python3 prepare.py STATE [--dialogues N]

Everything written is a function of the generator and N; STATE/corpus.json
says which corpus it is.
"""
import argparse
import json
import pathlib

import numpy

import tokens
from corpus import build

TOKENIZER_DIALOGUES = 40_000


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("state", type=pathlib.Path)
    parser.add_argument("--dialogues", type=int, default=240_000)
    options = parser.parse_args()
    options.state.mkdir(parents=True, exist_ok=True)

    dialogues = [build.training_dialogue(index) for index in range(options.dialogues)]
    tokenizer = tokens.train_tokenizer(tokens.render(d) for d in dialogues[:TOKENIZER_DIALOGUES])
    tokenizer.save(str(options.state / "tokenizer.json"))

    ids, written, ends = [], [], []
    dropped = 0
    for messages in dialogues:
        row, mask = tokens.encode(tokenizer, messages)
        if len(row) > 512:
            dropped += 1
            continue
        ids += row
        written += mask
        ends.append(len(ids))
    numpy.savez(
        options.state / "rows.npz",
        ids=numpy.array(ids, numpy.uint16),
        written=numpy.array(written, numpy.uint8),
        ends=numpy.array(ends, numpy.int64),
    )
    about = {
        "seed": build.SEED,
        "dialogues": options.dialogues,
        "dropped_as_too_long": dropped,
        "tokens": len(ids),
        "assistant_tokens": sum(written),
        "sha256": build.digest_of(dialogues),
    }
    (options.state / "corpus.json").write_text(json.dumps(about, indent=2) + "\n")
    print(json.dumps(about))


if __name__ == "__main__":
    main()
