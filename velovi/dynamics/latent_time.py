"""One time for each cell from many gene-wise latent times and the velocity graph.

Each gene's latent time has its own zero and scale, is flat where the gene is silent, and may jump
back to 0 where the gene has come to rest after repression. The graph knows the order of cells, but
only roughly. So the graph gives a first ordering; every gene is then read as an instrument that is
calibrated against the common time; and the genes together give the next, finer common time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse import linalg as sparse_linalg
from scipy.stats import rankdata

from velovi.errors import DataError, OptionError
from velovi.numerics.inputs import as_matrix, as_square
from velovi.numerics.numba_utils import cached_njit

Vector = NDArray[np.float64]
Cells = NDArray[np.intp]  # (cells,) number of each cell's connected part, or indices of cells

BINS = 24  # of a gene's time when it is calibrated
ROUNDS = 4  # of calibration; on simulated trees the order has settled by the fourth
RESTART = 0.02  # share of a random walk that jumps, so that it forgets its start
WALK_STEPS = 400
SPREAD = 0.02  # an instrument is never trusted to better than this share of the time axis
PRIOR_VARIANCE = 1.0 / 12.0  # of a uniform time in [0, 1]: what is known without the gene


@dataclass(frozen=True)
class SharedTime:
    """A common time of all genes.

    Attributes
    ----------
    time
        (cells,) float32 in [0, 1].
    root_cells, end_points
        (cells,) float32 in [0, 1]: how likely a long walk against, and along, the velocity is found
        at the cell, smoothed over neighbours.
    """

    time: NDArray[np.float32]
    root_cells: NDArray[np.float32]
    end_points: NDArray[np.float32]

    def __post_init__(self) -> None:
        if not self.time.shape == self.root_cells.shape == self.end_points.shape:
            raise DataError("the parts must be equally long", where="SharedTime")


def shared_latent_time(
    gene_time: ArrayLike,
    transition: sparse.spmatrix,
    connectivities: sparse.spmatrix,
    *,
    root: int | ArrayLike | None = None,
    gene_weights: ArrayLike | None = None,
    seed: int = 0,
) -> SharedTime:
    r"""Combine gene-wise latent times into one time for each cell.

    1. *Graph order.* With the Markov chain P of the positive transitions, the potential
       :math:`\phi` whose differences fit the flow best in least squares (HodgeRank, Jiang et al.
       2011) solves :math:`L(P + P^T) \, \phi = P^T 1 - P 1`. Its ranks, in each connected part of
       the graph, are the first common time :math:`\tau`. With ``root``, the distance from the root
       along the graph replaces the ranks that contradict it.
    2. *Calibration.* A gene's time is cut into quantile bins; the mean :math:`m_b` and variance
       :math:`s_b^2` of :math:`\tau` in a bin say what a reading of that bin means and how much to
       trust it. This orients every gene, puts all on one scale, and takes the trust from readings
       that mean two things (time 0 of a gene both before induction and after repression).
    3. *Consensus.* :math:`\tau` becomes the mean of the readings, weighted with the information
       they add, :math:`1 / s_b^2 - 1 / s_0^2` (:math:`s_0^2` of a uniform time), less for readings
       far from the others; then it is smoothed over neighbours and ranked. Steps 2 and 3 repeat.

    Parameters
    ----------
    gene_time
        (cells, genes) latent time of each gene, any scale.
    transition
        csr (cells, cells); self transitions and negative entries are left out.
    connectivities
        csr (cells, cells) neighbour weights, >= 0.
    root
        Index, or indices, of cells where time starts; None finds them from the velocities.
    gene_weights
        (genes,) >= 0, extra trust in each gene, such as its likelihood.
    seed
        Accepted for symmetry with the other stages; nothing here is random.

    Returns
    -------
    SharedTime

    Raises
    ------
    DataError
        Shapes disagree or values are not finite.
    OptionError
        ``root`` is not a cell, or weights are negative.
    """
    times = as_matrix(gene_time, "gene_time", order="K")
    cells, genes = times.shape
    moves = _chain(as_square(transition, "transition", cells))
    knn = _chain(abs(as_square(connectivities, "connectivities", cells)))
    weights = _gene_weights(gene_weights, genes)
    starts = _roots(root, cells)
    if cells == 0:
        empty = np.zeros(0, dtype=np.float32)
        return SharedTime(empty, empty, empty)
    part = csgraph.connected_components(knn + moves, directed=False)[1]
    ends = _resting_place(moves, knn, part)
    origins = _resting_place(_chain(moves.T.tocsr()), knn, part)
    order = _graph_order(moves, knn, part)
    if starts is not None:
        order = _from_roots(order, starts, knn, part)
        origins = np.zeros(cells)
        origins[starts] = 1.0
    tau = _consensus(times, order, knn, weights)
    time = _unit_range(tau, 0.5)
    return SharedTime(*(item.astype(np.float32) for item in (time, origins, ends)))


def _gene_weights(values: ArrayLike | None, genes: int) -> Vector:
    if values is None:
        return np.ones(genes)
    weights = np.asarray(values, dtype=np.float64)
    if weights.shape != (genes,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise OptionError(
            "there must be one finite weight >= 0 a gene",
            where="gene_weights",
            expected=f"{genes} weights",
            found=f"shape {weights.shape}",
        )
    return weights


def _roots(root: int | ArrayLike | None, cells: int) -> NDArray[np.intp] | None:
    if root is None:
        return None
    found = np.atleast_1d(np.asarray(root))
    good = found.ndim == 1 and found.size > 0 and np.issubdtype(found.dtype, np.integer)
    if not good or found.min() < 0 or found.max() >= cells:
        raise OptionError(
            "must be an index of a cell, or several",
            where="root",
            expected=f"whole numbers from 0 to {cells - 1}",
            found=repr(root),
        )
    return found.astype(np.intp)


def _chain(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Positive off-diagonal entries with rows that sum to 1 (empty rows stay empty)."""
    coo = matrix.tocoo()
    keep = (coo.data > 0) & (coo.row != coo.col)
    i, j, data = coo.row[keep], coo.col[keep], coo.data[keep].astype(np.float64)
    total = np.bincount(i, data, minlength=matrix.shape[0])
    return sparse.csr_matrix((data / total[i], (i, j)), shape=matrix.shape)


def _resting_place(chain: sparse.csr_matrix, knn: sparse.csr_matrix, part: Cells) -> Vector:
    """Where a long walk is found: stationary distribution, smoothed and scaled to [0, 1].

    Computed in each connected part by power iteration; the walk restarts now and then, which makes
    the answer unique and the iteration short.
    """
    size = np.bincount(part)[part].astype(np.float64)
    back = chain.T.tocsr()
    stuck = np.asarray(chain.sum(axis=1)).ravel() == 0
    mass = 1.0 / size
    for _ in range(WALK_STEPS):
        moved = back @ mass + np.where(stuck, mass, 0.0)
        new = (1 - RESTART) * moved + RESTART / size
        change = np.abs(new - mass).sum()
        mass = new
        if change < 1e-5 * (np.max(part) + 1):
            break
    smooth = _smooth(mass * size, knn, 1)
    score = np.zeros_like(smooth)
    for inside in _members(part):
        score[inside] = _unit_range(smooth[inside], 2.0)
    return score


def _graph_order(moves: sparse.csr_matrix, knn: sparse.csr_matrix, part: Cells) -> Vector:
    """Ranks in [0, 1] of the potential that best explains the flow, in each connected part."""
    cells = moves.shape[0]
    # a little of the kNN graph ties cells without any transition to their surroundings
    both = moves + moves.T + 0.05 * (knn + knn.T)
    degree = np.asarray(both.sum(axis=1)).ravel()
    flow = np.asarray(moves.sum(axis=0)).ravel() - np.asarray(moves.sum(axis=1)).ravel()
    # the small addition makes the Laplacian invertible: each part's potential has mean 0
    diagonal = degree * (1 + 1e-5) + (degree == 0)
    laplacian = sparse.csr_matrix(sparse.diags_array(diagonal) - both)
    jacobi = sparse_linalg.LinearOperator((cells, cells), matvec=lambda r: r / diagonal)
    potential, _ = sparse_linalg.cg(laplacian, flow, rtol=1e-4, maxiter=1000, M=jacobi)
    potential = _smooth(potential, knn, 1)
    return _ranks(potential, part)


def _from_roots(
    order: Vector, starts: NDArray[np.intp], knn: sparse.csr_matrix, part: NDArray
) -> Vector:
    """The graph order with time 0 at the given cells.

    Distance from the roots decides; the flow's order joins in as far as it agrees with it.
    """
    lengths = knn.maximum(knn.T).tocsr()
    lengths.data = 1.0 - np.log(lengths.data / lengths.data.max()) if lengths.nnz else lengths.data
    away = csgraph.dijkstra(lengths, directed=False, indices=starts, min_only=True)
    reached = np.isfinite(away)
    distance = _ranks(np.where(reached, away, 0.0), part)
    if reached.sum() < 3 or np.ptp(order[reached]) == 0 or np.ptp(distance[reached]) == 0:
        return np.where(reached, distance, order)
    agreement = max(0.0, float(np.corrcoef(order[reached], distance[reached])[0, 1]))
    mixed = (distance + agreement * order) / (1 + agreement)
    return np.where(reached, mixed, order)


def _consensus(
    times: NDArray[np.float32], order: Vector, knn: sparse.csr_matrix, weights: Vector
) -> Vector:
    """Repeat calibration and averaging from the graph's order on."""
    bins = np.stack(
        [_quantile_bins(times[:, g]) for g in np.flatnonzero(weights > 0)]
        or [np.zeros(times.shape[0], dtype=np.uint8)]
    )  # (genes, cells)
    weights = weights[weights > 0] if (weights > 0).any() else np.zeros(1)
    tau = order
    for _ in range(ROUNDS):
        estimate, known = _average(bins, weights, tau, None)
        estimate, known = _average(bins, weights, tau, estimate)
        estimate = np.where(known > 0, estimate, tau)
        tau_smooth = _smooth(estimate, knn, 2)
        tau = _ranks(tau_smooth, np.zeros(tau.size, dtype=np.intp))
    return tau_smooth


def _quantile_bins(column: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Bin of each cell's rank in one gene; equal times share a bin."""
    rank = rankdata(column) - 0.5  # (cells,) in (0, cells)
    return np.minimum(rank * BINS / column.size, BINS - 1).astype(np.uint8)


def _average(
    bins: NDArray[np.uint8], weights: Vector, tau: Vector, centre: Vector | None
) -> tuple[Vector, Vector]:
    """Mean of all genes' calibrated readings and the information behind it, (cells,) each.

    With ``centre``, a reading k standard deviations from it counts 1 / (1 + k^2).
    """
    numerator, denominator = np.zeros(tau.size), np.zeros(tau.size)
    robust = centre is not None
    _add_readings(
        bins, weights, tau, tau if centre is None else centre, robust, numerator, denominator
    )
    good = denominator > 0
    return np.divide(numerator, denominator, out=tau.copy(), where=good), denominator


@cached_njit()
def _add_readings(  # type: ignore[no-untyped-def]
    bins, weights, tau, centre, robust, numerator, denominator
):
    """Add every gene's trusted readings to the two sums."""
    for gene in range(bins.shape[0]):
        n, mean, variance = np.zeros(BINS), np.zeros(BINS), np.zeros(BINS)
        for cell in range(tau.size):
            at = bins[gene, cell]
            n[at] += 1.0
            mean[at] += tau[cell]
            variance[at] += tau[cell] * tau[cell]
        for at in range(BINS):
            mean[at] /= max(n[at], 1.0)
            square = max(variance[at] / max(n[at], 1.0) - mean[at] * mean[at], 0.0)
            # few cells in a bin: lean on the prior
            variance[at] = (n[at] * square + PRIOR_VARIANCE) / (n[at] + 1.0) + SPREAD * SPREAD
        for cell in range(tau.size):
            at = bins[gene, cell]
            trust = weights[gene] * max(1.0 / variance[at] - 1.0 / PRIOR_VARIANCE, 0.0)
            if robust:
                away = mean[at] - centre[cell]
                trust /= 1.0 + away * away / variance[at]
            numerator[cell] += trust * mean[at]
            denominator[cell] += trust


def _smooth(values: Vector, knn: sparse.csr_matrix, times: int) -> Vector:
    """Mean of a cell and its neighbours, half each, ``times`` over."""
    alone = np.diff(knn.indptr) == 0
    for _ in range(times):
        values = np.where(alone, values, 0.5 * values + 0.5 * (knn @ values))
    return values


def _ranks(values: Vector, part: Cells) -> Vector:
    """Ranks from 0 to 1 in each part, ties averaged; 0.5 where a part has one cell."""
    out = np.full(values.size, 0.5)
    for inside in _members(part):
        if inside.size > 1:
            out[inside] = (rankdata(values[inside]) - 1) / (inside.size - 1)
    return out


def _members(part: Cells) -> list[NDArray[np.intp]]:
    """Indices of the cells of each part; one sort, so that many small parts cost no more."""
    order = np.argsort(part, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(part[order])) + 1)


def _unit_range(values: Vector, percent: float) -> Vector:
    """Scale the inner percentiles to [0, 1] and clip the rest; constant values give 0."""
    low, high = np.percentile(values, [percent, 100 - percent])
    if not high > low:
        low, high = np.min(values), np.max(values)
    if not high > low:
        return np.zeros_like(values)
    return np.clip((values - low) / (high - low), 0, 1)
