"""Quantiles over posterior samples, many genes side by side.

Samples are few and genes are many, so the samples of a chunk of genes are sorted together by
Batcher's odd-even merge network (Batcher 1968): a fixed list of exchanges between whole rows,
which the compiler turns into minima and maxima of many genes at a time.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from velovi.model.compiled.scratch import CHUNK
from velovi.model.compiled.vector_math import compiled_loop, number
from velovi.numerics.parallel import over_blocks


@lru_cache(maxsize=16)
def exchanges(n: int) -> NDArray[np.int64]:
    """Pairs of rows to put in order, one after the other, to sort ``n`` rows; ``(pairs, 2)``.

    Examples
    --------
    >>> exchanges(3).tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    pairs = []
    size = 1
    while size < n:
        step = size
        while step >= 1:
            for start in range(step % size, n - step, 2 * step):
                for low in range(start, min(start + step, n - step)):
                    if low // (2 * size) == (low + step) // (2 * size):
                        pairs.append((low, low + step))
            step //= 2
        size *= 2
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def quantiles(
    samples: Tensor, levels: tuple[float, ...], abundance: Tensor | None = None
) -> Tensor:
    """Quantiles over the first axis, linear between samples.

    Parameters
    ----------
    samples
        float32 on the CPU, ``(samples, cells, genes)``.
    levels
        Between 0 and 1.
    abundance
        Of each cell and gene ``(cells, genes)``, which cannot lose more than it has: samples below
        minus this count as minus this.

    Returns
    -------
    Tensor
        ``(levels, cells, genes)``.
    """
    n_samples, n_cells, n_genes = samples.shape
    found = torch.empty(len(levels), n_cells, n_genes)
    place = np.asarray(levels, dtype=np.float64) * (n_samples - 1)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, n_samples - 1)
    share = (place - below).astype(np.float32)
    least = torch.empty(0, 0) if abundance is None else -abundance
    arrays = [t.contiguous().numpy() for t in (samples, least, found)]
    pairs = exchanges(n_samples)
    over_blocks(
        lambda start, stop: _quantiles(start, stop, *arrays, pairs, below, above, share),
        n_cells,
        torch.get_num_threads(),
    )
    return found


_loop = compiled_loop("contract", "nsz")


@_loop
def _exchange(low, high, n):  # type: ignore[no-untyped-def]
    for i in range(n):
        a, b = low[i], high[i]
        low[i], high[i] = min(a, b), max(a, b)


@_loop
def _quantiles(  # type: ignore[no-untyped-def]
    start, stop, samples, lowest, found, pairs, below, above, share
):
    """Cells start..stop, chunk by chunk of genes."""
    n_samples, n_genes = samples.shape[0], samples.shape[2]
    work = np.empty((n_samples, CHUNK), np.float32)
    bounded = lowest.shape[0] > 0
    for cell in range(start, stop):
        for first in range(0, n_genes, CHUNK):
            n = min(CHUNK, n_genes - first)
            for k in range(n_samples):
                work[k, :n] = samples[k, cell, first : first + n]
                if bounded:
                    for i in range(n):
                        work[k, i] = max(work[k, i], lowest[cell, first + i])
            for pair in range(pairs.shape[0]):
                _exchange(work[pairs[pair, 0]], work[pairs[pair, 1]], n)
            for level in range(below.shape[0]):
                weight = number(share[level])
                low, high = work[below[level]], work[above[level]]
                for i in range(n):
                    found[level, cell, first + i] = low[i] + weight * (high[i] - low[i])
