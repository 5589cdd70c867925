"""Starting values of the rates, read from the data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from velovi.data.clean import dense

# a gene without unspliced counts would start at log(0); this is far below any scaled count
_SMALLEST_START = 1e-4
_LARGEST_START = 10.0
_GENES_AT_A_TIME = 64


class TopQuantileMeans(NamedTuple):
    """Typical abundance of the cells with the most unspliced RNA, each ``(genes,)``."""

    spliced: np.ndarray
    unspliced: np.ndarray


def top_quantile_means(spliced: np.ndarray, unspliced: np.ndarray) -> TopQuantileMeans:
    """Median abundance among each gene's top percent of cells by unspliced abundance.

    Parameters
    ----------
    spliced, unspliced
        ``(cells, genes)``, dense or sparse.
    """
    n_cells, n_genes = unspliced.shape
    first = int(n_cells * 0.99)
    upper = TopQuantileMeans(np.empty(n_genes), np.empty(n_genes))
    for start in range(0, n_genes, _GENES_AT_A_TIME):
        columns = slice(start, start + _GENES_AT_A_TIME)
        u, s = dense(unspliced[:, columns]), dense(spliced[:, columns])
        # a full sort settles ties in the reference's way and is cheap on a few columns
        top = np.argsort(u, axis=0)[first:]
        upper.unspliced[columns] = np.median(np.take_along_axis(u, top, axis=0), axis=0)
        upper.spliced[columns] = np.median(np.take_along_axis(s, top, axis=0), axis=0)
    return upper


def softplus_inverse(x: np.ndarray) -> np.ndarray:
    """``log(exp(x) - 1)``, finite for every ``x >= 0``."""
    x = np.maximum(np.nan_to_num(np.asarray(x, dtype=np.float64)), _SMALLEST_START)
    return x + np.log(-np.expm1(-x))


def initial_alpha(upper: TopQuantileMeans) -> np.ndarray:
    """Unconstrained transcription rates: those that reach the upper end when ``beta`` is one."""
    return softplus_inverse(upper.unspliced)


def initial_gamma(upper: TopQuantileMeans) -> np.ndarray:
    """Unconstrained degradation rates from the unspliced-to-spliced ratio at the upper end."""
    ratio = upper.unspliced / np.maximum(upper.spliced, _SMALLEST_START)
    return np.clip(softplus_inverse(ratio), None, _LARGEST_START)
