"""Is there more in the unspliced counts than in the spliced ones? Answered without any model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from velovi.errors import DataError
from velovi.numerics.out_of_core import gene_blocks

_FEWEST = 30  # cells over which anything is correlated


@dataclass(frozen=True)
class Reliability:
    """How far residuals of unspliced counts repeat themselves between cells; see the function."""

    overall: np.ndarray
    """Of each gene over all cells, a correlation, (genes,); NaN without counts of both kinds."""
    within: np.ndarray
    """The same inside the groups, with neighbours of the same group only and what the groups'
    means explain taken away, (genes,); NaN where fewer than 30 cells have such neighbours."""
    n_cells: int
    """Cells that had neighbours of both halves inside their group."""


def residual_reliability(
    spliced: sp.spmatrix,
    unspliced: sp.spmatrix,
    neighbors: sp.spmatrix,
    *,
    labels: np.ndarray | None = None,
    n_halvings: int = 2,
    seed: int = 0,
) -> Reliability:
    """Correlate what spliced counts leave unexplained of unspliced ones between halves of cells.

    All cells are divided at random in two halves. Around each cell, the counts of its neighbours
    are averaged, those of one half apart from those of the other, without the cell itself. The
    line u = a + b s is fitted to both together, and the residuals u - b s of one half are
    correlated over cells with those of the other. Where unspliced only follows spliced, this is 0
    in expectation; where cells on their way up have more and those on their way down less, it is
    above. It compares cells and not halves of molecules, because molecules of a cell share what
    happened to that cell: permuted unspliced counts would pass.

    Parameters
    ----------
    spliced, unspliced
        Counts, (cells, genes), divided by the size of the cell.
    neighbors
        (cells, cells); every stored entry off the diagonal is a neighbour.
    labels
        Group of each cell as a number, (cells,), -1 for none; all cells are one group without.
    n_halvings
        The mean over so many random halves is given.
    seed
        Of the halves.

    Returns
    -------
    Reliability
        Per gene.

    Raises
    ------
    DataError
        Shapes do not belong together.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from velovi.evidence import residual_reliability
    >>> from velovi.neighbors import neighbor_graph
    >>> rng, angle = np.random.default_rng(0), np.linspace(0, 2 * np.pi, 400)
    >>> ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    >>> graph, _ = neighbor_graph(ring, 15)
    >>> spliced = rng.poisson(20 + 10 * ring[:, :1])
    >>> ahead = rng.poisson(20 + 10 * ring[:, 1:])
    >>> found = residual_reliability(sp.csr_matrix(spliced), sp.csr_matrix(ahead), graph)
    >>> bool(found.overall[0] > 0.8)
    True
    """
    spliced, unspliced = sp.csc_matrix(spliced), sp.csc_matrix(unspliced)
    n_cells = spliced.shape[0]
    pattern = sp.csr_matrix(neighbors, dtype=np.float32, copy=True)
    if unspliced.shape != spliced.shape or pattern.shape != (n_cells, n_cells):
        raise DataError(
            "counts and neighbours do not belong together",
            where="spliced, unspliced, neighbors",
            expected=f"shapes {spliced.shape}, {spliced.shape} and {(n_cells, n_cells)}",
            found=f"{spliced.shape}, {unspliced.shape} and {pattern.shape}",
            remedy="Give layers and neighbours of the same cells",
        )
    pattern.setdiag(0)
    pattern.eliminate_zeros()
    pattern.data[:] = 1
    halves = np.random.default_rng(seed).random((n_halvings, n_cells)) < 0.5
    everyone = np.zeros(n_cells, dtype=np.int64)
    overall, _ = _of_halves(spliced, unspliced, pattern, everyone, halves)
    if labels is None:
        return Reliability(overall, overall.copy(), n_cells)
    codes = np.asarray(labels)
    # cells at the border of a group have neighbours in the next one, whose mean is another
    at = pattern.tocoo()
    same = (codes[at.row] == codes[at.col]) & (codes[at.row] >= 0)
    inside = sp.csr_matrix((at.data[same], (at.row[same], at.col[same])), shape=at.shape)
    within, n_inside = _of_halves(spliced, unspliced, inside, codes, halves)
    return Reliability(overall, within, n_inside)


def _of_halves(
    spliced: sp.csc_matrix,
    unspliced: sp.csc_matrix,
    pattern: sp.csr_matrix,
    codes: np.ndarray,
    halves: np.ndarray,
) -> tuple[np.ndarray, int]:
    """Mean correlation of each gene, (genes,), over the halvings; and the cells that took part."""
    n_cells, n_genes = spliced.shape
    found = np.zeros(n_genes)
    least = n_cells
    for half in halves:
        weights = [_averaging(pattern, chosen) for chosen in (half, ~half)]
        usable = np.logical_and(*(np.diff(w.indptr) > 0 for w in weights))
        least = min(least, int(usable.sum()))
        if least < _FEWEST:
            return np.full(n_genes, np.nan), least
        weights = [w[usable] for w in weights]
        for block in gene_blocks(n_cells, n_genes):
            s, u = (layer[:, block].toarray().astype(np.float32) for layer in (spliced, unspliced))
            s, u = ([w @ values for w in weights] for values in (s, u))
            found[block] += _correlation(s, u, codes[usable]) / len(halves)
    return found, least


def _averaging(pattern: sp.csr_matrix, chosen: np.ndarray) -> sp.csr_matrix:
    """Weights (cells, cells) that average over each cell's neighbours among ``chosen``."""
    part = (pattern @ sp.diags(chosen.astype(np.float32))).tocsr()
    part.eliminate_zeros()
    return (sp.diags(1 / np.maximum(part.sum(axis=1).A1, 1)) @ part).tocsr()


def _correlation(s: list[np.ndarray], u: list[np.ndarray], codes: np.ndarray) -> np.ndarray:
    """Correlation (genes,) of the halves' residuals of one line a gene, group means taken away."""
    s, u = ([_centered(values, codes) for values in pair] for pair in (s, u))
    s_both, u_both = s[0] + s[1], u[0] + u[1]
    spread = (s_both**2).sum(axis=0)
    slope = (s_both * u_both).sum(axis=0) / np.where(spread > 0, spread, 1)
    first, second = (u_half - slope * s_half for s_half, u_half in zip(s, u, strict=True))
    scale = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    some = (scale > 0) & (spread > 0)
    return np.where(some, (first * second).sum(axis=0) / np.where(some, scale, 1), np.nan)


def _centered(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    groups = np.unique(codes, return_inverse=True)[1]
    member = sp.csr_matrix((np.ones(len(codes), np.float32), (groups, np.arange(len(codes)))))
    means = (member @ values) / np.bincount(groups)[:, None].astype(np.float32)
    return values - means[groups]
