"""Run a compiled kernel over blocks of cells on a few plain threads.

Blocks have the same cells whatever the number of threads, so sums over a block, and with them
the trained model, do not depend on it. Numba's own parallel loops are avoided because their
fallback threading layer aborts the process when two threads enter it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

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
        Threads to use.
    """
    starts = range(0, n_cells, CELLS_PER_BLOCK)

    def run(start: int) -> None:
        kernel(start, min(start + CELLS_PER_BLOCK, n_cells))

    if threads == 1 or len(starts) == 1:
        for start in starts:
            run(start)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(run, start) for start in starts]:
            done.result()
