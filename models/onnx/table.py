#!/usr/bin/env python3
"""Writes docs/onnx-conformance.md: what passes per operator, here and in onnxruntime, on the same cases and by the same tolerance.

    cargo run -p graph --example conformance -- CASES --list all > OURS
    python3 models/onnx/table.py CASES OURS docs/onnx-conformance.md     # needs: pip install onnx onnxruntime
"""
import collections
import os
import sys
import warnings

import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.runner import Runner

warnings.filterwarnings("ignore")
onnxruntime.set_default_logger_severity(4)


def plain(value):
    """What a runtime takes for a case's value."""
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def onnxruntime_passes(case):
    try:
        session = onnxruntime.InferenceSession(case.model.SerializeToString(), providers=["CPUExecutionProvider"])
        names = [port.name for port in session.get_inputs()]
        for inputs, outputs in case.data_sets:
            found = session.run(None, dict(zip(names, map(plain, inputs))))
            expected = [plain(value) for value in outputs]
            Runner.assert_similar_outputs(expected, found, rtol=case.rtol, atol=case.atol)
        return True
    except Exception:  # noqa: BLE001 - whatever goes wrong, the case does not pass
        return False


def main(cases_folder, ours, out):
    passed = {line.split()[1].rstrip(":") for line in open(ours) if line.startswith("pass ")}
    rows = collections.defaultdict(lambda: [0, 0, 0])
    for case in collect_testcases(None):
        first = case.model.graph.node[0]
        name = f"{first.domain}.{first.op_type}" if first.domain else first.op_type
        name = "(bodies of functions)" if "_expanded" in case.name else name
        row = rows[name]
        row[0] += case.name in passed
        row[1] += onnxruntime_passes(case)
        row[2] += 1
    total = [sum(row[column] for row in rows.values()) for column in range(3)]
    kinds = ["simple", "pytorch-converted", "pytorch-operator", "real"]
    models = {kind: sorted(os.listdir(os.path.join(cases_folder, kind))) for kind in kinds}
    with open(out, "w") as file:
        file.write(
            "# ONNX conformance\n\n"
            f"The backend test of the package `onnx` {onnx.__version__}, all cases, none left out, by its own runner's tolerance (relative 1e-3, absolute\n"
            f"1e-7, shapes and element types equal). Ours is the ordered kind, by the operators' meanings; beside it `onnxruntime` {onnxruntime.__version__} on the CPU.\n"
            "Made by `models/onnx/cases.py`, `cargo run -p graph --example conformance` and `models/onnx/table.py`.\n\n"
            f"| cases | ours | onnxruntime | of |\n|---|---|---|---|\n| node | {total[0]} ({100 * total[0] / total[2]:.1f} %) | {total[1]} ({100 * total[1] / total[2]:.1f} %) | {total[2]} |\n"
        )
        for kind, names in models.items():
            file.write(f"| {kind} | {sum(name in passed for name in names)} | | {len(names)} |\n")
        file.write("\n| operator | ours | onnxruntime | of |\n|---|---|---|---|\n")
        for name, (one, other, count) in sorted(rows.items()):
            file.write(f"| {name} | {one} | {other} | {count} |\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
