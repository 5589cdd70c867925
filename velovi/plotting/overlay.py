"""Lines and areas that lie over the points.

Plotly paints WebGL points over ordinary lines, so whatever must stay visible on top of the cells
is drawn as a shape, in data coordinates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go


def path(points: np.ndarray, *, closed: bool = False) -> str:
    """An SVG path through points (points, 2); those that are not finite are left out."""
    points = np.asarray(points, dtype=float).reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < 2:
        return ""
    steps = "L".join(f"{x:.5g},{y:.5g}" for x, y in points)
    return f"M{steps}" + ("Z" if closed else "")


def line_shape(points: np.ndarray, line: dict[str, Any]) -> dict[str, Any]:
    """A line over the points."""
    return _shape(path(points), line=line)


def area_shape(outline: np.ndarray, color: str) -> dict[str, Any]:
    """A filled outline over the points."""
    return _shape(
        path(outline, closed=True), line={"width": 0}, fillcolor=color, fillrule="nonzero"
    )


def legend_entry(name: str, line: dict[str, Any]) -> go.Scatter:
    """A line in the legend for a shape, which has no good sign of its own there."""
    return go.Scatter(x=[None], y=[None], mode="lines", line=line, name=name, showlegend=True)


def _shape(svg: str, **look: Any) -> dict[str, Any]:
    return {"type": "path", "path": svg, "xref": "x", "yref": "y", "layer": "above", **look}
