"""Run a compiled kernel over blocks of cells on a few plain threads.

Numba's own parallel loops depend on which threading layer is installed, and the fallback layer
aborts the process when two threads enter it. Kernels here release the GIL and write to disjoint
rows, so plain threads give the same speed and the same numbers with any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numba

BLOCK_VALUES = 2**22
BLOCKS_PER_THREAD = 8  # evens out dense and sparse regions of the graph


def row_blocks(cells: int, genes: int) -> Iterator[slice]:
    """Cells, few enough at a time for some copies of their rows to be small."""
    size = max(1, BLOCK_VALUES // max(genes, 1))
    for start in range(0, cells, size):
        yield slice(start, min(start + size, cells))


def over_cells(kernel: Callable[[int, int], object], cells: int, threads: int = 0) -> None:
    """Call ``kernel(start, stop)`` until all ``cells`` are covered.

    Parameters
    ----------
    kernel
        Works on cells start..stop and writes only their results.
    cells
        Number of cells.
    threads
        0 takes as many as numba would (``NUMBA_NUM_THREADS``).
    """
    workers = threads if threads > 0 else int(numba.config.NUMBA_NUM_THREADS)
    if workers == 1 or cells < 512:
        kernel(0, cells)
        return
    blocks = workers * BLOCKS_PER_THREAD
    cuts = [cells * k // blocks for k in range(blocks + 1)]
    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(kernel, a, b) for a, b in pairwise(cuts)]:
            done.result()
