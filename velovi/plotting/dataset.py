"""How much of each cluster's RNA is unspliced, before any model is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from velovi.errors import OptionError
from velovi.plotting.theme import FigureTheme, axis, base_layout

# What most droplet experiments show; outside it the counting deserves a second look
USUAL = (0.10, 0.25)


@dataclass(frozen=True)
class UnsplicedData:
    """Share of unspliced counts in each category (categories,), between 0 and 1."""

    label: str
    names: tuple[str, ...]
    fractions: np.ndarray

    def __post_init__(self) -> None:
        if len(self.names) != len(self.fractions):
            raise OptionError("each category needs one fraction")

    def to_frame(self) -> pd.DataFrame:
        """One row a category."""
        return pd.DataFrame({self.label: self.names, "unspliced_fraction": self.fractions})


def unspliced_data(label: str, fractions: Mapping[str, float]) -> UnsplicedData:
    """Order the categories by their share; those without counts are left out."""
    known = {str(k): float(v) for k, v in fractions.items() if v is not None and np.isfinite(v)}
    names = sorted(known, key=lambda name: known[name])
    return UnsplicedData(label, tuple(names), np.array([known[name] for name in names]))


def unspliced_figure(data: UnsplicedData, theme: FigureTheme) -> go.Figure:
    """A bar for each category, with the usual range behind."""
    usual = (data.fractions >= USUAL[0]) & (data.fractions <= USUAL[1])
    figure = go.Figure(
        go.Bar(
            x=100 * data.fractions,
            y=list(data.names),
            orientation="h",
            marker={
                "color": np.where(usual, theme.induction, theme.repression),
                "line": {"width": 0},
            },
            text=[f"{100 * fraction:.0f} %" for fraction in data.fractions],
            textposition="outside",
            cliponaxis=False,
            textfont={"size": 12, "color": theme.muted},
            hovertemplate="%{y}: %{x:.1f} %<extra></extra>",
        )
    )
    figure.add_vrect(
        x0=100 * USUAL[0],
        x1=100 * USUAL[1],
        fillcolor=theme.accent,
        opacity=0.10,
        line_width=0,
        layer="below",
        annotation_text="usual",
        annotation_position="top left",
        annotation_yshift=18,
        annotation_font={"size": 11, "color": theme.muted},
    )
    top = max(30.0, 112 * float(data.fractions.max()) if len(data.fractions) else 30.0)
    figure.update_layout(
        **base_layout(theme, height=90 + 26 * max(1, len(data.names)), showlegend=False),
        xaxis=axis(theme, "unspliced share of all counts (%)", range=[0, top]),
        yaxis=axis(theme, "", showgrid=False, type="category"),
        bargap=0.35,
    )
    return figure.update_layout(margin={"t": 26})
