"""Whether projected velocities point to later times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from velovi.errors import OptionError

ALL_CELLS = "all cells"
_SQUARES = (40, 28, 20, 14, 10)  # of the embedding, along its longer side
_ENOUGH = 0.9  # of the cells judged: squares need not be larger
_FEWEST_CELLS = 5  # in a square, for its mean to say something


@dataclass(frozen=True)
class Agreement:
    """Whether the projected velocity points to later times, in all cells and by group.

    Attributes
    ----------
    groups
        All cells first, then the groups that hold a judged cell.
    cells
        How many of them can be judged (groups,).
    share
        Share of these whose velocity points to later times (groups,).
    cosine
        Mean cosine of their velocity with the direction in which time rises (groups,).
    """

    groups: tuple[str, ...]
    cells: np.ndarray
    share: np.ndarray
    cosine: np.ndarray

    def __post_init__(self) -> None:
        if not len(self.groups) == len(self.cells) == len(self.share) == len(self.cosine):
            raise OptionError("groups and their numbers differ in length")

    def to_frame(self) -> pd.DataFrame:
        """One row for all cells, then one for each group."""
        return pd.DataFrame(
            {"group": self.groups, "cells judged": self.cells, "to later times": self.share,
             "cosine": self.cosine}
        )  # fmt: skip


def time_agreement(
    positions: np.ndarray,
    velocity: np.ndarray,
    time: np.ndarray,
    labels: pd.Series | pd.Categorical | None = None,
    *,
    only: np.ndarray | None = None,
) -> Agreement:
    """Compare each cell's velocity on a map with the direction in which time rises around it.

    The map is cut into squares, and time rises between the means of neighbouring squares (central
    differences, one-sided at a border). Cells in squares of fewer than five, or without neighbours,
    are not judged; squares are as small as leave nine tenths of the cells judged.

    Parameters
    ----------
    positions, velocity
        (cells, 2): places on a map and the velocity projected there.
    time
        (cells,)
    labels
        Groups of cells.
    only
        bool (cells,): judge these cells alone; the squares are made of all.
    """
    positions, velocity = np.asarray(positions, dtype=float), np.asarray(velocity, dtype=float)
    time = np.asarray(time, dtype=float)
    known = np.isfinite(positions).all(axis=1) & np.isfinite(velocity).all(axis=1)
    known &= np.isfinite(time)
    if not known.any():
        return Agreement((), np.empty(0), np.empty(0), np.empty(0))
    cosine = _cosines(positions[known], velocity[known], time[known])
    judged = np.isfinite(cosine)
    if only is not None:
        judged &= np.asarray(only)[known]
    rows = [(ALL_CELLS, judged)]
    if labels is not None:
        categories = pd.Categorical(labels)
        codes = categories.codes[known]
        rows += [
            (str(name), judged & (codes == code)) for code, name in enumerate(categories.categories)
        ]
    found = [(name, cosine[mine]) for name, mine in rows if mine.any()]
    return Agreement(
        groups=tuple(name for name, _ in found),
        cells=np.array([one.size for _, one in found], dtype=int),
        share=np.array([(one > 0).mean() for _, one in found]),
        cosine=np.array([one.mean() for _, one in found]),
    )


def _cosines(positions: np.ndarray, velocity: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Cosine of velocity and rise of time around each cell (cells,); NaN where not judged."""
    cosine = np.full(len(time), np.nan)
    for squares in _SQUARES:
        rise = _rise(positions, time, squares)
        size = np.hypot(*rise.T) * np.hypot(*velocity.T)
        cosine = np.full(len(time), np.nan)
        np.divide((rise * velocity).sum(axis=1), size, out=cosine, where=size > 0)
        if np.isfinite(cosine).mean() >= _ENOUGH:
            break
    return cosine


def _rise(positions: np.ndarray, time: np.ndarray, squares: int) -> np.ndarray:
    """How mean time changes from square to square around each cell (cells, 2); NaN if unknown."""
    step = float(np.ptp(positions, axis=0).max()) / squares or 1.0
    places = (positions - positions.min(axis=0)) / step
    column, row = np.minimum(places, squares - 1).astype(int).T
    square = row * squares + column
    counts = np.bincount(square, minlength=squares**2)
    sums = np.bincount(square, weights=time, minlength=squares**2)
    mean = np.full(counts.shape, np.nan)
    np.divide(sums, counts, out=mean, where=counts >= _FEWEST_CELLS)
    mean = mean.reshape(squares, squares)
    return np.stack([_slope(mean, axis=1).ravel()[square], _slope(mean, axis=0).ravel()[square]], 1)


def _slope(values: np.ndarray, axis: int) -> np.ndarray:
    """Difference of neighbouring squares, per square; one-sided at a border, 0 without any."""
    padded = np.pad(values, [(1, 1) if a == axis else (0, 0) for a in range(2)],
                    constant_values=np.nan)  # fmt: skip
    size = values.shape[axis]
    before, after = (np.take(padded, range(i, i + size), axis=axis) for i in (0, 2))
    sides = np.stack([values - before, after - values])
    known = np.isfinite(sides)
    found = np.where(known, sides, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(np.isfinite(values), found, np.nan)
