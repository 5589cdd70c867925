"""Our model beside scvi.external.VELOVI, trained from scratch: does the biology come out as well?

``python -m benchmarks.science run --out DIR [--data NAME] [--model NAME] [--seeds 0 1 2]``
``python -m benchmarks.science report --out DIR``

``run`` trains every model that is asked for and not yet in ``DIR``, one JSON file for each, so that
a long run can be done in parts and taken up again. Both models see the same prepared cells, the
same split and their own defaults; what is measured goes through their own methods and one
implementation of the metrics. ``report`` prints the tables as Markdown.

With ``--thin 0.25`` that share of all molecules is taken away at random before preparation, and
training ends after ``--epochs`` (50 unless told), the same for both models and all shares.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import scvi
import torch
from anndata import AnnData
from scipy.stats import spearmanr
from scvi import settings
from scvi.external import VELOVI as Reference

from benchmarks.directions import EDGES
from velovi import VELOVI, dynamics, fast_schedule, preprocess, read, simulate
from velovi.config import PreprocessOptions
from velovi.schedule import FAST_EPOCHS

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MODELS = {"reference": Reference, "ours": VELOVI, "ours, fast schedule": VELOVI}
FAST = "ours, fast schedule"
SOURCES = ("pancreas", "simulated")
THINNED = (0.0, 0.25, 0.5, 0.75)
THINNED_EPOCHS = 50
SAMPLES, FIT_SAMPLES, DIRECTIONS = 25, 20, 50


def counts(name: str) -> AnnData:
    """The cells of a data set, as counts."""
    if name == "pancreas":
        return read(DATA / "pancreas_3696x2000.h5ad")
    return simulate(n_cells=2000, n_genes=300, n_fates=3, seed=1)


def thin(adata: AnnData, share: float, seed: int) -> AnnData:
    """A copy in which each molecule was lost with probability ``share``."""
    rng = np.random.default_rng(seed)
    thinned = adata.copy()
    for name in ("spliced", "unspliced"):
        layer = sp.csr_matrix(thinned.layers[name]).copy()
        layer.data = rng.binomial(layer.data.astype(np.int64), 1 - share).astype(np.float32)
        layer.eliminate_zeros()
        thinned.layers[name] = layer
    thinned.X = thinned.layers["spliced"].copy()
    return thinned


def prepare(name: str, share: float | None, seed: int) -> AnnData:
    """Cells as both models see them; thinned ones keep the genes of the whole data."""
    whole = preprocess(counts(name), PreprocessOptions(compute_umap=share is None)).adata
    if share is None:
        return whole
    options = PreprocessOptions(genes_to_keep=tuple(whole.var_names), compute_umap=False)
    prepared = preprocess(thin(counts(name), share, seed), options).adata
    return prepared[:, [gene for gene in whole.var_names if gene in prepared.var_names]].copy()


def train(adata: AnnData, name: str, seed: int, epochs: int | None) -> tuple[Any, float]:
    """A trained model and the seconds it took."""
    settings.seed = seed
    kind: Any = MODELS[name]
    kind.setup_anndata(adata, spliced_layer="Ms", unspliced_layer="Mu")
    model = kind(adata)
    began = time.monotonic()
    quiet = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
    if name == FAST:
        schedule = fast_schedule(adata.n_obs, epochs or FAST_EPOCHS)
        model.train(**schedule, check_val_every_n_epoch=1, **quiet)
    elif epochs is None:
        model.train(**quiet)
    else:
        model.train(max_epochs=epochs, early_stopping=False, check_val_every_n_epoch=1, **quiet)
    return model, time.monotonic() - began


def held_out_elbo(model: Any) -> float:
    """Negative ELBO of the cells held out, lower is better."""
    cells = np.asarray(model.validation_indices)
    return -float(np.mean([model.get_elbo(indices=cells) for _ in range(20)]))


def measure(model: Any, adata: AnnData, name: str) -> dict[str, Any]:
    """Fit, direction, time and agreement of one trained model."""
    settings.seed = 0
    velocity = np.asarray(model.get_velocity(n_samples=SAMPLES))
    times = np.asarray(model.get_latent_time(n_samples=SAMPLES))
    spliced, unspliced = (
        np.asarray(item) for item in model.get_expression_fit(n_samples=FIT_SAMPLES)
    )
    neighbours = adata.obsp["distances"]
    graph = dynamics.velocity_graph(velocity, adata.layers["Ms"], neighbours)
    transition = dynamics.transition_matrix(graph)
    shared = dynamics.shared_latent_time(times, transition, adata.obsp["connectivities"])
    found: dict[str, Any] = {
        "held_out_elbo": held_out_elbo(model),
        "mse_spliced": float(np.median(((spliced - adata.layers["Ms"]) ** 2).mean(axis=0))),
        "mse_unspliced": float(np.median(((unspliced - adata.layers["Mu"]) ** 2).mean(axis=0))),
        "confidence": float(np.median(dynamics.velocity_confidence(velocity, neighbours))),
    }
    if name in EDGES:
        umap = adata.obsm["X_umap"]
        scores = dynamics.cbdir(
            umap,
            dynamics.project(transition, umap),
            neighbours,
            adata.obs["clusters"].to_numpy(),
            EDGES[name],
        )
        found["cbdir"] = {
            f"{a} -> {b}": float(mean)
            for (a, b), mean in zip(scores.edges, scores.mean, strict=True)
        }
    if "true_time" in adata.obs:
        truth = counts(name)[:, adata.var_names]
        known = truth.layers["true_velocity"]
        per_gene = [np.corrcoef(velocity[:, g], known[:, g])[0, 1] for g in range(adata.n_vars)]
        true_time = adata.obs["true_time"]
        found["velocity_correlation"] = float(np.nanmedian(per_gene))
        found["time_spearman"] = float(spearmanr(shared.time, true_time).statistic)
    return found


def uncertainty(model: Any) -> float:
    """Median over cells of log10 of the variance of directional cosines."""
    settings.seed = 0
    table, _ = model.get_directional_uncertainty(n_samples=DIRECTIONS)
    return float(np.median(np.log10(table["directional_cosine_sim_variance"])))


def one(name: str, kind: str, seed: int, share: float | None, epochs: int) -> dict[str, Any]:
    """Everything about one training."""
    adata = prepare(name, share, seed)
    model, seconds = train(adata, kind, seed, None if share is None else epochs)
    validation = model.history["elbo_validation"].to_numpy(dtype=float).ravel()
    found = {
        "data": name,
        "model": kind,
        "seed": seed,
        "thinned": share,
        "cells": adata.n_obs,
        "genes": adata.n_vars,
        "epochs": len(validation),
        "seconds": seconds,
        "elbo_validation_last": float(validation[-1]),
        "elbo_validation_best": float(validation.min()),
        "log10_cosine_variance": uncertainty(model),
    }
    return found if share is not None else {**found, **measure(model, adata, name)}


def run(given: argparse.Namespace) -> None:
    """Train and measure what is asked for and not there."""
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    shares: list[float | None] = [None] if given.thin is None else list(given.thin)
    for seed in given.seeds:
        for name in given.data:
            for share in shares:
                for kind in given.model:
                    part = "whole" if share is None else f"thin{100 * share:g}"
                    path = given.out / f"{name}-{part}-{seed}-{kind}.json".replace(", ", "-")
                    if path.exists():
                        continue
                    found = one(name, kind, seed, share, given.epochs)
                    path.write_text(json.dumps(found, indent=1) + "\n")
                    print(path.name, f"{found['epochs']} epochs, {found['seconds']:.0f} s")


def load(out: Path) -> list[dict[str, Any]]:
    """All results in a folder."""
    return [json.loads(path.read_text()) for path in sorted(out.glob("*.json"))]


ROWS = {
    "held_out_elbo": ("negative ELBO of the held-out cells (lower is better)", "{:.1f}"),
    "mse_spliced": ("median over genes of the mean squared error, spliced (lower)", "{:.5f}"),
    "mse_unspliced": ("the same, unspliced (lower)", "{:.5f}"),
    "confidence": ("median velocity confidence (higher)", "{:.3f}"),
    "velocity_correlation": (
        "median over genes, correlation with the truth (higher)",
        "{:.3f}",
    ),
    "time_spearman": ("Spearman of shared with true time (higher)", "{:.3f}"),
    "log10_cosine_variance": ("median log10 variance of directional cosines", "{:.2f}"),
    "epochs": ("epochs until training stopped", "{:.0f}"),
}


def tables(results: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown, a line at a time."""
    for name in SOURCES:
        whole = [
            result for result in results if result["data"] == name and result["thinned"] is None
        ]
        if not whole:
            continue
        yield f"\n### {name.capitalize()}: {whole[0]['cells']} cells, {whole[0]['genes']} genes\n"
        seeds = sorted({item["seed"] for item in whole})
        shown = [kind for kind in MODELS if any(item["model"] == kind for item in whole)]
        heads = [f"{kind}, seed {seed}" for kind in shown for seed in seeds]
        yield "| | " + " | ".join(heads) + " |"
        yield "|---" * (len(heads) + 1) + "|"
        for key, (label, form) in ROWS.items():
            if key in whole[0]:
                values = [_find(whole, k, s).get(key) for k in shown for s in seeds]
                yield _row(label, values, form)
        for edge in whole[0].get("cbdir", ()):
            values = [_find(whole, k, s).get("cbdir", {}).get(edge) for k in shown for s in seeds]
            yield _row(f"CBDir {edge} (higher)", values, "{:.3f}")
        thinned = [
            result for result in results if result["data"] == name and result["thinned"] is not None
        ]
        if not thinned:
            continue
        yield "\nMedian log10 variance of directional cosines:\n"
        shown = [kind for kind in MODELS if any(item["model"] == kind for item in thinned)]
        lasted = {item["model"]: item["epochs"] for item in thinned}
        heads = [f"{kind}, {lasted[kind]} epochs, seed {seed}" for kind in shown for seed in seeds]
        yield "| molecules taken away | " + " | ".join(heads) + " |"
        yield "|---" * (len(heads) + 1) + "|"
        for share in THINNED:
            level = [item for item in thinned if item["thinned"] == share]
            values = [_find(level, k, s).get("log10_cosine_variance") for k in shown for s in seeds]
            yield _row(f"{100 * share:g} %", values, "{:.3f}")


HEAD = f"""# What two trained models say of the biology

`velovi.VELOVI` beside `scvi.external.VELOVI` {scvi.__version__} on Python
{platform.python_version()}, torch {torch.__version__}, trained from scratch with the defaults of
`train()` and, for ours, with `fast_schedule` too (the app's default), three seeds each: the same
prepared cells, the same held-out cells for one seed, one implementation of the metrics (that of
`velovi.dynamics`), 25 posterior samples,
CBDir on the UMAP over the 29 neighbours of the kNN graph. Made by

```sh
python -m benchmarks.science run --out DIR
python -m benchmarks.science run --out DIR --model reference ours --thin 0 0.25 0.5 0.75
python -m benchmarks.science run --out DIR --model "ours, fast schedule" --data simulated \\
    --thin 0 0.25 0.5 0.75 --epochs 150
python -m benchmarks.science report --out DIR > docs/validation.md
```

The spread over the seeds of one model is the noise to compare with. Intrinsic uncertainty
should rise as molecules are taken away."""


def _find(results: list[dict[str, Any]], kind: str, seed: int) -> dict[str, Any]:
    return next(
        (result for result in results if result["model"] == kind and result["seed"] == seed), {}
    )


def _row(label: str, values: list[float | None], form: str) -> str:
    shown = ["not run" if value is None else form.format(value) for value in values]
    return f"| {label} | " + " | ".join(shown) + " |"


def main() -> None:
    """Run or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("run", "report"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", nargs="+", choices=SOURCES, default=SOURCES)
    parser.add_argument("--model", nargs="+", choices=tuple(MODELS), default=tuple(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--thin", nargs="+", type=float)
    parser.add_argument("--epochs", type=int, default=THINNED_EPOCHS)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    if given.what == "run":
        run(given)
    else:
        print(HEAD, *tables(load(given.out)), sep="\n")


if __name__ == "__main__":
    main()
