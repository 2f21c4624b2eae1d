"""Scores a compiled artefact on the held-out split with the reference evaluator, and compares two.

    python evaluate.py risk-integer.ogm risk-ordered.ogm          needs numpy and the Rust toolchain
    python evaluate.py --freeze           writes frozen.json: the bits that both artefacts give for expected.json's inputs
"""

import json
import pathlib
import subprocess
import sys

import numpy as np

import data
import train

HERE = pathlib.Path(__file__).parent
CHUNK = 256


def run(artefact: pathlib.Path, rows: dict) -> dict[str, np.ndarray]:
    lines = []
    for start in range(0, len(rows["returns"]), CHUNK):
        pick = slice(start, start + CHUNK)
        lines.append(json.dumps({key: rows[key][pick].tolist() for key in ("returns", "statistics")}))
    command = ["cargo", "run", "--quiet", "-p", "graph", "--example", "evaluate", "--", str(artefact.resolve())]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=True, cwd=HERE)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {key: np.array([row for chunk in found for row in chunk[key]]) for key in train.HEADS}


def freeze() -> None:
    inputs = {key: np.array(value) for key, value in json.loads((HERE / "expected.json").read_text())["inputs"].items()}
    frozen = {}
    for name in ("risk-integer.ogm", "risk-ordered.ogm"):
        outputs = run(HERE / name, inputs)
        frozen[name] = {key: " ".join(f"{bits:08x}" for bits in value.astype("<f4").view("<u4").reshape(-1)) for key, value in outputs.items()}
    (HERE / "frozen.json").write_text(json.dumps(frozen, indent=1) + "\n")


def compare() -> None:
    rows, found = data.split("test"), {}
    for name in sys.argv[1:]:
        found[name] = run(HERE / name, rows)
        print(name, json.dumps(train.score(found[name], rows)))
    if len(found) == 2:
        one, other = found.values()
        for key in train.HEADS:
            difference = np.abs(one[key] - other[key])
            relative = difference / np.maximum(np.abs(other[key]), 1e-3)
            print(f"{key}: mean {difference.mean():.6f}, 99.9 % {np.quantile(difference, 0.999):.6f}, most {difference.max():.6f};"
                  f" relative mean {relative.mean():.5f}, most {relative.max():.5f}")
        same = (one["regime"].argmax(axis=1) == other["regime"].argmax(axis=1)).mean()
        print(f"same regime: {same:.5f}")


if __name__ == "__main__":
    freeze() if sys.argv[1:] == ["--freeze"] else compare()
