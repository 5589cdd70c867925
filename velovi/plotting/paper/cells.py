"""Maps of cells: coloured points, the velocity field over them, and names of groups."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgba

from velovi.keys import UNLABELLED
from velovi.plotting.embedding import EmbeddingData, StreamlineSet, centroids
from velovi.plotting.paper import style
from velovi.plotting.paper.label_places import write_names
from velovi.plotting.paper.style import THEME

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from velovi.plotting.group_flow import FlowGraph
    from velovi.plotting.quantity_maps import QuantityMaps

_HEAD = 0.8  # length of an arrowhead in font sizes, so that it is seen on a narrow figure
_STREAM_WIDTH = 0.8
_ABOVE_POINTS, _MARGIN = 5.0, 0.03
_LETTER = 0.55  # width of a letter of a title in font sizes
_KEY_SHARE = 0.2  # of the width, for the colour keys of maps beside each other
_SPREAD = (0.1, 0.9)  # quantiles that bound the part of a group that its name should not hide


def draw_embedding(
    axes: Axes,
    data: EmbeddingData,
    *,
    size: float | None = None,
    alpha: float = 0.85,
    legend_loc: str = "on data",
    title: str | None = None,
) -> None:
    """Cells, the lines of the velocity field, then names of the groups.

    Parameters
    ----------
    axes
        Where to draw.
    data
        From :func:`velovi.plotting.embedding.embedding_data`.
    size
        Diameter of a cell in points; chosen by their number when left out.
    alpha
        Opacity of the cells.
    legend_loc
        Names of the groups: ``"on data"``, ``"right margin"``, ``"bottom"``, ``"none"``.
    title
        Above the map; what the colour means when left out.
    """
    size = size or style.point_size(len(data.positions))
    if data.labels is not None:
        _draw_groups(axes, data, size, alpha)
    else:
        _draw_values(axes, data, size, alpha)
    _frame(axes, data)
    axes.set_title(data.title if title is None else title, loc="left")
    if data.labels is not None and legend_loc != "on data":
        shown = [name for name in data.labels.categories if (data.labels == name).any()]
        colors = {name: _color_of(name, data) for name in shown}
        style.legend(axes, colors, legend_loc)
    draw_streams(axes, data.streams)
    if data.labels is not None and legend_loc == "on data":
        _name_groups(axes, data)


def draw_quantity_maps(figure: Figure, data: QuantityMaps, *, size: float | None = None) -> None:
    """Maps of the same cells, each with its own colour key, in as many rows as suit the paper."""
    n_maps = max(1, len(data.maps))
    width, height = figure.get_size_inches()
    columns = map_columns(n_maps, width, height)
    rows = -(-n_maps // columns)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    side = min(width / columns, height / rows)  # a map is about square, whatever room it has
    letters = 72 * (1 - _KEY_SHARE) * side / (_LETTER * style.font_size(panels[0]))
    for axes, one_map in zip(panels, data.maps, strict=False):
        draw_embedding(axes, one_map, size=size, legend_loc="none")
        axes.set_title(textwrap.fill(axes.get_title(loc="left"), max(8, int(letters))), loc="left")
    for axes in panels[len(data.maps) :]:
        axes.set_axis_off()


def map_columns(n_maps: int, width: float, height: float) -> int:
    """Columns of a grid of square maps that become largest on paper of this width and height.

    Examples
    --------
    >>> map_columns(4, 3.5, 3.0), map_columns(2, 7.2, 3.0)
    (2, 2)
    """

    def side(columns: int) -> float:
        return min((1 - _KEY_SHARE) * width / columns, height / -(-n_maps // columns))

    return max(range(1, n_maps + 1), key=side)


def draw_streams(axes: Axes, streams: StreamlineSet) -> None:
    """Lines of a velocity field with heads of a size that can be seen."""
    if not streams.lines:
        return
    line_strength, head_strength = streams.strengths
    lines = LineCollection(
        [np.asarray(line) for line in streams.lines],
        colors=_faded(THEME.stream, line_strength),
        linewidths=_STREAM_WIDTH,
        capstyle="round",
        zorder=_ABOVE_POINTS,
    )
    axes.add_collection(lines, autolim=False)
    if len(streams.arrowheads):
        reach = np.median([np.linalg.norm(line[-1] - line[0]) for line in streams.lines])
        # of a short arrow, the head is half
        length = min(_HEAD * style.font_size(axes) * _data_per_point(axes), 0.55 * float(reach))
        axes.add_collection(
            PolyCollection(
                list(_triangles(streams, length)),
                facecolors=_faded(THEME.stream_head, head_strength),
                linewidths=0,
                zorder=_ABOVE_POINTS + 1,
            ),
            autolim=False,
        )


def _faded(color: str, strength: np.ndarray) -> list[tuple[float, float, float, float]]:
    """A colour for each strength; a weak one lets through what lies below."""
    red, green, blue, alpha = to_rgba(style.color(color))
    return [(red, green, blue, alpha * float(item)) for item in strength]


def _triangles(streams: StreamlineSet, length: float) -> np.ndarray:
    """Slim triangles (heads, 3, 2) whose middle lies on the line."""
    ahead = np.asarray(streams.directions, dtype=float)
    ahead = ahead / np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-12)
    aside = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
    back = np.asarray(streams.arrowheads) - 0.45 * length * ahead
    tip = np.asarray(streams.arrowheads) + 0.55 * length * ahead
    return np.stack([tip, back + 0.32 * length * aside, back - 0.32 * length * aside], axis=1)


def _data_per_point(axes: Axes) -> float:
    figure = style.laid_out(axes)
    low, high = axes.transData.transform([(0, 0), (1, 1)])
    return float(figure.dpi / 72 / np.abs(high - low).min())


def _color_of(name: str, data: EmbeddingData) -> str:
    return THEME.missing if name == UNLABELLED else data.colors[name]


def _draw_groups(axes: Axes, data: EmbeddingData, size: float, alpha: float) -> None:
    """All groups as one cloud, in the order of the cells: none hides another by its name."""
    assert data.labels is not None
    names = list(data.labels.categories)
    shades = np.array([_color_of(name, data) for name in names] or [THEME.missing], dtype=object)
    style.points(
        axes,
        data.positions[:, 0],
        data.positions[:, 1],
        size=size,
        alpha=alpha,
        c=list(shades[data.labels.codes]),
    )


def _draw_values(axes: Axes, data: EmbeddingData, size: float, alpha: float) -> None:
    """High values last, so that they are not hidden; cells without a value below, in grey."""
    values = np.asarray(data.values, dtype=float)
    known = np.isfinite(values)
    strength = np.abs(values) if data.scale == "diverging" else values
    order = np.argsort(np.where(known, strength, -np.inf), kind="stable")
    place, shown = data.positions[order], np.where(known, values, np.nan)[order]
    cloud = style.points(
        axes,
        place[:, 0],
        place[:, 1],
        size=size,
        alpha=alpha,
        c=shown,
        vmin=data.low,
        vmax=data.high,
        cmap=style.theme_scale(data.scale),
        plotnonfinite=True,
    )
    if known.any():
        style.color_bar(axes, cloud, "")


def _frame(axes: Axes, data: EmbeddingData) -> None:
    style.bare(axes)
    positions = data.positions
    if data.extent is not None:
        axes.set_xlim(*data.extent[0])
        axes.set_ylim(*data.extent[1])
        return
    if not len(positions):
        return
    low, high = positions.min(axis=0), positions.max(axis=0)
    pad = _MARGIN * np.maximum(high - low, 1e-3)
    axes.set_xlim(low[0] - pad[0], high[0] + pad[0])
    axes.set_ylim(low[1] - pad[1], high[1] + pad[1])


def _name_groups(axes: Axes, data: EmbeddingData) -> None:
    assert data.labels is not None
    found = centroids(data)
    found = found[found["label"] != UNLABELLED]
    extents = [
        np.ptp(np.quantile(data.positions[data.labels == name], _SPREAD, axis=0), axis=0)
        for name in found["label"]
    ]
    write_names(
        axes,
        list(found["label"]),
        found[["x", "y"]].to_numpy(dtype=float),
        np.array(extents).reshape(-1, 2),
        style.font_size(axes),
    )


def draw_flow_graph(axes: Axes, data: FlowGraph) -> None:
    """Groups as discs, arrows of clear directions, dotted lines where groups touch without one."""
    groups = data.groups
    # a figure of one column has room for half of what the screen has
    sizes = dict(zip(groups.index, data.sizes(largest=22, smallest=8), strict=True))
    for line, width in zip(data.lines.itertuples(index=False), data.widths(3, 0.8), strict=True):
        source, target = str(line.source), str(line.target)
        how = {"arrowstyle": "-|>,head_length=.35,head_width=.2", "color": style.color(THEME.ink)}
        if not line.clear:
            how = {"arrowstyle": "-", "color": style.color(THEME.muted), "linestyle": ":"}
            width = 0.8
        axes.annotate(
            "",
            xy=data.places[target],
            xytext=data.places[source],
            arrowprops={
                **how,
                "linewidth": width,
                "shrinkA": sizes[source] / 2,
                "shrinkB": sizes[target] / 2 + 1,
            },
        )
    axes.scatter(
        groups["x"],
        groups["y"],
        s=np.square(list(sizes.values())),
        c=[style.color(color) for color in groups["color"]],
        linewidths=0.6,
        edgecolors="white",
        zorder=3,
    )
    for name, row in groups.iterrows():
        axes.annotate(
            str(name),
            (row["x"], row["y"]),
            xytext=(0, sizes[name] / 2 + 1.5),
            textcoords="offset points",
            ha="center",
            va="bottom",
            zorder=4,
        )
    axes.margins(0.16)
    axes.set_axis_off()
