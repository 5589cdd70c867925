"""Velocity graph: how well each possible step to a nearby cell matches the cell's velocity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from velovi.errors import DataError, check_range
from velovi.numerics.inputs import as_matrix, as_square
from velovi.numerics.numba_utils import cached_njit
from velovi.numerics.parallel import over_rows
from velovi.numerics.random import GOLDEN_GAMMA, splitmix64

# Long sums are split into runs of this many genes: single precision and SIMD inside a run, double
# precision between runs, so the error does not grow with the number of genes.
RUN = 256
# A centred vector shorter than this share of the raw one is rounding noise, not a direction.
NOISE = 1e-12
SELF_PERCENTILE = 98.0


@dataclass(frozen=True)
class VelocityGraph:
    """Cosines between velocity and displacement, split by sign.

    Attributes
    ----------
    positive, negative
        csr float32 (cells, cells); entry (i, j) is the cosine of cell i's velocity with the step to
        cell j, in (0, 1] and in [-1, 0). Zero cosines are not stored.
    """

    positive: sparse.csr_matrix
    negative: sparse.csr_matrix

    def __post_init__(self) -> None:
        if self.positive.shape != self.negative.shape or len(set(self.positive.shape)) != 1:
            raise DataError(
                "the two halves must be square and alike",
                where="VelocityGraph",
                found=f"{self.positive.shape} and {self.negative.shape}",
            )

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(self.positive.shape[0])

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """Best positive cosine of each cell, (cells,) in [0, 1]; 0 where there is none."""
        best = np.zeros(self.n_cells, dtype=np.float32)
        starts = self.positive.indptr
        filled = np.flatnonzero(np.diff(starts))
        if filled.size:
            best[filled] = np.maximum.reduceat(self.positive.data, starts[filled])
        return best

    @cached_property
    def self_transition(self) -> NDArray[np.float32]:
        """Cosine given to staying put, (cells,): clip(98th percentile of confidence - own, 0, 1).

        A cell whose best step is worse than that of nearly all others tends to stay: it is at the
        end of its path, or its velocity is noise.
        """
        return self_transition(self.confidence)


def self_transition(confidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """See :attr:`VelocityGraph.self_transition`; of confidences (cells,)."""
    if confidence.size == 0:
        return np.zeros(0, dtype=np.float32)
    top = np.percentile(confidence, SELF_PERCENTILE)
    return np.clip(top - confidence, 0, 1).astype(np.float32)


def velocity_graph(
    velocity: ArrayLike,
    expression: ArrayLike,
    neighbours: sparse.spmatrix,
    *,
    recurse_neighbors: int = 2,
    max_neighbors: int = 0,
    seed: int = 0,
    threads: int = 0,
) -> VelocityGraph:
    r"""Cosine of every cell's velocity with the displacement to the cells around it.

    .. math:: \pi_{ij} = \frac{(d_{ij} - \bar d_{ij}) \cdot (v_i - \bar v_i)}
              {\lVert d_{ij} - \bar d_{ij} \rVert \, \lVert v_i - \bar v_i \rVert},
              \qquad d_{ij} = x_j - x_i

    with means over genes (so it is Pearson's correlation over genes), for every j within
    ``recurse_neighbors`` steps of i on the neighbour graph. Zero velocity and zero displacement
    give 0. This is the graph of scVelo 0.3.4 (Bergen et al. 2020, eq. 10) with
    ``mode_neighbors="distances"``, except that scVelo shortens every list of neighbours to the
    shortest one first; the lists of a graph that was not subset are equally long already.

    Parameters
    ----------
    velocity
        (cells, genes), ds/dt.
    expression
        (cells, genes), smoothed spliced expression, same unit as ``velocity`` times time.
    neighbours
        csr (cells, cells), kNN distances or connectivities; every stored entry is a neighbour, an
        explicit zero (a duplicate cell) included.
    recurse_neighbors
        1: neighbours; 2: neighbours of neighbours as well.
    max_neighbors
        A random choice of at most so many cells is compared; 0 compares all.
    seed
        Fixes that choice, whatever the number of threads.
    threads
        0 takes ``NUMBA_NUM_THREADS``.

    Raises
    ------
    DataError
        Shapes disagree or values are not finite.
    OptionError
        A number is out of range.

    Examples
    --------
    >>> graph = velocity_graph(velocity, Ms, adata.obsp["distances"])  # doctest: +SKIP
    """
    x = as_matrix(expression, "expression")
    v = as_matrix(velocity, "velocity", shape=(x.shape[0], x.shape[1]))
    knn = as_square(neighbours, "neighbours", x.shape[0])
    check_range("recurse_neighbors", recurse_neighbors, 1)
    check_range("max_neighbors", max_neighbors, 0)
    v, norm = centred(v)
    mean = x.mean(axis=1, dtype=np.float64)
    starts, columns = steps(
        knn, norm != 0, recurse_neighbors, max_neighbors, seed=seed, threads=threads
    )
    values = np.empty(columns.size, dtype=np.float32)
    out = (starts, columns, values)
    over_rows(lambda a, b: _cosines(a, b, x, mean, v, norm, *out), x.shape[0], threads)
    return VelocityGraph(*(_half(starts, columns, values, sign) for sign in (1, -1)))


def steps(
    neighbours: sparse.csr_matrix,
    moving: NDArray[np.bool_],
    recurse_neighbors: int,
    max_neighbors: int,
    *,
    seed: int = 0,
    threads: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The cells that each cell is compared with.

    Parameters
    ----------
    neighbours
        csr (cells, cells).
    moving
        (cells,), false for cells that are compared with none.
    recurse_neighbors, max_neighbors, seed, threads
        As in :func:`velocity_graph`.

    Returns
    -------
    starts, columns
        (cells + 1,) and (comparisons,): those of cell i are ``columns[starts[i]:starts[i + 1]]``,
        in ascending order.
    """
    cells = moving.size
    lists = (neighbours.indptr, neighbours.indices, recurse_neighbors, max_neighbors)
    counts = np.zeros(cells + 1, dtype=np.int64)
    over_rows(lambda a, b: _count(a, b, *lists, moving, counts), cells, threads)
    starts = np.cumsum(counts)
    columns = np.empty(starts[-1], dtype=np.int32)
    over_rows(lambda a, b: _fill(a, b, *lists, seed, starts, columns), cells, threads)
    return starts, columns


def centred(v: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Rows minus their mean, and the length of each; 0 where only rounding noise is left."""
    raw = np.einsum("cg,cg->c", v, v, dtype=np.float64)
    rest = v - v.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    square = np.einsum("cg,cg->c", rest, rest, dtype=np.float64)
    return rest, np.sqrt(np.where(square > NOISE * raw, square, 0.0))


def _half(
    starts: NDArray[np.int64],
    columns: NDArray[np.int32],
    values: NDArray[np.float32],
    sign: int,
) -> sparse.csr_matrix:
    """The entries of one sign, as csr (cells, cells)."""
    cells = starts.size - 1
    keep = values * np.float32(sign) > 0
    before = np.concatenate([[0], np.cumsum(keep)])
    return sparse.csr_matrix((values[keep], columns[keep], before[starts]), shape=(cells, cells))


@cached_njit()
def _collect(cell, indptr, indices, depth, seen, found):  # type: ignore[no-untyped-def]
    """Write the cells within ``depth`` steps of ``cell``, itself left out; give their number."""
    seen[cell] = cell
    total = 0
    for at in range(indptr[cell], indptr[cell + 1]):
        other = indices[at]
        if seen[other] != cell:
            seen[other] = cell
            found[total] = other
            total += 1
    begin = 0
    for _ in range(depth - 1):
        end = total
        for front in range(begin, end):
            middle = found[front]
            for at in range(indptr[middle], indptr[middle + 1]):
                other = indices[at]
                if seen[other] != cell:
                    seen[other] = cell
                    found[total] = other
                    total += 1
        begin = end
    return total


@cached_njit()
def _choose(found, total, wanted, seed, cell):  # type: ignore[no-untyped-def]
    """Move a random choice of ``wanted`` entries to the front (Fisher-Yates, SplitMix64).

    The state depends on the seed and the cell alone, so threads do not change the choice.
    """
    state = np.uint64(seed) * GOLDEN_GAMMA + np.uint64(cell)
    for k in range(wanted):
        state += GOLDEN_GAMMA
        pick = k + np.int64(splitmix64(state) % np.uint64(total - k))
        found[k], found[pick] = found[pick], found[k]


@cached_njit()
def _count(start, stop, indptr, indices, depth, most, moving, counts):  # type: ignore[no-untyped-def]
    """counts[i + 1] = number of cells that cell i will be compared with."""
    seen = np.full(indptr.size - 1, -1, np.int32)
    found = np.empty(indptr.size - 1, np.int32)
    for cell in range(start, stop):
        if not moving[cell]:
            continue
        total = _collect(cell, indptr, indices, depth, seen, found)
        counts[cell + 1] = min(total, most) if most > 0 else total


@cached_njit(fastmath={"reassoc", "contract", "nsz"})
def _cosine(x, v, i, j, shift, norm):  # type: ignore[no-untyped-def]
    """Cosine of v[i] with x[j] - x[i] - shift; 0 where that displacement vanishes."""
    genes = x.shape[1]
    dot, square = 0.0, 0.0
    for first in range(0, genes, RUN):
        # slices start at 0, which lets the compiler leave out negative indices and use SIMD
        there, here, velocity = x[j, first:][:RUN], x[i, first:][:RUN], v[i, first:][:RUN]
        part_dot, part_square = np.float32(0.0), np.float32(0.0)
        for g in range(here.size):
            d = (there[g] - here[g]) - shift
            part_dot += d * velocity[g]
            part_square += d * d
        dot += part_dot
        square += part_square
    if square <= NOISE * (square + genes * np.float64(shift) * np.float64(shift)):
        return np.float32(0.0)
    return np.float32(min(1.0, max(-1.0, dot / (np.sqrt(square) * norm))))


@cached_njit()
def _fill(  # type: ignore[no-untyped-def]
    start, stop, indptr, indices, depth, most, seed, starts, columns
):
    """The columns of the rows start..stop, in ascending order."""
    seen = np.full(indptr.size - 1, -1, np.int32)
    found = np.empty(indptr.size - 1, np.int32)
    for cell in range(start, stop):
        begin, end = starts[cell], starts[cell + 1]
        if begin == end:
            continue
        total = _collect(cell, indptr, indices, depth, seen, found)
        if end - begin < total:
            _choose(found, total, end - begin, seed, cell)
        columns[begin:end] = np.sort(found[: end - begin])


@cached_njit()
def _cosines(start, stop, x, mean, v, norm, starts, columns, values):  # type: ignore[no-untyped-def]
    """Fill the rows start..stop of the graph."""
    for cell in range(start, stop):
        for at in range(starts[cell], starts[cell + 1]):
            other = columns[at]
            shift = np.float32(mean[other] - mean[cell])
            values[at] = _cosine(x, v, cell, other, shift, norm[cell])
