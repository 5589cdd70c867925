"""Is there more in the unspliced counts than in the spliced ones? Answered without any model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from velovi.errors import DataError
from velovi.numerics.out_of_core import gene_blocks

_FEWEST = 30  # cells over which anything is correlated
_ROUNDING = 1e-6  # of a sum of float32 products


@dataclass(frozen=True)
class Reliability:
    """How far residuals of unspliced counts repeat themselves between cells; see the function."""

    overall: np.ndarray
    """Of each gene over all cells, a correlation, (genes,); NaN without counts of both kinds."""
    within: np.ndarray
    """The same inside the groups, with neighbours of the same group only and what the groups'
    means explain taken away, (genes,); NaN where fewer than 30 cells have such neighbours."""
    by_group: np.ndarray
    """The same for each group by itself, with a line of its own, (groups, genes)."""
    n_cells: np.ndarray
    """Cells of each group that had neighbours of both halves inside it, (groups,)."""


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
    overall, alone, n_compared = _of_halves(spliced, unspliced, pattern, everyone, halves)
    if labels is None:
        return Reliability(overall, overall.copy(), alone, n_compared)
    codes = np.asarray(labels)
    # cells at the border of a group have neighbours in the next one, whose mean is another
    at = pattern.tocoo()
    same = (codes[at.row] == codes[at.col]) & (codes[at.row] >= 0)
    inside = sp.csr_matrix((at.data[same], (at.row[same], at.col[same])), shape=at.shape)
    within, by_group, n_inside = _of_halves(spliced, unspliced, inside, codes, halves)
    return Reliability(overall, within, by_group, n_inside)


def _of_halves(
    spliced: sp.csc_matrix,
    unspliced: sp.csc_matrix,
    pattern: sp.csr_matrix,
    codes: np.ndarray,
    halves: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean correlations over the halvings: (genes,) and (groups, genes); cells compared (groups,).

    Groups are the codes from 0 on.
    """
    n_cells, n_genes = spliced.shape
    n_groups = max(int(codes.max(initial=-1)) + 1, 1)
    all_near = np.diff(pattern.indptr).astype(np.float32)
    sides = []
    for half in halves:
        part = sp.csr_matrix(pattern @ sp.diags(half.astype(np.float32)))
        part.eliminate_zeros()
        near = np.diff(part.indptr).astype(np.float32)
        usable = np.flatnonzero((near > 0) & (near < all_near) & (codes >= 0))
        member = sp.csr_matrix(
            (np.ones(len(usable), np.float32), (codes[usable], np.arange(len(usable)))),
            shape=(n_groups, len(usable)),
        )
        sides.append((part[usable], usable, near[usable, None], member))
    n_compared = np.min([side[3].getnnz(axis=1) for side in sides], axis=0)
    pooled, by_group = np.zeros(n_genes), np.zeros((n_groups, n_genes))
    for block in gene_blocks(n_cells, n_genes):
        layers = [layer[:, block].toarray().astype(np.float32) for layer in (spliced, unspliced)]
        totals = [pattern @ values for values in layers]
        for part, usable, near, member in sides:
            rest = all_near[usable, None] - near
            means = []
            for values, total in zip(layers, totals, strict=True):
                first = part @ values
                means += [first / near, (total[usable] - first) / rest]
            sums = _products([_centered(values, member) for values in means], member)
            pooled[block] += _correlation(sums.sum(axis=2, keepdims=True))[0] / len(sides)
            by_group[:, block] += _correlation(sums) / len(sides)
    pooled[:] = np.where(n_compared.sum() < _FEWEST, np.nan, pooled)
    by_group[n_compared < _FEWEST] = np.nan
    return pooled, by_group, n_compared


def _centered(values: np.ndarray, member: sp.csr_matrix) -> np.ndarray:
    """Values (cells, genes) without the mean of each group; ``member`` is (groups, cells)."""
    sizes = np.maximum(member.getnnz(axis=1), 1)[:, None].astype(np.float32)
    return values - member.T @ ((member @ values) / sizes)


def _products(halves: list[np.ndarray], member: sp.csr_matrix) -> np.ndarray:
    """Sums of products over the cells of each group, (4, 4, groups, genes).

    ``halves`` holds s and u of the first and second half: s1, s2, u1, u2.
    """
    n_genes = halves[0].shape[1]
    sums = np.empty((4, 4, member.shape[0], n_genes))
    for i in range(4):
        for j in range(i, 4):
            sums[i, j] = sums[j, i] = member @ (halves[i] * halves[j])
    return sums


def _correlation(sums: np.ndarray) -> np.ndarray:
    """Correlation (groups, genes) of the halves' residuals u - b s of one line a gene."""
    s_both = sums[0, 0] + 2 * sums[0, 1] + sums[1, 1]
    su_both = sums[0, 2] + sums[0, 3] + sums[1, 2] + sums[1, 3]
    slope = su_both / np.where(s_both > 0, s_both, 1)

    def residuals(first: int, second: int) -> np.ndarray:
        crossed = sums[first, second + 2] + sums[first + 2, second]
        return sums[first + 2, second + 2] - slope * crossed + slope**2 * sums[first, second]

    squared = residuals(0, 0) * residuals(1, 1)
    # what is left where one follows the other exactly is rounding
    some = (s_both > 0) & (squared > (_ROUNDING * sums[2, 2]) * (_ROUNDING * sums[3, 3]))
    return np.where(some, residuals(0, 1) / np.sqrt(np.where(some, squared, 1)), np.nan)
