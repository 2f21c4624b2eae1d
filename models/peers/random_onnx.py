"""ONNX files with random weights: python random_onnx.py {resnet18|minilm} out.onnx [int8.onnx]

The shapes of ResNet-18 (one image of 224 × 224, batch normalisation folded) and of MiniLM-L6 (one text of 128 tokens), opset 17.
The second file is the first, quantised to int8 by onnxruntime itself: static for the convolutions, dynamic for the encoder, which
is what each is served as. The same arguments give the same file.
"""

import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Graph:
    """Nodes and constants as they come, every constant from one stream of random numbers."""

    def __init__(self):
        self.nodes, self.constants, self.rng = [], [], np.random.default_rng(11)

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def random(self, name, shape, deviation):
        return self.constant(name, self.rng.standard_normal(shape, dtype=np.float32) * np.float32(deviation))

    def node(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def model(self, name, inputs, outputs):
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(model)
        return model


def resnet18():
    graph = Graph()

    def convolution(x, name, channels, outputs, size, stride):
        weights = graph.random(f"{name}.weight", (outputs, channels, size, size), (2 / (channels * size**2)) ** 0.5)
        bias = graph.random(f"{name}.bias", (outputs,), 0.1)
        pads, strides = [size // 2] * 4, [stride] * 2
        return graph.node("Conv", [x, weights, bias], name, kernel_shape=[size] * 2, pads=pads, strides=strides)

    def relu(x, name):
        return graph.node("Relu", [x], name)

    def block(x, name, channels, outputs, stride):
        inner = relu(convolution(x, f"{name}.conv1", channels, outputs, 3, stride), f"{name}.relu1")
        inner = convolution(inner, f"{name}.conv2", outputs, outputs, 3, 1)
        if stride != 1 or channels != outputs:
            x = convolution(x, f"{name}.short", channels, outputs, 1, stride)
        return relu(graph.node("Add", [inner, x], f"{name}.sum"), name)

    x = relu(convolution("image", "stem", 3, 64, 7, 2), "stem.relu")
    x = graph.node("MaxPool", [x], "pool", kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])
    channels = 64
    for stage, outputs in enumerate((64, 128, 256, 512)):
        for depth in range(2):
            x = block(x, f"stage{stage}.{depth}", channels, outputs, 2 if stage and not depth else 1)
            channels = outputs
    x = graph.node("Flatten", [graph.node("GlobalAveragePool", [x], "mean")], "features", axis=1)
    weights = graph.random("head.weight", (1000, 512), 512**-0.5)
    graph.node("Gemm", [x, weights, graph.random("head.bias", (1000,), 0.1)], "scores", transB=1)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224])
    return graph.model("resnet18", [image], [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1000])])


WIDTH, HEADS, LAYERS, INNER, WORDS, LENGTH = 384, 12, 6, 1536, 30_522, 128


def minilm():
    graph = Graph()

    def dense(x, name, inputs, outputs):
        weights = graph.random(f"{name}.weight", (inputs, outputs), inputs**-0.5)
        product = graph.node("MatMul", [x, weights], f"{name}.product")
        return graph.node("Add", [product, graph.random(f"{name}.bias", (outputs,), 0.1)], name)

    def norm(x, name):
        gain = graph.constant(f"{name}.gain", graph.rng.uniform(0.9, 1.1, WIDTH).astype(np.float32))
        bias = graph.random(f"{name}.bias", (WIDTH,), 0.1)
        return graph.node("LayerNormalization", [x, gain, bias], name, axis=-1, epsilon=1e-12)

    def number(name, value):
        return graph.constant(name, np.asarray(value, np.float32))

    def heads(x, name, order):
        split = graph.constant(f"{name}.split", np.asarray([1, LENGTH, HEADS, WIDTH // HEADS], np.int64))
        return graph.node("Transpose", [graph.node("Reshape", [x, split], f"{name}.heads")], f"{name}.turned", perm=order)

    def attention(x, name, mask):
        query, key, value = (dense(x, f"{name}.{part}", WIDTH, WIDTH) for part in ("query", "key", "value"))
        query, value = (heads(each, each, [0, 2, 1, 3]) for each in (query, value))
        scores = graph.node("MatMul", [query, heads(key, key, [0, 2, 3, 1])], f"{name}.scores")
        scaled = graph.node("Div", [scores, number(f"{name}.root", (WIDTH // HEADS) ** 0.5)], f"{name}.scaled")
        share = graph.node("Softmax", [graph.node("Add", [scaled, mask], f"{name}.masked")], f"{name}.share", axis=-1)
        mixed = graph.node("Transpose", [graph.node("MatMul", [share, value], f"{name}.mixed")], f"{name}.back", perm=[0, 2, 1, 3])
        whole = graph.constant(f"{name}.whole", np.asarray([1, LENGTH, WIDTH], np.int64))
        return dense(graph.node("Reshape", [mixed, whole], f"{name}.joined"), f"{name}.output", WIDTH, WIDTH)

    def gelu(x, name):
        error = graph.node("Erf", [graph.node("Div", [x, number(f"{name}.root", 2**0.5)], f"{name}.scaled")], f"{name}.erf")
        share = graph.node("Add", [error, number(f"{name}.one", 1.0)], f"{name}.share")
        return graph.node("Mul", [graph.node("Mul", [x, share], f"{name}.twice"), number(f"{name}.half", 0.5)], name)

    words = graph.node("Gather", [graph.random("words", (WORDS, WIDTH), 1.0), "input_ids"], "word")
    kinds = graph.node("Gather", [graph.random("kinds", (2, WIDTH), 0.1), "token_type_ids"], "kind")
    places = graph.random("places", (1, LENGTH, WIDTH), 0.1)
    x = graph.node("Add", [graph.node("Add", [words, kinds], "word_and_kind"), places], "embedding_sum")
    x = norm(x, "embedding")
    there = graph.node("Cast", ["attention_mask"], "there", to=TensorProto.FLOAT)
    axes = graph.constant("mask.axes", np.asarray([1, 2], np.int64))
    away = graph.node("Sub", [number("mask.one", 1.0), graph.node("Unsqueeze", [there, axes], "there.wide")], "away")
    mask = graph.node("Mul", [away, number("mask.least", -10_000.0)], "mask")
    for layer in range(LAYERS):
        name = f"layer{layer}"
        x = norm(graph.node("Add", [x, attention(x, f"{name}.attention", mask)], f"{name}.sum1"), f"{name}.norm1")
        inner = gelu(dense(x, f"{name}.inner", WIDTH, INNER), f"{name}.gelu")
        x = norm(graph.node("Add", [x, dense(inner, f"{name}.outer", INNER, WIDTH)], f"{name}.sum2"), f"{name}.norm2")
    graph.nodes[-1].output[0] = "last_hidden_state"
    ids = [helper.make_tensor_value_info(name, TensorProto.INT64, [1, LENGTH]) for name in INPUTS["minilm"]]
    return graph.model("minilm", ids, [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [1, LENGTH, WIDTH])])


INPUTS = {"resnet18": ["image"], "minilm": ["input_ids", "attention_mask", "token_type_ids"]}


EXAMPLE, SETS = 5, 4
NEW = EXAMPLE + SETS


def example(name, seed=EXAMPLE):
    """Inputs for one run."""
    rng = np.random.default_rng(seed)
    if name == "resnet18":
        return {"image": rng.standard_normal((1, 3, 224, 224), dtype=np.float32)}
    ids = rng.integers(0, WORDS, (1, LENGTH))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


def write_inputs(name, folder):
    """Sets of inputs as raw files `SET-INPUT.raw`: those with numbers are for calibration, and the first is timed; outputs are compared on `new`."""
    os.makedirs(folder, exist_ok=True)
    for index, seed in [*enumerate(range(EXAMPLE, NEW)), ("new", NEW)]:
        for place, values in enumerate(example(name, seed).values()):
            values.tofile(os.path.join(folder, f"{index}-{place}.raw"))


def quantise(name, source, target):
    from onnxruntime import quantization

    if name == "minilm":
        quantization.quantize_dynamic(source, target, weight_type=quantization.QuantType.QInt8)
        return
    examples = iter([example(name, seed) for seed in range(EXAMPLE, NEW)])
    reader = type("Reader", (quantization.CalibrationDataReader,), {"get_next": lambda self: next(examples, None)})()
    with tempfile.TemporaryDirectory() as folder:
        ready = os.path.join(folder, "ready.onnx")
        # Every shape is known here, so nothing has to be found symbolically.
        quantization.shape_inference.quant_pre_process(source, ready, skip_symbolic_shape=True)
        quantization.quantize_static(ready, target, reader, per_channel=True)


if __name__ == "__main__":
    name, path, *quantised = sys.argv[1:]
    onnx.save({"resnet18": resnet18, "minilm": minilm}[name](), f"{path}.part")
    os.replace(f"{path}.part", path)
    write_inputs(name, f"{path.removesuffix('.onnx')}.inputs")
    for target in quantised:
        quantise(name, path, target)
