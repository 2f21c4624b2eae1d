"""Writes the shipped files from a training state, and the manifest over them.

    python3 export.py STATE
"""
import argparse
import json
import os
import pathlib
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

import release
import tokens
from eval import shipped_model
from model import DemoModel
from train import STEPS

PROMPTS = [
    [("user", "What is a receipt?")],
    [("user", "What is 47 plus 38?")],
    [("system", "Answer briefly."), ("user", "My name is Mara."), ("assistant", "Noted: your name is Mara."),
     ("user", "What is my name?")],
]


def write_json(name, value):
    (release.HERE / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_weights(model):
    """Half floats are exact enough: int8 rows are far coarser."""
    tensors = {f"model.{name}": p.detach().to(torch.float16).contiguous() for name, p in model.named_parameters()}
    save_file(tensors, release.HERE / "weights.safetensors", metadata={"format": "pt"})
    (release.HERE / "weights.safetensors").chmod(0o644)


def write_config(shape):
    write_json("config.json", {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape["width"],
        "intermediate_size": shape["feed_forward"],
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["kv_heads"],
        "head_dim": shape["head_width"],
        "vocab_size": shape["vocabulary"],
        "max_position_embeddings": shape["context"],
        "rms_norm_eps": shape["norm_epsilon"],
        "rope_theta": shape["rope_theta"],
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": None,
        "eos_token_id": tokens.END_OF_TURN,
        "pad_token_id": 0,
        "torch_dtype": "float16",
    })
    # The likeliest token each time: so small a model is at its best there.
    write_json("generation_config.json", {"do_sample": False, "max_new_tokens": 256})


def write_tokenizer(state):
    """As trained, but the marks of tool calls stay visible when ids are decoded."""
    tokenizer = json.loads((state / "tokenizer.json").read_text())
    for token in tokenizer["added_tokens"]:
        token["special"] = token["content"].startswith("<|")
    write_json("tokenizer.json", tokenizer)
    write_json("tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "add_bos_token": False,
        "model_max_length": 512,
    })


def write_logits():
    """What a loader must reproduce, up to float rounding: the best tokens after three prompts."""
    tokenizer = Tokenizer.from_file(str(release.HERE / "tokenizer.json"))
    model = shipped_model()
    rows = []
    for messages in PROMPTS:
        ids = tokens.prompt_ids(tokenizer, messages)
        with torch.no_grad():
            best = model(torch.tensor([ids]))[0, -1].topk(8)
        rows.append({
            "messages": release.as_messages(messages),
            "ids": ids,
            "top": [{"id": int(at), "token": tokenizer.decode([int(at)], skip_special_tokens=False),
                     "logit": round(float(value), 5)} for value, at in zip(*best)],
        })
    write_json("logits.json", rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("state", type=pathlib.Path)
    state = parser.parse_args().state
    torch.set_num_threads(1)
    saved = torch.load(state / "checkpoint.pt", weights_only=True)
    model = DemoModel()
    model.load_state_dict(saved["model"])
    write_weights(model)
    write_config(model.shape)
    write_tokenizer(state)
    write_logits()
    release.write_text_files()
    corpus = json.loads((state / "corpus.json").read_text())
    parameters = sum(p.numel() for p in model.parameters())
    training = {"parameters": parameters, "steps": saved["step"], "planned_steps": STEPS,
                "exported": time.strftime("%Y-%m-%d")}
    release.write_manifest(corpus, training)
    print(json.dumps(training))


if __name__ == "__main__":
    main()
