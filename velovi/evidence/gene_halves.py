"""Do two halves of the genes, each by itself, send a cell the same way?"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from velovi.dynamics import project, transition_matrix, velocity_graph
from velovi.errors import DataError, check_range
from velovi.numerics.vectors import row_cosines


def gene_half_arrows(
    velocity: np.ndarray,
    expression: np.ndarray,
    neighbors: sp.spmatrix,
    embedding: np.ndarray,
    *,
    n_splits: int = 8,
    max_neighbors: int = 100,
    seed: int = 0,
    threads: int = 0,
) -> np.ndarray:
    """Arrows of the cells by random halves of the genes.

    Parameters
    ----------
    velocity, expression
        ds/dt and smoothed spliced expression, (cells, genes).
    neighbors
        (cells, cells); every stored entry is a neighbour.
    embedding
        Places on the map, (cells, 2 or more).
    n_splits
        Random divisions of the genes.
    max_neighbors
        Cells that each cell is compared with, drawn among neighbours and their neighbours.
    seed
        Of the divisions.
    threads
        0 takes ``NUMBA_NUM_THREADS``.

    Returns
    -------
    (2 splits, cells, dimensions); the two halves of a division follow each other.

    Raises
    ------
    DataError
        Fewer than four genes, or shapes disagree.
    OptionError
        A number is out of range.

    Examples
    --------
    >>> from velovi.evidence import gene_half_arrows
    >>> velocity, expression = result.layers["velocity"], result.layers["Ms"]
    >>> near, places = result.obsp["distances"], result.obsm["X_umap"]
    >>> gene_half_arrows(velocity, expression, near, places, n_splits=2).shape[0]
    4
    """
    check_range("n_splits", n_splits, 1)
    n_genes = velocity.shape[1]
    if n_genes < 4:
        raise DataError(
            "too few genes to divide",
            where="velocity",
            expected="at least 4 genes",
            found=str(n_genes),
            remedy="Keep more genes when preparing the data",
        )
    rng = np.random.default_rng(seed)
    arrows = []
    for _ in range(n_splits):
        order = rng.permutation(n_genes)
        for half in (order[: n_genes // 2], order[n_genes // 2 :]):
            graph = velocity_graph(
                np.ascontiguousarray(velocity[:, half]),
                np.ascontiguousarray(expression[:, half]),
                neighbors,
                max_neighbors=max_neighbors,
                seed=seed,
                threads=threads,
            )
            arrows.append(project(transition_matrix(graph), embedding, threads=threads))
    return np.stack(arrows)


def gene_half_agreement(arrows: np.ndarray) -> np.ndarray:
    """Cosine between the arrows that two random halves of the genes give a cell, mean of splits.

    Genes are noisy each in its own way, so that arrows of noise part where arrows of a common
    direction stay together. Biases that all genes share, as that of smoothing over the same
    neighbours, stay: compare with the same number of data without velocity.

    Parameters
    ----------
    arrows
        From :func:`gene_half_arrows`, (2 splits, cells, dimensions).

    Returns
    -------
    (cells,) from -1 to 1; NaN for cells without an arrow.

    Examples
    --------
    >>> import numpy as np
    >>> from velovi.evidence import gene_half_agreement
    >>> gene_half_agreement(np.array([[[1.0, 0.0]], [[2.0, 0.0]]]))
    array([1.])
    """
    found = np.stack([row_cosines(*pair) for pair in zip(arrows[::2], arrows[1::2], strict=True)])
    known = np.isfinite(found)
    total, count = np.where(known, found, 0).sum(axis=0), known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
