"""Names of groups on a map: beside small groups instead of on them, and never on each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from velovi.plotting.paper import style
from velovi.plotting.paper.style import THEME

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

_ROUNDS = 80
_STEP, _ROOM, _CLEAR = 0.3, 1.1, 1.6
_FARTHEST = 2.2  # font sizes that a name moves from its place
_SMALL_GROUP = 1.2  # a group no wider than so many widths of its name has its name beside it


def write_names(
    axes: Axes, names: Sequence[str], places: np.ndarray, extents: np.ndarray, size: float
) -> list[Text]:
    """Write names at places and part those that would stand on each other.

    Parameters
    ----------
    axes
        With its final limits.
    names
        Of the groups.
    places
        ``(groups, 2)`` middle of each group, in data coordinates.
    extents
        ``(groups, 2)`` width and height that most of a group takes, in data coordinates.
    size
        Of the letters, in points.
    """
    # a ground instead of a halo: letters with a halo are drawn as shapes, not written as text
    ground = {"boxstyle": "square,pad=0.08", "facecolor": THEME.paper, "alpha": 0.5, "linewidth": 0}
    texts = [
        axes.annotate(
            name,
            place,
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=size,
            fontweight="bold",
            bbox=ground,
            zorder=20,
            annotation_clip=False,
        )
        for name, place in zip(names, places, strict=True)
    ]
    for text in texts:
        text.set_in_layout(False)  # or the map would shrink after its names were placed
    if texts:
        _part(axes, texts, np.asarray(extents, dtype=float))
    return list(texts)


def _part(axes: Axes, texts: Sequence[Any], extents: np.ndarray) -> None:
    figure = style.laid_out(axes)
    boxes = np.array([text.get_window_extent().extents for text in texts])
    points = 72 / figure.dpi
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, _ROOM * (boxes[:, 2:] - boxes[:, :2]) / 2
    scale = axes.transData.transform([(1, 1)]) - axes.transData.transform([(0, 0)])
    reach = np.abs(extents * scale) / 2  # of the groups, in pixels
    start = middle.copy()
    small = reach[:, 0] < _SMALL_GROUP * half[:, 0]
    # clear of the group's own cells, which are drawn larger than a point
    start[small, 1] += reach[small, 1] + _CLEAR * half[small, 1]
    place = _apart(start, half, _FARTHEST * 2 * half[:, 1])
    frame = np.array(axes.get_window_extent().extents)
    low, high = frame[:2] + half, frame[2:] - half
    place = np.where(low < high, np.clip(place, low, high), (frame[:2] + frame[2:]) / 2)
    for text, (right, up) in zip(texts, (place - middle) * points, strict=True):
        text.set_position((right, up))


def _apart(places: np.ndarray, half: np.ndarray, farthest: np.ndarray) -> np.ndarray:
    """Places of boxes of these half sizes, moved until none overlaps, or as far as they may go."""
    shift = np.zeros_like(places)
    order = np.sign(np.arange(len(places))[:, None] - np.arange(len(places))[None])
    for _ in range(_ROUNDS):
        now = places + shift
        gap = now[:, None] - now[None]
        missing = half[:, None] + half[None] - np.abs(gap)
        np.einsum("iik->ik", missing)[:] = 0
        overlap = (missing > 0).all(axis=-1)
        if not overlap.any():
            break
        # the shorter way out is up or down for what is wider than high
        way = np.where(gap[..., 1] == 0, order, np.sign(gap[..., 1]))
        push = np.where(overlap, missing[..., 1] * way, 0.0).sum(axis=1)
        shift[:, 1] = np.clip(shift[:, 1] + _STEP * push, -farthest, farthest)
    return places + shift
