"""Speed of each cell and how well its velocity agrees with its neighbours'."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from velovi.dynamics.graph import NOISE, centred
from velovi.numerics.inputs import as_matrix, as_square
from velovi.numerics.numba_utils import cached_njit
from velovi.numerics.out_of_core import row_blocks
from velovi.numerics.parallel import over_rows


def velocity_length(velocity: ArrayLike) -> NDArray[np.float32]:
    """Length of each cell's velocity after its mean over genes is taken off.

    The definition is scVelo's ``velocity_length``, without its rounding to two digits: a shift of
    all genes alike, as a change of depth would cause, does not count as speed.

    Parameters
    ----------
    velocity
        (cells, genes), ds/dt.

    Returns
    -------
    (cells,) float32, unit of ``velocity``.

    Raises
    ------
    DataError
        Not a finite two-dimensional array.
    """
    v = as_matrix(velocity, "velocity")
    length = np.empty(len(v), dtype=np.float32)
    for rows in row_blocks(*v.shape):
        length[rows] = centred(v[rows])[1]
    return length


def velocity_confidence(
    velocity: ArrayLike, neighbours: sparse.spmatrix, *, threads: int = 0
) -> NDArray[np.float32]:
    r"""Agreement of a cell's velocity with its neighbours'.

    .. math:: c_i = \max\Big(0, \frac{1}{|N_i|} \sum_{j \in N_i} \rho(v_i, v_j)\Big)

    with Pearson's correlation over genes; 0 for a zero velocity. Only direct neighbours count, the
    cell itself does not. A cell without neighbours has confidence 0.

    Parameters
    ----------
    velocity
        (cells, genes), ds/dt.
    neighbours
        csr (cells, cells), kNN distances or connectivities; every stored entry is a neighbour.
    threads
        0 takes ``NUMBA_NUM_THREADS``.

    Returns
    -------
    (cells,) float32 in [0, 1].

    Raises
    ------
    DataError
        Shapes disagree or values are not finite.
    """
    v = as_matrix(velocity, "velocity")
    knn = as_square(neighbours, "neighbours", len(v))
    group = np.zeros(len(v), dtype=np.int64)
    mean, _ = mean_cosine(_to_unit(*centred(v)), knn, group, threads)
    return np.maximum(mean, 0).astype(np.float32)


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; zero rows stay zero."""
    square = np.einsum("cg,cg->c", vectors, vectors, dtype=np.float64)
    return _to_unit(vectors.copy(), np.sqrt(square))


def mean_cosine(
    unit: NDArray[np.float32],
    knn: sparse.csr_matrix,
    group: NDArray[np.int64],
    threads: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean dot product of each row with its neighbours' rows of the same group.

    Parameters
    ----------
    unit
        (cells, dims) rows of length 1 or 0.
    knn
        csr (cells, cells); every stored entry but the diagonal is a neighbour.
    group
        (cells,) group number of each cell.
    threads
        0 takes ``NUMBA_NUM_THREADS``.

    Returns
    -------
    mean, n
        (cells,) each: the mean, 0 where no neighbour is of the group, and how many are.
    """
    cells = unit.shape[0]
    mean, number = np.zeros(cells), np.zeros(cells, dtype=np.int64)
    over_rows(
        lambda a, b: _mean_cosine(a, b, unit, knn.indptr, knn.indices, group, mean, number),
        cells,
        threads,
    )
    return mean, number


def _to_unit(vectors: NDArray[np.float32], norm: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows of known length scaled to length 1, in place: no copy in double precision."""
    inverse = np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > NOISE)
    return np.multiply(vectors, inverse[:, None], out=vectors, casting="same_kind")


@cached_njit(fastmath={"reassoc", "contract", "nsz"})
def _mean_cosine(start, stop, unit, indptr, indices, group, mean, number):  # type: ignore[no-untyped-def]
    for i in range(start, stop):
        total, n = 0.0, 0
        for at in range(indptr[i], indptr[i + 1]):
            j = indices[at]
            if j == i or group[j] != group[i]:
                continue
            here, there, dot = unit[i], unit[j], np.float32(0.0)
            for g in range(here.size):
                dot += here[g] * there[g]
            total += dot
            n += 1
        number[i] = n
        mean[i] = total / n if n > 0 else 0.0
