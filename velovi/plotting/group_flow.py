"""Groups on a map and which way cells go between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from velovi.plotting.theme import FigureTheme, base_layout, category_colors

_WIDEST, _NARROWEST = 7.0, 1.5  # of a line, pixels
_LARGEST, _SMALLEST = 46.0, 14.0  # of a group, pixels
_APART = 3.0  # pixels between the head of an arrow and its group


@dataclass(frozen=True)
class FlowGraph:
    """Groups at the middle of their cells, and lines between those that touch.

    Attributes
    ----------
    groups
        Row for each group: ``x``, ``y``, ``n_cells`` and ``color``.
    lines
        Row for each pair: ``source``, ``target``, ``strength`` (0 to 1) and ``clear``, whether the
        direction is.
    """

    groups: pd.DataFrame
    lines: pd.DataFrame

    @property
    def places(self) -> dict[str, tuple[float, float]]:
        """Where each group is drawn."""
        rows = self.groups[["x", "y"]].itertuples()
        return {str(name): (float(x), float(y)) for name, x, y in rows}

    def to_frame(self) -> pd.DataFrame:
        """One row for each pair."""
        return self.lines.copy()

    def widths(self, widest: float = _WIDEST, narrowest: float = _NARROWEST) -> np.ndarray:
        """Of the lines, in the unit of what is given."""
        strength = self.lines["strength"].to_numpy(dtype=float)
        return narrowest + (widest - narrowest) * np.clip(np.nan_to_num(strength), 0, 1)

    def sizes(self, largest: float = _LARGEST, smallest: float = _SMALLEST) -> np.ndarray:
        """Diameters of the groups: areas in proportion to their cells, from a smallest one on."""
        n = self.groups["n_cells"].to_numpy(dtype=float)
        return np.maximum(largest * np.sqrt(n / max(n.max(initial=1), 1)), smallest)


def flow_graph(
    positions: np.ndarray,
    labels: pd.Series,
    pairs: pd.DataFrame,
    *,
    colors: Mapping[str, str] | None = None,
) -> FlowGraph:
    """Gather what the graph needs.

    Parameters
    ----------
    positions
        Places of the cells on a map, (cells, 2).
    labels
        Their groups, categorical, (cells,).
    pairs
        Of :class:`velovi.evidence.GroupFlow`: ``source``, ``target``, ``cbdir``, ``cbdir_back``
        and ``clear``.
    colors
        The file's own colours of the groups.
    """
    names = [str(name) for name in labels.cat.categories]
    chosen = category_colors(names, colors)
    codes = labels.cat.codes.to_numpy()
    rows = {}
    for code, name in enumerate(names):
        own = positions[codes == code]
        own = own[np.isfinite(own).all(axis=1)]
        if len(own):
            middle = np.median(own, axis=0)
            # the cell nearest to the middle, which may lie beside a bent group
            x, y = own[((own - middle) ** 2).sum(axis=1).argmin()]
            rows[name] = (float(x), float(y), int((codes == code).sum()), chosen[name])
    groups = pd.DataFrame.from_dict(rows, orient="index", columns=["x", "y", "n_cells", "color"])
    there = pairs["source"].isin(groups.index) & pairs["target"].isin(groups.index)
    lines = pairs.loc[there, ["source", "target", "clear"]].reset_index(drop=True)
    net = (pairs.loc[there, "cbdir"] - pairs.loc[there, "cbdir_back"]) / 2
    return FlowGraph(groups, lines.assign(strength=net.clip(0, 1).to_numpy(dtype=float)))


def flow_graph_figure(data: FlowGraph, theme: FigureTheme) -> go.Figure:
    """Groups as discs; an arrow where the direction is clear, a dotted line where it is not."""
    figure = go.Figure()
    groups, sizes = data.groups, data.sizes()
    radius = dict(zip(groups.index, sizes / 2, strict=True))
    for line, width in zip(data.lines.itertuples(index=False), data.widths(), strict=True):
        ends = str(line.source), str(line.target)
        (x0, y0), (x1, y1) = (data.places[name] for name in ends)
        if line.clear:
            figure.add_annotation(
                x=x1,
                y=y1,
                ax=x0,
                ay=y0,
                axref="x",
                ayref="y",
                text="",
                showarrow=True,
                arrowhead=2,
                arrowsize=1,
                arrowwidth=width,
                arrowcolor=theme.ink,
                standoff=radius[ends[1]] + _APART,
                startstandoff=radius[ends[0]],
            )
        else:
            figure.add_scatter(
                x=[x0, x1],
                y=[y0, y1],
                mode="lines",
                line={"color": theme.muted, "width": 1.5, "dash": "dot"},
                hoverinfo="skip",
                showlegend=False,
            )
    figure.add_scatter(
        x=groups["x"],
        y=groups["y"],
        mode="markers+text",
        text=list(groups.index),
        textposition="top center",
        textfont={"size": 12, "color": theme.ink},
        marker={
            "size": sizes,
            "color": groups["color"],
            "line": {"color": theme.paper, "width": 1.5},
            "opacity": 1,
        },
        customdata=groups["n_cells"],
        hovertemplate="%{text}: %{customdata:,} cells<extra></extra>",
        showlegend=False,
        cliponaxis=False,
    )
    hidden = {"visible": False, "showgrid": False, "zeroline": False}
    layout = base_layout(theme, height=430)
    figure.update_layout(**layout, xaxis=hidden, yaxis=hidden)
    for update, side in ((figure.update_xaxes, "x"), (figure.update_yaxes, "y")):
        low, high = groups[side].min(), groups[side].max()
        room = 0.14 * max(high - low, 1e-9)
        update(range=[low - room, high + room])
    return figure
