"""Probabilities of a gene's four states, one small map each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from velovi.errors import OptionError
from velovi.figures.sampling import showing, stratified_sample
from velovi.figures.theme import FigureTheme, bare_axis, base_layout, colorbar

STATE_TITLES = {
    "induction": "Induction",
    "induction_steady": "Induction, steady",
    "repression": "Repression",
    "repression_steady": "Repression, steady",
}


@dataclass(frozen=True)
class StateData:
    """Probability of each state in the cells that are drawn (cells,)."""

    gene: str
    cells: np.ndarray
    positions: np.ndarray
    probabilities: Mapping[str, np.ndarray]
    n_total: int

    def __post_init__(self) -> None:
        lengths = {len(one) for one in self.probabilities.values()}
        if lengths - {len(self.positions)} or len(self.cells) != len(self.positions):
            raise OptionError("states and cells differ in number", where=self.gene)

    @property
    def caption(self) -> str:
        """How many of the cells are drawn."""
        return showing(len(self.cells), self.n_total)

    def to_frame(self) -> pd.DataFrame:
        """One row for each cell drawn."""
        return pd.DataFrame({"cell": self.cells, **self.probabilities})


def state_data(
    gene: str,
    cells: Sequence[str] | pd.Index,
    positions: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    *,
    strata: np.ndarray | None = None,
    limit: int = 5000,
) -> StateData:
    """Choose the cells to draw.

    Parameters
    ----------
    gene, cells
        Names.
    positions
        Coordinates (cells, 2).
    probabilities
        One probability a cell for each state.
    strata, limit
        See :func:`velovi.figures.sampling.stratified_sample`; the limit is for each map.
    """
    chosen = stratified_sample(len(positions), strata, limit)
    chosen = chosen[np.isfinite(positions[chosen]).all(axis=1)]
    return StateData(
        gene=gene,
        cells=np.asarray(cells, dtype=object)[chosen],
        positions=np.asarray(positions, dtype=np.float32)[chosen],
        probabilities={
            name: np.asarray(values, dtype=np.float32)[chosen]
            for name, values in probabilities.items()
        },
        n_total=len(positions),
    )


def state_figure(data: StateData, theme: FigureTheme, *, height: int = 270) -> go.Figure:
    """One small map for each state, on a common scale from 0 to 1."""
    names = list(data.probabilities)
    titles = [STATE_TITLES.get(name, name) for name in names]
    figure = make_subplots(1, max(1, len(names)), subplot_titles=titles, horizontal_spacing=0.01)
    for column, name in enumerate(names, start=1):
        values = data.probabilities[name]
        order = np.argsort(np.nan_to_num(values), kind="stable")
        figure.add_trace(
            go.Scattergl(
                x=data.positions[order, 0],
                y=data.positions[order, 1],
                mode="markers",
                marker={"size": 3, "color": values[order], "coloraxis": "coloraxis"},
                hovertemplate="%{marker.color:.2f}<extra></extra>",
                showlegend=False,
            ),
            row=1,
            col=column,
        )
    figure.update_layout(**base_layout(theme, height=height))
    figure.update_layout(
        margin={"t": 34},
        coloraxis={
            "cmin": 0,
            "cmax": 1,
            "colorscale": theme.abundance,
            "colorbar": colorbar(theme, "probability", len=0.9),
        },
    )
    figure.update_annotations(font={"size": 13, "color": theme.ink})
    figure.update_xaxes(**bare_axis())
    for column in range(1, len(names) + 1):
        anchor = "x" if column == 1 else f"x{column}"
        figure.update_yaxes(**bare_axis(scaleanchor=anchor), row=1, col=column)
    return figure
