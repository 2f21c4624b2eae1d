"""The data of the risk model: simulated hourly returns of assets whose volatility clusters, jumps between regimes and has memory.

Same bytes on every machine: the random numbers are a counter-based integer hash, and everything after them is IEEE addition,
subtraction, multiplication, division and square root, one element at a time, in the order written here. No exp, log or sin, no
library random generator, no sum whose order a library may choose.

    python data.py            prints the rows, the first row and the SHA-256 of every split
"""

import hashlib

import numpy as np

RETURNS = 32  # recent returns that the model sees, oldest first
STATISTICS = ("ewma_volatility", "long_volatility", "drawdown", "largest_move")
HORIZON = 24  # hours ahead that the model answers for
MEMORY = 256  # hours behind the long statistics
LOSS_LIMIT = 5.0  # percent: the loss whose probability is the risk score
EWMA_DECAY = 0.94
WARM_UP = 512  # hours thrown away, so that no path starts in a special state
STRIDE = 16  # hours between two samples of one path
REGIME_LIMITS = (0.45, 1.1)  # percent an hour: below the first calm, from the second turbulent

# name: (stream of random numbers, paths, samples per path)
SPLITS = {"train": (1, 4096, 60), "tune": (2, 512, 40), "test": (3, 1024, 40)}

# Regime 0 calm, 1 normal, 2 turbulent: factor on the volatility, chance to leave in an hour, chance that it leaves downwards.
REGIME_FACTOR = np.array([0.6, 1.0, 2.3])
REGIME_LEAVE = np.array([1 / 160, 1 / 120, 1 / 60])
REGIME_DOWN = np.array([0.0, 0.6, 1.0])


def words(seed: int, stream: int, start: int, count: int) -> np.ndarray:
    """`count` 64-bit words of a stream from position `start`: the splitmix64 finaliser over a counter."""
    with np.errstate(over="ignore"):
        x = np.arange(start, start + count, dtype=np.uint64)
        x += np.uint64((seed << 48) + (stream << 40))
        x = x * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


class Source:
    """One stream of random numbers, read forward."""

    def __init__(self, seed: int, stream: int):
        self.seed, self.stream, self.position = seed, stream, 0

    def raw(self, count: int) -> np.ndarray:
        self.position += count
        return words(self.seed, self.stream, self.position - count, count)

    def uniform(self, count: int) -> np.ndarray:
        """In [0, 1), 53 bits, exact."""
        return (self.raw(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def bell(self, count: int) -> np.ndarray:
        """Near-normal, variance 1: the sum of twelve 16-bit uniforms, exact in integers."""
        total = np.zeros(count, np.int64)
        for _ in range(3):
            word = self.raw(count)
            for shift in (0, 16, 32, 48):
                total += ((word >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.int64)
        return (total.astype(np.float64) - 6.0 * 65535.0) / 65536.0


def simulate(source: Source, paths: int, hours: int) -> np.ndarray:
    """Hourly returns in percent, [hours, paths]: GJR-GARCH(1,1) around a switching level, with fat-tailed shocks."""
    level = source.uniform(paths)
    level = 0.3 + 1.2 * level * level
    alpha = 0.03 + 0.09 * source.uniform(paths)
    gamma = 0.08 * source.uniform(paths)
    beta = (0.90 + 0.09 * source.uniform(paths)) - alpha - 0.5 * gamma
    omega = level * level * (1.0 - alpha - 0.5 * gamma - beta)
    variance = level * level
    regime = np.ones(paths, np.int64)
    returns = np.empty((hours, paths))
    for hour in range(hours):
        regime = step_regime(source, regime)
        shock = source.bell(paths) * tail(source.uniform(paths))
        base = np.sqrt(variance) * shock
        returns[hour] = np.maximum(np.minimum(REGIME_FACTOR[regime] * base, 25.0), -25.0)
        variance = omega + (alpha + np.where(base < 0.0, gamma, 0.0)) * (base * base) + beta * variance
    return returns


def step_regime(source: Source, regime: np.ndarray) -> np.ndarray:
    leaves = source.uniform(regime.size) < REGIME_LEAVE[regime]
    down = source.uniform(regime.size) < REGIME_DOWN[regime]
    return np.where(leaves, np.where(down, regime - 1, regime + 1), regime)


def tail(uniform: np.ndarray) -> np.ndarray:
    """Scale mixture that makes the shocks fat-tailed (kurtosis about 5) at variance near 1."""
    return np.where(uniform < 0.80, 0.825, np.where(uniform < 0.97, 1.31, 2.33))


def statistics(returns: np.ndarray) -> np.ndarray:
    """[hours, paths, 4]: what `STATISTICS` names, as known after each hour. The first `MEMORY` hours are not defined."""
    hours, paths = returns.shape
    out = np.zeros((hours, paths, len(STATISTICS)))
    ewma, squares, log_price = returns[0] * returns[0], np.zeros(paths), np.zeros((hours + 1, paths))
    for hour in range(hours):
        now = returns[hour]
        ewma = EWMA_DECAY * ewma + (1.0 - EWMA_DECAY) * (now * now)
        squares = squares + now * now
        log_price[hour + 1] = log_price[hour] + now
        if hour >= MEMORY:
            gone = returns[hour - MEMORY]
            squares = np.maximum(squares - gone * gone, 0.0)
            out[hour, :, 0] = np.sqrt(ewma)
            out[hour, :, 1] = np.sqrt(squares / MEMORY)
            out[hour, :, 2] = log_price[hour + 1 - MEMORY : hour + 2].max(axis=0) - log_price[hour + 1]
            out[hour, :, 3] = np.abs(returns[hour + 1 - MEMORY : hour + 1]).max(axis=0)
    return out


def targets(future: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of [HORIZON, paths] coming returns: realised volatility, whether the loss passes the limit, the regime."""
    squares, total, worst = np.zeros(future.shape[1]), np.zeros(future.shape[1]), np.zeros(future.shape[1])
    for hour in range(HORIZON):
        squares = squares + future[hour] * future[hour]
        total = total + future[hour]
        worst = np.minimum(worst, total)
    realised = np.sqrt(squares / HORIZON)
    regime = (realised >= REGIME_LIMITS[0]).astype(np.int64) + (realised >= REGIME_LIMITS[1]).astype(np.int64)
    return realised, (worst <= -LOSS_LIMIT), regime


def split(name: str, seed: int = 7, paths: int | None = None) -> dict[str, np.ndarray]:
    """One split as arrays. Inputs are rounded to 1/4096 percent, which f32 and decimal text both carry exactly.

    Fewer `paths` than the split has give other rows, not the first ones: the paths share one stream.
    """
    stream, all_paths, samples = SPLITS[name]
    paths = all_paths if paths is None else paths
    returns = simulate(Source(seed, stream), paths, WARM_UP + samples * STRIDE + HORIZON)
    known = statistics(returns)
    rows = {"returns": [], "statistics": [], "volatility": [], "loss": [], "regime": []}
    for sample in range(samples):
        now = WARM_UP + sample * STRIDE
        realised, loss, regime = targets(returns[now : now + HORIZON])
        rows["returns"].append(grid(returns[now - RETURNS : now].T))
        rows["statistics"].append(grid(known[now - 1]))
        rows["volatility"].append(realised.astype(np.float32))
        rows["loss"].append(loss.astype(np.float32))
        rows["regime"].append(regime.astype(np.int8))
    return {key: np.ascontiguousarray(np.concatenate(value)) for key, value in rows.items()}


def grid(x: np.ndarray) -> np.ndarray:
    return (np.rint(x * 4096.0) / 4096.0).astype(np.float32)


def digest(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over name, shape and little-endian bytes of each array, in the order of the dictionary."""
    hasher = hashlib.sha256()
    for name, array in arrays.items():
        hasher.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        hasher.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return hasher.hexdigest()


if __name__ == "__main__":
    for name in SPLITS:
        arrays = split(name)
        print(name, len(arrays["loss"]), "rows", digest(arrays))
        print("  first statistics", arrays["statistics"][0].tolist(), "share of losses", float(arrays["loss"].mean()))
        print("  regimes", np.bincount(arrays["regime"]).tolist(), "volatility", np.percentile(arrays["volatility"], [1, 50, 99]))
        print("  returns", np.percentile(arrays["returns"], [0.01, 1, 50, 99, 99.99]))
