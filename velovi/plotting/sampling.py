"""Which cells to draw when there are more than a browser likes."""

from __future__ import annotations

import numpy as np

MOST_POINTS = 20_000


def stratified_sample(
    n_cells: int, strata: np.ndarray | None = None, limit: int = MOST_POINTS, seed: int = 0
) -> np.ndarray:
    """Choose cells so that every stratum keeps its share, and small ones at least one cell.

    Parameters
    ----------
    n_cells
        How many there are.
    strata
        Whole-number code of each cell's group (cells,); -1 is a group of its own.
    limit
        About how many to choose.
    seed
        Fixes the choice.

    Returns
    -------
    Positions of the cells in a random order, so that no group is always painted on top.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(n_cells)
    if n_cells <= limit:
        return order
    if strata is None:
        return order[:limit]
    share = limit / n_cells
    codes = np.asarray(strata)[order]
    rank = np.empty(n_cells, dtype=np.int64)
    for code in np.unique(codes):
        mine = np.flatnonzero(codes == code)
        rank[mine] = np.arange(len(mine))
        rank[mine[max(1, round(len(mine) * share)) :]] = -1
    return order[rank >= 0]


def showing(shown: int, total: int) -> str:
    """A caption that says how many of the cells are drawn."""
    if shown >= total:
        return f"{total:,} cells"
    return f"showing {shown:,} of {total:,} cells"
