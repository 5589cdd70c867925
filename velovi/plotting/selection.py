"""Cells that the reader picked: by an outline around them, and always among the cells drawn."""

from __future__ import annotations

import numpy as np

from velovi.plotting.sampling import MOST_POINTS, showing, stratified_sample


def cells_to_draw(
    n_cells: int,
    strata: np.ndarray | None = None,
    selected: np.ndarray | None = None,
    limit: int = MOST_POINTS,
) -> np.ndarray:
    """Choose the cells to draw: a stratified sample, and all that are selected.

    Parameters
    ----------
    n_cells, strata
        See :func:`velovi.plotting.sampling.stratified_sample`.
    selected
        Which cells are selected, bool (cells,).
    limit
        About how many to draw. Of a larger selection a sample is drawn.

    Returns
    -------
    Positions of the cells; the selected ones are last, so that they are painted on top. The other
    cells are some of those that would be drawn without a selection.
    """
    usual = stratified_sample(n_cells, strata, limit)
    if selected is None or not selected.any():
        return usual
    mine = np.flatnonzero(selected)
    mine = mine[stratified_sample(len(mine), None if strata is None else strata[mine], limit)]
    others = usual[~selected[usual]][: max(limit - len(mine), limit // 4)]
    return np.concatenate([others, mine])


def cells_drawn_caption(
    shown: int, total: int, selected: np.ndarray | None = None, n_selected: int = 0
) -> str:
    """How many of the cells are drawn, and how many are selected.

    Parameters
    ----------
    shown, total
        Cells drawn, and cells of the run.
    selected
        Which of the cells drawn are selected, bool (shown,).
    n_selected
        How many cells of the run are.
    """
    said = showing(shown, total)
    if selected is None:
        return said
    drawn = int(np.count_nonzero(selected))
    some = "" if drawn == n_selected else f" ({drawn:,} of them drawn)"
    return f"{said}, {n_selected:,} selected{some}"


def points_in_polygon(
    x: np.ndarray, y: np.ndarray, corners_x: np.ndarray, corners_y: np.ndarray
) -> np.ndarray:
    """Which points lie inside an outline that crosses itself or not, bool (points,).

    Even-odd rule: a point is inside when a ray to its right crosses an odd number of sides. Points
    are sorted by height first, so that a side meets only those that it can cross.

    Parameters
    ----------
    x, y
        Places of the points (points,); one that is not finite lies outside.
    corners_x, corners_y
        Corners of the outline, which closes by itself.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    inside = np.zeros(len(x), dtype=bool)
    order = np.argsort(y)
    heights = y[order]
    corners = np.stack([corners_x, corners_y], axis=1)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        start, end = np.searchsorted(heights, sorted((y0, y1)))
        level = order[start:end]
        crossing = x0 + (y[level] - y0) * (x1 - x0) / (y1 - y0)
        inside[level] ^= x[level] < crossing
    return inside
