"""Trains the risk model with numpy alone and writes its weights and what was measured on held-out paths.

    python train.py --out build          a few minutes on one core

The data is the same bytes everywhere (data.py). The weights are not: matrix products are summed in an order that the linear
algebra library chooses. Re-training gives held-out figures within 1 % of those in CARD.md, not the same file; the published
file is named by its SHA-256 in MANIFEST.json.
"""

import argparse
import json
import pathlib

import numpy as np

import data

WIDTHS = (data.RETURNS + len(data.STATISTICS), 160, 96, 48)
HEADS = {"volatility": 1, "risk_score": 1, "regime": 3}
RETURN_LIMIT, STATISTIC_LIMIT = 15.0, 60.0  # the model clips its inputs to these
STATISTIC_SCALE = np.array([1.0, 1.0, 0.125, 0.25], np.float32)  # brings the statistics to one order of magnitude
BATCH, EPOCHS, RATE, DECAY = 512, 10, 2e-3, 1e-3


def features(rows: dict) -> np.ndarray:
    returns = np.clip(rows["returns"], -RETURN_LIMIT, RETURN_LIMIT)
    statistics = np.clip(rows["statistics"], 0.0, STATISTIC_LIMIT) * STATISTIC_SCALE
    return np.concatenate([returns, statistics], axis=1)


def initial(seed: int) -> dict[str, np.ndarray]:
    source, weights = data.Source(seed, 4), {}
    for layer, (inputs, outputs) in enumerate(zip(WIDTHS, WIDTHS[1:] + (sum(HEADS.values()),))):
        size = np.sqrt((2.0 if layer + 1 < len(WIDTHS) else 1.0) / inputs)
        weights[f"w{layer}"] = (source.bell(inputs * outputs).reshape(outputs, inputs) * size).astype(np.float32)
        weights[f"b{layer}"] = np.zeros(outputs, np.float32)
    return weights


def forward(weights: dict, x: np.ndarray) -> list[np.ndarray]:
    """Every layer's input, then the raw heads."""
    kept = [x]
    for layer in range(len(WIDTHS)):
        x = x @ weights[f"w{layer}"].T + weights[f"b{layer}"]
        x = np.maximum(x, 0.0) if layer + 1 < len(WIDTHS) else x
        kept.append(x)
    return kept


def read_out(raw: np.ndarray) -> dict[str, np.ndarray]:
    shifted = np.exp(raw[:, 2:] - raw[:, 2:].max(axis=1, keepdims=True))
    return {
        "volatility": np.exp(raw[:, 0]),
        "risk_score": 1.0 / (1.0 + np.exp(-raw[:, 1])),
        "regime": shifted / shifted.sum(axis=1, keepdims=True),
    }


def slope(raw: np.ndarray, rows: dict) -> np.ndarray:
    """Gradient of the loss: QLIKE of the variance, cross entropy of the loss event, cross entropy of the regime."""
    out, count = read_out(raw), len(raw)
    grad = np.empty_like(raw)
    grad[:, 0] = 0.5 * (1.0 - (rows["volatility"] / out["volatility"]) ** 2)
    grad[:, 1] = out["risk_score"] - rows["loss"]
    grad[:, 2:] = out["regime"]
    grad[np.arange(count), 2 + rows["regime"]] -= 1.0
    return np.clip(grad, -2.0, 2.0) / count


def gradients(weights: dict, rows: dict, x: np.ndarray) -> dict[str, np.ndarray]:
    kept = forward(weights, x)
    back, grads = slope(kept[-1], rows), {}
    for layer in reversed(range(len(WIDTHS))):
        grads[f"w{layer}"] = back.T @ kept[layer] + DECAY * weights[f"w{layer}"]
        grads[f"b{layer}"] = back.sum(axis=0)
        back = (back @ weights[f"w{layer}"]) * (kept[layer] > 0.0)
    return grads


def train(rows: dict, tune: dict, seed: int) -> dict[str, np.ndarray]:
    weights, x = initial(seed), features(rows)
    first = {key: np.zeros_like(value) for key, value in weights.items()}
    second = {key: np.zeros_like(value) for key, value in weights.items()}
    steps, step, source = EPOCHS * (len(x) // BATCH), 0, data.Source(seed, 5)
    for epoch in range(EPOCHS):
        order = np.argsort(source.raw(len(x)), kind="stable")
        for start in range(0, len(x) - BATCH + 1, BATCH):
            pick = order[start : start + BATCH]
            batch = {key: value[pick] for key, value in rows.items()}
            step += 1
            rate = RATE * min(1.0, step / 200) * 0.5 * (1.0 + np.cos(np.pi * step / steps))
            for key, grad in gradients(weights, batch, x[pick]).items():
                first[key] += 0.1 * (grad - first[key])
                second[key] += 0.001 * (grad * grad - second[key])
                mean, spread = first[key] / (1.0 - 0.9**step), second[key] / (1.0 - 0.999**step)
                weights[key] -= (rate * mean / (np.sqrt(spread) + 1e-8)).astype(np.float32)
        print(f"epoch {epoch + 1:2d} of {EPOCHS}", json.dumps(score(read_out(forward(weights, features(tune))[-1]), tune)), flush=True)
    return weights


def score(out: dict, rows: dict) -> dict[str, float]:
    """QLIKE and squared log error of the volatility, Brier score and area under the curve of the loss, accuracy of the regime."""
    ratio = (np.maximum(rows["volatility"], 0.02) / np.maximum(out["volatility"].reshape(-1), 1e-3)) ** 2
    event, chance = rows["loss"] > 0, out["risk_score"].reshape(-1)
    found = {
        "qlike": float(np.mean(ratio - np.log(ratio) - 1.0)),
        "log_rmse": float(np.sqrt(np.mean((0.5 * np.log(ratio)) ** 2))),
        "brier": float(np.mean((chance - event) ** 2)),
        "auc": area(chance, event),
        "regime_accuracy": float(np.mean(out["regime"].argmax(axis=1) == rows["regime"])),
    }
    return {key: round(value, 5) for key, value in found.items()}


def area(chance: np.ndarray, event: np.ndarray) -> float:
    _, group, size = np.unique(chance, return_inverse=True, return_counts=True)
    rank = (np.cumsum(size) - (size - 1) / 2.0)[group]
    hits = int(event.sum())
    return float((rank[event].sum() - hits * (hits + 1) / 2) / (hits * (len(event) - hits)))


def baseline(rows: dict, column: int) -> dict[str, np.ndarray]:
    """The naive scorer: one known volatility as forecast; a driftless random walk's chance to pass the limit; a threshold."""
    volatility = np.maximum(rows["statistics"][:, column].astype(np.float64), 1e-3)
    away = data.LOSS_LIMIT / (volatility * np.sqrt(data.HORIZON))
    chance = 2.0 * normal_tail(away)
    regime = np.eye(3)[sum((volatility >= limit).astype(int) for limit in data.REGIME_LIMITS)]
    return {"volatility": volatility, "risk_score": chance, "regime": regime}


def normal_tail(x: np.ndarray) -> np.ndarray:
    """P(normal > x) for x >= 0 (Abramowitz and Stegun 26.2.17, error under 1e-7)."""
    t = 1.0 / (1.0 + 0.2316419 * x)
    polynomial = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    return np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi) * polynomial


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    weights = train(data.split("train"), data.split("tune"), options.seed)
    test = data.split("test")
    metrics = {"model": score(read_out(forward(weights, features(test))[-1]), test)}
    metrics |= {f"baseline_{data.STATISTICS[column]}": score(baseline(test, column), test) for column in (0, 1)}
    np.savez(options.out / "weights.npz", **weights)
    (options.out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    print(json.dumps(metrics, indent=1))


if __name__ == "__main__":
    main()
