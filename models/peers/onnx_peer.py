"""onnxruntime as a worker: python onnx_peer.py {resnet18|minilm} model.onnx [threads]

    run N        N runs on the example input                        seconds
    output FILE  the first output, of an input that is another one  raw f32 in FILE

All graph optimisations, one thread unless told otherwise, no spinning.
"""

import sys

import numpy as np
import onnxruntime

import clock
import random_onnx


class Worker:
    def __init__(self, name, path, threads=1):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.example, self.new = random_onnx.example(name), random_onnx.example(name, random_onnx.NEW)

    def run(self, count):
        return clock.timed(lambda: [self.session.run(None, self.example) for _ in range(int(count))])

    def output(self, path):
        found = np.asarray(self.session.run(None, self.new)[0], np.float32)
        found.tofile(path)
        return {"shape": list(found.shape)}


if __name__ == "__main__":
    name, path, *numbers = sys.argv[1:]
    worker = Worker(name, path, *map(int, numbers))
    clock.serve({"run": worker.run, "output": worker.output})
