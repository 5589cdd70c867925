"""Averages over a gene's latent time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from velovi.errors import OptionError

# Half-width of a 95 % interval in standard deviations
INTERVAL = 1.96


@dataclass(frozen=True)
class Band:
    """Fitted mean and posterior spread along latent time, averaged over bins (bins,)."""

    t: np.ndarray
    mean: np.ndarray
    sd: np.ndarray

    def __post_init__(self) -> None:
        if not len(self.t) == len(self.mean) == len(self.sd):
            raise OptionError("the parts of a band differ in length")

    @property
    def low(self) -> np.ndarray:
        """Lower end of the 95 % band; abundance is never negative."""
        return np.maximum(self.mean - INTERVAL * self.sd, 0.0)

    @property
    def high(self) -> np.ndarray:
        """Upper end of the 95 % band."""
        return self.mean + INTERVAL * self.sd


@dataclass(frozen=True)
class TimeBins:
    """Cells in bins of latent time that hold equally many; what has no time is in none.

    ``cells`` are positions of the cells that count, early before late, and ``weight`` how much
    each counts, both (counted,); ``starts`` says where among them each bin begins and ``t`` is its
    mean time, both (bins,).
    """

    cells: np.ndarray
    weight: np.ndarray
    starts: np.ndarray
    t: np.ndarray

    def __post_init__(self) -> None:
        if len(self.cells) != len(self.weight) or len(self.starts) != len(self.t):
            raise OptionError("the parts of the bins of time differ in length")

    @classmethod
    def of(cls, time: np.ndarray, *, weights: np.ndarray | None = None, bins: int = 32) -> TimeBins:
        """Sort cells by their time (cells,); there are fewer bins where many share one time."""
        counts = np.ones(len(time)) if weights is None else np.nan_to_num(weights)
        cells = np.flatnonzero(np.isfinite(time) & (counts > 0))
        if not len(cells):
            return cls(cells, np.empty(0), cells, np.empty(0))
        cells = cells[np.argsort(time[cells])]
        t, weight = np.asarray(time, float)[cells], np.asarray(counts, float)[cells]
        # cells at an edge belong to the bin that begins there, those at the end to the last one
        starts = np.unique(np.searchsorted(t, quantile_edges(t, bins)[:-1]))
        starts = starts if len(starts) else np.zeros(1, dtype=np.intp)
        return cls(cells, weight, starts, _sums(weight * t, starts) / _sums(weight, starts))

    @property
    def counts(self) -> np.ndarray:
        """How many cells are in each bin (bins,)."""
        return np.diff(self.starts, append=len(self.cells))

    def average(self, values: np.ndarray) -> np.ndarray:
        """Weighted mean of a value of each cell (cells,) in each bin (bins,); NaN of no values."""
        mine, weight = np.asarray(values)[self.cells], self.weight
        known = np.isfinite(mine)
        if not known.all():
            mine, weight = np.where(known, mine, 0.0), np.where(known, weight, 0.0)
        total, mean = _sums(weight, self.starts), np.full(len(self.t), np.nan)
        np.divide(_sums(weight * mine, self.starts), total, out=mean, where=total > 0)
        return mean

    def band(self, mean: np.ndarray, sd: np.ndarray | None) -> Band:
        """Mean and spread of a fit (cells,) in each bin."""
        average = self.average(mean)
        spread = np.zeros(len(mean)) if sd is None else np.nan_to_num(sd)
        known = np.isfinite(average)
        return Band(self.t[known], average[known], self.average(spread)[known])


def quantile_edges(values: np.ndarray, bins: int) -> np.ndarray:
    """Edges (bins + 1,) between which equally many values lie; fewer where many are the same."""
    return np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))


def _sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return np.add.reduceat(values, starts) if len(starts) else np.empty(0)
