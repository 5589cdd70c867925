"""Coverage of posterior directions when states are drawn more or less freely.

``python -m tests.benchmarks.temper``: the concentrations of the Dirichlet distributions over the
four states are multiplied by a factor when samples are drawn from models of the defaults.
"""

from __future__ import annotations

import argparse
import warnings
from unittest import mock

import numpy as np
import pandas as pd
import scvi
from scipy.stats import spearmanr

from tests.benchmarks.direction_error import CAPTURES, true_velocity
from tests.benchmarks.simulators import SIMULATORS, simulated
from velovi import VELOVI, preprocess
from velovi.config import TrainOptions
from velovi.model import dirichlet
from velovi.numerics.vectors import row_cosines

FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)
_SAMPLES = 25


def main() -> None:
    """Print, for each factor, the mean over data sets."""
    parser = argparse.ArgumentParser(description="Coverage of tempered posterior directions.")
    parser.add_argument("--cells", type=int, default=600)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = [
        row
        for number, name in enumerate(SIMULATORS)
        for at, capture in enumerate(CAPTURES)
        for row in _rows(name, capture, 20 + 10 * number + at, given.cells)
    ]
    table = pd.DataFrame(rows).groupby("factor").mean(numeric_only=True)
    print(table.round(2).to_string())


def _rows(name: str, capture: float, seed: int, n_cells: int) -> list[dict[str, float]]:
    adata = simulated(name, n_cells, 180, capture=capture, seed=seed)
    cells, options = preprocess(adata).adata, TrainOptions()
    scvi.settings.seed = 0
    VELOVI.setup_anndata(cells, spliced_layer="Ms", unspliced_layer="Mu")
    model = VELOVI(cells)
    model.train(
        **options.schedule(cells.n_obs).arguments(),
        weight_decay=options.weight_decay,
        accelerator="cpu",
        enable_progress_bar=False,
    )
    mean = np.asarray(model.get_velocity(n_samples=_SAMPLES, return_numpy=True), dtype=float)
    off = _angle(mean, true_velocity(adata, cells))
    model.module.compiled_draws = False
    draw, rows = dirichlet.sample, []
    for factor in FACTORS:

        def tempered(concentration, *args, times=factor, **kwargs):  # type: ignore[no-untyped-def]
            return draw(concentration * times, *args, **kwargs)

        with mock.patch.object(dirichlet, "sample", tempered):
            drawn = model.get_velocity(n_samples=_SAMPLES, return_mean=False, return_numpy=True)
        spread = np.array([_angle(np.asarray(sample, dtype=float), mean) for sample in drawn])
        bounds = np.quantile(spread, [0.5, 0.8, 0.95], axis=0)
        covered = {
            f"covered_{q}": (off <= at).mean() for q, at in zip((50, 80, 95), bounds, strict=True)
        }
        rank = spearmanr(bounds[0], off)[0]
        rows.append({"factor": factor, "spread": np.median(bounds[0]), "spearman": rank, **covered})
    return rows


def _angle(velocity: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip(row_cosines(velocity, other), -1, 1)))


if __name__ == "__main__":
    main()
