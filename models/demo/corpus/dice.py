"""A random generator whose stream is fixed by this file alone.

Python's own `random` may change the draws behind `choice` between versions;
the corpus must be equal bit by bit wherever it is generated.
"""
import hashlib

MASK = (1 << 64) - 1


class Dice:
    """SplitMix64, seeded by any text."""

    def __init__(self, *seed):
        text = "/".join(str(part) for part in seed).encode()
        self.state = int.from_bytes(hashlib.sha256(text).digest()[:8], "little")

    def word(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        mixed = self.state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        return mixed ^ (mixed >> 31)

    def below(self, bound):
        """A number in 0..bound; the bias of the modulo is below 2^-50 for our bounds."""
        return self.word() % bound

    def between(self, low, high):
        """A number in low..=high."""
        return low + self.below(high - low + 1)

    def chance(self, percent):
        return self.below(100) < percent

    def pick(self, items):
        return items[self.below(len(items))]

    def weighted(self, table):
        """One name of `[(name, weight), …]`."""
        ticket = self.below(sum(weight for _, weight in table))
        for name, weight in table:
            if ticket < weight:
                return name
            ticket -= weight
        raise AssertionError("weights exhausted")

    def shuffled(self, items):
        items = list(items)
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]
        return items
