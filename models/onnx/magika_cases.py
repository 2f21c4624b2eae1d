#!/usr/bin/env python3
"""Writes the model of the `magika` package with inputs of many file types and its own runtime's outputs, as a case folder.

    python3 models/onnx/magika_cases.py OUT PATH...     # needs: pip install magika onnx onnxruntime

Of a folder, files of all endings are taken, at most four of each. The label of each output is checked against what the package itself says of the file.
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


def found(paths, each=4, size_max=4 << 20):
    """The files themselves, and of folders some files of every ending."""
    for path in paths:
        if os.path.isfile(path):
            yield path
            continue
        taken = {}
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                file, ending = os.path.join(folder, name), os.path.splitext(name)[1].lower() or name.lower()
                usual = os.path.isfile(file) and not os.path.islink(file) and 16 <= os.path.getsize(file) <= size_max
                if usual and taken.get(ending, 0) < each:
                    taken[ending] = taken.get(ending, 0) + 1
                    yield file


def main(out, paths):
    own = magika.Magika()
    labels = [str(label) for label in own._model_config.target_labels_space]
    seen = set()
    model = glob.glob(os.path.join(os.path.dirname(magika.__file__), "models", "*", "model.onnx"))[0]
    session = onnxruntime.InferenceSession(model)
    name = session.get_inputs()[0].name
    os.makedirs(out, exist_ok=True)
    shutil.copy(model, os.path.join(out, "model.onnx"))
    count = 0
    for index, path in enumerate(found(paths)):
        with open(path, "rb") as file:
            values = np.array([features(file.read(), 1024, 0, 1024)], dtype=np.int32)
        said, label = str(own.identify_path(path).prediction.dl.label), labels[int(session.run(None, {name: values})[0].argmax())]
        if said != label:
            sys.exit(f"{path}: the package says {said}, its model {label}")
        seen.add(said)
        count += 1
        data = os.path.join(out, f"test_data_set_{index:03}")
        os.makedirs(data, exist_ok=True)
        with open(os.path.join(data, "file.txt"), "w") as file:
            file.write(f"{path}: {said}\n")
        for word, value in (("input", values), ("output", session.run(None, {name: values})[0])):
            with open(os.path.join(data, f"{word}_0.pb"), "wb") as file:
                file.write(numpy_helper.from_array(value).SerializeToString())
    print(f"{count} files, {len(seen)} labels: {' '.join(sorted(seen))}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
