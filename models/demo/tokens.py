"""The tokenizer of the demo model: its training, and dialogues to token ids.

Byte-level BPE with every digit a token of its own, so that numbers are copied
and added digit by digit. Text is rendered by the same template as
chat_template.jinja; test_demo.py keeps the two together.
"""
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 1536
# Tool calls are not trained yet; their marks are reserved so that they can be.
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]
END_OF_TURN = 2


def train_tokenizer(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    ))
    return tokenizer


def render(messages):
    """The ChatML text of a dialogue."""
    return "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in messages)


def prompt_ids(tokenizer, messages):
    """Token ids of a dialogue that the assistant is to continue."""
    return tokenizer.encode(render(messages) + "<|im_start|>assistant\n").ids


def encode(tokenizer, messages):
    """Token ids of a dialogue and, for each, whether the assistant writes it."""
    ids, written = [], []
    for role, content in messages:
        head = tokenizer.encode(f"<|im_start|>{role}\n").ids
        body = tokenizer.encode(f"{content}<|im_end|>").ids
        tail = tokenizer.encode("\n").ids
        ids += head + body + tail
        written += [0] * len(head) + [int(role == "assistant")] * len(body) + [0] * len(tail)
    return ids, written
