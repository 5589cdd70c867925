"""Nearest neighbours of cells and how strongly they are connected, as scanpy writes them.

Written here, because scanpy's own way imports umap-learn, which compiles for some 20 seconds
in every new process, and a run is a new process.
"""

from __future__ import annotations

import warnings

import numpy as np
import scipy.sparse as sp

EXACT_CELLS = 50_000
"""Up to so many cells all pairs are compared: up to there it is no slower than approximation."""
_TOLERANCE = 1e-5  # of the sum of a cell's memberships
_HALVINGS = 64
_LEAST_WIDTH = 1e-3  # of the mean distance


def neighbor_graph(
    places: np.ndarray,
    n_neighbors: int,
    *,
    search: str = "auto",
    seed: int = 0,
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Distances and connectivities of every cell's nearest neighbours.

    The numbers are those of ``scanpy.pp.neighbors`` with its default method.

    Parameters
    ----------
    places
        Principal components or another space of cells, shape (cells, dimensions).
    n_neighbors
        Neighbours of a cell, itself among them, as scanpy counts them.
    search
        ``"exact"`` compares all pairs of cells, ``"approximate"`` uses pynndescent, ``"auto"`` is
        exact up to `EXACT_CELLS` cells.
    seed
        Of the approximate search.

    Returns
    -------
    distances
        csr (cells, cells), ``n_neighbors - 1`` entries a row, in the units of ``places``.
    connectivities
        csr (cells, cells), symmetric, from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from velovi.neighbors import neighbor_graph
    >>> distances, connectivities = neighbor_graph(np.arange(4.0)[:, None], 3)
    >>> distances.toarray()[0]
    array([0., 1., 2., 0.])
    >>> bool((connectivities != connectivities.T).nnz)
    False
    """
    exact = search == "exact" or (search == "auto" and len(places) <= EXACT_CELLS)
    listed, away = (_exact if exact else _approximate)(places, n_neighbors, seed)
    shape = (len(places), len(places))
    starts = np.arange(len(places) + 1) * listed.shape[1]
    distances = sp.csr_matrix((away.ravel(), listed.ravel(), starts), shape=shape)
    memberships = sp.csr_matrix((_memberships(away).ravel(), listed.ravel(), starts), shape=shape)
    distances.sort_indices()
    memberships.sort_indices()
    reverse = memberships.T.tocsr()
    connectivities = (memberships + reverse - memberships.multiply(reverse)).tocsr()
    connectivities.eliminate_zeros()
    return distances, connectivities


def _exact(places: np.ndarray, n_neighbors: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Others nearest to each cell and how far away they are, each (cells, n_neighbors - 1)."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=n_neighbors - 1, algorithm="brute").fit(places)
    away, listed = search.kneighbors()
    return listed, away


def _approximate(places: np.ndarray, n_neighbors: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    with warnings.catch_warnings(action="ignore"):  # about neighbours that it could not find
        from pynndescent import NNDescent

        listed, away = NNDescent(
            places, n_neighbors=n_neighbors, metric="euclidean", random_state=seed
        ).neighbor_graph
    # a cell is not its own neighbour; where twins push it out of its own list, the last goes
    itself = listed == np.arange(len(places))[:, None]
    itself[~itself.any(axis=1), -1] = True
    shape = (len(places), n_neighbors - 1)
    return listed[~itself].reshape(shape), away[~itself].reshape(shape)


def _memberships(away: np.ndarray) -> np.ndarray:
    """How much each neighbour belongs to a cell (McInnes et al. 2018, algorithm 3), (cells, k).

    The nearest belongs wholly; the others fall off with a width chosen so that the memberships
    of a cell add up to log2 of the number of neighbours, itself counted among them.
    """
    away = away.astype(np.float64)
    n_neighbors = away.shape[1] + 1
    nearest = np.where(away > 0, away, np.inf).min(axis=1, initial=np.inf)
    nearest[~np.isfinite(nearest)] = 0
    beyond = np.maximum(away - nearest[:, None], 0)
    width = _widths(beyond, np.log2(n_neighbors))
    mean = np.where(
        nearest > 0, away.sum(axis=1) / n_neighbors, away.mean() * (1 - 1 / n_neighbors)
    )
    width = np.maximum(width, _LEAST_WIDTH * mean)
    # without any distance at all every neighbour belongs wholly
    return np.exp(-beyond / np.where(width > 0, width, 1)[:, None]).astype(np.float32)


def _widths(beyond: np.ndarray, target: float) -> np.ndarray:
    """Widths (cells,) at which ``exp(-beyond / width)`` adds up to ``target``, by halving."""
    low, width = np.zeros(len(beyond)), np.ones(len(beyond))
    high = np.full(len(beyond), np.inf)
    open_ = np.arange(len(beyond))
    for _ in range(_HALVINGS):
        total = np.exp(-beyond[open_] / width[open_, None]).sum(axis=1)
        off = np.abs(total - target) >= _TOLERANCE
        open_, total = open_[off], total[off]
        if not len(open_):
            break
        wide = total > target
        high[open_[wide]] = width[open_[wide]]
        low[open_[~wide]] = width[open_[~wide]]
        unbounded = np.isinf(high[open_])
        middle = (low[open_] + np.where(unbounded, 0, high[open_])) / 2
        width[open_] = np.where(unbounded, 2 * width[open_], middle)
    return width
