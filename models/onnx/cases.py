#!/usr/bin/env python3
"""Writes the cases of the `onnx` package's backend test as files: <out>/<kind>/<case>/{model.onnx,test_data_set_0/...}.

    python3 models/onnx/cases.py OUT        # needs: pip install onnx

The node cases exist only as Python in the package; the model cases lie in it as files and are copied. The cases of
kind `real` run on the package's light models, with the input that its own runner makes for them. Beside a node case with several
inputs lies `constants.onnx`, the same with all inputs but the first as constants, as weights are in models.
"""
import glob
import os
import shutil
import sys
import warnings

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.loader import DATA_DIR, load_model_tests

warnings.filterwarnings("ignore")


def proto(value, declared):
    """The value as the message that its declared type asks for."""
    if isinstance(value, onnx.TensorProto):
        return value
    kind = declared.type.WhichOneof("value")
    if kind == "map_type":
        return numpy_helper.from_dict(value, declared.name)
    if kind == "sequence_type":
        return numpy_helper.from_list(value, declared.name)
    if kind == "optional_type":
        return numpy_helper.from_optional(value, declared.name)
    return numpy_helper.from_array(np.asarray(value), declared.name)


def write(path, message):
    with open(path, "wb") as file:
        file.write(message.SerializeToString())


def node_case(folder, case):
    os.makedirs(folder)
    write(os.path.join(folder, "model.onnx"), case.model)
    for index, (inputs, outputs) in enumerate(case.data_sets):
        data = os.path.join(folder, f"test_data_set_{index}")
        os.makedirs(data)
        for values, ports, word in ((inputs, case.model.graph.input, "input"), (outputs, case.model.graph.output, "output")):
            for number, (value, port) in enumerate(zip(values, ports, strict=True)):
                write(os.path.join(data, f"{word}_{number}.pb"), proto(value, port))


    constants = list(zip(case.data_sets[0][0][1:], case.model.graph.input[1:]))
    if constants and all(port.type.WhichOneof("value") == "tensor_type" and value is not None for value, port in constants):
        model = onnx.ModelProto.FromString(case.model.SerializeToString())
        for value, port in constants:
            tensor = model.graph.initializer.add()
            tensor.CopyFrom(proto(value, port))
            tensor.name = port.name
        write(os.path.join(folder, "constants.onnx"), model)


def light_case(folder, case):
    model_path = os.path.join(DATA_DIR, "light", os.path.basename(case.url))
    model = onnx.load(model_path)
    data = os.path.join(folder, "test_data_set_0")
    os.makedirs(data)
    shutil.copy(model_path, os.path.join(folder, "model.onnx"))
    constants = {tensor.name for tensor in model.graph.initializer}
    for number, port in enumerate(port for port in model.graph.input if port.name not in constants):
        shape = [size.dim_value if size.HasField("dim_value") else 1 for size in port.type.tensor_type.shape.dim]
        count = np.prod(shape)
        value = (np.arange(count).reshape(shape) / count).astype(np.float32)
        write(os.path.join(data, f"input_{number}.pb"), numpy_helper.from_array(value, port.name))
    for number, path in enumerate(sorted(glob.glob(model_path[: -len(".onnx")] + "_output_*.pb"))):
        shutil.copy(path, os.path.join(data, f"output_{number}.pb"))


def main(out):
    cases = collect_testcases(None)
    for case in cases:
        node_case(os.path.join(out, "node", case.name), case)
    for kind in ("simple", "pytorch-converted", "pytorch-operator"):
        shutil.copytree(os.path.join(DATA_DIR, kind), os.path.join(out, kind))
    for case in load_model_tests(kind="real"):
        light_case(os.path.join(out, "real", case.name), case)
    print(f"{len(cases)} node cases and the model cases of onnx {onnx.__version__} in {out}")


if __name__ == "__main__":
    main(sys.argv[1])
