"""Two small networks as exporters write them, and what onnxruntime makes of them: python make.py, beside requirements.txt

`cnn.onnx` (opset 13): convolutions with batch normalisation, residual sums, channels alone, pools and a head, over a free batch.
`encoder.onnx` (opset 14): a masked encoder of two layers with norms and GELU in parts, shapes computed by nodes, a pooler, over a
free batch and a free length. Weights are random, with the spread of trained ones. Inputs and the runtime's outputs lie beside as
JSON: sets 0 and 1 are for calibration, 2 and 3 are not seen by it. The same versions give the same files.
"""

import json
import os

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
SETS, ROWS = 4, 3


class Graph:
    def __init__(self, seed):
        self.nodes, self.constants, self.rng = [], [], np.random.default_rng(seed)

    def constant(self, name, values, kind=np.float32):
        self.constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def random(self, name, shape, deviation):
        # Heavier tails than a normal distribution, as trained weights have.
        return self.constant(name, self.rng.standard_t(6, shape) * deviation * 0.8)

    def node(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def save(self, path, inputs, output, opset):
        graph = helper.make_graph(self.nodes, path, inputs, [output], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, os.path.join(HERE, path))


def cnn():
    graph = Graph(1)

    def conv(x, name, channels, outputs, size, stride=1, groups=1):
        fan = channels // groups * size * size
        weights = graph.random(f"{name}.weight", (outputs, channels // groups, size, size), (2 / fan) ** 0.5)
        x = graph.node("Conv", [x, weights], f"{name}.conv", kernel_shape=[size] * 2, pads=[size // 2] * 4,
                       strides=[stride] * 2, group=groups)
        scale = graph.constant(f"{name}.scale", graph.rng.uniform(0.5, 1.5, outputs))
        bias, mean = graph.random(f"{name}.bias", outputs, 0.2), graph.random(f"{name}.mean", outputs, 0.2)
        variance = graph.constant(f"{name}.variance", graph.rng.uniform(0.5, 2.0, outputs))
        return graph.node("BatchNormalization", [x, scale, bias, mean, variance], f"{name}.norm", epsilon=1e-5)

    def relu(x):
        return graph.node("Relu", [x], f"{x}.relu")

    x = relu(conv("image", "stem", 3, 8, 3))
    x = graph.node("MaxPool", [x], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    inner = conv(relu(conv(x, "a.1", 8, 8, 3)), "a.2", 8, 8, 3)
    x = relu(graph.node("Add", [inner, x], "a.sum"))
    six = graph.constant("six", 6.0), graph.constant("zero", 0.0)
    x = graph.node("Clip", [conv(x, "b.alone", 8, 8, 3, 1, 8), six[1], six[0]], "b.clip")
    inner = conv(relu(conv(x, "c.1", 8, 16, 3, 2)), "c.2", 16, 16, 3)
    x = relu(graph.node("Add", [inner, conv(x, "c.short", 8, 16, 1, 2)], "c.sum"))
    # x · sigmoid(x), as exporters write it.
    x = graph.node("Mul", [x, graph.node("Sigmoid", [x], "gate")], "swish")
    x = graph.node("Flatten", [graph.node("GlobalAveragePool", [x], "mean")], "features", axis=1)
    head = graph.random("head.weight", (10, 16), 0.5), graph.random("head.bias", 10, 0.1)
    graph.node("Gemm", [x, *head], "scores", transB=1)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 16, 16])
    graph.save("cnn.onnx", [image], helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 10]), 13)


WORDS, WIDTH, HEADS, LAYERS, LENGTH, INNER = 60, 32, 4, 2, 12, 64


def encoder():
    graph = Graph(2)

    def number(name, value, kind=np.float32):
        return graph.constant(name, value, kind)

    def dense(x, name, inputs, outputs):
        weights = graph.random(f"{name}.weight", (inputs, outputs), inputs**-0.5)
        return graph.node("Add", [graph.random(f"{name}.bias", outputs, 0.1), graph.node("MatMul", [x, weights], f"{name}.matmul")], name)

    def norm(x, name):
        mean = graph.node("ReduceMean", [x], f"{name}.mean", axes=[-1])
        centred = graph.node("Sub", [x, mean], f"{name}.centred")
        squares = graph.node("Pow", [centred, number(f"{name}.two", 2.0)], f"{name}.squares")
        variance = graph.node("ReduceMean", [squares], f"{name}.variance", axes=[-1])
        shifted = graph.node("Add", [variance, number(f"{name}.epsilon", 1e-5)], f"{name}.shifted")
        normal = graph.node("Div", [centred, graph.node("Sqrt", [shifted], f"{name}.root")], f"{name}.normal")
        gain = graph.constant(f"{name}.gain", graph.rng.uniform(0.7, 1.3, WIDTH))
        scaled = graph.node("Mul", [normal, gain], f"{name}.scaled")
        return graph.node("Add", [scaled, graph.random(f"{name}.bias", WIDTH, 0.1)], name)

    def size(x, axis, name):
        shape = graph.node("Shape", [x], f"{name}.shape")
        return graph.node("Gather", [shape, number(f"{name}.axis", axis, np.int64)], name, axis=0)

    def joined(sizes, name):
        axis = number(f"{name}.front", [0], np.int64)
        parts = [graph.node("Unsqueeze", [each, axis], f"{name}.{place}") for place, each in enumerate(sizes)]
        return graph.node("Concat", parts, name, axis=0)

    def heads(x, name, order):
        split = joined([size(x, 0, f"{name}.rows"), size(x, 1, f"{name}.length"),
                        number(f"{name}.count", HEADS, np.int64), number(f"{name}.width", WIDTH // HEADS, np.int64)], f"{name}.split")
        return graph.node("Transpose", [graph.node("Reshape", [x, split], f"{name}.heads")], f"{name}.turned", perm=order)

    def attention(x, name, mask):
        query, key, value = (dense(x, f"{name}.{part}", WIDTH, WIDTH) for part in ("query", "key", "value"))
        scores = graph.node("MatMul", [heads(query, query, [0, 2, 1, 3]), heads(key, key, [0, 2, 3, 1])], f"{name}.scores")
        scaled = graph.node("Div", [scores, number(f"{name}.root", (WIDTH // HEADS) ** 0.5)], f"{name}.scaled")
        share = graph.node("Softmax", [graph.node("Add", [scaled, mask], f"{name}.masked")], f"{name}.share", axis=3)
        mixed = graph.node("MatMul", [share, heads(value, value, [0, 2, 1, 3])], f"{name}.mixed")
        back = graph.node("Transpose", [mixed], f"{name}.back", perm=[0, 2, 1, 3])
        whole = joined([size(back, 0, f"{name}.rows"), size(back, 1, f"{name}.length"),
                        number(f"{name}.whole", WIDTH, np.int64)], f"{name}.whole_shape")
        return dense(graph.node("Reshape", [back, whole], f"{name}.joined"), f"{name}.output", WIDTH, WIDTH)

    def gelu(x, name):
        error = graph.node("Erf", [graph.node("Div", [x, number(f"{name}.root", 2**0.5)], f"{name}.scaled")], f"{name}.erf")
        share = graph.node("Add", [error, number(f"{name}.one", 1.0)], f"{name}.share")
        return graph.node("Mul", [graph.node("Mul", [x, share], f"{name}.twice"), number(f"{name}.half", 0.5)], name)

    words = graph.node("Gather", [graph.random("words", (WORDS, WIDTH), 1.0), "input_ids"], "word")
    places = graph.random("places", (1, 64, WIDTH), 0.3)
    length = joined([size("input_ids", 1, "length")], "length_list")
    first, axis = number("place.first", [0], np.int64), number("place.axis", [1], np.int64)
    place = graph.node("Slice", [places, first, length, axis], "place")
    x = norm(graph.node("Add", [words, place], "sum"), "embedding")
    wide = graph.node("Unsqueeze", ["attention_mask", number("mask.axes", [1, 2], np.int64)], "mask.wide")
    there = graph.node("Cast", [wide], "mask.there", to=TensorProto.FLOAT)
    away = graph.node("Sub", [number("mask.one", 1.0), there], "mask.away")
    mask = graph.node("Mul", [away, number("mask.least", np.finfo(np.float32).min)], "mask")
    for layer in range(LAYERS):
        name = f"layer{layer}"
        x = norm(graph.node("Add", [attention(x, f"{name}.attention", mask), x], f"{name}.sum1"), f"{name}.norm1")
        inner = gelu(dense(x, f"{name}.inner", WIDTH, INNER), f"{name}.gelu")
        x = norm(graph.node("Add", [dense(inner, f"{name}.outer", INNER, WIDTH), x], f"{name}.sum2"), f"{name}.norm2")
    head = graph.node("Gather", [x, number("head.place", 0, np.int64)], "head", axis=1)
    pooler = graph.random("pooler.weight", (WIDTH, WIDTH), WIDTH**-0.5), graph.random("pooler.bias", WIDTH, 0.1)
    graph.node("Tanh", [graph.node("Gemm", [head, *pooler], "pooler", transB=1)], "pooled")
    ids = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in ("input_ids", "attention_mask")]
    graph.save("encoder.onnx", ids, helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["batch", WIDTH]), 14)


def cases(name):
    session = onnxruntime.InferenceSession(os.path.join(HERE, f"{name}.onnx"), providers=["CPUExecutionProvider"])
    sets = []
    for index in range(SETS):
        rng = np.random.default_rng(100 + index)
        if name == "cnn":
            inputs = {"image": rng.standard_normal((ROWS, 3, 16, 16)).astype(np.float32)}
        else:
            mask = (np.arange(LENGTH) < rng.integers(5, LENGTH + 1, (ROWS, 1))).astype(np.int64)
            inputs = {"input_ids": rng.integers(0, WORDS, (ROWS, LENGTH)), "attention_mask": mask}
        output = session.run(None, inputs)[0]
        rounded = {key: np.round(values.astype(np.float64), 2).tolist() if values.dtype == np.float32 else values.tolist() for key, values in inputs.items()}
        if name == "cnn":
            inputs = {"image": np.asarray(rounded["image"], np.float32)}
            output = session.run(None, inputs)[0]
        sets.append({"inputs": rounded, "output": [round(float(value), 6) for value in output.ravel()]})
    with open(os.path.join(HERE, f"{name}.json"), "w") as file:
        json.dump(sets, file, separators=(",", ":"))


if __name__ == "__main__":
    for make, name in ((cnn, "cnn"), (encoder, "encoder")):
        make()
        cases(name)
