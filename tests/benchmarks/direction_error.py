"""Learn how far directions are off: ``python -m tests.benchmarks.direction_error train DIR``.

``train`` draws simulated cells of many kinds and trains a model on each (a minute and more);
``learn`` fits the regressions of ``velovi/evidence/direction.py`` and prints how well
they hold on runs, simulators and data that they were not fitted on; ``rank DIR`` trains on real
and broken cells of the named simulators and prints how well the error of direction ranks arrows
on the map that are wrong by more than 90 degrees.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import scvi
from anndata import AnnData
from scipy.stats import spearmanr
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import roc_auc_score

from tests.benchmarks.broken import KINDS, broken, source
from tests.benchmarks.simulators import SIMULATORS, drawn_at_random, simulated
from velovi import VELOVI, preprocess
from velovi.config import TrainOptions
from velovi.dynamics import project, transition_matrix, velocity_graph
from velovi.evidence import velocity_signal
from velovi.evidence.assessment import assess, steady_state_in_units
from velovi.evidence.direction import FEATURES, LEVELS, direction_features
from velovi.numerics.vectors import row_cosines
from velovi.runs.evidence import add_steady_state

CAPTURES = (0.3, 0.06)
_CELLS_A_RUN = 100
_WRONG = 90.0  # degrees


def train(out: Path, n_random: int) -> None:
    """Train on every data set that has not been trained on yet, and keep features and truth."""
    out.mkdir(parents=True, exist_ok=True)
    for name, adata in _data_sets(n_random):
        path = out / f"{name}.pkl"
        if not path.exists():
            table = _features(adata)
            table.to_pickle(path)
            print(f"{name}: {len(table)} cells, median {table['truth'].median():.0f} degrees")


def _data_sets(n_random: int):  # type: ignore[no-untyped-def]
    yield "dyngen-0", source("dyngen", seed=0)
    for number, name in enumerate(SIMULATORS):
        for at, capture in enumerate(CAPTURES):
            seed = 20 + 10 * number + at
            yield f"{name}-{capture}", simulated(name, 600, 180, capture=capture, seed=seed)
    for seed in range(100, 100 + n_random):
        yield f"random-{seed}", drawn_at_random(seed)[0]


def _trained(adata: AnnData) -> AnnData:
    """A result of the defaults on these cells, with the slopes of the steady-state model."""
    prepared = preprocess(adata)
    cells = prepared.adata
    add_steady_state(cells, prepared.size_factors, sample_seed=0)
    scvi.settings.seed = 0
    VELOVI.setup_anndata(cells, spliced_layer="Ms", unspliced_layer="Mu")
    model, options = VELOVI(cells), TrainOptions()
    model.train(
        **options.schedule(cells.n_obs).arguments(),
        weight_decay=options.weight_decay,
        accelerator="cpu",
        enable_progress_bar=False,
    )
    model.add_results(cells, in_place=True)
    return cells


def _features(adata: AnnData) -> pd.DataFrame:
    cells = _trained(adata)
    found = assess(cells, label_column="clusters", embedding="X_umap")
    velocity = np.asarray(cells.layers["velocity"], dtype=float)
    table = direction_features(
        velocity,
        steady_state_in_units(cells, "steady_state_gamma_stochastic"),
        found.cells["gene_half_agreement"].to_numpy(),
    )
    truth = true_velocity(adata, cells)
    angle = np.degrees(np.arccos(np.clip(row_cosines(velocity, truth), -1, 1)))
    return table.assign(truth=angle).dropna()


def true_velocity(adata: AnnData, cells: AnnData) -> np.ndarray:
    """True velocities in the units of the result; of dyngen's cells the slope along its time."""
    if "true_velocity" in adata.layers:
        true = np.asarray(adata[cells.obs_names, cells.var_names].layers["true_velocity"])
        span = (cells.var["ms_max"] - cells.var["ms_min"]).to_numpy(dtype=float)
        return true / np.where(span > 0, span, 1)
    near = (cells.obsp["connectivities"] > 0).astype(float)
    wide = ((near @ near) > 0).astype(float)
    size = np.asarray(wide.sum(axis=1)).ravel()[:, None]
    time = cells.obs["sim_time"].to_numpy(dtype=float)[:, None]
    spliced = np.asarray(cells.layers["Ms"], dtype=float)
    mean_time, mean = wide @ time / size, wide @ spliced / size
    spread = wide @ (time * time) / size - mean_time**2
    return (wide @ (spliced * time) / size - mean_time * mean) / np.maximum(spread, 1e-9)


def learn(folder: Path) -> None:
    """Print the coefficients, and coverage and ranks on runs that were left out."""
    runs = {path.stem: pd.read_pickle(path) for path in sorted(folder.glob("*.pkl"))}
    usable = {name: table for name, table in runs.items() if not name.startswith("dyngen")}
    for level in LEVELS:
        print(level, *(f"{value:.4f}" for value in _fitted(usable, level)))
    print("run | covered at 50, 80, 95 % | Spearman, and that of speed alone")
    shares = []
    for name, table in runs.items():
        kind = name.split("-")[0]
        own = {name} if kind == "random" else {item for item in runs if item.startswith(kind)}
        others = {item: table for item, table in usable.items() if item not in own}
        told = {level: _told(_fitted(others, level), table) for level in LEVELS}
        covered = [float((table["truth"] <= told[level]).mean()) for level in LEVELS]
        ranks = [
            spearmanr(values, table["truth"])[0] for values in (told[0.5], -table["log_speed"])
        ]
        if kind != "dyngen":
            shares.append(covered)
        print(name, *(f"{value:.2f}" for value in (*covered, *ranks)))
    print("mean of runs but dyngen", *(f"{value:.2f}" for value in np.mean(shares, axis=0)))


def rank(folder: Path) -> None:
    """Print the area under the curve for arrows that are wrong, real and broken cells pooled."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = []
    for name, adata in _data_sets(0):
        for kind in KINDS:
            path = folder / f"{name}-{kind}.pkl"
            if not path.exists():
                made = broken(adata, kind)
                arrow_errors(_trained(made), made).assign(kind=kind).to_pickle(path)
            tables.append(pd.read_pickle(path))
            print(name, kind, f"{(tables[-1]['angle'] > _WRONG).mean():.2f} wrong", flush=True)
    print_auc(pd.concat(tables, ignore_index=True))


def arrow_errors(cells: AnnData, counts: AnnData) -> pd.DataFrame:
    """Error of direction that is told, and the angle of each arrow to the true one on the map.

    Parameters
    ----------
    cells
        A result.
    counts
        What it was trained on; the truth lies beside the counts.
    """
    signal = velocity_signal(counts, label_column="clusters")
    embedding = "X_umap" if "X_umap" in cells.obsm else "X_pca"
    found = assess(cells, signal, label_column="clusters", embedding=embedding)
    arrows = [
        project(
            transition_matrix(
                velocity_graph(
                    np.ascontiguousarray(velocity, dtype=np.float32),
                    cells.layers["Ms"],
                    cells.obsp["distances"],
                )
            ),
            np.asarray(cells.obsm[embedding])[:, :2],
        )
        for velocity in (cells.layers["velocity"], true_velocity(counts, cells))
    ]
    angle = np.degrees(np.arccos(np.clip(row_cosines(*arrows), -1, 1)))
    told = found.cells["direction_error"].to_numpy()
    return pd.DataFrame({"told": told, "angle": angle})


def print_auc(table: pd.DataFrame) -> None:
    """Print it for all cells, and without those whose time was turned round."""
    table = table.dropna()
    for title, rows in (("all", table), ("but mirror", table[table["kind"] != "mirror"])):
        area = roc_auc_score(rows["angle"] > _WRONG, rows["told"])
        print(f"AUC, {title}: {area:.2f} of {len(rows):,} arrows")


def _fitted(runs: dict[str, pd.DataFrame], level: float) -> np.ndarray:
    rows = pd.concat([table.sample(_CELLS_A_RUN, random_state=0) for table in runs.values()])
    model = QuantileRegressor(quantile=level, alpha=1e-4, solver="highs")
    model.fit(rows[list(FEATURES)], rows["truth"])
    return np.array([model.intercept_, *model.coef_])


def _told(coefficients: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    return coefficients[0] + table[list(FEATURES)].to_numpy() @ coefficients[1:]


def main() -> None:
    """Train, learn from what was trained, or rank arrows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("train", "learn", "rank"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--random", type=int, default=30)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.what == "train":
        train(given.folder, given.random)
    elif given.what == "rank":
        rank(given.folder)
    else:
        learn(given.folder)


if __name__ == "__main__":
    main()
