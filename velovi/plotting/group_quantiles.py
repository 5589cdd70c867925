"""How a number is spread in each group of cells, as quantiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from velovi.errors import OptionError
from velovi.plotting.theme import FigureTheme, axis, base_layout, category_colors

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_ROW_HEIGHT, _FRAME = 30, 70
ALL_CELLS = "all cells"


@dataclass(frozen=True)
class GroupQuantiles:
    """Quantiles of a number in each group, lowest median first.

    Attributes
    ----------
    title
        What the number is.
    groups
        Names (groups,).
    counts
        Cells with a finite value (groups,).
    quantiles
        (groups, 5): 5, 25, 50, 75 and 95 %.
    colors
        One for each group.
    """

    title: str
    groups: tuple[str, ...]
    counts: np.ndarray
    quantiles: np.ndarray
    colors: Mapping[str, str]

    def __post_init__(self) -> None:
        if not len(self.groups) == len(self.counts) == len(self.quantiles):
            raise OptionError("groups, counts and quantiles differ in number", where=self.title)

    def to_frame(self) -> pd.DataFrame:
        """One row for each group."""
        columns = [f"{100 * q:g} %" for q in QUANTILES]
        frame = pd.DataFrame(self.quantiles, columns=columns)
        frame.insert(0, "cells", self.counts)
        frame.insert(0, "group", self.groups)
        return frame


def group_quantiles(
    title: str,
    values: np.ndarray,
    labels: pd.Series | pd.Categorical | None = None,
    *,
    colors: Mapping[str, str] | None = None,
    only: np.ndarray | None = None,
) -> GroupQuantiles:
    """Quantiles of ``values`` (cells,) by group; one group of all cells without labels.

    Parameters
    ----------
    title
        What the number is.
    values
        (cells,); cells without a finite one are left out, and groups without such cells.
    labels
        Groups.
    colors
        The file's own colours.
    only
        bool (cells,): look at these cells alone.
    """
    values = np.asarray(values, dtype=float)
    categories = (
        pd.Categorical.from_codes(np.zeros(len(values), dtype=int), [ALL_CELLS])  # type: ignore[call-overload]
        if labels is None
        else pd.Categorical(labels)
    )
    names = [str(category) for category in categories.categories]
    chosen = np.isfinite(values) & (categories.codes >= 0)
    if only is not None:
        chosen &= only
    codes, kept = categories.codes[chosen], values[chosen]
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes, minlength=len(names))
    parts = np.split(kept[order], np.cumsum(counts)[:-1])
    found = [
        (name, count, np.quantile(part, QUANTILES))
        for name, count, part in zip(names, counts, parts, strict=True)
        if count
    ]
    found.sort(key=lambda item: item[2][2])
    return GroupQuantiles(
        title=title,
        groups=tuple(item[0] for item in found),
        counts=np.array([item[1] for item in found], dtype=int),
        quantiles=np.array([item[2] for item in found]).reshape(-1, len(QUANTILES)),
        colors=category_colors(names, colors),
    )


def group_quantiles_figure(data: GroupQuantiles, theme: FigureTheme) -> go.Figure:
    """A row for each group: line from 5 to 95 %, bar from 25 to 75 %, point at the median."""
    traces = []
    for name, row in zip(data.groups, data.quantiles, strict=True):
        color = data.colors[name]
        shared = {"y": [name, name], "mode": "lines", "hoverinfo": "skip", "showlegend": False}
        traces += [
            go.Scatter(x=row[[0, 4]], line={"color": color, "width": 2}, **shared),
            go.Scatter(x=row[[1, 3]], line={"color": color, "width": 11}, **shared),
            go.Scatter(
                x=[row[2]],
                y=[name],
                mode="markers",
                showlegend=False,
                name=name,
                marker={"color": theme.paper, "size": 7, "line": {"color": theme.ink, "width": 2}},
                hovertemplate=f"{name}: median %{{x:.3g}}<extra></extra>",
            ),
        ]
    figure = go.Figure(traces)
    figure.update_layout(
        **base_layout(theme, height=_FRAME + _ROW_HEIGHT * max(1, len(data.groups))),
        xaxis=axis(theme, data.title),
        yaxis=axis(
            theme,
            "",
            showgrid=False,
            categoryorder="array",
            categoryarray=data.groups,
            ticklabelstandoff=8,  # whiskers may reach the axis
        ),
    )
    return figure
