"""The work space of the compiled loops over genes.

A loop reads and writes some forty rows of numbers for a chunk of genes. They lie in one array at
fixed distances, because LLVM gives up vectorising a loop over that many arrays which might
overlap. The four states of a gene get a row each, so that neighbouring genes lie side by side.
"""

from __future__ import annotations

from velovi.model.compiled.vector_math import compiled

# Genes at a time: forty rows of them stay in a core's nearest cache.
CHUNK = 240


@compiled
def load_states(work, row, states, n):  # type: ignore[no-untyped-def]
    """From ``n`` genes of ``(genes, 4)`` to four rows of the work space."""
    for i in range(n):
        work[row + i] = states[i, 0]
        work[row + CHUNK + i] = states[i, 1]
        work[row + 2 * CHUNK + i] = states[i, 2]
        work[row + 3 * CHUNK + i] = states[i, 3]


@compiled
def store_states(work, row, states, n):  # type: ignore[no-untyped-def]
    """From four rows of the work space to ``n`` genes of ``(genes, 4)``."""
    for i in range(n):
        states[i, 0] = work[row + i]
        states[i, 1] = work[row + CHUNK + i]
        states[i, 2] = work[row + 2 * CHUNK + i]
        states[i, 3] = work[row + 3 * CHUNK + i]
