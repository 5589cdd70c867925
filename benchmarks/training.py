"""Seconds per training epoch of our model beside scvi.external.VELOVI's.

``python -m benchmarks.training [--cells 3700] [--genes 1100] [--threads 1] [--json FILE]``

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

import torch
from anndata import AnnData
from lightning.pytorch.callbacks import Callback
from scvi import settings
from scvi.external import VELOVI as Reference

from benchmarks.cells import simulated
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
