"""Two numbers of each cell against each other, as the density of cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from velovi.errors import OptionError
from velovi.plotting.theme import FigureTheme, axis, base_layout, colorbar

BINS = 48
_ENDS = (0.5, 99.5)  # percentiles that bound the picture


@dataclass(frozen=True)
class Density2D:
    """Cells in squares of two numbers.

    Attributes
    ----------
    x_title, y_title
        What the numbers are.
    x_edges, y_edges
        Ends of the squares (bins + 1,).
    counts
        (y bins, x bins) cells.
    x_middle, median
        Median of the second number (bins,) where the first lies in a bin; NaN in empty bins.
    correlation
        Spearman's rank correlation over all cells; NaN when it is not defined.
    """

    x_title: str
    y_title: str
    x_edges: np.ndarray
    y_edges: np.ndarray
    counts: np.ndarray
    x_middle: np.ndarray
    median: np.ndarray
    correlation: float

    def __post_init__(self) -> None:
        if self.counts.shape != (len(self.y_edges) - 1, len(self.x_edges) - 1):
            raise OptionError("counts and edges do not go together", found=str(self.counts.shape))

    def to_frame(self) -> pd.DataFrame:
        """One row for each square that holds a cell."""
        rows, columns = np.nonzero(self.counts)
        middles = [(edges[:-1] + edges[1:]) / 2 for edges in (self.x_edges, self.y_edges)]
        return pd.DataFrame(
            {
                self.x_title: middles[0][columns],
                self.y_title: middles[1][rows],
                "cells": self.counts[rows, columns].astype(int),
            }
        )


def density2d(
    x: np.ndarray,
    y: np.ndarray,
    x_title: str,
    y_title: str,
    *,
    only: np.ndarray | None = None,
    bins: int = BINS,
) -> Density2D:
    """Count cells in squares; cells for which one of the numbers is not finite are left out."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    chosen = np.isfinite(x) & np.isfinite(y)
    if only is not None:
        chosen &= only
    x, y = x[chosen], y[chosen]
    x_edges, y_edges = (np.linspace(*_ends(item), bins + 1) for item in (x, y))
    counts, _, _ = np.histogram2d(y, x, bins=(y_edges, x_edges))
    return Density2D(
        x_title=x_title,
        y_title=y_title,
        x_edges=x_edges,
        y_edges=y_edges,
        counts=counts,
        x_middle=(x_edges[:-1] + x_edges[1:]) / 2,
        median=binned_quantiles(x, y, x_edges, (0.5,))[0],
        correlation=rank_correlation(x, y),
    )


def _ends(values: np.ndarray) -> tuple[float, float]:
    if not values.size:
        return 0.0, 1.0
    low, high = (float(level) for level in np.percentile(values, _ENDS))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def binned_quantiles(
    x: np.ndarray, y: np.ndarray, edges: np.ndarray, quantiles: tuple[float, ...]
) -> np.ndarray:
    """Quantiles of ``y`` (points,) in bins of ``x``, (quantiles, bins); NaN in empty bins."""
    bins = len(edges) - 1
    place = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, bins - 1)
    inside = (x >= edges[0]) & (x <= edges[-1])
    order = np.argsort(place[inside], kind="stable")
    counts = np.bincount(place[inside], minlength=bins)
    parts = np.split(y[inside][order], np.cumsum(counts)[:-1])
    found = np.full((len(quantiles), bins), np.nan)
    for number, part in enumerate(parts):
        if part.size:
            found[:, number] = np.quantile(part, quantiles)
    return found


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation, equal values sharing their mean rank; NaN without spread."""
    if len(x) < 2:
        return float("nan")
    first, second = _mean_ranks(np.asarray(x)), _mean_ranks(np.asarray(y))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]


def density_figure(data: Density2D, theme: FigureTheme, *, height: int = 320) -> go.Figure:
    """Squares shaded by the number of cells, with the median as a line."""
    filled = np.where(data.counts > 0, np.log10(np.maximum(data.counts, 1)), np.nan)
    middles = [(edges[:-1] + edges[1:]) / 2 for edges in (data.x_edges, data.y_edges)]
    ticks = np.arange(0, int(np.log10(max(data.counts.max(initial=1), 1))) + 1)
    bar = colorbar(theme, "cells", tickvals=ticks, ticktext=[f"{10**tick:,}" for tick in ticks])
    figure = go.Figure(
        [
            go.Heatmap(
                x=middles[0],
                y=middles[1],
                z=filled,
                colorscale=theme.abundance,
                colorbar=bar,
                customdata=data.counts,
                hovertemplate="%{customdata:,} cells<extra></extra>",
            ),
            go.Scatter(
                x=data.x_middle,
                y=data.median,
                mode="lines",
                name="median",
                line={"color": theme.repression, "width": 2.5},
                showlegend=False,
                hovertemplate="median %{y:.3g}<extra></extra>",
            ),
        ]
    )
    figure.update_layout(
        **base_layout(theme, height=height),
        xaxis=axis(theme, data.x_title),
        yaxis=axis(theme, data.y_title),
    )
    return figure
