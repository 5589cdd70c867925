"""One piece of work, once, in a process of its own: seconds and memory as a line of JSON.

``python benchmarks/work.py ROW WHO [--cells N] [--genes N] [--threads N]``

The caller is :mod:`benchmarks`; it is a script so that it runs in environments of others. A
small piece is done first, so that compiling and first calls are not counted; memory is how far
the process' peak rises above what it held before.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData
from cells import with_neighbours

SAMPLES, DIRECTIONS, EXTRINSIC = 25, 100, 25
CALLS = (
    "get_velocity",
    "get_latent_time",
    "get_state_assignment",
    "get_expression_fit",
    "get_gene_likelihood",
)
Work = Callable[[], Any]


def model_of(who: str, adata: AnnData) -> Any:
    """A model with starting values, which costs as much to ask as a trained one."""
    from scvi import settings
    from scvi.external import VELOVI as Reference

    from velovi import VELOVI

    settings.seed = 0
    kind = VELOVI if who == "ours" else Reference
    kind.setup_anndata(adata, spliced_layer="Ms", unspliced_layer="Mu")
    model = kind(adata)
    model.is_trained = True
    model.module.eval()
    return model


def posterior(who: str, adata: AnnData) -> Work:
    """Velocity, time, states, fit and likelihood, 25 samples."""
    model = model_of(who, adata)
    if who == "ours":
        return lambda: model.get_posterior_summary(SAMPLES, quantiles=())
    return lambda: (
        model.get_velocity(n_samples=SAMPLES),
        model.get_latent_time(n_samples=SAMPLES),
        model.get_state_assignment(n_samples=SAMPLES),
        model.get_expression_fit(n_samples=SAMPLES),
        model.get_gene_likelihood(n_samples=SAMPLES),
    )


def calls(who: str, adata: AnnData) -> Work:
    """The five drop-in calls together, 25 samples."""
    model = model_of(who, adata)
    return lambda: [getattr(model, name)(n_samples=SAMPLES) for name in CALLS]


def _call(name: str) -> Callable[[str, AnnData], Work]:
    def row(who: str, adata: AnnData) -> Work:
        model = model_of(who, adata)
        return lambda: getattr(model, name)(n_samples=SAMPLES)

    row.__name__ = name
    row.__doc__ = f"{name}, 25 samples."
    return row


def summary(who: str, adata: AnnData) -> Work:
    """Summary with its default quantiles: the reference's five calls, 25 samples."""
    if who == "ours":
        model = model_of(who, adata)
        return lambda: model.get_posterior_summary(SAMPLES)
    return calls(who, adata)


def means(who: str, adata: AnnData) -> Work:
    """Velocity, time, states and fit: 25 samples there, one with exact state means here."""
    model = model_of(who, adata)
    n = 1 if who == "ours" else SAMPLES
    return lambda: (
        model.get_velocity(n_samples=n),
        model.get_latent_time(n_samples=n),
        model.get_state_assignment(n_samples=n),
        model.get_expression_fit(n_samples=n),
    )


def direction(who: str, adata: AnnData) -> Work:
    """Directional uncertainty, 100 samples."""
    model = model_of(who, adata)
    return lambda: model.get_directional_uncertainty(n_samples=DIRECTIONS)


def permutation(who: str, adata: AnnData) -> Work:
    """Permutation scores, 8 labels."""
    model = model_of(who, adata)
    return lambda: model.get_permutation_scores("label")


def extrinsic(who: str, adata: AnnData) -> Work:
    """Extrinsic uncertainty, 25 samples; theirs is the tutorial's loop, with :func:`samples`."""
    if who == "ours":
        model = model_of(who, adata)
        return lambda: model.get_extrinsic_uncertainty(n_samples=EXTRINSIC)
    import scvelo
    from joblib import Parallel, delayed

    scvelo.settings.verbosity = 0
    rng = np.random.default_rng(0)

    def loop() -> None:
        reached = []
        for _ in range(EXTRINSIC):
            adata.layers["velocity"] = rng.normal(size=adata.shape).astype(np.float32)
            scvelo.tl.velocity_graph(adata, sqrt_transform=False, approx=False)
            moves = scvelo.utils.get_transition_matrix(
                adata, self_transitions=True, use_negative_cosines=True
            )
            reached.append(np.asarray(moves @ adata.layers["Ms"]))
        vectors = np.stack(reached)
        Parallel(n_jobs=1)(delayed(_one_cell)(vectors[:, cell]) for cell in range(vectors.shape[1]))

    return loop


def samples(who: str, adata: AnnData) -> Work:
    """Velocity samples of the tutorial's loop, 25 calls: the other part of what it does."""
    model = model_of(who, adata)
    return lambda: [model.get_velocity(n_samples=1) for _ in range(EXTRINSIC)]


def _one_cell(vectors: np.ndarray) -> list[float]:
    centre = vectors.mean(axis=0)
    cosines = [np.corrcoef(vector, centre)[0, 1] for vector in vectors]
    angles = np.arccos(np.clip(cosines, -1, 1))
    spread = [np.percentile(x, 95) - np.percentile(x, 5) for x in (cosines, angles)]
    return [np.var(cosines), np.var(angles), *spread, float(np.mean(cosines))]


def _velocity(adata: AnnData) -> np.ndarray:
    return np.random.default_rng(0).normal(size=adata.shape).astype(np.float32)


def graph(who: str, adata: AnnData) -> Work:
    """Velocity graph, all neighbours of neighbours."""
    velocity = _velocity(adata)
    if who == "ours":
        from velovi import dynamics

        return lambda: dynamics.velocity_graph(
            velocity, adata.layers["Ms"], adata.obsp["distances"]
        )
    import scvelo

    scvelo.settings.verbosity = 0
    adata.layers["velocity"] = velocity
    return lambda: scvelo.tl.velocity_graph(adata, n_jobs=1, show_progress_bar=False)


def projection(who: str, adata: AnnData) -> Work:
    """Velocities projected on a map, from a graph that is there."""
    graph(who, adata)()
    if who == "ours":
        from velovi import dynamics

        kept = dynamics.velocity_graph(
            _velocity(adata), adata.layers["Ms"], adata.obsp["distances"]
        )
        return lambda: dynamics.project(dynamics.transition_matrix(kept), adata.obsm["X_map"])
    import scvelo

    return lambda: scvelo.tl.velocity_embedding(adata, basis="map", autoscale=False)


ROWS: dict[str, Callable[[str, AnnData], Work]] = {
    item.__name__: item
    for item in (
        *(posterior, calls, summary, *map(_call, CALLS), means, direction, permutation),
        *(extrinsic, samples, graph, projection),
    )
}
WITH_SCVELO = ("extrinsic", "graph", "projection")
_WARM_CELLS, _WARM_GENES = 260, 40


class PeakMemory:
    """How far this process' memory rises, looked at every few milliseconds."""

    rise = 0

    def __enter__(self) -> PeakMemory:
        self._before, self._ended = self._now(), threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.005):
            self.rise = max(self.rise, self._now() - self._before)

    @staticmethod
    def _now() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Do it and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("row", choices=tuple(ROWS))
    parser.add_argument("who", choices=("ours", "theirs"))
    parser.add_argument("--cells", type=int, default=3700)
    parser.add_argument("--genes", type=int, default=1100)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    if not (given.who == "theirs" and given.row in WITH_SCVELO):
        import torch

        torch.set_num_threads(given.threads)
    ROWS[given.row](given.who, with_neighbours(_WARM_CELLS, _WARM_GENES))()
    work = ROWS[given.row](given.who, with_neighbours(given.cells, given.genes))
    with PeakMemory() as memory:
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "megabytes": memory.rise / 2**20}))


if __name__ == "__main__":
    main()
