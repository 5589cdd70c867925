"""Data without velocity, made from data that may have some: what every number is held against."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from velovi.errors import DataError


def count_split(
    spliced: sp.spmatrix, unspliced: sp.spmatrix, *, seed: int = 0
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Split spliced counts at random into "spliced" and "unspliced": no velocity by construction.

    Every spliced molecule is called unspliced with the probability that the unspliced counts have
    among all counts. Cells, their likeness and nearly their depth stay; what is called unspliced
    follows spliced but for chance, so that any velocity found in it is an artefact.

    Parameters
    ----------
    spliced, unspliced
        Counts, (cells, genes), not negative; fractions are rounded. Only the sum is taken of the
        unspliced ones.
    seed
        Of the draws.

    Returns
    -------
    spliced, unspliced
        csr (cells, genes), float32; they add up to the spliced counts given, rounded.

    Raises
    ------
    DataError
        A count is negative or not finite.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from velovi.evidence import count_split
    >>> counts = sp.csr_matrix(np.full((4, 3), 100.0))
    >>> spliced, unspliced = count_split(counts, counts)
    >>> bool((spliced + unspliced != counts).nnz)
    False
    """
    counts = sp.csr_matrix(spliced, dtype=np.float64, copy=True)
    counts.sum_duplicates()
    total, other = float(counts.sum()), float(unspliced.sum())
    stored = (counts.data, sp.csr_matrix(unspliced).data)
    if any(not np.isfinite(data).all() or (data < 0).any() for data in stored):
        raise DataError(
            "counts cannot be split",
            where="spliced and unspliced counts",
            expected="finite numbers from 0 on",
            found="negative or missing numbers",
            remedy="Give counts, not logarithms or smoothed values",
        )
    share = other / (total + other) if total + other else 0.0
    molecules = np.rint(counts.data).astype(np.int64)
    called = counts.copy()
    called.data = np.random.default_rng(seed).binomial(molecules, share).astype(np.float64)
    counts.data = molecules - called.data
    both = (counts.astype(np.float32), called.astype(np.float32))
    for matrix in both:
        matrix.eliminate_zeros()
    return both
