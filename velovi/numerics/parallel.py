"""Run a compiled kernel over blocks of cells on a few plain threads.

Blocks have the same cells whatever the number of threads, so sums over a block, and with them
the trained model, do not depend on it. Numba's own parallel loops are avoided because their
fallback threading layer aborts the process when two threads enter it. Threads are kept between
calls: a training step makes several, and starting threads would take as long as a small kernel.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numba

CELLS_PER_BLOCK = 16  # a default minibatch keeps 16 threads busy
_FEWEST_ROWS, _BLOCKS_PER_THREAD = 64, 8


def over_rows(kernel: Callable[[int, int], object], n_rows: int, threads: int = 0) -> None:
    """Call ``kernel(start, stop)`` until all rows are covered; rows must not depend on each other.

    Parameters
    ----------
    kernel
        As in :func:`over_blocks`.
    n_rows
        Number of rows.
    threads
        0 takes as many as numba would (``NUMBA_NUM_THREADS``).
    """
    workers = threads if threads > 0 else int(numba.config.NUMBA_NUM_THREADS)
    # several blocks a thread even out dense and sparse regions of a graph
    block = max(_FEWEST_ROWS, -(-n_rows // (workers * _BLOCKS_PER_THREAD)))
    over_blocks(kernel, n_rows, workers, block if workers > 1 else max(n_rows, 1))


def over_blocks(
    kernel: Callable[[int, int], object],
    n_cells: int,
    threads: int,
    cells_per_block: int = CELLS_PER_BLOCK,
) -> None:
    """Call ``kernel(start, stop)`` for every block of cells.

    Parameters
    ----------
    kernel
        Works on cells start..stop and writes only their and their block's results; must release
        the GIL for threads to be of use.
    n_cells
        Number of cells.
    threads
        Threads to use, the calling one among them.
    cells_per_block
        Fixed where results are summed over blocks, so that they do not depend on the threads.
    """
    starts = iter(range(0, n_cells, cells_per_block))  # taking the next of a range is atomic

    def take_blocks() -> None:
        for start in starts:
            kernel(start, min(start + cells_per_block, n_cells))

    helpers = min(threads, -(-n_cells // cells_per_block)) - 1
    if helpers < 1:
        take_blocks()
        return
    pool = _pool(threads - 1, os.getpid())
    started = [pool.submit(take_blocks) for _ in range(helpers)]
    try:
        take_blocks()
    finally:
        for helper in started:
            helper.result()  # the arrays must not be given back while somebody writes to them


@lru_cache(maxsize=8)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads for this process: one that was forked has none of its parent's."""
    del process
    return ThreadPoolExecutor(threads, thread_name_prefix="velovi")
