"""All evidence about the velocities of a result, worked out from the result itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.spatial import KDTree

from velovi import dynamics
from velovi.data import MOST_GROUPS
from velovi.errors import DataError
from velovi.evidence.direction import direction_error, direction_features
from velovi.evidence.flow import GroupFlow, group_flow
from velovi.evidence.gene_halves import gene_half_agreement, gene_half_arrows
from velovi.evidence.numbers import MOST_CELLS, STEADY_STATE
from velovi.evidence.signal_in_counts import VelocitySignal
from velovi.evidence.steady_state import steady_state_velocity
from velovi.evidence.support import Verdict, verdict
from velovi.keys import SCALERS, UNLABELLED
from velovi.neighbors import neighbor_graph
from velovi.numerics.vectors import row_cosines

if TYPE_CHECKING:
    from anndata import AnnData

_NEIGHBORS = 30
_FEWEST_GENES, _FEWEST_CELLS = 4, 10
_COMPONENTS_COMPARED = 10  # of X_pca, for which of the cells looked at is nearest


@dataclass(frozen=True)
class Evidence:
    """What :func:`assess` found.

    Attributes
    ----------
    cells
        Row for each cell: ``gene_half_agreement``, ``agreement_deterministic`` and
        ``agreement_stochastic`` (cosines, NaN where unknown), ``velocity_support``, and, with a
        consensus, ``direction_error`` and ``direction_error_upper`` in degrees: the angle to the
        true direction that half of such cells stay below, and the one that 95 % do; see
        :func:`velovi.evidence.direction_error`.
    arrows
        Arrows of the steady-state model by mode, (cells, dimensions), on the embedding.
    embedding
        Name in ``obsm`` of the places on which all arrows were compared.
    flow
        Between groups; None without groups.
    verdict
        For the run and each group.
    """

    cells: pd.DataFrame
    arrows: dict[str, np.ndarray]
    embedding: str
    flow: GroupFlow | None
    verdict: Verdict


def assess(
    adata: AnnData,
    signal: VelocitySignal | None = None,
    *,
    label_column: str | None = None,
    embedding: str = "X_pca",
    known_directions: Sequence[tuple[str, str]] = (),
    seed: int = 0,
) -> Evidence:
    """Gather all evidence about a result's velocities and judge them.

    Parameters
    ----------
    adata
        A result, as a run writes it and :meth:`velovi.VELOVI.to_scvelo` gives it: layers
        ``velocity``, ``Ms`` and ``Mu``, ``distances`` and ``connectivities`` in obsp, and the
        columns of var that :func:`velovi.preprocess` writes; those of :data:`STEADY_STATE` for the
        consensus.
    signal
        From :func:`velocity_signal` of the counts; without, nothing can be told.
    label_column
        Groups of the cells.
    embedding
        Places in obsm on which arrows are compared; cells without a place are left out.
    known_directions
        Pairs of groups whose direction is known from elsewhere.
    seed
        Of halves and samples.

    Returns
    -------
    Evidence

    Raises
    ------
    DataError
        No cell has a place.

    Examples
    --------
    >>> from velovi.evidence import assess
    >>> found = assess(result, label_column="clusters", embedding="X_umap")
    >>> found.verdict.support
    'cannot tell'
    """
    placed = _placed(adata, embedding)
    chosen = _chosen(placed, seed)
    part = _Part.of(adata, embedding, chosen)
    labels = None if label_column is None else group_names(adata.obs[label_column])
    graph = part.graph(part.velocity)
    arrows = part.project(graph)
    halves = agreement = None
    if part.velocity.shape[1] >= _FEWEST_GENES:
        halves = gene_half_arrows(
            part.velocity, part.expression, part.neighbors, part.places, seed=seed
        )
        agreement = gene_half_agreement(halves)
    velocities = {
        mode: steady_state_in_units(adata, column, chosen)
        for mode, column in STEADY_STATE.items()
        if column in adata.var
    }
    others = {mode: part.project(part.graph(item)) for mode, item in velocities.items()}
    flow = None
    if labels is not None and labels.nunique() <= MOST_GROUPS:
        flow = group_flow(
            part.places,
            arrows,
            part.neighbors,
            labels.to_numpy()[chosen],
            transition=dynamics.transition_matrix(graph, use_negative_cosines=False),
            half_arrows=halves,
            other_arrows=others.get("stochastic"),
        )
    spread = _Spread(adata, chosen, placed)
    unknown = np.full(len(chosen), np.nan)
    cells = pd.DataFrame(
        {
            "gene_half_agreement": spread(unknown if agreement is None else agreement),
            **{
                f"agreement_{mode}": spread(
                    row_cosines(arrows, others[mode]) if mode in others else unknown
                )
                for mode in STEADY_STATE
            },
        },
        index=adata.obs_names,
    )
    compared = {
        "gene_halves": cells["gene_half_agreement"],
        "steady_state": cells["agreement_stochastic"],
    }
    judged = verdict(
        None if signal is None else signal.to_dict(),
        gene_halves=_median(compared["gene_halves"]),
        steady_state=_median(compared["steady_state"]),
        flow=flow,
        groups=None if labels is None else _by_group(pd.DataFrame(compared), labels),
        known_directions=known_directions,
    )
    everyone = np.zeros(adata.n_obs) if labels is None else labels
    cells["velocity_support"] = judged.of_cells(np.asarray(everyone))
    if agreement is not None and "stochastic" in velocities:
        features = direction_features(part.velocity, velocities["stochastic"], agreement)
        joins = flow is not None and flow.branching == "joins"
        support = cells["velocity_support"].to_numpy(dtype=str)[chosen]
        # of a group that is too small to be judged by itself, the run as a whole is the best word
        support = np.where(support == "cannot tell", judged.support, support)
        error = direction_error(features, support, joins=joins)
        cells["direction_error"] = spread(error[0.5].to_numpy())
        cells["direction_error_upper"] = spread(error[0.95].to_numpy())
    return Evidence(
        cells, {mode: spread(item) for mode, item in others.items()}, embedding, flow, judged
    )


def group_names(labels: pd.Series) -> pd.Series:
    """Names of the cells' groups, missing for those that have none."""
    names = labels.astype(str).where(labels.notna())
    return names.where(names != UNLABELLED)


def _by_group(compared: pd.DataFrame, labels: pd.Series) -> pd.DataFrame:
    """Medians and numbers of cells of each group; cells without a label are in none."""
    rows = compared.assign(group=labels.to_numpy()).groupby("group", observed=True)
    return rows.agg(_median).assign(n_cells=rows.size())


def _median(values: pd.Series) -> float:
    known = values.dropna()
    return float(known.median()) if len(known) >= _FEWEST_CELLS else float("nan")


def _placed(adata: AnnData, embedding: str) -> np.ndarray:
    """Positions of the cells that have a place, rising."""
    placed = np.flatnonzero(np.isfinite(np.asarray(adata.obsm[embedding])).all(axis=1))
    if not len(placed):
        raise DataError(
            "no cell has a place",
            where=embedding,
            expected="finite numbers for some cells",
            remedy="Choose another embedding, such as X_pca",
        )
    return placed


def _chosen(placed: np.ndarray, seed: int) -> np.ndarray:
    """Those that are looked at: all of them, or a sample, rising."""
    if len(placed) <= MOST_CELLS:
        return placed
    return np.sort(np.random.default_rng(seed).choice(placed, MOST_CELLS, replace=False))


@dataclass(frozen=True)
class _Part:
    """The cells that are looked at, with neighbours among themselves."""

    velocity: np.ndarray
    expression: np.ndarray
    neighbors: sp.csr_matrix
    places: np.ndarray

    @classmethod
    def of(cls, adata: AnnData, embedding: str, cells: np.ndarray) -> _Part:
        if len(cells) == adata.n_obs:
            neighbors = sp.csr_matrix(adata.obsp["distances"])
        else:
            near = min(_NEIGHBORS, len(cells) - 1)
            neighbors = neighbor_graph(np.asarray(adata.obsm["X_pca"])[cells], near)[0]
        velocity, expression = (
            np.ascontiguousarray(np.asarray(adata.layers[name])[cells])
            for name in ("velocity", "Ms")
        )
        places = np.asarray(adata.obsm[embedding], dtype=np.float64)[cells]
        return cls(velocity, expression, neighbors, places)

    def graph(self, velocity: np.ndarray) -> dynamics.VelocityGraph:
        return dynamics.velocity_graph(velocity, self.expression, self.neighbors)

    def project(self, graph: dynamics.VelocityGraph) -> np.ndarray:
        return dynamics.project(dynamics.transition_matrix(graph), self.places)


def steady_state_in_units(
    adata: AnnData, column: str, cells: np.ndarray | slice = slice(None)
) -> np.ndarray:
    """Velocities of the steady-state model in the units of a result, float32 (cells, genes).

    Parameters
    ----------
    adata
        A result; see :func:`assess`.
    column
        Of var, with the slopes: one of :data:`STEADY_STATE`.
    cells
        Positions of the cells that are wanted.
    """
    low_s, high_s, low_u, high_u = (adata.var[name].to_numpy(dtype=float) for name in SCALERS)
    span = np.where(high_s > low_s, high_s - low_s, 1)
    spliced = np.asarray(adata.layers["Ms"])[cells] * span + low_s
    unspliced = np.asarray(adata.layers["Mu"])[cells] * (high_u - low_u) + low_u
    gamma = adata.var[column].to_numpy(dtype=float)
    found = steady_state_velocity(spliced, unspliced, gamma) / span
    return np.ascontiguousarray(found, dtype=np.float32)


class _Spread:
    """Values of the cells that were looked at, given to all.

    Of a sample, the others that have a place take those of the nearest one.
    """

    def __init__(self, adata: AnnData, cells: np.ndarray, placed: np.ndarray) -> None:
        self._n, self._cells, self._placed = adata.n_obs, cells, placed
        self._nearest: np.ndarray | None = None
        if len(cells) < len(placed):
            places = np.asarray(adata.obsm["X_pca"])[:, :_COMPONENTS_COMPARED]
            tree = KDTree(places[cells])
            self._nearest = tree.query(places[placed], eps=0.5, workers=-1)[1]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        full: np.ndarray[Any, Any] = np.full((self._n, *values.shape[1:]), np.nan, dtype=np.float32)
        if self._nearest is None:
            full[self._cells] = values
        else:
            full[self._placed] = np.asarray(values)[self._nearest]
        return full
