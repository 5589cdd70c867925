"""A number of every gene beside the same number on data without velocity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from velovi.plotting.theme import FigureTheme, axis, base_layout

DATA, NULL = "these cells", "the same cells without velocity"
_MOST_BINS, _FEWEST_BINS, _GENES_A_BIN = 40, 8, 8


@dataclass(frozen=True)
class NullComparison:
    """One number of genes, of the data and of its null.

    Attributes
    ----------
    title
        What the number is, with its unit.
    found, null
        Of the data (genes,), and of the null (genes of the null,); finite.
    """

    title: str
    found: np.ndarray
    null: np.ndarray

    def to_frame(self) -> pd.DataFrame:
        """One row for each gene of either side; none is named."""
        sides = [DATA] * len(self.found) + [NULL] * len(self.null)
        return pd.DataFrame({"of": sides, self.title: np.concatenate([self.found, self.null])})

    @property
    def limit(self) -> float:
        """Above it lie 5 % of the null's genes."""
        return float(np.percentile(self.null, 95)) if len(self.null) else float("nan")

    def shares(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Edges (bins + 1,), and percent of the genes of the data and the null in each bin."""
        both = np.concatenate([self.found, self.null])
        low, high = np.percentile(both, [0.2, 99.8]) if len(both) else (0.0, 1.0)
        bins = int(np.clip(len(self.found) // _GENES_A_BIN, _FEWEST_BINS, _MOST_BINS))
        edges = np.linspace(low, max(high, low + 1e-6), bins + 1)
        counts = [
            np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / max(len(values), 1)
            for values in (self.found, self.null)
        ]
        return edges, 100 * counts[0], 100 * counts[1]


def null_comparison_figure(data: NullComparison, theme: FigureTheme) -> go.Figure:
    """Shares of genes over the number, as steps; the null is filled."""
    edges, found, null = data.shares()
    figure = go.Figure()
    for name, values, color, fill in (
        (NULL, null, theme.muted, "tozeroy"),
        (DATA, found, theme.accent, None),
    ):
        figure.add_scatter(
            x=np.repeat(edges, 2)[1:-1],
            y=np.repeat(values, 2),
            mode="lines",
            name=name,
            fill=fill,
            line={"color": color, "width": 2},
            hovertemplate=f"%{{x:.2f}}: %{{y:.1f}} % of genes<extra>{name}</extra>",
        )
    figure.add_vline(x=data.limit, line={"color": theme.muted, "width": 1, "dash": "dot"})
    figure.update_layout(
        **base_layout(theme, height=260),
        xaxis=axis(theme, data.title),
        yaxis=axis(theme, "genes (%)", rangemode="tozero"),
    )
    return figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
