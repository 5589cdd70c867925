"""Maps of the same cells side by side, one for each quantity, to take away."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from velovi.errors import OptionError
from velovi.plotting.embedding import EmbeddingData, value_traces
from velovi.plotting.theme import FigureTheme, bare_axis, base_layout, colorbar

_TITLE = 0.1  # of the height, above each map
_KEY = 0.1  # of a map's width, for its colour key


@dataclass(frozen=True)
class QuantityMaps:
    """Several quantities of the same cells; ``name`` says what they are quantities of."""

    name: str
    maps: tuple[EmbeddingData, ...]

    def __post_init__(self) -> None:
        for one in self.maps[1:]:
            if one.cells.tolist() != self.maps[0].cells.tolist():
                raise OptionError(
                    "maps side by side show different cells", where=self.name, found=one.title
                )

    def to_frame(self) -> pd.DataFrame:
        """One row for each cell, with its place and every quantity."""
        if not self.maps:
            return pd.DataFrame(columns=["cell", "x", "y"])
        frame = self.maps[0].to_frame()
        return frame.assign(**{one.title: one.values for one in self.maps[1:]})


def quantity_maps_figure(
    data: QuantityMaps, theme: FigureTheme, *, size: float = 3.5, height: int = 330
) -> go.Figure:
    """The maps in one row, each with its own colour key."""
    layout = base_layout(theme, height=height, showlegend=False)
    wide = 1 / max(1, len(data.maps))
    traces: list[go.Scattergl] = []
    notes = []
    for place, one in enumerate(data.maps):
        number = "" if place == 0 else str(place + 1)
        left, right = place * wide, (place + 1) * wide - _KEY * wide
        layout[f"xaxis{number}"] = bare_axis(domain=[left, right], anchor=f"y{number}")
        layout[f"yaxis{number}"] = bare_axis(
            domain=[0, 1 - _TITLE], anchor=f"x{number}", scaleanchor=f"x{number}"
        )
        for trace in value_traces(one, theme, size, 0.8):
            trace.xaxis, trace.yaxis = f"x{number}", f"y{number}"
            if trace.marker.colorbar.thickness is not None:
                trace.marker.colorbar = colorbar(
                    theme, "", x=right, xanchor="left", len=0.6, y=0.85
                )
            traces.append(trace)
        notes.append(_title(one.title, left, theme))
    return go.Figure(traces, {**layout, "annotations": notes})


def _title(text: str, left: float, theme: FigureTheme) -> dict[str, object]:
    place = {"xref": "paper", "yref": "paper", "x": left, "y": 1, "xanchor": "left"}
    font = {"size": 13, "color": theme.ink}
    return {**place, "yanchor": "top", "text": text, "showarrow": False, "font": font}
