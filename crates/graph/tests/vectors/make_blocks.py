"""Writes blocks.json: blocks of every quantised kind that is read, and the numbers that GGUF's own package says they stand for.

    python make_blocks.py          needs numpy and gguf (models/peers/requirements.txt)
"""

import json
import pathlib

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Kind
from gguf.quants import dequantize

BLOCKS = 3
KINDS = [Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.Q8_0, Kind.IQ4_NL, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K]
# Where a block's binary16 numbers are.
HALVES = {Kind.Q4_1: [0, 2], Kind.Q5_1: [0, 2], Kind.Q4_K: [0, 2], Kind.Q5_K: [0, 2], Kind.Q6_K: [208]}
noise = np.random.RandomState(11)


def case(kind):
    blocks = noise.randint(0, 256, (BLOCKS, GGML_QUANT_SIZES[kind][1]), dtype=np.uint8)
    for at in HALVES.get(kind, [0]):
        blocks[:, at : at + 2] = noise.uniform(-2, 2, (BLOCKS, 1)).astype("<f2").view(np.uint8)
    values = dequantize(blocks, kind).astype("<f4")
    return {"kind": kind.name, "blocks": blocks.tobytes().hex(), "values": values.tobytes().hex()}


cases = ",\n".join(json.dumps(case(kind)) for kind in KINDS)
pathlib.Path(__file__).with_name("blocks.json").write_text(f"[\n{cases}\n]\n")
