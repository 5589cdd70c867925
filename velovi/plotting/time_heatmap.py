"""Genes along shared latent time, and whether the velocity agrees with that time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from velovi.errors import OptionError
from velovi.plotting.bands import quantile_edges
from velovi.plotting.density2d import binned_quantiles, rank_correlation
from velovi.plotting.theme import FigureTheme, axis, base_layout, colorbar, translucent

BINS = 80
_SMOOTHING = 2.0  # bins
_SQUARES = 40  # of the embedding, along each side
_FEWEST_CELLS = 5  # in a square, for its mean to say something
_BAND = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class TimeHeatmap:
    """Genes by bins of time, the earliest peak first.

    Attributes
    ----------
    quantity
        What is shown of each gene.
    genes
        Names (genes,).
    time
        Middle of each bin (bins,).
    values
        (genes, bins), each gene scaled from 0 to 1 over time; NaN where no cell is.
    peak
        Time of each gene's largest value (genes,).
    correlation
        Rank correlation of each gene's value with time over cells (genes,).
    """

    quantity: str
    genes: tuple[str, ...]
    time: np.ndarray
    values: np.ndarray
    peak: np.ndarray
    correlation: np.ndarray

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.genes), len(self.time)):
            raise OptionError("values are genes by bins of time", found=str(self.values.shape))

    def to_frame(self) -> pd.DataFrame:
        """One row for each gene, a column for each bin of time."""
        frame = pd.DataFrame(self.values, columns=[f"time {t:.3f}" for t in self.time])
        frame.insert(0, "correlation", self.correlation)
        frame.insert(0, "peak", self.peak)
        frame.insert(0, "gene", self.genes)
        return frame


def time_heatmap(
    quantity: str,
    time: np.ndarray,
    columns: Mapping[str, np.ndarray],
    *,
    only: np.ndarray | None = None,
    bins: int = BINS,
) -> TimeHeatmap:
    """Mean of each gene in bins of time, smoothed, scaled to 0 to 1, ordered by its peak.

    Parameters
    ----------
    quantity
        What the columns hold.
    time
        (cells,); cells without one are left out.
    columns
        Gene to its values (cells,).
    only
        bool (cells,): look at these cells alone.
    bins
        Of equal numbers of cells.
    """
    time = np.asarray(time, dtype=float)
    chosen = np.isfinite(time)
    if only is not None:
        chosen &= only
    t = time[chosen]
    bins = max(1, min(bins, t.size))
    edges = quantile_edges(t, bins) if t.size else np.array([0, 1.0])
    if len(edges) < 2:
        edges = np.array([edges[0], edges[0] + 1.0])
    place = np.clip(np.searchsorted(edges, t, side="right") - 1, 0, len(edges) - 2)
    middle = (edges[:-1] + edges[1:]) / 2
    rows, correlations = [], []
    for values in columns.values():
        rows.append(_course(place, np.asarray(values, dtype=float)[chosen], len(middle)))
        correlations.append(_correlation(t, np.asarray(values, dtype=float)[chosen]))
    values = np.array(rows).reshape(len(columns), len(middle))
    known = np.where(np.isfinite(values), values, -np.inf)
    peak = middle[np.argmax(known, axis=1)] if len(columns) else np.empty(0)
    order = np.argsort(peak, kind="stable")
    return TimeHeatmap(
        quantity=quantity,
        genes=tuple(np.array(list(columns), dtype=object)[order]),
        time=middle,
        values=values[order],
        peak=peak[order],
        correlation=np.array(correlations)[order],
    )


def _course(place: np.ndarray, values: np.ndarray, bins: int) -> np.ndarray:
    """Weighted moving mean over bins, scaled from 0 to 1."""
    known = np.isfinite(values)
    counts = np.bincount(place[known], minlength=bins).astype(float)
    sums = np.bincount(place[known], weights=values[known], minlength=bins)
    reach = np.arange(-int(4 * _SMOOTHING), int(4 * _SMOOTHING) + 1)
    kernel = np.exp(-0.5 * (reach / _SMOOTHING) ** 2)
    top, weight = (
        np.convolve(item, kernel, mode="full")[len(reach) // 2 :][:bins] for item in (sums, counts)
    )
    smooth = np.full(bins, np.nan)
    np.divide(top, weight, out=smooth, where=weight > 1e-9)
    if not np.isfinite(smooth).any():
        return smooth
    low, high = np.nanmin(smooth), np.nanmax(smooth)
    return (smooth - low) / (high - low) if high > low else np.where(weight > 0, 0.0, np.nan)


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    known = np.isfinite(x) & np.isfinite(y)
    return rank_correlation(x[known], y[known])


def time_heatmap_figure(data: TimeHeatmap, theme: FigureTheme) -> go.Figure:
    """A heat map: genes downwards by their peak, time to the right."""
    height = 90 + max(13 * len(data.genes), 60)
    figure = go.Figure(
        go.Heatmap(
            x=data.time,
            y=list(data.genes),
            z=data.values,
            colorscale=theme.time,
            zmin=0,
            zmax=1,
            colorbar=colorbar(theme, "of the gene's range", len=min(1.0, 220 / height)),
            hovertemplate="%{y}, time %{x:.2f}: %{z:.2f}<extra></extra>",
        )
    )
    figure.update_layout(
        **base_layout(theme, height=height),
        xaxis=axis(theme, "Latent time", showgrid=False),
        yaxis=axis(theme, "", showgrid=False, autorange="reversed", dtick=1),
    )
    return figure


@dataclass(frozen=True)
class GeneTimeBand:
    """A gene's own latent time where the shared time is known, in bins (bins,)."""

    gene: str
    time: np.ndarray
    low: np.ndarray
    median: np.ndarray
    high: np.ndarray
    correlation: float

    def __post_init__(self) -> None:
        if not len(self.time) == len(self.low) == len(self.median) == len(self.high):
            raise OptionError("the parts differ in length", where=self.gene)

    def to_frame(self) -> pd.DataFrame:
        """One row for each bin."""
        return pd.DataFrame(
            {"shared time": self.time, "10 %": self.low, "median": self.median, "90 %": self.high}
        )


def gene_time(gene: str, shared: np.ndarray, own: np.ndarray, *, bins: int = 40) -> GeneTimeBand:
    """Median and 10 to 90 % of a gene's own time (cells,) in bins of the shared time (cells,)."""
    shared, own = np.asarray(shared, dtype=float), np.asarray(own, dtype=float)
    known = np.isfinite(shared) & np.isfinite(own)
    x, y = shared[known], own[known]
    edges = np.linspace(0.0, max(1.0, float(x.max(initial=1.0))), bins + 1)
    low, median, high = binned_quantiles(x, y, edges, _BAND)
    filled = np.isfinite(median)
    middle = ((edges[:-1] + edges[1:]) / 2)[filled]
    return GeneTimeBand(
        gene, middle, low[filled], median[filled], high[filled], rank_correlation(x, y)
    )


def gene_time_figure(data: GeneTimeBand, theme: FigureTheme, *, height: int = 300) -> go.Figure:
    """The median as a line, the 10 to 90 % as a band."""
    band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure = go.Figure(
        [
            go.Scatter(x=data.time, y=data.low, **band),
            go.Scatter(
                x=data.time,
                y=data.high,
                fill="tonexty",
                fillcolor=translucent(theme.accent, 0.22),
                **band,
            ),
            go.Scatter(
                x=data.time,
                y=data.median,
                mode="lines",
                name="median",
                showlegend=False,
                line={"color": theme.accent, "width": 2.5},
                hovertemplate="shared %{x:.2f}: gene's own %{y:.1f}<extra></extra>",
            ),
        ]
    )
    figure.update_layout(
        **base_layout(theme, height=height),
        xaxis=axis(theme, "Shared latent time"),
        yaxis=axis(theme, f"{data.gene}'s own time (0 to 20)", range=[0, 20.5]),
    )
    return figure


@dataclass(frozen=True)
class Agreement:
    """Whether the projected velocity points to later times, in all cells and by group.

    ``share`` is the share of cells (of those that can be judged) whose surroundings move to later
    times; ``cosine`` the mean cosine of the velocity with the direction in which time rises.
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
            {
                "group": self.groups,
                "cells judged": self.cells,
                "to later times": self.share,
                "cosine": self.cosine,
            }
        )


def time_agreement(
    positions: np.ndarray,
    velocity: np.ndarray,
    time: np.ndarray,
    labels: pd.Series | pd.Categorical | None = None,
) -> Agreement:
    """Compare the mean velocity in squares of a map with the direction in which mean time rises.

    Time rises between neighbouring squares by central differences (one-sided at a border);
    squares of fewer than five cells, and those without neighbours, are not judged.

    Parameters
    ----------
    positions, velocity
        (cells, 2): places on a map and the velocity projected there.
    time
        (cells,)
    labels
        Groups of cells.
    """
    positions, velocity = np.asarray(positions, dtype=float), np.asarray(velocity, dtype=float)
    time = np.asarray(time, dtype=float)
    known = np.isfinite(positions).all(axis=1) & np.isfinite(velocity).all(axis=1)
    known &= np.isfinite(time)
    if not known.any():
        return Agreement((), np.empty(0), np.empty(0), np.empty(0))
    p, v, t = positions[known], velocity[known], time[known]
    low = p.min(axis=0)
    step = float(np.ptp(p, axis=0).max()) / _SQUARES or 1.0
    column, row = np.minimum((p - low) / step, _SQUARES - 1).astype(int).T
    square, shape = row * _SQUARES + column, (_SQUARES, _SQUARES)
    counts = np.bincount(square, minlength=_SQUARES**2).reshape(shape)
    mean_t, mean_x, mean_y = (_mean(square, item, counts) for item in (t, v[:, 0], v[:, 1]))
    rise_x, rise_y = _slope(mean_t, axis=1), _slope(mean_t, axis=0)
    size = np.hypot(rise_x, rise_y) * np.hypot(mean_x, mean_y)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.where(size > 0, (rise_x * mean_x + rise_y * mean_y) / size, np.nan)
    of_cells = cosine.ravel()[square]
    names, codes = ["all cells"], None
    if labels is not None:
        categories = pd.Categorical(labels)
        codes = categories.codes[known]
        names += [str(category) for category in categories.categories]
    rows = []
    for number, name in enumerate(names):
        mine = of_cells if number == 0 or codes is None else of_cells[codes == number - 1]
        mine = mine[np.isfinite(mine)]
        if mine.size:
            rows.append((name, mine.size, float((mine > 0).mean()), float(mine.mean())))
    parts = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
    return Agreement(parts[0], *(np.array(part) for part in parts[1:]))


def _mean(square: np.ndarray, values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    sums = np.bincount(square, weights=values, minlength=counts.size).reshape(counts.shape)
    found = np.full(counts.shape, np.nan)
    np.divide(sums, counts, out=found, where=counts >= _FEWEST_CELLS)
    return found


def _slope(values: np.ndarray, axis: int) -> np.ndarray:
    """Difference of neighbouring squares, per square; one-sided at a border, 0 without any."""
    padded = np.pad(
        values, [(1, 1) if a == axis else (0, 0) for a in range(2)], constant_values=np.nan
    )
    size = values.shape[axis]
    before, after = (np.take(padded, range(i, i + size), axis=axis) for i in (0, 2))
    sides = np.stack([values - before, after - values])
    known = np.isfinite(sides)
    found = np.where(known, sides, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(np.isfinite(values), found, np.nan)
