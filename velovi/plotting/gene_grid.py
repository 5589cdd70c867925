"""Phase portraits of several genes side by side, of the same cells."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from velovi.errors import OptionError
from velovi.plotting.fitted_curve import FittedCurve
from velovi.plotting.gene import ALL_CELLS
from velovi.plotting.selection import cells_drawn_caption, cells_to_draw
from velovi.plotting.theme import FigureTheme, base_layout, category_colors

MOST_PANELS = 24
POINTS_EACH = 1500
_GAP = 0.014  # between panels, as a share of the width
_TITLE = 22  # pixels above each panel


@dataclass(frozen=True)
class GeneGridPanel:
    """One gene: abundances of the cells drawn (cells,), its fitted course and explained share."""

    gene: str
    spliced: np.ndarray
    unspliced: np.ndarray
    curve: FittedCurve | None = None
    explained: float = float("nan")


@dataclass(frozen=True)
class GeneGridData:
    """Several genes in the same cells; ``labels`` and ``selected`` are those of the cells drawn."""

    panels: tuple[GeneGridPanel, ...]
    cells: np.ndarray
    labels: pd.Categorical
    colors: Mapping[str, str]
    n_total: int
    selected: np.ndarray | None = None
    n_selected: int = 0

    def __post_init__(self) -> None:
        columns = [item for panel in self.panels for item in (panel.spliced, panel.unspliced)]
        lengths = {len(self.cells), len(self.labels), *(len(column) for column in columns)}
        if self.selected is not None:
            lengths.add(len(self.selected))
        if len(lengths) != 1:
            raise OptionError("genes and cells differ in number", found=str(sorted(lengths)))
        if len(self.panels) > MOST_PANELS:
            raise OptionError(
                "too many phase portraits side by side",
                expected=f"at most {MOST_PANELS}",
                found=str(len(self.panels)),
            )

    @property
    def caption(self) -> str:
        """How many of the cells are drawn in each panel, and how many are selected."""
        return cells_drawn_caption(len(self.cells), self.n_total, self.selected, self.n_selected)

    def to_frame(self) -> pd.DataFrame:
        """One row for each gene and cell drawn."""
        parts = [
            pd.DataFrame(
                {
                    "gene": panel.gene,
                    "cell": self.cells,
                    "label": np.asarray(self.labels),
                    "spliced": panel.spliced,
                    "unspliced": panel.unspliced,
                }
            )
            for panel in self.panels
        ]
        columns = ["gene", "cell", "label", "spliced", "unspliced"]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def gene_grid_data(
    cells: Sequence[str] | pd.Index | np.ndarray,
    columns: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    labels: pd.Series | pd.Categorical | None = None,
    colors: Mapping[str, str] | None = None,
    curves: Mapping[str, FittedCurve | None] | None = None,
    explained: Mapping[str, float] | None = None,
    selected: np.ndarray | None = None,
    limit: int = POINTS_EACH,
) -> GeneGridData:
    """Choose the cells to draw, the same for every gene.

    Parameters
    ----------
    cells
        Names.
    columns
        Spliced and unspliced abundance (cells,) of each gene.
    labels, colors
        A category for each cell, and the file's own colours.
    curves, explained
        The fitted course and the share it explains of each gene.
    selected
        Which cells the reader selected, bool (cells,).
    limit
        About how many cells to draw in each panel.
    """
    n_cells = len(cells)
    groups = pd.Categorical([ALL_CELLS] * n_cells) if labels is None else pd.Categorical(labels)
    groups = groups.rename_categories(str)
    chosen = cells_to_draw(n_cells, groups.codes, selected, limit)
    chosen = chosen[groups.codes[chosen] >= 0]
    panels = [
        GeneGridPanel(
            gene,
            np.asarray(spliced, dtype=np.float32)[chosen],
            np.asarray(unspliced, dtype=np.float32)[chosen],
            (curves or {}).get(gene),
            float((explained or {}).get(gene, np.nan)),
        )
        for gene, (spliced, unspliced) in columns.items()
    ]
    return GeneGridData(
        panels=tuple(panels),
        cells=np.asarray(cells, dtype=object)[chosen],
        labels=groups[chosen],
        colors=category_colors(list(groups.categories), colors),
        n_total=n_cells,
        selected=None if selected is None else selected[chosen],
        n_selected=0 if selected is None else int(np.count_nonzero(selected)),
    )


def gene_grid_figure(
    data: GeneGridData,
    theme: FigureTheme,
    *,
    columns: int = 4,
    panel_height: int = 190,
) -> go.Figure:
    """Small phase portraits in rows; each has its own scales, and any click in it finds a cell.

    Parameters
    ----------
    data, theme
        What to draw, in which dress.
    columns, panel_height
        Panels in a row, and pixels of each.
    """
    n_panels = len(data.panels)
    n_rows = max(1, -(-n_panels // columns))
    height = n_rows * (panel_height + _TITLE)
    layout = base_layout(
        theme,
        height=height,
        showlegend=False,
        dragmode=False,
        hovermode="closest",
        # a click anywhere in a panel counts for the cell that is nearest
        hoverdistance=-1,
        coloraxis=_color_axis(data, theme),
    )
    layout["margin"] = {"l": 4, "r": 4, "t": 4, "b": 4}
    codes = _codes(data)
    traces: list[go.Scattergl] = []
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for place, panel in enumerate(data.panels):
        number = "" if place == 0 else str(place + 1)
        row, column = divmod(place, columns)
        x_range, y_range = _reach(panel.spliced), _reach(panel.unspliced)
        layout[f"xaxis{number}"] = _axis(theme, _across(column, columns), x_range, f"y{number}")
        layout[f"yaxis{number}"] = _axis(theme, _down(row, n_rows, height), y_range, f"x{number}")
        traces.append(_cells(panel, codes, number))
        shapes += _course(panel, theme, number)
        notes.append(_title(panel, theme, number))
    return go.Figure(traces, {**layout, "shapes": shapes, "annotations": notes})


def _codes(data: GeneGridData) -> np.ndarray:
    """A whole number for each cell's colour; the last one is for cells that are not selected."""
    codes = data.labels.codes.astype(np.int16)
    if data.selected is not None:
        codes = np.where(data.selected, codes, np.int16(len(data.labels.categories)))
    return codes.astype(np.int16)


def _color_axis(data: GeneGridData, theme: FigureTheme) -> dict[str, Any]:
    """A colour scale of steps: one trace a panel instead of one for every group in it."""
    colors = [data.colors[name] for name in data.labels.categories] + [theme.missing]
    edges = np.linspace(0, 1, len(colors) + 1)
    steps = [
        (float(at), color)
        for low, high, color in zip(edges[:-1], edges[1:], colors, strict=True)
        for at in (low, high)
    ]
    scale = {"cmin": -0.5, "cmax": len(colors) - 0.5, "colorscale": steps}
    return {**scale, "showscale": False}


def _cells(panel: GeneGridPanel, codes: np.ndarray, number: str) -> go.Scattergl:
    return go.Scattergl(
        x=panel.spliced,
        y=panel.unspliced,
        xaxis=f"x{number}",
        yaxis=f"y{number}",
        mode="markers",
        name=panel.gene,
        showlegend=False,
        marker={"size": 3, "opacity": 0.6, "color": codes, "coloraxis": "coloraxis"},
        hovertemplate=f"{html.escape(panel.gene)}: click to open<extra></extra>",
    )


def _line_over(points: np.ndarray, refs: dict[str, str], **line: Any) -> dict[str, Any]:
    """A line (points, 2) as a shape: Plotly paints WebGL points over ordinary lines."""
    known = points[np.isfinite(points).all(axis=1)]
    svg = "M" + "L".join(f"{x:.5g},{y:.5g}" for x, y in known) if len(known) > 1 else ""
    return {"type": "path", "path": svg, "layer": "above", "line": line, **refs}


def _course(panel: GeneGridPanel, theme: FigureTheme, number: str) -> list[dict[str, Any]]:
    if panel.curve is None:
        return []
    refs = {"xref": f"x{number}", "yref": f"y{number}"}
    shapes = []
    for segment in panel.curve.segments():
        color = theme.induction if segment.part == "induction" else theme.repression
        look = {"width": 2.2} if segment.measured else {"width": 1.3, "dash": "1px,3px"}
        points = np.stack([segment.s, segment.u], axis=1)
        shapes.append(_line_over(points, refs, color=color, **look))
    return shapes


def _title(panel: GeneGridPanel, theme: FigureTheme, number: str) -> dict[str, Any]:
    share = f" · {panel.explained:.2f}" if np.isfinite(panel.explained) else ""
    return {
        "text": f"<b>{html.escape(panel.gene)}</b>{share}",
        "xref": f"x{number} domain",
        "yref": f"y{number} domain",
        "x": 0,
        "y": 1,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 12, "color": theme.ink},
    }


def _axis(
    theme: FigureTheme, domain: tuple[float, float], reach: list[float], anchor: str
) -> dict[str, Any]:
    return {
        "domain": domain,
        "range": reach,
        "anchor": anchor,
        "showticklabels": False,
        "showgrid": False,
        "zeroline": False,
        "showline": True,
        "linecolor": theme.grid,
        "linewidth": 1,
        "mirror": True,
        "fixedrange": True,
    }


def _reach(values: np.ndarray) -> list[float]:
    finite = values[np.isfinite(values)]
    top = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    return [-0.05 * top, 1.08 * top]


def _across(column: int, columns: int) -> tuple[float, float]:
    wide = (1 - _GAP * (columns - 1)) / columns
    left = column * (wide + _GAP)
    return left, min(1.0, left + wide)


def _down(row: int, n_rows: int, height: int) -> tuple[float, float]:
    tall = 1 / n_rows
    return max(0.0, 1 - (row + 1) * tall), 1 - row * tall - _TITLE / height
