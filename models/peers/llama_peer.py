"""llama.cpp as a worker: python llama_peer.py model.gguf [threads] [sequences]

    prefill N            one prompt of N tokens                               seconds
    decode N             N tokens, one at a time, behind that prompt          seconds
    chats TEXTS PROMPT N N steps of one token for each of several texts       seconds
    logits IDS FILE      logits after every token of IDS (with commas)        raw f32 in FILE
    about                the instruction sets that it was compiled for        its own list

Only llama.cpp's own interface is called, and only its calls are timed. Options are its defaults (AMX and repacked weights where
the CPU has them, flash attention as it chooses), one thread for prompts and answers alike unless told otherwise.
"""

import ctypes
import sys

import llama_cpp as llama
import numpy as np

import clock

CONTEXT = 1024


def model_of(path):
    """The model, read with llama.cpp's defaults and in silence."""
    model_of.quiet = llama.llama_log_callback(lambda *_: None)
    llama.llama_log_set(model_of.quiet, ctypes.c_void_p(0))
    llama.llama_backend_init()
    model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
    if not model:
        sys.exit(f"error: llama.cpp does not load {path}")
    return model


class Worker:
    def __init__(self, path, threads=1, sequences=1):
        self.model = model_of(path)
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = CONTEXT * sequences
        parameters.n_batch = parameters.n_ubatch = 512
        parameters.n_seq_max = sequences
        parameters.n_threads = parameters.n_threads_batch = threads
        self.context = llama.llama_init_from_model(self.model, parameters)
        self.vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self.model))
        self.batch = llama.llama_batch_init(CONTEXT, 0, 1)

    def forget(self):
        llama.llama_memory_clear(llama.llama_get_memory(self.context), True)

    def fill(self, rows, every):
        """Rows of (token, position, sequence); logits of every row, or of the last of each sequence."""
        last = {sequence: index for index, (_, _, sequence) in enumerate(rows)}
        self.batch.n_tokens = len(rows)
        for index, (token, position, sequence) in enumerate(rows):
            self.batch.token[index], self.batch.pos[index] = token, position
            self.batch.n_seq_id[index], self.batch.seq_id[index][0] = 1, sequence
            self.batch.logits[index] = every or last[sequence] == index

    def run(self):
        if llama.llama_decode(self.context, self.batch) != 0:
            sys.exit("error: llama_decode failed")
        llama.llama_get_logits_ith(self.context, -1)

    def prefill(self, count):
        self.forget()
        self.length = int(count)
        self.fill([(token(index), index, 0) for index in range(self.length)], every=False)
        return clock.timed(self.run)

    def decode(self, count):
        return self.steps(int(count), 1)

    def chats(self, texts, prompt, count):
        self.forget()
        self.length = int(prompt)
        for sequence in range(int(texts)):
            self.fill([(token(index + sequence), index, sequence) for index in range(self.length)], every=False)
            self.run()
        return self.steps(int(count), int(texts))

    def steps(self, count, sequences):
        seconds = {"cpu_s": 0.0, "wall_s": 0.0}
        for _ in range(count):
            self.fill([(token(self.length + each), self.length, each) for each in range(sequences)], every=False)
            self.length += 1
            took = clock.timed(self.run)
            seconds = {key: seconds[key] + took[key] for key in seconds}
        return seconds

    def logits(self, tokens, path):
        self.forget()
        tokens = [int(each) for each in tokens.split(",")]
        self.fill([(each, index, 0) for index, each in enumerate(tokens)], every=True)
        self.run()
        found = llama.llama_get_logits(self.context)
        np.ctypeslib.as_array(found, (len(tokens) * self.vocabulary,)).tofile(path)
        return {"rows": len(tokens), "vocabulary": self.vocabulary}

    def about(self):
        return {"about": llama.llama_print_system_info().decode()}


def token(index):
    """Some token of any vocabulary of a thousand; the same rule in every worker."""
    return (7 * index + 3) % 1000


if __name__ == "__main__":
    path, *numbers = sys.argv[1:]
    worker = Worker(path, *map(int, numbers))
    clock.serve({name: getattr(worker, name) for name in ("prefill", "decode", "chats", "logits", "about")})
