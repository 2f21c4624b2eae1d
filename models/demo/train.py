"""Trains the demo model on the processors of one machine.

    python3 train.py STATE [--workers 2]

Single-threaded workers share parameters and gradients in memory and take
micro-batches and tensors from a common list, so a worker that is held up by
other programs delays the rest little. Every micro-batch has a gradient slot
of its own and the slots are added in a fixed order: the weights do not depend
on the number of workers, nor on who was faster. STATE/checkpoint.pt is
written regularly; started again, the run goes on from there.
"""
import argparse
import os
import pathlib
import time

# Waiting workers must sleep: the machine is shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.multiprocessing as processes
import torch.nn.functional as functional
from tokenizers import Tokenizer

import batches
import probe
from model import DemoModel
from optimizer import Optimizer

SEED = 7
# The step at which each stage of the corpus begins.
STAGE_STEPS = {1: 0, 2: 1600, 3: 2000}
STEPS = 2600
# (step, share of the full rate), straight lines between: warm-up, flat, then
# down to zero, which gives most of the quality.
SCHEDULE = [(0, 1 / 40), (39, 1.0), (900, 1.0), (1600, 2 / 3), (STEPS, 0.0)]


def rate_factor(step):
    for (left, low), (right, high) in zip(SCHEDULE, SCHEDULE[1:]):
        if step < right:
            return low + (high - low) * (step - left) / (right - left)
    return 0.0


class TaskList:
    """Hands out the tasks of each round to whoever asks first."""

    def __init__(self, context, per_round, first_round):
        self.per_round = per_round
        self.next = context.Value("q", per_round * first_round)

    def take(self, round_):
        with self.next.get_lock():
            task = self.next.value
            if task >= (round_ + 1) * self.per_round:
                return None
            self.next.value = task + 1
            return task - round_ * self.per_round


class Run:
    """What the workers share. Built before the fork, so that all of it is common memory."""

    def __init__(self, options):
        self.options = options
        self.stages = {stage: self._stage(stage) for stage in STAGE_STEPS}
        torch.manual_seed(SEED)
        self.model = DemoModel()
        self.model.share_memory()
        self.parameters = list(self.model.named_parameters())
        self.optimizer = Optimizer(self.parameters)
        self.slots = [[torch.zeros_like(p).share_memory_() for _, p in self.parameters]
                      for _ in range(batches.MICROS_PER_STEP)]
        self.first_step = self._resume()
        context = processes.get_context("fork")
        self.context = context
        self.barrier = context.Barrier(options.workers)
        self.micro_tasks = TaskList(context, batches.MICROS_PER_STEP, self.first_step)
        self.tensor_tasks = TaskList(context, len(self.parameters), self.first_step)
        self.losses = torch.zeros(batches.MICROS_PER_STEP).share_memory_()
        # The largest tensors first, so that no worker ends with a long one.
        self.tensor_order = sorted(range(len(self.parameters)), key=lambda i: (-self.parameters[i][1].numel(), i))

    def _stage(self, stage):
        rows = batches.Rows(self.options.state / f"rows-{stage}.npz")
        micros = batches.plan(rows, SEED if stage == 1 else f"{SEED} stage {stage}")
        steps = STAGE_STEPS.get(stage + 1, STEPS) - STAGE_STEPS[stage]
        if steps * batches.MICROS_PER_STEP > len(micros):
            raise SystemExit(f"rows-{stage}.npz lasts for {len(micros) // batches.MICROS_PER_STEP} of {steps} steps")
        return rows, micros

    def micro_batch(self, step, task):
        stage = max(stage for stage, first in STAGE_STEPS.items() if step >= first)
        rows, micros = self.stages[stage]
        within = step - STAGE_STEPS[stage]
        return rows.micro_batch(micros[within * batches.MICROS_PER_STEP + task])

    def _resume(self):
        path = self.options.state / "checkpoint.pt"
        if not path.exists():
            return 0
        saved = torch.load(path, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.optimizer.load(saved["optimizer"])
        return saved["step"]

    def save(self, step):
        path = self.options.state / "checkpoint.pt"
        torch.save({"model": self.model.state_dict(), "optimizer": self.optimizer.saved(), "step": step}, f"{path}.new")
        os.replace(f"{path}.new", path)


def gradient_of(run, step, task):
    """Fills one gradient slot from one micro-batch."""
    inputs, targets, weight = run.micro_batch(step, task)
    logits = run.model(inputs)
    losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    loss = (losses * weight.flatten()).sum() / (batches.MICRO_TOKENS * 0.45)
    loss.backward()
    with torch.no_grad():
        for (_, parameter), slot in zip(run.parameters, run.slots[task]):
            slot.copy_(parameter.grad)
            parameter.grad = None
        written = weight.flatten() == 1
        run.losses[task] = losses[written].sum() / written.sum()


def worker(rank, run):
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(run.options.state / "tokenizer.json"))
    examples = probe.examples(tokenizer) if rank == 0 else None
    log = open(run.options.state / "train.log", "a") if rank == 0 else None
    started, smooth = time.time(), None
    for step in range(run.first_step, STEPS):
        while (task := run.micro_tasks.take(step)) is not None:
            gradient_of(run, step, task)
        run.barrier.wait()
        factor = rate_factor(step)
        while (task := run.tensor_tasks.take(step)) is not None:
            at = run.tensor_order[task]
            run.optimizer.update(at, [slot[at] for slot in run.slots], step, factor)
        if rank == 0:
            mean = run.losses.mean().item()
            smooth = mean if smooth is None else 0.98 * smooth + 0.02 * mean
        run.barrier.wait()
        done = step + 1
        if rank == 0 and (done % 50 == 0 or done == STEPS):
            line = f"{time.strftime('%H:%M:%S')} step {done} loss {smooth:.4f} rate {factor:.3f}"
            line += f" {(time.time() - started) / (done - run.first_step):.3f} s/step load {os.getloadavg()[0]:.1f}"
            if done % run.options.probe == 0 or done == STEPS:
                line += " " + probe.report(run.model, examples)
                run.save(done)
            print(line, file=log, flush=True)
        if done % run.options.probe == 0:
            # Nobody may change weights that are being saved.
            run.barrier.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("state", type=pathlib.Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--probe", type=int, default=200, help="steps between checkpoints")
    run = Run(parser.parse_args())
    total = sum(p.numel() for _, p in run.parameters)
    print(f"{total} parameters, from step {run.first_step} of {STEPS}", flush=True)
    crew = [run.context.Process(target=worker, args=(rank, run)) for rank in range(run.options.workers)]
    for member in crew:
        member.start()
    for member in crew:
        member.join()


if __name__ == "__main__":
    main()
