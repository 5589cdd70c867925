"""Scores of velocities against known directions and against themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from velovi.dynamics.confidence import mean_cosine, unit_rows
from velovi.errors import DataError, UnknownNameError
from velovi.numerics.inputs import as_labels, as_matrix, as_square


@dataclass(frozen=True)
class EdgeScores:
    """One score for each known transition A -> B.

    Attributes
    ----------
    edges
        (A, B) pairs of labels.
    mean
        (edges,) float64; NaN where no cell of A has a neighbour in B.
    n_cells
        (edges,) cells of A with at least one neighbour in B.
    total
        Mean over the edges that have cells; NaN if none has.
    """

    edges: tuple[tuple[Any, Any], ...]
    mean: NDArray[np.float64]
    n_cells: NDArray[np.int64]
    total: float

    def __post_init__(self) -> None:
        _same_length("EdgeScores", self.edges, self.mean, self.n_cells)


@dataclass(frozen=True)
class GroupScores:
    """One score for each cluster.

    Attributes
    ----------
    labels
        Cluster names, sorted.
    mean
        (clusters,) float64; NaN where no cell has a neighbour of its own cluster.
    n_cells
        (clusters,) cells with at least one neighbour of their own cluster.
    total
        Mean over the clusters that have such cells; NaN if none has.
    """

    labels: tuple[Any, ...]
    mean: NDArray[np.float64]
    n_cells: NDArray[np.int64]
    total: float

    def __post_init__(self) -> None:
        _same_length("GroupScores", self.labels, self.mean, self.n_cells)


def cbdir(
    embedding: ArrayLike,
    vectors: ArrayLike,
    neighbours: sparse.spmatrix,
    labels: ArrayLike,
    edges: Sequence[tuple[Any, Any]],
) -> EdgeScores:
    r"""Cross-boundary direction correctness.

    .. math:: \mathrm{CBDir}(A \to B) = \operatorname*{mean}_{i \in A,\, N_i \cap B \neq \emptyset}
              \; \operatorname*{mean}_{j \in N_i \cap B} \cos(x_j - x_i, v_i)

    A zero displacement or a zero vector has cosine 0 (VeloAE, Qiao & Huang 2021).

    Parameters
    ----------
    embedding
        (cells, dims) coordinates x.
    vectors
        (cells, dims) velocity v in the embedding.
    neighbours
        csr (cells, cells); every stored entry but the diagonal is a neighbour.
    labels
        (cells,) cluster of each cell.
    edges
        Known transitions as pairs of labels.

    Raises
    ------
    DataError
        Shapes disagree or values are not finite.
    UnknownNameError
        An edge names a cluster that no cell has.
    """
    x = as_matrix(embedding, "embedding", dtype=np.float64)
    v = as_matrix(vectors, "vectors", shape=(x.shape[0], x.shape[1]), dtype=np.float64)
    knn = as_square(neighbours, "neighbours", x.shape[0])
    names = as_labels(labels, x.shape[0])
    known = set(names.tolist())
    missing = [str(item) for edge in edges for item in edge if item not in known]
    if missing:
        raise UnknownNameError(
            f"no cell has the label {', '.join(missing)}",
            where="edges",
            expected=", ".join(map(str, sorted(known, key=str))),
        )
    pairs = [_edge(x, v, knn, np.flatnonzero(names == a), names == b) for a, b in edges]
    mean = np.array([pair[0] for pair in pairs], dtype=np.float64)
    number = np.array([pair[1] for pair in pairs], dtype=np.int64)
    return EdgeScores(tuple((a, b) for a, b in edges), mean, number, _total(mean))


def _edge(
    x: NDArray[np.float64],
    v: NDArray[np.float64],
    knn: sparse.csr_matrix,
    sources: NDArray[np.int64],
    is_target: NDArray[np.bool_],
) -> tuple[float, int]:
    """Mean score and number of border cells of one edge."""
    rows = knn[sources]
    i = np.repeat(sources, np.diff(rows.indptr))  # (pairs,)
    j = rows.indices
    keep = is_target[j] & (i != j)
    i, j = i[keep], j[keep]
    if i.size == 0:
        return float("nan"), 0
    step = x[j] - x[i]  # (pairs, dims)
    norm = np.linalg.norm(step, axis=1) * np.linalg.norm(v[i], axis=1)
    dot = np.einsum("pd,pd->p", step, v[i])
    cosine = np.divide(dot, norm, out=np.zeros_like(dot), where=norm > 0)
    _, cell = np.unique(i, return_inverse=True)
    per_cell = np.bincount(cell, cosine) / np.bincount(cell)
    return float(per_cell.mean()), int(per_cell.size)


def in_cluster_coherence(
    vectors: ArrayLike, neighbours: sparse.spmatrix, labels: ArrayLike, *, threads: int = 0
) -> GroupScores:
    """Mean cos(v_i, v_j) over neighbours j of the same cluster (ICCoh; in gene space ICVCoh).

    First the mean over a cell's neighbours, then over the cells of a cluster that have any. A zero
    vector has cosine 0. Never show it without :func:`cbdir`: a wrong direction can be coherent.

    Parameters
    ----------
    vectors
        (cells, dims) velocities in the embedding, or (cells, genes) in gene space.
    neighbours
        csr (cells, cells); every stored entry but the diagonal is a neighbour.
    labels
        (cells,) cluster of each cell.
    threads
        0 takes ``NUMBA_NUM_THREADS``.

    Raises
    ------
    DataError
        Shapes disagree or values are not finite.
    """
    v = as_matrix(vectors, "vectors")
    knn = as_square(neighbours, "neighbours", v.shape[0])
    names, group = np.unique(as_labels(labels, v.shape[0]), return_inverse=True)
    group = group.astype(np.int64)
    cosine, n = mean_cosine(unit_rows(v), knn, group, threads)
    has = n > 0
    number = np.bincount(group[has], minlength=names.size)
    sums = np.bincount(group[has], cosine[has], minlength=names.size)
    mean = np.divide(sums, number, out=np.full(names.size, np.nan), where=number > 0)
    return GroupScores(tuple(names.tolist()), mean, number.astype(np.int64), _total(mean))


def velocity_coherence(
    transition: sparse.spmatrix, expression: ArrayLike, velocity: ArrayLike
) -> NDArray[np.float32]:
    """(T Ms - Ms) * v: whether a gene's expected change has the sign of its velocity.

    T is the transition matrix with zero diagonal: stored self transitions are taken out and each
    row is scaled so that its absolute values sum to 1 again (else T Ms would shrink towards 0). A
    cell with nowhere else to go has coherence 0.

    Parameters
    ----------
    transition
        csr (cells, cells).
    expression
        (cells, genes) smoothed spliced expression.
    velocity
        (cells, genes) ds/dt.

    Returns
    -------
    (cells, genes) float32; positive where both agree.

    Raises
    ------
    DataError
        Shapes disagree or values are not finite.
    """
    x = as_matrix(expression, "expression")
    v = as_matrix(velocity, "velocity", shape=(x.shape[0], x.shape[1]))
    moves = sparse.coo_matrix(as_square(transition, "transition", x.shape[0]))
    off = moves.row != moves.col
    i, j, p = moves.row[off], moves.col[off], moves.data[off].astype(np.float64)
    total = np.bincount(i, np.abs(p), minlength=x.shape[0])
    chain = sparse.csr_matrix((p / np.where(total > 0, total, 1)[i], (i, j)), shape=moves.shape)
    return np.where((total > 0)[:, None], (chain @ x - x) * v, 0).astype(np.float32)


def transition_entropy(transition: sparse.spmatrix) -> NDArray[np.float64]:
    r"""Entropy of each cell's next step, over that of a step to any cell that it may go to.

    .. math:: H_i = -\frac{1}{\log k_i} \sum_j T_{ij} \log T_{ij}

    with :math:`k_i` the number of entries above 0. The mean over cells is the normalised transition
    entropy of Wu et al. 2026: 1 where velocities choose no neighbour before another.

    Parameters
    ----------
    transition
        csr (cells, cells) of probabilities, without negative cosines; rows are divided by their
        sums.

    Returns
    -------
    (cells,) from 0 to 1; NaN for cells with fewer than two ways to go.

    Raises
    ------
    DataError
        The matrix is not square, or an entry is negative or not finite.

    Examples
    --------
    >>> from scipy import sparse
    >>> from velovi.dynamics import transition_entropy
    >>> transition_entropy(sparse.csr_matrix([[0.5, 0.5], [0.0, 1.0]])).tolist()
    [1.0, nan]
    """
    moves = as_square(transition, "transition")
    if moves.nnz and moves.data.min() < 0:
        raise DataError(
            "there are negative entries",
            where="transition",
            expected="probabilities",
            remedy="Make it with use_negative_cosines=False",
        )
    rows = np.repeat(np.arange(moves.shape[0]), np.diff(moves.indptr))
    data = moves.data.astype(np.float64)
    total = np.bincount(rows, data, minlength=moves.shape[0])
    share = data / np.where(total > 0, total, 1)[rows]
    plogp = np.where(share > 0, share * np.log(np.where(share > 0, share, 1)), 0)
    entropy = -np.bincount(rows, plogp, minlength=moves.shape[0])
    ways = np.bincount(rows, share > 0, minlength=moves.shape[0])
    several = ways > 1
    most = np.log(np.where(several, ways, 2))
    return np.where(several, np.maximum(entropy, 0) / most, np.nan)


def _total(mean: NDArray[np.float64]) -> float:
    good = mean[np.isfinite(mean)]
    return float(good.mean()) if good.size else float("nan")


def _same_length(name: str, *parts: Any) -> None:
    if len({len(part) for part in parts}) != 1:
        raise DataError("the parts must be equally long", where=name)
