"""Seconds per training epoch of our model beside scvi.external.VELOVI's.

``python -m tests.benchmarks.training [--cells 3700] [--genes 1100] [--threads 1] [--json FILE]``

Both train through ``model.train`` with its defaults, validation and early stopping included, on
the same simulated cells. They take turns, so that a machine that becomes slower meets both; what
counts is the median of the ratios.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from lightning.pytorch.callbacks import Callback
from scvi import settings
from scvi.external import VELOVI as Reference

from velovi import VELOVI

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
KINDS = {"reference": Reference, "ours": VELOVI}


class Clock(Callback):
    """Seconds from one epoch's end to the next, validation included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        now = time.perf_counter()
        if self._last:
            self.seconds.append(now - self._last)
        self._last = now


def simulated(cells: int, genes: int, seed: int = 0) -> AnnData:
    """Cells along the closed-form dynamics with noise, scaled to [0, 1] for each gene."""
    rng = np.random.default_rng(seed)
    alpha, beta, gamma = (rng.lognormal(mean, 0.3, genes) for mean in (0.0, -0.5, -1.0))
    since, switch = rng.uniform(0, 20, (cells, 1)), rng.uniform(4, 12, genes)

    def after(on: np.ndarray, off: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mixed = alpha / (gamma - beta)
        u = alpha / beta * (1 - np.exp(-beta * on))
        s = alpha / gamma * (1 - np.exp(-gamma * on)) + mixed * (
            np.exp(-gamma * on) - np.exp(-beta * on)
        )
        fallen = beta * u / (gamma - beta) * (np.exp(-beta * off) - np.exp(-gamma * off))
        return u * np.exp(-beta * off), s * np.exp(-gamma * off) + fallen

    u, s = after(np.minimum(since, switch), np.maximum(since - switch, 0))
    noisy = [np.maximum(x * rng.normal(1, 0.1, x.shape), 0) for x in (s, u)]
    scaled = [((x - x.min(0)) / np.ptp(x, axis=0)).astype(np.float32) for x in noisy]
    return AnnData(np.zeros_like(scaled[0]), layers=dict(zip(("Ms", "Mu"), scaled, strict=True)))


def epochs(kind: type, adata: AnnData, n: int) -> list[float]:
    """Seconds of ``n`` epochs after the first, which warms up."""
    settings.seed = 0
    kind.setup_anndata(adata, spliced_layer="Ms", unspliced_layer="Mu")
    model, clock = kind(adata), Clock()
    model.train(max_epochs=n + 2, callbacks=[clock], **QUIET)
    return clock.seconds[1:]


def compare(cells: int, genes: int, repeats: int, n_epochs: int) -> dict[str, Any]:
    """Medians over interleaved trainings."""
    adata = simulated(cells, genes)
    times: dict[str, list[float]] = {name: [] for name in KINDS}
    for _ in range(repeats):
        for name, kind in KINDS.items():
            times[name].append(median(epochs(kind, adata, n_epochs)))
    ratios = [a / b for a, b in zip(times["reference"], times["ours"], strict=True)]
    return {
        "cells": cells,
        "genes": genes,
        "threads": torch.get_num_threads(),
        "seconds_per_epoch": times,
        "median": {name: median(values) for name, values in times.items()},
        "ratio": median(ratios),
        "ratios": ratios,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=3700)
    parser.add_argument("--genes", type=int, default=1100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3, help="trainings of each kind")
    parser.add_argument("--epochs", type=int, default=3, help="timed epochs in each training")
    parser.add_argument("--json", type=Path, help="write the measurements here")
    chosen = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(chosen.threads)
    found = compare(chosen.cells, chosen.genes, chosen.repeats, chosen.epochs)
    print(f"{chosen.cells} cells x {chosen.genes} genes, threads: {chosen.threads}")
    print(f"{'':12}{'s/epoch':>10}{'all medians':>30}")
    for name, values in found["seconds_per_epoch"].items():
        each = " ".join(f"{v:.2f}" for v in values)
        print(f"{name:12}{found['median'][name]:10.3f}{each:>30}")
    each = " ".join(f"{v:.2f}" for v in found["ratios"])
    print(f"{'ratio':12}{found['ratio']:10.2f}{each:>30}")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
