#!/usr/bin/env python3
"""Writes the model of the `magika` package with inputs of many file types and its own runtime's outputs, as a case folder.

    python3 models/onnx/magika_cases.py OUT FILE...     # needs: pip install magika onnx onnxruntime
"""
import glob
import os
import shutil
import sys

import magika
import numpy as np
import onnxruntime
from onnx import numpy_helper


def features(content, begin, middle, end, padding=256, block=4096):
    """The bytes that the model looks at: stripped beginning and end, each filled up with the padding token."""
    head, tail = content[:block].lstrip(), content[-block:].rstrip()
    first = list(head[:begin]) + [padding] * (begin - len(head[:begin]))
    last = [padding] * (end - len(tail[-end:])) + list(tail[-end:])
    return first + last


def main(out, files):
    model = glob.glob(os.path.join(os.path.dirname(magika.__file__), "models", "*", "model.onnx"))[0]
    session = onnxruntime.InferenceSession(model)
    name = session.get_inputs()[0].name
    os.makedirs(out, exist_ok=True)
    shutil.copy(model, os.path.join(out, "model.onnx"))
    for index, path in enumerate(files):
        with open(path, "rb") as file:
            values = np.array([features(file.read(), 1024, 0, 1024)], dtype=np.int32)
        data = os.path.join(out, f"test_data_set_{index:03}")
        os.makedirs(data, exist_ok=True)
        for word, value in (("input", values), ("output", session.run(None, {name: values})[0])):
            with open(os.path.join(data, f"{word}_0.pb"), "wb") as file:
                file.write(numpy_helper.from_array(value).SerializeToString())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
