"""Which rows are trained together, decided once for the whole run.

Rows of like length share a micro-batch, so little is padding and no row sees
another one; a step is a fixed number of micro-batches.
"""
import numpy
import torch

from corpus.dice import Dice

MICRO_TOKENS = 1024
MICROS_PER_STEP = 4
# Rows are sorted by length only within a window, so that a step mixes kinds.
WINDOW_ROWS = 4096
# The words of the user are partly random; they teach the embedding a little.
PROMPT_WEIGHT = 0.1


class Rows:
    def __init__(self, path):
        stored = numpy.load(path)
        self.ids = stored["ids"]
        self.written = stored["written"]
        self.ends = stored["ends"]
        self.starts = numpy.concatenate([[0], self.ends[:-1]])

    def __len__(self):
        return len(self.ends)

    def length(self, row):
        return int(self.ends[row] - self.starts[row])

    def micro_batch(self, rows):
        """Padded inputs, targets and loss weights of some rows."""
        longest = max(self.length(row) for row in rows)
        ids = numpy.zeros((len(rows), longest), numpy.int64)
        weight = numpy.zeros((len(rows), longest), numpy.float32)
        for at, row in enumerate(rows):
            span = slice(self.starts[row], self.ends[row])
            length = self.length(row)
            ids[at, :length] = self.ids[span]
            weight[at, :length] = numpy.where(self.written[span], 1.0, PROMPT_WEIGHT)
        ids, weight = torch.from_numpy(ids), torch.from_numpy(weight)
        return ids[:, :-1], ids[:, 1:], weight[:, 1:]


def plan(rows, seed):
    """All micro-batches of one pass over the corpus, in training order."""
    order = Dice(seed, "row order").shuffled(range(len(rows)))
    micros = []
    for window, start in enumerate(range(0, len(order), WINDOW_ROWS)):
        chunk = sorted(order[start:start + WINDOW_ROWS], key=lambda row: (rows.length(row), row))
        cut, current = [], []
        for row in chunk:
            # The chunk ascends, so the newest row is the padded length.
            if current and (len(current) + 1) * rows.length(row) > MICRO_TOKENS:
                cut.append(current)
                current = []
            current.append(row)
        cut.append(current)
        micros += Dice(seed, "window", window).shuffled(cut)
    return micros
