#!/usr/bin/env python3
"""Writes docs/onnx-conformance.md: what passes per operator, here and in other runtimes, on the same cases and by the same tolerance.

    cargo xtask conformance                                                        # all of it
    python3 models/onnx/conformance.py CASES RESULTS docs/onnx-conformance.md      # needs: pip install onnx onnxruntime

CASES is what `cases.py` wrote. RESULTS holds what runs printed: `ours.txt` (the example `conformance`), `integers.txt` (`integer_forms`), `tract.txt`
and `rten.txt` (tests/onnx-peers), `packages.txt` (the example `onnx_model`) and `packages.tsv` (`packages.py`). Every number and every name of a case comes
from there; onnxruntime is run here.
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

KINDS = ["node", "simple", "pytorch-converted", "pytorch-operator", "real"]
PEERS = ["tract", "rten"]


def plain(value):
    """What a runtime takes for a case's value."""
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def close(model, sets, rtol, atol):
    try:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        names = [port.name for port in session.get_inputs()]
        for inputs, outputs in sets():
            found = session.run(None, dict(zip(names, map(plain, inputs))))
            Runner.assert_similar_outputs([plain(value) for value in outputs], found, rtol=rtol, atol=atol)
        return True
    except Exception:  # noqa: BLE001 - whatever goes wrong, the case does not pass
        return False


def read(path, declared):
    """The value of a file, as its port declares it."""
    kinds = {"sequence_type": (onnx.SequenceProto, numpy_helper.to_list), "optional_type": (onnx.OptionalProto, numpy_helper.to_optional)}
    message, convert = kinds.get(declared.type.WhichOneof("value"), (onnx.TensorProto, numpy_helper.to_array))
    with open(path, "rb") as file:
        return convert(message.FromString(file.read()))


def model_passes(folder):
    """A case of the model kinds in onnxruntime: by the tolerance of the standard's runner."""
    model = onnx.load(os.path.join(folder, "model.onnx"))
    constants = {tensor.name for tensor in model.graph.initializer}
    ports = {"input": [port for port in model.graph.input if port.name not in constants], "output": model.graph.output}

    def sets():
        for data in sorted(name for name in os.listdir(folder) if name.startswith("test_data_set")):
            path = lambda word, index: os.path.join(folder, data, f"{word}_{index}.pb")  # noqa: E731
            yield [[read(path(word, index), port) for index, port in enumerate(ports[word])] for word in ("input", "output")]

    return close(os.path.join(folder, "model.onnx"), sets, 1e-3, 1e-7)


def results(path):
    """For each case its word and what was said of it; other lines apart."""
    cases, others = {}, []
    for line in open(path):
        head, _, text = line.rstrip("\n").partition(":")
        words = head.split()
        if len(words) == 2 and words[0] != "unclaimed" and words[1].startswith("test_"):
            cases[words[1]] = (words[0], text.strip())
        else:
            others.append(line.rstrip("\n"))
    return cases, others


def operator_of(case):
    """Cases of a function's body count for functions."""
    first = case.model.graph.node[0]
    name = f"{first.domain}.{first.op_type}" if first.domain else first.op_type
    return "(bodies of functions)" if "_expanded" in case.name else name


def row(*columns):
    return "| " + " | ".join(map(str, columns)) + " |\n"


def heading(*columns):
    return row(*columns) + "|" + "---|" * len(columns) + "\n"


def standard(cases_folder, folder, version):
    """The ordered kind beside the others."""
    ours, others = results(os.path.join(folder, "ours.txt"))
    peers = [results(os.path.join(folder, f"{peer}.txt"))[0] for peer in PEERS]
    passed = lambda cases, name: cases.get(name, ("",))[0] == "pass"  # noqa: E731
    columns = lambda name, here: [passed(ours, name), here, *(passed(peer, name) for peer in peers)]  # noqa: E731
    operators, kinds, missed = collections.defaultdict(lambda: [0] * 5), {}, collections.defaultdict(list)
    kinds["node"] = [0] * 5
    for case in collect_testcases(None):
        found = columns(case.name, close(case.model.SerializeToString(), lambda: case.data_sets, case.rtol, case.atol))
        for total in (operators[operator_of(case)], kinds["node"]):
            total[:] = [one + more for one, more in zip(total, [*found, 1])]
    for kind in KINDS[1:]:
        names = sorted(os.listdir(os.path.join(cases_folder, kind)))
        found = [columns(name, model_passes(os.path.join(cases_folder, kind, name))) for name in names]
        kinds[kind] = [*map(sum, zip(*found)), len(names)]
        for name, one in zip(names, found):
            for peer, passes in zip(["ours", "onnxruntime", *PEERS], one):
                if not passes:
                    missed[peer].append(name)
    share = lambda count, all_: f"{count} ({100 * count / all_:.1f} %)"  # noqa: E731
    text = heading("cases", "ours", "onnxruntime", *PEERS, "of")
    for kind, counts in kinds.items():
        text += row(kind, *(share(count, counts[4]) for count in counts[:4]), counts[4])
    text += unclaimed(ours, others) + wide(ours)
    text += "\n" + heading("operator", "ours", "onnxruntime", *PEERS, "of")
    for name, counts in sorted(operators.items()):
        text += row(name, *counts)
    return text


def unclaimed(ours, others):
    text = "\nWhat does not pass here, all of it (`UNCLAIMED` of `crates/graph/tests/support/standard.rs`; a test fails where another case does, or where one of these passes):\n"
    for line in others:
        if line.startswith("claimed, and fails"):
            sys.exit(line)
        if line.startswith("unclaimed "):
            name, _, why = line.removeprefix("unclaimed ").partition("…: ")
            count = sum(case.startswith(name) for case in ours)
            text += f"- `{name}…` ({count}): {why}\n"
    return text


def wide(ours):
    found = [f"`{name}`" for name, (word, said) in sorted(ours.items()) if word == "pass" and said]
    if not found:
        return ""
    return f"\nOf those that pass, {' and '.join(found)} take more than one call may have (2^34 operations, 2^31 bytes at once), and were given 2^36 and 2^33: a network refuses them.\n"


def integers(folder):
    """The integer kind, per operator."""
    found, others = results(os.path.join(folder, "integers.txt"))
    rows = collections.defaultdict(collections.Counter)
    for case in collect_testcases(None):
        rows[operator_of(case)][found[case.name][0]] += 1
    total = sum(rows.values(), collections.Counter())
    columns = lambda counts: [counts["exact"] + counts["near"] + counts["far"], counts["exact"] + counts["near"], counts["exact"], sum(counts.values())]  # noqa: E731
    text = heading("operator", "have a form", "within 1 %", "within the standard's tolerance", "of")
    text += row("all node cases", *columns(total))
    for name, counts in sorted(rows.items()):
        if columns(counts)[0]:
            text += row(name, *columns(counts))
    without = [f"`{name}`" for name, counts in sorted(rows.items()) if not columns(counts)[0]]
    far = [line.removeprefix("far, known: ").partition(": ") for line in others if line.startswith("far, known: ")]
    known = {name for name, _, _ in far}
    if known != {name for name, (word, _) in found.items() if word == "far"}:
        sys.exit("other integer forms are far than those that are known to be")
    text += f"\nFarther away: {'; '.join(f'`{name}` ({why})' for name, _, why in far)}.\n"
    return text + f"\nNo case of these has a form: {', '.join(without)}.\n"


def packages(folder):
    """Models out of packages."""
    said = {}
    for line in open(os.path.join(folder, "packages.txt")):
        if line.startswith("| "):
            name, *columns = [column.strip() for column in line.strip().strip("|").split(" | ")]
            said[name] = columns
    text = heading("model", "file", "what it is", "same", "difference")
    files = [line.rstrip("\n").split("\t") for line in open(os.path.join(folder, "packages.tsv"))]
    files.append(["magika", "magika/models/standard_v3_3/model.onnx", "types of files, by what they begin and end with"])
    for name, path, about in sorted(files):
        same, far, *_ = [*said.get(name, ["not run"]), ""]
        refused = same.startswith("refused: ")
        text += row(name, f"`{path}`", about, "refused" if refused else same, same.removeprefix("refused: ") if refused else far)
    return text


def main(cases_folder, folder, out):
    versions = open(os.path.join(folder, "versions.txt")).read().split()
    version = dict(pair.split("=", 1) for pair in versions)
    with open(out + ".part", "w") as file:
        file.write(
            f"""# ONNX conformance

Made by `cargo xtask conformance`, all of it, and by nothing else. The backend test of the package `onnx` {onnx.__version__}, all cases, none left out, by its own runner's
tolerance (relative 1e-3, absolute 1e-7, shapes and element types equal). Ours is the ordered kind, by the operators' meanings; beside it `onnxruntime` {onnxruntime.__version__} on
the CPU, `tract` {version["tract-onnx"]} and `rten` {version["rten"]} (whose element types are not compared, since it has only some).

{standard(cases_folder, folder, version)}
## The integer kind

Which node cases have an integer form (`specs/onnx.md`), compiled with a case's own inputs as calibration; where that gives none, with all inputs but the first as
constants, since weights must be constant to be quantised and most cases hand them in. *Within 1 %* is of each output's greatest number, *within the
standard's tolerance* as above: eight bits are not meant to reach it. A case has no form where its inputs are of other elements than f32, i32 or i64 too.

{integers(folder)}
## Models that ship inside packages

Made by `models/onnx/packages.py` and `models/onnx/magika_cases.py` from the packages that `models/onnx/packages.txt` and `tests/standards.txt` pin; run by
the example `onnx_model` of `engine` on every level of the CPU and by the operators' meanings, with equal bits. *Same* counts the sets of inputs for which every line of
every output has its greatest number where `onnxruntime` has it; the difference is the greatest of all outputs. `magika`'s labels are those that the
package's own runtime gives to the files.

{packages(folder)}"""
        )
    os.replace(out + ".part", out)


if __name__ == "__main__":
    main(*sys.argv[1:])
