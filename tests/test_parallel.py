"""Blocks of cells on threads."""

from __future__ import annotations

import os

import numpy as np
import pytest

from velovi.numerics.parallel import CELLS_PER_BLOCK, over_blocks


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("n_cells", [0, 1, CELLS_PER_BLOCK, 10 * CELLS_PER_BLOCK + 3])
def test_every_cell_is_met_once_in_blocks_of_the_same_cells(threads, n_cells):
    met, begun = np.zeros(n_cells, dtype=int), []

    def kernel(start, stop):
        begun.append(start)
        met[start:stop] += 1

    over_blocks(kernel, n_cells, threads)
    assert (met == 1).all()
    assert sorted(begun) == list(range(0, n_cells, CELLS_PER_BLOCK))


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_a_block_is_heard(threads):
    def kernel(start, stop):
        if start == 3 * CELLS_PER_BLOCK:
            raise ValueError("block 3")

    with pytest.raises(ValueError, match="block 3"):
        over_blocks(kernel, 100 * CELLS_PER_BLOCK, threads)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_gets_threads_of_its_own():
    over_blocks(lambda start, stop: None, 1000, 2)
    child = os.fork()
    if child == 0:
        done = []
        over_blocks(lambda start, stop: done.append(start), 1000, 2)
        os._exit(0 if len(done) == -(-1000 // CELLS_PER_BLOCK) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
