"""Writes what is published of the risk model from trained weights: risk.onnx, calibration, example, expected outputs, manifest.

    python export.py --weights build/weights.npz       needs numpy, onnx and onnxruntime (requirements.txt)
    python export.py --manifest                        only MANIFEST.json again, from the files as they lie (stdlib and numpy)
"""

import argparse
import hashlib
import json
import pathlib

import numpy as np

import data

HERE = pathlib.Path(__file__).parent
OPSET = 17
PUBLISHED = ("risk.onnx", "risk-integer.ogm", "risk-ordered.ogm", "calibration.json", "example.json", "expected.json", "frozen.json")
EXPECTED_ROWS, CALIBRATION_ROWS = 32, 256


def graph(weights: dict):
    """Clip, scale, concat, three hidden layers, three heads; the batch is the symbolic dimension `batch`."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    import train

    constants, nodes = {}, []

    def constant(name, value):
        constants[name] = np.asarray(value, np.float32)
        return name

    def node(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], name=f"{kind.lower()}_{output}", **attributes))
        return output

    low, high = constant("return_low", -train.RETURN_LIMIT), constant("return_high", train.RETURN_LIMIT)
    returns = node("Clip", ["returns", low, high], "returns_clipped")
    low, high = constant("statistic_low", 0.0), constant("statistic_high", train.STATISTIC_LIMIT)
    statistics = node("Clip", ["statistics", low, high], "statistics_clipped")
    statistics = node("Mul", [statistics, constant("statistic_scale", train.STATISTIC_SCALE)], "statistics_scaled")
    x = node("Concat", [returns, statistics], "features", axis=1)
    last = len(train.WIDTHS) - 1
    for layer in range(last):
        w, b = constant(f"hidden{layer}_weight", weights[f"w{layer}"]), constant(f"hidden{layer}_bias", weights[f"b{layer}"])
        x = node("Gemm", [x, w, b], f"hidden{layer}_sum", transB=1)
        x = node("Relu", [x], f"hidden{layer}")
    row = 0
    for (name, width), kind in zip(train.HEADS.items(), ("Exp", "Sigmoid", "Softmax")):
        w = constant(f"{name}_weight", weights[f"w{last}"][row : row + width])
        b = constant(f"{name}_bias", weights[f"b{last}"][row : row + width])
        raw = node("Gemm", [x, w, b], f"{name}_raw", transB=1)
        node(kind, [raw], name, **({"axis": 1} if kind == "Softmax" else {}))
        row += width
    tensor = lambda name, width: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
    made = helper.make_graph(
        nodes,
        "risk",
        [tensor("returns", data.RETURNS), tensor("statistics", len(data.STATISTICS))],
        [tensor(name, width) for name, width in train.HEADS.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="risk")
    onnx.checker.check_model(model, full_check=True)
    return model


def calibration_rows(tune: dict) -> np.ndarray:
    """Half of the rows evenly spaced, half those with the largest recent moves, so that ranges cover a crisis."""
    count = CALIBRATION_ROWS // 2
    even = np.arange(count) * (len(tune["loss"]) // count)
    move = np.abs(tune["returns"]).max(axis=1)
    return np.concatenate([even, np.argsort(-move, kind="stable")[:count]])


def tensors(rows: dict, pick) -> dict:
    return {key: rows[key][pick].tolist() for key in ("returns", "statistics")}


def write_json(name: str, value) -> None:
    text = json.dumps(value, separators=(",", ":")).replace('],"', '],\n"').replace("],[", "],\n[")
    (HERE / name).write_text(text + "\n")


def write_model(weights_path: pathlib.Path) -> None:
    import onnxruntime

    (HERE / "risk.onnx").write_bytes(graph(dict(np.load(weights_path))).SerializeToString(deterministic=True))
    tune, test = data.split("tune"), data.split("test")
    write_json("calibration.json", tensors(tune, calibration_rows(tune)))
    session = onnxruntime.InferenceSession(HERE / "risk.onnx", providers=["CPUExecutionProvider"])
    pick = np.arange(EXPECTED_ROWS) * (len(test["loss"]) // EXPECTED_ROWS)
    inputs = {key: test[key][pick] for key in ("returns", "statistics")}
    names = [output.name for output in session.get_outputs()]
    outputs = {name: [[float(x) for x in row] for row in value] for name, value in zip(names, session.run(names, inputs))}
    write_json("expected.json", {"inputs": tensors(test, pick), "outputs": outputs})
    turbulent = int(np.argsort(-test["statistics"][:2000, 0], kind="stable")[40])
    example = {key: np.round(test[key][[turbulent]].astype(np.float64), 2).tolist() for key in ("returns", "statistics")}
    write_json("example.json", example)


def write_manifest() -> None:
    files = {name: {"sha256": hashlib.sha256(blob).hexdigest(), "bytes": len(blob)}
             for name in PUBLISHED if (HERE / name).exists() for blob in [(HERE / name).read_bytes()]}
    splits = {}
    for name in data.SPLITS:
        arrays = data.split(name)
        splits[name] = {"rows": len(arrays["loss"]), "sha256": data.digest(arrays)}
    first = data.split("tune", paths=8)
    sample = {"split": "tune", "paths": 8, "sha256": data.digest(first), "first_statistics": first["statistics"][0].tolist()}
    manifest = {"format": 1, "opset": OPSET, "files": files, "data": splits, "sample": sample}
    (HERE / "MANIFEST.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=pathlib.Path)
    parser.add_argument("--manifest", action="store_true")
    options = parser.parse_args()
    if options.weights:
        write_model(options.weights)
    elif not options.manifest:
        parser.error("say --weights FILE or --manifest")
    write_manifest()
