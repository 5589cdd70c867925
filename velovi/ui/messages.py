"""What Python and the browser say to each other: one type for each message.

``docs/browser.md`` draws the loop and says which file sends and which hears each of them. Those
that begin with a header are packed by :func:`velovi.plotting.message.pack` together with arrays;
the others are JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NotRequired, TypedDict

CombineHow = Literal["replace", "add", "subtract"]
"""What an outline does with the selection that is there."""


class FieldStyle(TypedDict):
    """Look of the velocity field on a map: line width and arrowhead length in pixels."""

    width: float
    head: float


class MapDescription(TypedDict):
    """One map: what its colours mean. Its codes are the array ``codes<i>``, uint8 (cells,)."""

    codes: str  # names the codes; the array is left out when the browser has them
    title: str
    kind: Literal["labels", "values", "plain"]
    note: str
    labels: Sequence[str]
    counts: Sequence[int]
    palette: Sequence[str]
    missing: str
    symmetric: bool
    low: float
    high: float
    lowText: str
    highText: str
    unknown: int
    places: list[tuple[int, float, float]]  # code, x and y of each group's name


class VisiblePartQuery(TypedDict):
    """Python to ``visible_part.js``: of which map or chart the visible part is wanted."""

    target: str


class VisiblePartAnswer(TypedDict):
    """``visible_part.js`` to Python, as ``part``: what the reader sees, in data coordinates."""

    x: tuple[float, float] | None
    y: tuple[float, float] | None
    hidden: Sequence[str]


class MapHeader(TypedDict):
    """Python to ``scatter.js``: maps of the cells.

    Arrays: ``places`` int16 (cells, 2), ``codes0``, ... uint8 (cells,), ``selected`` uint8, one bit
    a cell, and ``starts``, ``path``, ``heads``, ``strengths`` of
    :func:`velovi.plotting.cell_codes.field_parts`.
    """

    name: str  # of this component, for those who ask what it shows
    run: str
    view: str  # what the camera is kept under
    places: str  # names the places; the array is left out when the browser has them
    extent: tuple[float, float]
    centre: tuple[float, float]  # of the embedding, in its own units
    half: float  # of its longer side
    height: int
    tall: int
    columns: int
    size: float
    opacity: float
    names: bool
    font: str
    theme: dict[str, str]
    field: FieldStyle | None
    maps: list[MapDescription]
    stamp: str
    look: NotRequired[str]  # changes with whatever is drawn, apart from places, codes and selection


class PickedCells(TypedDict):
    """``scatter.js`` to Python, as ``picked``: the reader's selection."""

    run: str
    count: int
    bits: str  # base64 of one bit a cell; empty when none is selected


class CellQuery(TypedDict):
    """``hover_query.js`` to Python, as ``ask``: the cell under the pointer."""

    run: str
    cell: int


class CellCard(TypedDict):
    """Python to ``hover_query.js``: name and values of that cell."""

    run: str
    cell: int
    name: str
    values: Sequence[tuple[str, str]]


class AxisMessage(TypedDict):
    """An axis of a chart."""

    title: str
    low: float
    high: float


class ChartHeader(TypedDict):
    """Python to ``chart.js``: a chart of one gene.

    Arrays, float32: ``points<i>`` (cells, 2), ``areas<i>`` and ``lines<i>`` (points, 2), ``bins``
    (bins,) and ``layers<i>`` (bins,).
    """

    name: str  # of this component, for those who ask what it shows
    gene: str
    stamp: str
    theme: dict[str, str]
    font: str
    alt: str
    height: int
    outlines: bool  # whether the reader may draw around cells
    x: AxisMessage
    y: AxisMessage
    points: list[dict[str, Any]]  # name, color, opacity, size
    areas: list[dict[str, Any]]  # color
    lines: list[dict[str, Any]]  # name, color, width, dash
    layers: list[dict[str, Any]]  # name, color


class DrawnOutline(TypedDict):
    """``chart.js`` to Python, as ``outlined``: corners of an outline, in data coordinates."""

    gene: str
    x: list[float]
    y: list[float]
    how: CombineHow


class TableMessage(TypedDict):
    """Python to ``table.js``: a table, its order and its marked row."""

    name: str
    columns: list[dict[str, Any]]
    rows: Sequence[tuple[str, ...]]
    current: str | None
    order: tuple[str, bool] | None  # column, and whether the largest come first
    opens: bool
    theme: dict[str, str]
    height: int
    alt: str
    stamp: int


class ShownRow(TypedDict):
    """Python to ``row_events.js``: the row that this part of the page shows.

    The answer, as ``row``, is the name of the row that the reader opened.
    """

    table: str
    row: str


class UrlMessage(TypedDict):
    """Python to ``url_sync.js``: what the address of a page is to hold."""

    page: str
    picture: dict[str, str]


class PreloadMessage(TypedDict):
    """Python to ``preload_plotly.js``: where Plotly is and when to load it."""

    path: str
    now: bool
    wait: int
