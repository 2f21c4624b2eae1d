"""What is held out, what calibrates, and the manifest that names every file by its hash.

Standard library only, so that the tests of the project can run it anywhere.
"""
import hashlib
import json
import pathlib

from corpus import build

HERE = pathlib.Path(__file__).parent
HELD_OUT_PER_KIND = 40
CALIBRATION_DIALOGUES = 64
ARTEFACTS = [
    "weights.safetensors", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
    "chat_template.jinja",
    "heldout.jsonl", "calibration.jsonl", "logits.json",
]


def as_messages(pairs):
    return [{"role": role, "content": content} for role, content in pairs]


def heldout_rows():
    """The test questions: 40 of each kind, no key twice."""
    rows = []
    for kind in build.KINDS:
        seen, index = set(), 0
        while len(seen) < HELD_OUT_PER_KIND:
            drawn = build.held_out_example(kind, index)
            index += 1
            if drawn["key"] in seen:
                continue
            rows.append({
                "id": f"{kind}-{len(seen):02}",
                "kind": kind,
                "messages": as_messages(drawn["messages"][:-1]),
                "slots": drawn["slots"],
            })
            seen.add(drawn["key"])
    return rows


def calibration_rows():
    """Training dialogues whose activations set the static scales of the integer model."""
    first = build.STAGE_STARTS[max(build.STAGE_STARTS)]
    return [{"messages": as_messages(build.training_dialogue(first + at))} for at in range(CALIBRATION_DIALOGUES)]


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def question_text(messages):
    """A whole question in the form in which two of them are compared: case, spaces and end marks do not count."""
    turns = [f"{m['role']}: {' '.join(m['content'].lower().split()).rstrip('?.= ')}" for m in messages]
    return "\n".join(turn for turn in turns if not turn.startswith("system"))


def training_questions(dialogue):
    """Every question of a training dialogue, with and without the turns before it."""
    turns = [m for m in as_messages(dialogue) if m["role"] != "system"]
    found = set()
    for end in range(1, len(turns) + 1, 2):
        for start in range(0, end, 2):
            found.add(question_text(turns[start:end]))
    return found


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_text_files():
    (HERE / "heldout.jsonl").write_text(lines(heldout_rows()), encoding="utf-8")
    (HERE / "calibration.jsonl").write_text(lines(calibration_rows()), encoding="utf-8")


def sample_of_corpus(first, count=1000):
    """A part of the corpus that a test can generate again in no time."""
    digest = build.digest_of(build.training_dialogue(index) for index in range(first, first + count))
    return {"first": first, "dialogues": count, "sha256": digest}


def write_manifest(corpus, training):
    manifest = {
        "format": 1,
        "artefacts": {
            name: {"sha256": sha256(HERE / name), "bytes": (HERE / name).stat().st_size} for name in ARTEFACTS
        },
        "corpus": corpus,
        "corpus_samples": [sample_of_corpus(first) for first in build.STAGE_STARTS.values()],
        "training": training,
    }
    (HERE / "MANIFEST.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
