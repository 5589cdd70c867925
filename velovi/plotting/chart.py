"""Charts of one gene: cells as points, lines, areas and stacked areas over two axes.

A chart says what is to be drawn, in data coordinates and colours of the page; ``web/chart.js``
draws it in a hundredth of the time that Plotly needs to begin.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ChartAxis:
    """An axis of fixed range.

    Attributes
    ----------
    title
        What is along it.
    low, high
        Its ends.
    """

    title: str
    low: float
    high: float


@dataclass(frozen=True)
class ChartPoints:
    """Cells of one colour.

    Attributes
    ----------
    name
        Of the group.
    x, y
        float32 (cells,).
    color
        Hex.
    opacity
        From 0 to 1.
    size
        Diameter in pixels.
    """

    name: str
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    color: str
    opacity: float = 0.55
    size: float = 4.0


@dataclass(frozen=True)
class ChartLine:
    """A line over the cells.

    Attributes
    ----------
    path
        float32 (points, 2).
    color
        Of CSS.
    width
        In pixels.
    dash
        Lengths of strokes and gaps in pixels; empty for a whole line.
    name
        In the key above the chart; not named there when empty.
    """

    path: NDArray[np.float32]
    color: str
    width: float
    dash: tuple[float, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class ChartArea:
    """A filled outline (points, 2) float32 over the cells."""

    path: NDArray[np.float32]
    color: str


@dataclass(frozen=True)
class ChartStack:
    """Shares (bins,) float32 that lie on top of each other, one layer for each name."""

    x: NDArray[np.float32]
    layers: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    colors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Chart:
    """All that is drawn, from below to above: stack, points, areas, lines.

    Attributes
    ----------
    x, y
        The axes.
    height
        In pixels.
    """

    x: ChartAxis
    y: ChartAxis
    height: int
    points: tuple[ChartPoints, ...] = ()
    areas: tuple[ChartArea, ...] = ()
    lines: tuple[ChartLine, ...] = ()
    stack: ChartStack | None = None


def path(*columns: np.ndarray) -> NDArray[np.float32]:
    """Points (points, 2) of columns x and y; those that are not finite are left out.

    Examples
    --------
    >>> path([0.0, 1.0, 2.0], [1.0, float("nan"), 3.0]).tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """
    points = np.stack([np.asarray(column, dtype=np.float32) for column in columns], axis=1)
    return points[np.isfinite(points).all(axis=1)]
