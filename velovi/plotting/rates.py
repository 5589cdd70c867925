"""Rates of genes against each other, and states by group of cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from velovi.errors import OptionError
from velovi.keys import RATES, STATE_TITLES
from velovi.plotting.states import state_colors
from velovi.plotting.theme import FigureTheme, axis, base_layout, colorbar


@dataclass(frozen=True)
class RatePair:
    """Two rates of the genes that have both, above zero (genes,)."""

    x_title: str
    y_title: str
    genes: np.ndarray
    x: np.ndarray
    y: np.ndarray
    quality: np.ndarray

    def __post_init__(self) -> None:
        if len({len(self.genes), len(self.x), len(self.y), len(self.quality)}) != 1:
            raise OptionError("genes and their rates differ in number")

    def to_frame(self) -> pd.DataFrame:
        """One row for each gene."""
        return pd.DataFrame(
            {
                "gene": self.genes,
                self.x_title: self.x,
                self.y_title: self.y,
                "explained": self.quality,
            }
        )


def rate_pair(var: pd.DataFrame, x: str, y: str) -> RatePair:
    """Two columns of rates of a table of genes; genes without a finite rate above 0 are left out.

    Parameters
    ----------
    var
        Table of genes with ``fit_alpha``, ``fit_beta``, ``fit_gamma``.
    x, y
        Two of these columns.
    """
    missing = [name for name in (x, y) if name not in var]
    if missing:
        empty = np.empty(0)
        return RatePair(RATES[x], RATES[y], empty.astype(object), empty, empty, empty)
    first, second = (var[name].to_numpy(dtype=float) for name in (x, y))
    known = np.isfinite(first) & np.isfinite(second) & (first > 0) & (second > 0)
    quality = np.full(len(var), np.nan)
    if "fit_explained" in var:
        quality = var["fit_explained"].to_numpy(dtype=float)
    names = var.index.to_numpy(dtype=object)
    return RatePair(RATES[x], RATES[y], names[known], first[known], second[known], quality[known])


def rate_figure(
    data: RatePair, theme: FigureTheme, *, gene: str = "", height: int = 330
) -> go.Figure:
    """A point for each gene, shaded by the share of its variation that the fit explains."""
    coloured = bool(np.isfinite(data.quality).any())
    marker: dict[str, object] = {"size": 7, "opacity": 0.85, "color": theme.accent}
    if coloured:
        marker |= {
            "color": data.quality,
            "colorscale": theme.abundance,
            "cmin": 0,
            "cmax": 1,
            "colorbar": colorbar(theme, "explained<br> "),
        }
    marker["line"] = {"width": 0.6, "color": theme.muted}
    figure = go.Figure(
        go.Scatter(
            x=data.x,
            y=data.y,
            mode="markers",
            text=data.genes,
            marker=marker,
            showlegend=False,
            hovertemplate="%{text}: %{x:.3g}, %{y:.3g}<extra></extra>",
        )
    )
    mine = np.flatnonzero(data.genes == gene)
    if mine.size:
        halo = ", ".join([f"0 0 3px {theme.paper}"] * 4)  # the name may stand on other points
        figure.add_trace(
            go.Scatter(
                x=data.x[mine],
                y=data.y[mine],
                mode="markers+text",
                text=[gene],
                textposition="top center",
                hoverinfo="skip",
                showlegend=False,
                textfont={"color": theme.ink, "size": 12, "shadow": halo},
                marker={
                    "size": 13,
                    "color": "rgba(0,0,0,0)",
                    "line": {"width": 2.4, "color": theme.repression},
                },
            )
        )
    figure.update_layout(
        **base_layout(theme, height=height),
        xaxis=axis(theme, data.x_title, type="log", dtick="D2"),
        yaxis=axis(theme, data.y_title, type="log", dtick="D2"),
    )
    return figure


@dataclass(frozen=True)
class StateShares:
    """Mean probability of each state in groups of cells, or of genes.

    ``shares`` is (rows, states) in the order of ``states``; ``counts`` says how many cells.
    """

    title: str
    rows: tuple[str, ...]
    states: tuple[str, ...]
    shares: np.ndarray
    counts: np.ndarray

    def __post_init__(self) -> None:
        if self.shares.shape != (len(self.rows), len(self.states)):
            raise OptionError("shares are rows by states", found=str(self.shares.shape))

    @property
    def likeliest(self) -> list[str]:
        """Name of each row's likeliest state."""
        return [self.states[item] for item in np.argmax(self.shares, axis=1)]

    def to_frame(self) -> pd.DataFrame:
        """One row for each group or gene."""
        frame = pd.DataFrame(self.shares, columns=[STATE_TITLES[state] for state in self.states])
        frame.insert(0, "cells", self.counts)
        frame.insert(0, self.title, self.rows)
        return frame


def shares_by_group(
    gene: str,
    columns: Mapping[str, np.ndarray],
    labels: pd.Series | pd.Categorical | None,
    *,
    only: np.ndarray | None = None,
) -> StateShares:
    """Mean probability of a gene's states in each group of cells, the largest group first.

    Parameters
    ----------
    gene
        Its name.
    columns
        State to its probability (cells,).
    labels
        Groups; all cells are one group without them.
    only
        bool (cells,): look at these cells alone.
    """
    states = tuple(name for name in STATE_TITLES if name in columns)
    values = np.stack([np.asarray(columns[name], dtype=float) for name in states])
    chosen = np.isfinite(values).all(axis=0)
    if only is not None:
        chosen &= only
    if labels is None:
        names, codes = ["all cells"], np.zeros(values.shape[1], dtype=int)
    else:
        categories = pd.Categorical(labels)
        names, codes = [str(category) for category in categories.categories], categories.codes
    chosen &= codes >= 0
    counts = np.bincount(codes[chosen], minlength=len(names))
    sums = [
        np.bincount(codes[chosen], weights=value[chosen], minlength=len(names)) for value in values
    ]
    kept = np.flatnonzero(counts)
    shares = (np.stack(sums, axis=1) / np.maximum(counts, 1)[:, None])[kept]
    return StateShares(gene, tuple(names[item] for item in kept), states, shares, counts[kept])


def shares_by_gene(
    genes: Sequence[str], means: Mapping[str, Mapping[str, float]], n_cells: int
) -> StateShares:
    """Mean probabilities of several genes, those in the same state together.

    Parameters
    ----------
    genes
        Names.
    means
        State to gene to mean probability over the cells looked at.
    n_cells
        How many cells these are.
    """
    states = tuple(name for name in STATE_TITLES if name in means)
    shares = np.array([[means[state][gene] for state in states] for gene in genes], dtype=float)
    shares = shares.reshape(len(genes), len(states))
    known = np.flatnonzero(np.isfinite(shares).all(axis=1))
    shares = shares[known]
    first = np.argmax(shares, axis=1) if shares.size else np.empty(0, dtype=int)
    order = np.lexsort((-shares.max(axis=1, initial=0), first))
    names = [genes[item] for item in known[order]]
    return StateShares("gene", tuple(names), states, shares[order], np.full(len(names), n_cells))


def state_shares_figure(data: StateShares, theme: FigureTheme) -> go.Figure:
    """A stacked bar for each row."""
    colors = state_colors(theme)
    figure = go.Figure(
        [
            go.Bar(
                y=list(data.rows),
                x=data.shares[:, number],
                orientation="h",
                name=STATE_TITLES[state],
                marker={"color": colors[state]},
                hovertemplate="%{y}: %{x:.0%}<extra>" + STATE_TITLES[state] + "</extra>",
            )
            for number, state in enumerate(data.states)
        ]
    )
    height = 80 + 24 * max(1, len(data.rows))
    layout = base_layout(theme, height=height, barmode="stack", showlegend=False)
    layout["margin"] = {**layout["margin"], "r": 20}  # half of "100%" is beyond the last bar's end
    figure.update_layout(
        **layout,
        xaxis=axis(theme, "Mean probability", range=[0, 1], tickformat=".0%"),
        yaxis=axis(theme, "", showgrid=False, autorange="reversed", dtick=1),
    )
    return figure
