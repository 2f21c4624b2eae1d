"""Writes onnx.json: small ONNX files, one or more for each operator that is read, and what onnxruntime says they compute.

    python make_onnx.py          needs numpy, onnx and onnxruntime (models/risk/requirements.txt)
"""

import json
import pathlib

import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper

ROWS = 3
noise = np.random.RandomState(7)


def floats(*shape):
    return np.round(noise.uniform(-2, 2, shape), 3).astype(np.float32)


def case(name, sizes, nodes, constants=(), opset=17, positive=False):
    """`nodes` are (kind, inputs, output, attributes) between `x` and `y`."""
    made = [helper.make_node(kind, inputs, [output], **attributes) for kind, inputs, output, attributes in nodes]
    initializers = [numpy_helper.from_array(np.asarray(value), key) for key, value in dict(constants).items()]

    def model(shape):
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", *sizes])
        wanted = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
        graph = helper.make_graph(made, name, [given], [wanted], initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)

    x = np.abs(floats(ROWS, *sizes)) + 0.25 if positive else floats(ROWS, *sizes)
    run = lambda file: onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(["y"], {"x": x})[0]
    # The first run only finds out the shape that a file must state of its output.
    whole = model(["rows", *run(model(None).SerializeToString()).shape[1:]])
    checker.check_model(whole, full_check=True)
    file = whole.SerializeToString(deterministic=True)
    y = run(file)
    tensor = lambda value: {"shape": list(value.shape), "data": [float(v) for v in value.reshape(-1)]}
    return {"name": name, "file": file.hex(), "x": tensor(x), "y": tensor(y)}


def one(kind, sizes=(4,), extra=(), name=None, opset=17, positive=False, **attributes):
    names = ["x", *dict(extra)]
    return case(name or kind, sizes, [(kind, names, "y", attributes)], extra, opset, positive)


def cases():
    ints = lambda *values: np.array(values, np.int64)
    for kind in ("Relu", "Exp", "Sigmoid", "Tanh", "Identity"):
        if kind != "Identity":
            yield one(kind)
    yield case("Identity", (4,), [("Identity", ["x"], "a", {}), ("Relu", ["a"], "y", {})])
    for kind in ("Add", "Sub", "Mul", "Div"):
        yield one(kind, (4,), {"c": np.abs(floats(4)) + 0.5}, kind + " of a row")
        yield one(kind, (2, 3), {"c": np.abs(floats(1, 2, 1)) + 0.5}, kind + " of a column")
        yield case(kind + " from a scalar", (4,), [(kind, ["c", "x"], "y", {})], {"c": np.float32(1.5)}, positive=True)
    yield one("Clip", (4,), {"low": np.float32(-0.5), "high": np.float32(1.0)})
    yield case("Clip without low", (4,), [("Clip", ["x", "", "high"], "y", {})], {"high": np.float32(0.5)})
    yield one("Softmax", (4,))
    yield one("Softmax", (3, 2), name="Softmax of rank 3", axis=2)
    yield one("Gemm", (4,), {"w": floats(4, 5)}, "Gemm without bias")
    yield one("Gemm", (4,), {"w": floats(5, 4), "c": floats(5)}, "Gemm transposed", transB=1, alpha=1.0, beta=1.0)
    yield one("Gemm", (4,), {"w": floats(4, 5), "c": floats(1, 5)}, "Gemm with a row as bias")
    yield one("Gemm", (4,), {"w": floats(4, 5), "c": np.float32(0.75)}, "Gemm with one bias")
    yield one("MatMul", (4,), {"w": floats(4, 18)})
    yield one("MatMul", (3, 4), {"w": floats(4, 2)}, "MatMul of rank 3")
    yield one("ReduceMean", (5,), name="ReduceMean 17", axes=[-1])
    yield one("ReduceMean", (2, 5), name="ReduceMean 17 dropped", axes=[2], keepdims=0)
    yield one("ReduceMean", (5,), {"axes": ints(1)}, "ReduceMean 18", opset=18, keepdims=0)
    yield case("Concat", (4,), [("Concat", ["x", "x", "x"], "y", {"axis": -1})])
    yield case("Concat in the middle", (2, 3), [("Concat", ["x", "x"], "y", {"axis": 1})])
    yield one("Reshape", (6,), {"s": ints(-1, 3, 2)})
    yield one("Reshape", (2, 3), {"s": ints(0, -1)}, "Reshape keeping rows")
    yield one("Reshape", (2, 3), {"s": ints(0, 3, 2)}, "Reshape turned", opset=21)
    yield one("Flatten", (2, 3))
    constant = helper.make_tensor("v", TensorProto.FLOAT, [4], [1.0, -2.0, 0.5, 0.0])
    yield case("Constant", (4,), [("Constant", [], "c", {"value": constant}), ("Add", ["x", "c"], "y", {})])
    yield case("Constant float", (4,), [("Constant", [], "c", {"value_float": 2.5}), ("Mul", ["x", "c"], "y", {})])
    yield case("Constant ints", (4,), [("Constant", [], "s", {"value_ints": [0, 2, 2]}), ("Reshape", ["x", "s"], "y", {})])


if __name__ == "__main__":
    text = ",\n".join(json.dumps(found) for found in cases())
    (pathlib.Path(__file__).parent / "onnx.json").write_text(f"[{text}]\n")
