"""Two runs beside each other: do they say the same of the cells and genes that they share?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from velovi.errors import DataError
from velovi.runs.results import ResultStore

FEWEST_CELLS, FEWEST_GENES = 10, 2
"""That two runs must share to be compared."""


@dataclass(frozen=True)
class RunComparison:
    """What two runs say of the cells and genes that they share; see :func:`compare_runs`.

    Attributes
    ----------
    angle
        Of each cell of the first run, between its two velocities over the shared genes, in degrees,
        (cells,); NaN for cells that the second run has not, or that stand still.
    genes
        Row for each shared gene: ``correlation`` of its velocity between the runs over cells, and
        ``opposite``, the share of cells whose velocities have opposite signs.
    time_rank
        Spearman correlation of the shared latent times; NaN where one does not vary.
    n_cells
        Cells that both runs have.
    """

    angle: np.ndarray
    genes: pd.DataFrame
    time_rank: float
    n_cells: int

    @property
    def changed(self) -> pd.DataFrame:
        """Genes that go the other way in most cells, the most changed first."""
        rows = self.genes[self.genes["opposite"] > 0.5]
        return rows.sort_values("opposite", ascending=False)


def compare_runs(
    first: ResultStore,
    second: ResultStore,
    *,
    progress: Callable[[float], None] | None = None,
) -> RunComparison:
    """Compare the velocities and times of two runs, gene by gene.

    Cells and genes are matched by name. Only a few columns are in memory at a time.

    Parameters
    ----------
    first, second
        Results; velocities of each are in its own units, which differ between genes by a factor.
    progress
        Called with the share done, 0 to 1.

    Returns
    -------
    RunComparison

    Raises
    ------
    DataError
        They share too few cells or genes.

    Examples
    --------
    >>> from velovi.runs.compare_runs import compare_runs
    >>> from velovi.runs.results import ResultStore
    >>> from velovi.runs.workspace import DEMO_FOLDER
    >>> demo = ResultStore(DEMO_FOLDER / "result.zarr")
    >>> same = compare_runs(demo, demo)
    >>> float(np.nanmax(same.angle).round(1)), same.time_rank, len(same.changed)
    (0.0, 1.0, 0)
    """
    at = second.obs.index.get_indexer(first.obs.index)
    own = np.flatnonzero(at >= 0)
    others = at[own]
    there = set(second.genes)
    shared = [gene for gene in first.genes if gene in there]
    if len(own) < FEWEST_CELLS or len(shared) < FEWEST_GENES:
        raise DataError(
            "these two runs share too little to be compared",
            where="runs",
            expected=f"at least {FEWEST_CELLS} cells and {FEWEST_GENES} genes of the same names",
            found=f"{len(own):,} cells and {len(shared):,} genes",
            remedy="Choose two runs of the same file",
        )
    dot, length, other_length = np.zeros((3, len(own)))
    rows = []
    for number, gene in enumerate(shared):
        a = first.gene("velocity", gene)[own].astype(np.float64)
        b = second.gene("velocity", gene)[others].astype(np.float64)
        dot += a * b
        length += a * a
        other_length += b * b
        rows.append((_correlation(a, b), float((a * b < 0).mean())))
        if progress:
            progress((number + 1) / len(shared))
    both = np.sqrt(length * other_length)
    cosine = np.divide(dot, both, out=np.full(len(own), np.nan), where=both > 0)
    angle = np.full(first.n_cells, np.nan)
    angle[own] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    genes = pd.DataFrame(rows, index=pd.Index(shared), columns=["correlation", "opposite"])
    return RunComparison(angle, genes, _time_rank(first, second, own, others), len(own))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    both = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / both) if both > 0 else float("nan")


def _time_rank(
    first: ResultStore, second: ResultStore, own: np.ndarray, others: np.ndarray
) -> float:
    if "latent_time" not in first.obs or "latent_time" not in second.obs:
        return float("nan")
    ranks = (
        store.obs["latent_time"].iloc[rows].rank().to_numpy(dtype=float)
        for store, rows in ((first, own), (second, others))
    )
    return _correlation(*ranks)
