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

CELLS_PER_BLOCK = 16  # a default minibatch keeps 16 threads busy


def over_blocks(kernel: Callable[[int, int], object], n_cells: int, threads: int) -> None:
    """Call ``kernel(start, stop)`` for every block of ``CELLS_PER_BLOCK`` cells.

    Parameters
    ----------
    kernel
        Works on cells start..stop and writes only their and their block's results; must release
        the GIL for threads to be of use.
    n_cells
        Number of cells.
    threads
        Threads to use, the calling one among them.
    """
    starts = iter(range(0, n_cells, CELLS_PER_BLOCK))  # taking the next of a range is atomic

    def take_blocks() -> None:
        for start in starts:
            kernel(start, min(start + CELLS_PER_BLOCK, n_cells))

    helpers = min(threads, -(-n_cells // CELLS_PER_BLOCK)) - 1
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
