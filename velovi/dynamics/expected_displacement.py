"""Where many velocity samples of the same cells expect them to go.

Every sample has a velocity graph and a transition matrix of its own, but all compare the same
pairs of cells. So a cell's displacements are worked out once and multiplied with all its samples
together, and the transition matrices are never made.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from velovi.dynamics.graph import NOISE, centred, self_transition, steps
from velovi.dynamics.transitions import SCALE, signed_kernel
from velovi.errors import check_range
from velovi.numerics.inputs import as_matrix, as_square
from velovi.numerics.parallel import over_rows


class ExpectedDisplacements:
    """Expected next state of every cell by each of its velocity samples.

    First :meth:`compare` all cells, some at a time and in any order; then ask for :meth:`states`.
    What is kept is the cosines: four bytes for each sample and pair of cells.

    Parameters
    ----------
    expression
        (cells, genes), smoothed spliced expression.
    neighbours
        csr (cells, cells), kNN distances or connectivities.
    n_samples
        Velocity samples of each cell.
    recurse_neighbors, max_neighbors, seed, threads
        As in :func:`velovi.dynamics.velocity_graph`.
    allocate
        Gives the float32 array for the cosines, (samples, pairs of cells), so that it can lie in a
        file; it is best when a pair's samples lie together. In memory when left out.

    Raises
    ------
    DataError
        Shapes disagree or values are not finite.
    OptionError
        A number is out of range.
    """

    def __init__(
        self,
        expression: ArrayLike,
        neighbours: sparse.spmatrix,
        n_samples: int,
        *,
        recurse_neighbors: int = 2,
        max_neighbors: int = 0,
        seed: int = 0,
        threads: int = 0,
        allocate: Callable[[tuple[int, int]], NDArray[np.float32]] | None = None,
    ) -> None:
        self._x = as_matrix(expression, "expression")
        n_cells = len(self._x)
        knn = as_square(neighbours, "neighbours", n_cells)
        check_range("recurse_neighbors", recurse_neighbors, 1)
        check_range("max_neighbors", max_neighbors, 0)
        everyone = np.ones(n_cells, dtype=bool)
        self._starts, self._columns = steps(
            knn, everyone, recurse_neighbors, max_neighbors, seed=seed, threads=threads
        )
        self._cosines = (allocate or _pairs_together)((n_samples, self._columns.size))
        self._confidence = np.zeros((n_samples, n_cells), dtype=np.float32)
        self._threads = threads
        self._stay: NDArray[np.float32] | None = None

    def compare(self, first: int, velocities: ArrayLike) -> None:
        """Take in all samples of some cells.

        Parameters
        ----------
        first
            Position of the first of these cells.
        velocities
            (samples, cells, genes).
        """
        samples, n_cells, genes = np.shape(velocities)
        flat = as_matrix(np.reshape(velocities, (-1, genes)), "velocities")
        rest, norm = centred(flat)
        v, size = rest.reshape(samples, n_cells, genes), norm.reshape(samples, n_cells, 1)

        def cells(start: int, stop: int) -> None:
            for cell in range(start, stop):
                self._compare(first + cell, v[:, cell], size[:, cell])

        over_rows(cells, n_cells, self._threads)
        self._stay = None

    def _compare(self, cell: int, velocity: NDArray[np.float32], norm: NDArray[np.float64]) -> None:
        pairs = self._pairs(cell)
        if pairs.start == pairs.stop:
            return
        displacement = self._x[self._columns[pairs]] - self._x[cell]
        raw = np.einsum("ng,ng->n", displacement, displacement)
        displacement -= displacement.mean(axis=1, keepdims=True)
        square = np.einsum("ng,ng->n", displacement, displacement)
        size = norm * np.sqrt(np.where(square > NOISE * raw, square, 0.0))  # (samples, pairs)
        cosines = velocity @ displacement.T / np.where(size > 0, size, np.inf)
        self._cosines[:, pairs] = np.clip(cosines, -1, 1)
        self._confidence[:, cell] = np.maximum(self._cosines[:, pairs].max(axis=1), 0)

    def states(self, first: int, stop: int) -> NDArray[np.float32]:
        """Expected next states of some cells, (samples, cells, genes).

        A cell's row of ``T @ expression`` for each sample's transition matrix ``T``, that of
        :func:`velovi.dynamics.transition_matrix`.

        Parameters
        ----------
        first, stop
            Positions of the first of the cells and of that after the last.
        """
        if self._stay is None:
            each = [self_transition(confidence) for confidence in self._confidence]
            self._stay = signed_kernel(np.stack(each), SCALE)
        stay = self._stay
        found = np.empty((len(stay), stop - first, self._x.shape[1]), dtype=np.float32)

        def cells(begin: int, end: int) -> None:
            for at in range(begin, end):
                self._expect(first + at, stay[:, first + at, None], found[:, at])

        over_rows(cells, stop - first, self._threads)
        return found

    def _expect(self, cell: int, stay: NDArray[np.float32], found: NDArray[np.float32]) -> None:
        pairs = self._pairs(cell)
        weights = signed_kernel(self._cosines[:, pairs], SCALE)
        total = np.abs(weights).sum(axis=1, keepdims=True) + stay
        alone = total == 0  # such a cell stays where it is
        total[alone], own = 1.0, np.where(alone, 1.0, stay)
        found[:] = (weights @ self._x[self._columns[pairs]] + own * self._x[cell]) / total

    def _pairs(self, cell: int) -> slice:
        return slice(int(self._starts[cell]), int(self._starts[cell + 1]))


def _pairs_together(shape: tuple[int, int]) -> NDArray[np.float32]:
    return np.empty(shape, dtype=np.float32, order="F")
