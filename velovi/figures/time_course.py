"""Genes along shared latent time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from velovi.errors import OptionError
from velovi.figures.pairs import binned_quantiles, rank_correlation
from velovi.figures.theme import FigureTheme, axis, base_layout, colorbar, translucent

BINS = 80
SAMPLE = 50_000  # cells that rank correlations are taken over, evenly from all
_SMOOTHING = 2.0  # bins
_BAND = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class GeneCourses:
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
        Rank correlation of each gene's value with time over cells (genes,), see :data:`SAMPLE`.
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


def gene_courses(
    quantity: str,
    time: np.ndarray,
    columns: Mapping[str, np.ndarray],
    *,
    only: np.ndarray | None = None,
    bins: int = BINS,
) -> GeneCourses:
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
    chosen, t = _timed(time, only)
    place, middle = _bins_of(t, bins)
    rows, correlations = [], []
    for values in columns.values():
        mine = np.asarray(values)[chosen]
        rows.append(_course(place, mine, len(middle)))
        correlations.append(_sampled_correlation(t, mine))
    values = np.array(rows).reshape(len(columns), len(middle))
    known = np.where(np.isfinite(values), values, -np.inf)
    peak = middle[np.argmax(known, axis=1)] if len(columns) else np.empty(0)
    order = np.argsort(peak, kind="stable")
    return GeneCourses(
        quantity=quantity,
        genes=tuple(np.array(list(columns), dtype=object)[order]),
        time=middle,
        values=values[order],
        peak=peak[order],
        correlation=np.array(correlations)[order],
    )


def rank_with_time(
    time: np.ndarray, columns: Mapping[str, np.ndarray], *, only: np.ndarray | None = None
) -> dict[str, float]:
    """Rank correlation of each column (cells,) with time (cells,), see :data:`SAMPLE`.

    Parameters
    ----------
    time, columns, only
        As for :func:`gene_courses`.
    """
    chosen, t = _timed(time, only)
    return {
        name: _sampled_correlation(t, np.asarray(values)[chosen])
        for name, values in columns.items()
    }


def _timed(time: np.ndarray, only: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the cells that have a time and are looked at, and their times."""
    time = np.asarray(time, dtype=float)
    known = np.isfinite(time) if only is None else np.isfinite(time) & only
    chosen = np.flatnonzero(known)
    return chosen, time[chosen]


def _bins_of(t: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Bin of each cell (cells,) and middle of each bin (bins,); bins hold equally many cells."""
    count = max(1, min(bins, t.size))
    edges = (
        np.unique(np.quantile(t, np.linspace(0, 1, count + 1))) if t.size else np.array([0, 1.0])
    )
    if len(edges) < 2:
        edges = np.array([edges[0], edges[0] + 1.0])
    place = np.clip(np.searchsorted(edges, t, side="right") - 1, 0, len(edges) - 2)
    return place, (edges[:-1] + edges[1:]) / 2


def _course(place: np.ndarray, values: np.ndarray, bins: int) -> np.ndarray:
    """Weighted moving mean over bins, scaled from 0 to 1."""
    known = np.isfinite(values)
    counts = np.bincount(place[known], minlength=bins).astype(float)
    sums = np.bincount(place[known], weights=values[known], minlength=bins)
    reach = np.arange(-int(4 * _SMOOTHING), int(4 * _SMOOTHING) + 1)
    kernel = np.exp(-0.5 * (reach / _SMOOTHING) ** 2)
    top, weight = (np.convolve(one, kernel, mode="full")[len(reach) // 2 :][:bins]
                   for one in (sums, counts))  # fmt: skip
    smooth = np.full(bins, np.nan)
    np.divide(top, weight, out=smooth, where=weight > 1e-9)
    if not np.isfinite(smooth).any():
        return smooth
    low, high = np.nanmin(smooth), np.nanmax(smooth)
    return (smooth - low) / (high - low) if high > low else np.where(weight > 0, 0.0, np.nan)


def _sampled_correlation(x: np.ndarray, y: np.ndarray) -> float:
    every = max(1, -(-len(x) // SAMPLE))
    x, y = x[::every], y[::every]
    known = np.isfinite(x) & np.isfinite(y)
    return rank_correlation(x[known], y[known])


def courses_figure(data: GeneCourses, theme: FigureTheme) -> go.Figure:
    """A heat map: genes downwards by their peak, time to the right."""
    height = 90 + max(13 * len(data.genes), 60)
    figure = go.Figure(
        go.Heatmap(
            x=data.time, y=list(data.genes), z=data.values, colorscale=theme.time, zmin=0, zmax=1,
            colorbar=colorbar(theme, "scaled", len=min(1.0, 220 / height)),
            hovertemplate="%{y}, time %{x:.2f}: %{z:.2f}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        **base_layout(theme, height=height),
        xaxis=axis(theme, "Latent time", showgrid=False),
        yaxis=axis(theme, "", showgrid=False, autorange="reversed", dtick=1),
    )
    return figure


@dataclass(frozen=True)
class GeneTime:
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


def gene_time(
    gene: str,
    shared: np.ndarray,
    own: np.ndarray,
    *,
    only: np.ndarray | None = None,
    bins: int = 40,
) -> GeneTime:
    """Median and 10 to 90 % of a gene's own time in bins of the shared time.

    Parameters
    ----------
    gene
        Its name.
    shared, own
        The two times (cells,); a cell that lacks one is left out.
    only
        bool (cells,): look at these cells alone.
    bins
        Of equal width; empty ones are left out.
    """
    chosen, x = _timed(shared, only)
    y = np.asarray(own)[chosen].astype(float)
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    edges = np.linspace(0.0, max(1.0, float(x.max(initial=1.0))), bins + 1)
    low, median, high = binned_quantiles(x, y, edges, _BAND)
    filled = np.isfinite(median)
    middle = ((edges[:-1] + edges[1:]) / 2)[filled]
    return GeneTime(gene, middle, low[filled], median[filled], high[filled], rank_correlation(x, y))


def gene_time_figure(data: GeneTime, theme: FigureTheme, *, height: int = 300) -> go.Figure:
    """The median as a line, the 10 to 90 % as a band."""
    band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure = go.Figure(
        [
            go.Scatter(x=data.time, y=data.low, **band),
            go.Scatter(
                x=data.time, y=data.high, fill="tonexty",
                fillcolor=translucent(theme.accent, 0.22), **band,
            ),
            go.Scatter(
                x=data.time, y=data.median, mode="lines", name="median", showlegend=False,
                line={"color": theme.accent, "width": 2.5},
                hovertemplate="shared %{x:.2f}: gene's own %{y:.1f}<extra></extra>",
            ),
        ]
    )  # fmt: skip
    figure.update_layout(
        **base_layout(theme, height=height),
        xaxis=axis(theme, "Shared latent time", range=[-0.02, 1.02]),
        yaxis=axis(theme, f"{data.gene}'s own time (0 to 20)", range=[0, 20.5]),
    )
    return figure
