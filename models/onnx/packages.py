#!/usr/bin/env python3
"""Writes the ONNX models that ship inside packages, with inputs and onnxruntime's outputs, as case folders; nothing of them is kept here.

    pip install onnx onnxruntime && pip install --no-deps silero-vad rapidocr-onnxruntime rapidocr ddddocr nudenet basic-pitch
    python3 models/onnx/packages.py OUT
    cargo run --release -p engine --example onnx_model -- OUT/CASE

Images and sounds are made here: shapes with edges and noise, tones that come and go. Recurrent models get their own state back.
"""
import glob
import os
import shutil
import sys
import sysconfig
import time

import numpy as np
import onnxruntime
from onnx import numpy_helper

RANDOM = np.random.default_rng(7)


def picture(batch, channels, height, width, low=-1.0, high=1.0):
    """Bars, boxes and noise."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [np.sin(x / 7.0 + c) * np.cos(y / 5.0) + (x // 16 + y // 12 + c) % 2 for c in range(channels)]
    plane = np.stack(planes)[None].repeat(batch, 0) + RANDOM.normal(0, 0.1, (batch, channels, height, width))
    plane = (plane - plane.min()) / (plane.max() - plane.min())
    return (low + plane * (high - low)).astype(np.float32)


def sound(count, rate=16000):
    """A tone with harmonics that comes and goes."""
    t = np.arange(count) / rate
    tone = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 6))
    return (0.3 * tone * (np.sin(2 * np.pi * 3 * t) > 0) + RANDOM.normal(0, 0.01, count)).astype(np.float32)


def silero(rate):
    """Chunks of a sound, each call with the state of the one before."""
    chunk, context = (512, 64) if rate == 16000 else (256, 32)

    def sets(session):
        heard, state = sound(chunk * 8, rate), np.zeros((2, 1, 128), np.float32)
        before = np.zeros((1, context), np.float32)
        for start in range(0, len(heard), chunk):
            now = np.concatenate([before, heard[None, start : start + chunk]], axis=1)
            before = now[:, -context:]
            feeds = {"input": now, "state": state, "sr": np.array(rate, np.int64)}
            feeds = {port.name: feeds[port.name] for port in session.get_inputs()}
            outputs = session.run(None, feeds)
            state = outputs[1]
            yield feeds, outputs

    return sets


def only(*values):
    """Sets of one input each."""

    def sets(session):
        name = session.get_inputs()[0].name
        for value in values:
            yield {name: value}, session.run(None, {name: value})

    return sets


MODELS = [
    ("silero_16k", "silero_vad/data/silero_vad.onnx", silero(16000)),
    ("silero_8k", "silero_vad/data/silero_vad.onnx", silero(8000)),
    ("silero_16k_op15", "silero_vad/data/silero_vad_16k_op15.onnx", silero(16000)),
    ("silero_ifless", "silero_vad/data/silero_vad_op18_ifless.onnx", silero(16000)),
    ("silero_half", "silero_vad/data/silero_vad_half.onnx", silero(16000)),
    ("ocr_find", "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", only(picture(1, 3, 160, 192), picture(1, 3, 96, 320))),
    ("ocr_read", "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", only(picture(1, 3, 48, 160), picture(2, 3, 48, 96))),
    ("ocr_turn", "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", only(picture(2, 3, 48, 192))),
    ("ocr6_find", "rapidocr/models/PP-OCRv6_det_small.onnx", only(picture(1, 3, 160, 192))),
    ("ocr6_read", "rapidocr/models/PP-OCRv6_rec_small.onnx", only(picture(1, 3, 48, 160))),
    ("captcha", "ddddocr/common.onnx", only(picture(1, 1, 64, 160), picture(1, 1, 64, 96))),
    ("captcha_old", "ddddocr/common_old.onnx", only(picture(1, 1, 64, 160))),
    ("captcha_find", "ddddocr/common_det.onnx", only(picture(1, 3, 416, 416, 0, 255))),
    ("detector", "nudenet/320n.onnx", only(picture(1, 3, 320, 320, 0, 1))),
    ("pitch", "basic_pitch/saved_models/icassp_2022/nmp.onnx", only(sound(43844, 22050)[None, :, None])),
]


def main(out):
    folder = sysconfig.get_paths()["purelib"]
    for name, path, sets in MODELS:
        found = glob.glob(os.path.join(folder, path))
        if not found:
            print(f"{name}: {path} is not installed")
            continue
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(found[0], options, providers=["CPUExecutionProvider"])
        case = os.path.join(out, name)
        shutil.rmtree(case, ignore_errors=True)
        os.makedirs(case)
        shutil.copy(found[0], os.path.join(case, "model.onnx"))
        for index, (feeds, outputs) in enumerate(sets(session)):
            data = os.path.join(case, f"test_data_set_{index:03}")
            os.makedirs(data)
            for word, values in (("input", feeds.values()), ("output", outputs)):
                for number, value in enumerate(values):
                    with open(os.path.join(data, f"{word}_{number}.pb"), "wb") as file:
                        file.write(numpy_helper.from_array(np.asarray(value)).SerializeToString())
            if index == 0:
                times = []
                for _ in range(7):
                    start = time.perf_counter()
                    session.run(None, feeds)
                    times.append(time.perf_counter() - start)
                print(f"{name}: onnxruntime takes {sorted(times)[3] * 1e3:.2f} ms")


if __name__ == "__main__":
    main(sys.argv[1])
