"""Proves over the whole training corpus that it is the recorded one and that no held-out question occurs in it.

    python3 split.py

test_demo.py does the same for a sample; this takes half a minute.
"""
import json
import sys

import check
import release
from corpus import build


def main():
    recorded = json.loads((release.HERE / "MANIFEST.json").read_text())["corpus"]
    asked = {release.question_text(row["messages"]): row["id"] for row in check.read(release.HERE / "heldout.jsonl")}
    repeated = set()

    def corpus():
        for index in range(recorded["dialogues"]):
            dialogue = build.training_dialogue(index)
            repeated.update(asked.keys() & release.training_questions(dialogue))
            yield dialogue

    same = build.digest_of(corpus()) == recorded["sha256"]
    for question in sorted(repeated):
        print(f"{asked[question]} occurs in training: {question}")
    print(f"{len(repeated)} of {len(asked)} held-out questions occur in {recorded['dialogues']} training dialogues")
    print(f"the corpus is {'the recorded one' if same else 'another one than recorded'}")
    return 0 if same and not repeated else 1


if __name__ == "__main__":
    sys.exit(main())
