"""Random bits that are a function of a key, for compiled loops.

A number that depends on a key and on its place alone is the same whatever the number of threads
and the order of the blocks.
"""

from __future__ import annotations

import numba
import numpy as np

GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
"""The odd number nearest to 2^64 over the golden ratio: the steps of a SplitMix64 stream."""


@numba.njit(nogil=True, forceinline=True)
def splitmix64(state):  # type: ignore[no-untyped-def]
    """64 random bits of a state (Steele, Lea and Flood, OOPSLA 2014).

    Parameters
    ----------
    state
        uint64; states of one stream are :data:`GOLDEN_GAMMA` apart.

    Examples
    --------
    >>> hex(splitmix64(GOLDEN_GAMMA))
    '0xe220a8397b1dcdaf'
    """
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
