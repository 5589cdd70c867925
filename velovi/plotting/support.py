"""Velocity lines drawn as strongly as the cells below them support them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from velovi.plotting.embedding import StreamlineSet

STRENGTHS = {"supported": 1.0, "weak": 0.55, "cannot tell": 0.35, "no evidence": 0.0}
"""How strongly arrows are drawn over cells of each support; those of 0 are left out."""
_PLACES = 60  # along the longer side of the map
_FEWEST_POINTS = 2


def fade_streams(
    streams: StreamlineSet, positions: np.ndarray, strength: np.ndarray
) -> StreamlineSet:
    """Draw lines and arrowheads as strongly as most of the cells around them say.

    Parameters
    ----------
    streams
        Lines of the velocity field.
    positions
        Places of the cells, (cells, 2); NaN for those without one.
    strength
        Of each cell, (cells,), from 0 to 1.

    Returns
    -------
    StreamlineSet
        Lines are cut where the strength changes; what has none is left out.

    Examples
    --------
    >>> import numpy as np
    >>> line = np.stack([np.linspace(0, 1, 11), np.zeros(11)], axis=1)
    >>> cells = np.stack([np.linspace(0, 1, 101), np.zeros(101)], axis=1)
    >>> streams = StreamlineSet((line,))
    >>> faded = fade_streams(streams, cells, np.where(cells[:, 0] < 0.5, 1.0, 0.0))
    >>> len(faded.lines), float(faded.lines[0].max()) <= 0.6
    (1, True)
    """
    if not streams.lines or (strength == 1).all():
        return streams
    ground = _Ground(positions, strength)
    lines: list[np.ndarray] = []
    strengths: list[float] = []
    for line in streams.lines:
        found = ground.at(line)
        # a stretch between two points is as strong as its weaker end
        between = np.minimum(found[:-1], found[1:])
        edges = np.flatnonzero(np.diff(between) != 0) + 1
        for first, last in pairwise([0, *edges.tolist(), len(between)]):
            part = line[first : last + 1]
            if len(part) >= _FEWEST_POINTS and between[first] > 0:
                lines.append(part)
                strengths.append(float(between[first]))
    heads = ground.at(streams.arrowheads)
    seen = heads > 0
    return StreamlineSet(
        tuple(lines),
        streams.arrowheads[seen],
        streams.directions[seen],
        np.array(strengths),
        heads[seen],
    )


class _Ground:
    """The strength of most cells around each place of a map."""

    def __init__(self, positions: np.ndarray, strength: np.ndarray) -> None:
        placed = np.isfinite(positions).all(axis=1)
        positions, strength = positions[placed], np.asarray(strength)[placed]
        self._low = positions.min(axis=0)
        self._step = max(float(np.ptp(positions, axis=0).max()), 1e-12) / _PLACES
        levels = np.unique(strength)
        at = self._squares(positions)
        counts = np.zeros((len(levels), _PLACES + 1, _PLACES + 1))
        for level, item in zip(levels, counts, strict=True):
            mine = at[strength == level]
            np.add.at(item, (mine[:, 0], mine[:, 1]), 1.0)
        near = np.stack([_blurred(item) for item in counts])
        # where no cell is near, arrows lie beside the cells and follow the nearest of them
        while (near.sum(axis=0) == 0).any():
            wider = np.stack([_blurred(item) for item in near])
            near = np.where(near.sum(axis=0) == 0, wider, near)
        self._strength = levels[near.argmax(axis=0)]

    def _squares(self, places: np.ndarray) -> np.ndarray:
        return np.clip(np.rint((places - self._low) / self._step).astype(int), 0, _PLACES)

    def at(self, places: np.ndarray) -> np.ndarray:
        """Strength at some places, (places,)."""
        squares = self._squares(np.asarray(places, dtype=float).reshape(-1, 2))
        return np.asarray(self._strength[squares[:, 0], squares[:, 1]], dtype=float)


def _blurred(counts: np.ndarray) -> np.ndarray:
    """Sums over each square and the eight around it."""
    wide = np.pad(counts, 1)
    height, width = counts.shape
    return sum(
        (wide[a : a + height, b : b + width] for a in range(3) for b in range(3)),
        start=np.zeros_like(counts),
    )
