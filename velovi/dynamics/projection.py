"""Velocities seen in an embedding: one arrow a cell, and a smooth field on a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from velovi.errors import DataError, check_range
from velovi.numerics.inputs import as_matrix, as_square
from velovi.numerics.numba_utils import cached_njit
from velovi.numerics.parallel import over_rows

GRID_CELLS = 50  # autoscaled arrows are on average one cell of such a grid long
MARGIN = 0.02  # free border around the cells, share of the larger side
BLOCK = 8192  # cells whose kernel weights are held at a time (BLOCK x resolution numbers)


@dataclass(frozen=True)
class GridField:
    """A velocity field on an evenly spaced grid, the same step in both directions.

    Attributes
    ----------
    x, y
        (nx,) and (ny,) float64 coordinates of the grid points, ascending.
    u, v
        (ny, nx) float64 mean velocity along x and y; NaN where masked.
    mass
        (ny, nx) float64, kernel-weighted number of cells (a cell on the grid point counts 1).
    mask
        (ny, nx) bool, True where too few cells are near to say anything.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    u: NDArray[np.float64]
    v: NDArray[np.float64]
    mass: NDArray[np.float64]
    mask: NDArray[np.bool_]

    def to_dict(self) -> dict[str, NDArray[np.float64]]:
        """The grid and the field without the mask, which ``u`` and ``v`` hold as NaN."""
        return {"x": self.x, "y": self.y, "u": self.u, "v": self.v, "mass": self.mass}

    def __post_init__(self) -> None:
        shape = (self.y.size, self.x.size)
        found = {item.shape for item in (self.u, self.v, self.mass, self.mask)}
        if found != {shape}:
            raise DataError(
                "grid and field disagree", where="GridField", expected=str(shape), found=str(found)
            )


def project(
    transition: sparse.spmatrix,
    embedding: ArrayLike,
    *,
    autoscale: bool = False,
    threads: int = 0,
) -> NDArray[np.float32]:
    r"""Expected direction of each cell in an embedding.

    .. math:: \nu_i = \sum_{j \in S_i} \Big(T_{ij} - \frac{1}{|S_i|} \sum_{k \in S_i} T_{ik}\Big)
              \, \frac{y_j - y_i}{\lVert y_j - y_i \rVert}

    where :math:`S_i` are the cells :math:`j \ne i` with :math:`T_{ij} \ne 0`: self transitions
    shorten no arrow by pointing nowhere, and the second term takes off what an undirected walk
    would do. A neighbour at the same place contributes no direction but counts in
    :math:`|S_i|`. These are scVelo 0.3.4's vectors before its ``autoscale`` (La Manno et al. 2018).

    Parameters
    ----------
    transition
        csr (cells, cells), usually with self transitions and negative cosines.
    embedding
        (cells, dims) coordinates y.
    autoscale
        Multiply all arrows by one number so that the mean arrow is as long as 1/50 of the
        embedding's largest side.
    threads
        0 takes ``NUMBA_NUM_THREADS``.

    Returns
    -------
    (cells, dims) float32; zero for a cell with nowhere to go.

    Raises
    ------
    DataError
        Shapes disagree or values are not finite.
    """
    y = as_matrix(embedding, "embedding", dtype=np.float64)
    t = as_square(transition, "transition", y.shape[0])
    vectors = np.zeros(y.shape)
    over_rows(
        lambda a, b: _project(a, b, t.indptr, t.indices, t.data, y, vectors), y.shape[0], threads
    )
    if autoscale and y.size:
        length = float(np.linalg.norm(vectors, axis=1).mean())
        side = float(np.ptp(y, axis=0).max())
        vectors *= side / (GRID_CELLS * length) if length > 0 and side > 0 else 1.0
    return vectors.astype(np.float32)


@cached_njit()
def _project(start, stop, indptr, indices, data, y, vectors):  # type: ignore[no-untyped-def]
    dims = y.shape[1]
    step, drift, all_steps = np.empty(dims), np.empty(dims), np.empty(dims)
    for i in range(start, stop):
        drift[:] = 0.0
        all_steps[:] = 0.0
        total, count = 0.0, 0
        for at in range(indptr[i], indptr[i + 1]):
            j, p = indices[at], np.float64(data[at])
            if j == i or p == 0.0:
                continue
            total += p
            count += 1
            square = 0.0
            for d in range(dims):
                step[d] = y[j, d] - y[i, d]
                square += step[d] * step[d]
            if square > 0.0:
                length = np.sqrt(square)
                for d in range(dims):
                    drift[d] += p * step[d] / length
                    all_steps[d] += step[d] / length
        if count > 0:
            for d in range(dims):
                vectors[i, d] = drift[d] - total / count * all_steps[d]


def grid_field(
    embedding: ArrayLike,
    vectors: ArrayLike,
    *,
    resolution: int = 50,
    smooth: float = 0.5,
    min_mass: float = 1.0,
) -> GridField:
    r"""Gaussian-weighted mean of the cells' vectors at each point of a grid.

    .. math:: m(p) = \sum_i K(p - y_i), \quad u(p) = \frac{1}{m(p)} \sum_i K(p - y_i) \, v_i,
              \quad K(d) = \exp\Big(-\frac{\lVert d \rVert^2}{2 \sigma^2}\Big)

    with :math:`\sigma` = ``smooth`` grid steps. The kernel is a product of a function of x and one
    of y, so all three sums are matrix products of (cells, ny) with (cells, nx) weights: exact, no
    neighbour search, no binning, time proportional to the number of cells and memory to a block of
    them.

    Parameters
    ----------
    embedding
        (cells, 2) coordinates.
    vectors
        (cells, 2) velocities in the embedding.
    resolution
        Grid points along the longer side; the other side has the same step.
    smooth
        Width of the Gaussian, in grid steps.
    min_mass
        Points with less than so many percent of the 99th percentile of mass are masked.

    Returns
    -------
    GridField

    Raises
    ------
    DataError
        No cells, shapes disagree or values are not finite.
    OptionError
        A number is out of range.
    """
    y = as_matrix(embedding, "embedding", shape=(None, 2), dtype=np.float64)
    arrows = as_matrix(vectors, "vectors", shape=(y.shape[0], 2), dtype=np.float64)
    check_range("resolution", resolution, 2)
    check_range("smooth", smooth, 0, above_low=True)
    check_range("min_mass", min_mass, 0)
    if y.shape[0] == 0:
        raise DataError("there are no cells", where="embedding", remedy="Give at least one cell")
    xs, ys, step = _axes(y, resolution)
    sums = np.zeros((3, ys.size, xs.size))
    for first in range(0, y.shape[0], BLOCK):
        part = slice(first, first + BLOCK)
        wx = _weights(y[part, 0], xs, smooth * step)  # (block, nx)
        wy = _weights(y[part, 1], ys, smooth * step).T  # (ny, block)
        sums[0] += wy @ wx
        sums[1] += wy @ (wx * arrows[part, 0, None])
        sums[2] += wy @ (wx * arrows[part, 1, None])
    mass = sums[0]
    # the floor keeps 0/0 out where every weight underflows
    least = max(min_mass / 100 * float(np.percentile(mass, 99)), np.finfo(np.float64).tiny)
    mask = mass < least
    mean = np.where(mask, np.nan, sums[1:] / np.where(mask, 1.0, mass))
    return GridField(xs, ys, mean[0], mean[1], mass, mask)


def _axes(
    y: NDArray[np.float64], resolution: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Grid coordinates along both axes, centred on the cells, and their common step."""
    low, high = y.min(axis=0), y.max(axis=0)
    side = float(np.max(high - low)) or 1.0
    side *= 1 + 2 * MARGIN
    step = side / (resolution - 1)
    axes = []
    for a in range(2):
        points = max(2, int(np.ceil((high[a] - low[a] + 2 * MARGIN * side) / step - 1e-9)) + 1)
        points = min(points, resolution)
        middle = (low[a] + high[a]) / 2
        axes.append(middle + step * (np.arange(points) - (points - 1) / 2))
    return axes[0], axes[1], step


def _weights(
    at: NDArray[np.float64], points: NDArray[np.float64], sigma: float
) -> NDArray[np.float64]:
    """(cells, points) one-dimensional Gaussian kernel."""
    return np.exp(-0.5 * ((at[:, None] - points) / sigma) ** 2)
