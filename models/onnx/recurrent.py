#!/usr/bin/env python3
"""Writes small recurrent models as exporters write them, with inputs and onnxruntime's outputs, as case folders.

    python3 models/onnx/recurrent.py models/onnx/recurrent     # needs: pip install onnx onnxruntime

Each folder has `model.onnx` and `test_data_set_0/{input,output}_N.pb`, like the standard's own cases. The batch comes first and is free, as
PyTorch exports it (`batch_first`): a transpose stands in front of the cell and one behind it. Weights are made here by a seed.
"""
import os
import shutil
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

STEPS, INPUTS, HIDDEN, ROWS, CLASSES = 12, 6, 16, 8, 4
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


class Net:
    """Nodes and initializers of a graph from `x` to `y`."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants = [], []

    def node(self, kind, inputs, outputs, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, outputs, name=f"{kind}_{len(self.nodes)}", **attributes))
        return outputs[0]

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def weights(self, name, *shape):
        reach = 1.6 / np.sqrt(shape[-1])
        return self.constant(name, self.random.uniform(-reach, reach, size=shape).astype(np.float32))

    def cell(self, kind, x, inputs, name, **attributes):
        """A recurrent layer over `[steps, batch, inputs]`; gives `[steps, batch, directions * HIDDEN]`."""
        directions = 2 if attributes.get("direction") == "bidirectional" else 1
        gates = GATES[kind] * HIDDEN
        given = [x, self.weights(f"{name}.w", directions, gates, inputs), self.weights(f"{name}.r", directions, gates, HIDDEN)]
        given.append(self.weights(f"{name}.b", directions, 2 * gates))
        y = self.node(kind, given, [f"{name}.y", f"{name}.last"], hidden_size=HIDDEN, **attributes)
        if directions == 1:
            return self.node("Squeeze", [y, self.constant(f"{name}.axis", np.array([1], dtype=np.int64))], [f"{name}.flat"])
        y = self.node("Transpose", [y], [f"{name}.turned"], perm=[0, 2, 1, 3])
        return self.node("Reshape", [y, self.constant(f"{name}.shape", np.array([0, 0, -1], dtype=np.int64))], [f"{name}.flat"])

    def head(self, x, inputs, name="head"):
        w = self.weights(f"{name}.w", CLASSES, inputs)
        return self.node("Gemm", [x, w, self.weights(f"{name}.b", CLASSES)], ["y"], transB=1)


def stacked(kind, layers=1, **attributes):
    """Layers over a batch of sequences, every step's state given back."""
    net = Net(len(kind) + layers)
    x, width = net.node("Transpose", ["x"], ["x.steps"], perm=[1, 0, 2]), INPUTS
    for layer in range(layers):
        x = net.cell(kind, x, width, f"layer{layer}", **attributes)
        width = HIDDEN * (2 if attributes.get("direction") == "bidirectional" else 1)
    net.node("Transpose", [x], ["y"], perm=[1, 0, 2])
    return net, [["x", [None, STEPS, INPUTS]]], [["y", [None, STEPS, width]]]


def classifier(kind, **attributes):
    """The last state of a layer, and a linear layer over it."""
    net = Net(40 + len(kind))
    x = net.node("Transpose", ["x"], ["x.steps"], perm=[1, 0, 2])
    net.cell(kind, x, INPUTS, "layer", **attributes)
    last = net.node("Squeeze", ["layer.last", net.constant("axis", np.array([0], dtype=np.int64))], ["last"])
    net.head(last, HIDDEN)
    return net, [["x", [None, STEPS, INPUTS]]], [["y", [None, CLASSES]]]


def streaming():
    """One step of an LSTM whose states enter and leave."""
    net = Net(7)
    w, r = net.weights("w", 1, 4 * HIDDEN, INPUTS), net.weights("r", 1, 4 * HIDDEN, HIDDEN)
    given = ["x", w, r, net.weights("b", 1, 8 * HIDDEN), "", "h", "c"]
    net.node("LSTM", given, ["", "next_h", "next_c"], hidden_size=HIDDEN)
    states = [[name, [1, 1, HIDDEN]] for name in ("h", "c")]
    return net, [["x", [1, 1, INPUTS]], *states], [[f"next_{name}", shape] for name, shape in states]


def write(out, name, made):
    net, inputs, outputs = made
    value = lambda port: helper.make_tensor_value_info(port[0], TensorProto.FLOAT, ["batch" if size is None else size for size in port[1]])
    graph = helper.make_graph(net.nodes, name, [value(port) for port in inputs], [value(port) for port in outputs], net.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    random = np.random.default_rng(11)
    shape = lambda port: [ROWS if size is None else size for size in port[1]]
    feeds = {port[0]: (random.uniform(-1, 1, size=shape(port)) * (1 if port[0] in "hc" else 2)).astype(np.float32) for port in inputs}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, feeds)
    data = os.path.join(out, name, "test_data_set_0")
    os.makedirs(data)
    onnx.save(model, os.path.join(out, name, "model.onnx"))
    for word, values in (("input", feeds.values()), ("output", found)):
        for number, array in enumerate(values):
            with open(os.path.join(data, f"{word}_{number}.pb"), "wb") as file:
                file.write(numpy_helper.from_array(array).SerializeToString())


def main(out):
    if os.path.isdir(out):
        shutil.rmtree(out)
    cases = {
        "rnn": stacked("RNN"),
        "gru": stacked("GRU", linear_before_reset=1),
        "gru_reset_first": stacked("GRU"),
        "lstm": stacked("LSTM"),
        "lstm_reverse": stacked("LSTM", direction="reverse"),
        "lstm_two_layers": stacked("LSTM", layers=2),
        "lstm_coupled": stacked("LSTM", input_forget=1),
        "gru_bidirectional": stacked("GRU", direction="bidirectional", linear_before_reset=1),
        "lstm_bidirectional": stacked("LSTM", direction="bidirectional"),
        "gru_hard": stacked("GRU", activations=["HardSigmoid", "Tanh"], clip=3.0),
        "gru_classifier": classifier("GRU", linear_before_reset=1),
        "lstm_classifier": classifier("LSTM"),
        "lstm_streaming": streaming(),
    }
    for name, made in cases.items():
        write(out, name, made)
    print(f"{len(cases)} cases in {out}")


if __name__ == "__main__":
    main(sys.argv[1])
