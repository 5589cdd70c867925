"""One gene or several: phase portraits, the course over the gene's time, its states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from velovi.keys import STATE_TITLES, TIME_AXIS
from velovi.plotting.fitted_curve import CurveSegment, FittedCurve
from velovi.plotting.gene import ALL_CELLS, GeneData, course_band
from velovi.plotting.paper import style
from velovi.plotting.paper.style import THEME
from velovi.plotting.states import StateCourse, state_colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from velovi.plotting.gene_grid import GeneGridData

_WIDTH, _THIN = 1.6, 1.0  # of lines, in points
_REACH = 1.5  # times the largest value that a fit may lie above the cells and still be in view


def draw_phase_portrait(
    axes: Axes,
    data: GeneData,
    *,
    size: float | None = None,
    legend_loc: str = "none",
    title: str | None = None,
) -> None:
    """Unspliced against spliced, with the fitted course and the steady-state line.

    Parameters
    ----------
    axes
        Where to draw.
    data
        From :func:`velovi.plotting.gene.gene_data`.
    size
        Diameter of a cell in points; chosen by their number when left out.
    legend_loc
        Where the groups are named: ``"right margin"``, ``"bottom"``, ``"none"``. The lines are
        always named, above the axes.
    title
        Above the axes; the gene's name, in italics, when left out.
    """
    x_max, y_max = _end(data.spliced), _end(data.unspliced)
    _draw_cells(axes, data, data.spliced, data.unspliced, size)
    slope = data.steady_slope
    if slope is not None:
        reach = min(x_max, y_max / slope) if slope > 0 else x_max
        axes.plot(
            [0, reach],
            [0, reach * slope],
            color=THEME.ink,
            linewidth=_THIN,
            linestyle="--",
            label="steady state",
            zorder=4,
        )
    if data.curve is not None:
        _draw_course(axes, data.curve)
        x_max = max(x_max, min(_end(data.curve.s_on), _REACH * x_max))
        y_max = max(y_max, min(_end(data.curve.u_on), _REACH * y_max))
    axes.set_xlim(-0.03 * x_max, 1.05 * x_max)
    axes.set_ylim(-0.03 * y_max, 1.05 * y_max)
    axes.set_xlabel("spliced (scaled)")
    axes.set_ylabel("unspliced (scaled)")
    _finish(axes, data, title, legend_loc)


def draw_gene_over_time(
    axes: Axes,
    data: GeneData,
    what: str,
    *,
    size: float | None = None,
    legend_loc: str = "none",
    title: str | None = None,
) -> None:
    """Spliced or unspliced abundance against the gene's latent time, with the fit and its spread.

    Parameters
    ----------
    what
        ``"spliced"`` or ``"unspliced"``.
    axes, data, size, legend_loc, title
        As in :func:`draw_phase_portrait`.
    """
    values = data.spliced if what == "spliced" else data.unspliced
    time = data.time if data.time is not None else np.full(len(values), np.nan)
    last, top = max(_end(time), TIME_AXIS), _end(values)
    _draw_cells(axes, data, time, values, size, resting=data.at_rest)
    band = course_band(data, what, last)
    if band is not None and band.sd.any():
        axes.fill_between(
            band.t,
            band.low,
            band.high,
            color=THEME.muted,
            alpha=0.28,
            linewidth=0,
            zorder=3,
            label="95 % of the fit",
        )
        top = max(top, min(_end(band.high), _REACH * top))
    _draw_time_course(axes, data, what, last)
    axes.set_xlim(-0.02 * last, 1.02 * last)
    axes.set_ylim(-0.04 * top, 1.06 * top)
    axes.set_xlabel("latent time of the gene")
    axes.set_ylabel(f"{what} (scaled)")
    _finish(axes, data, title, legend_loc)


def draw_state_course(
    axes: Axes, data: StateCourse, *, legend_loc: str = "right margin", title: str | None = None
) -> None:
    """The probabilities of a gene's four states over its time, on top of each other."""
    colors = state_colors(THEME)
    axes.stackplot(
        data.t,
        list(data.probabilities.values()),
        colors=[style.color(colors.get(name, THEME.missing)) for name in data.probabilities],
        labels=[STATE_TITLES.get(name, name) for name in data.probabilities],
        edgecolor=THEME.paper,
        linewidth=0.4,
    )
    axes.set_xlim(-0.02 * data.last, 1.02 * data.last)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("latent time of the gene")
    axes.set_ylabel("probability")
    _title(axes, data.gene, title)
    if legend_loc != "none":
        axes.legend(reverse=True, **style.legend_place(axes, legend_loc, len(data.probabilities)))


def draw_gene_grid(
    figure: Figure, data: GeneGridData, *, columns: int = 4, legend_loc: str = "bottom"
) -> None:
    """Small phase portraits of the same cells, axes named once and the curves in a key."""
    columns = min(columns, max(1, len(data.panels)))
    rows = max(1, -(-len(data.panels) // columns))
    grid = figure.subplots(rows, columns, squeeze=False)
    shades = np.array([*(data.colors[name] for name in data.labels.categories), THEME.missing])
    codes = data.labels.codes.astype(int)
    if data.selected is not None:
        codes = np.where(data.selected, codes, len(shades) - 1)
    for place, axes in enumerate(grid.ravel()):
        if place >= len(data.panels):
            axes.set_axis_off()
            continue
        panel = data.panels[place]
        style.points(
            axes, panel.spliced, panel.unspliced, size=1.6, alpha=0.6, c=list(shades[codes])
        )
        if panel.curve is not None:
            _draw_course(axes, panel.curve)
        for set_limits, values in (
            (axes.set_xlim, panel.spliced),
            (axes.set_ylim, panel.unspliced),
        ):
            set_limits(-0.05 * _end(values), 1.08 * _end(values))
        axes.set_xticks([])
        axes.set_yticks([])
        share = f"  {panel.explained:.2f}" if np.isfinite(panel.explained) else ""
        axes.set_title(panel.gene, loc="left", fontstyle="italic")
        axes.set_title(share, loc="right", fontsize=style.font_size(axes))
    # of the figure as a whole, they would lie under the key
    corner = grid[-1, 0]
    corner.set_xlabel("spliced")
    corner.set_ylabel("unspliced")
    _grid_legend(figure, grid[0, 0], data, legend_loc)


def _grid_legend(figure: Figure, axes: Axes, data: GeneGridData, legend_loc: str) -> None:
    from matplotlib.lines import Line2D

    handles = []
    if any(panel.curve is not None for panel in data.panels):
        handles += [
            Line2D([], [], color=THEME.induction, linewidth=_WIDTH, label="induction"),
            Line2D([], [], color=THEME.repression, linewidth=_WIDTH, label="repression"),
        ]
    names = [name for name in data.labels.categories if name != ALL_CELLS]
    if legend_loc != "none":
        handles += [
            Line2D(
                [],
                [],
                linestyle="none",
                marker="o",
                color=data.colors[name],
                label=name,
                markersize=0.6 * style.font_size(axes),
            )
            for name in names
        ]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))


def _draw_cells(
    axes: Axes,
    data: GeneData,
    x: np.ndarray,
    y: np.ndarray,
    size: float | None,
    *,
    resting: np.ndarray | None = None,
) -> None:
    """In their groups' colours; cells not selected and cells without a time below, in grey."""
    size = size or float(np.clip(60 / np.sqrt(max(len(x), 1)), 1.2, 3.0))
    shades = np.array([data.colors[name] for name in data.labels.categories], dtype=object)
    shown = np.ones(len(x), dtype=bool) if data.selected is None else data.selected
    if resting is not None:
        shown = shown & ~resting
    if not shown.all():
        style.points(axes, x[~shown], y[~shown], size=size, alpha=0.8, color=THEME.missing)
    alpha = 0.55 if data.selected is None else 0.9
    style.points(
        axes,
        x[shown],
        y[shown],
        size=size,
        alpha=alpha,
        zorder=2,
        c=list(shades[data.labels.codes[shown]]),
    )


def _draw_course(axes: Axes, curve: FittedCurve) -> None:
    for segment in curve.segments():
        axes.plot(segment.s, segment.u, **_look(segment))


def _draw_time_course(axes: Axes, data: GeneData, what: str, last: float) -> None:
    curve, band = data.curve, data.bands.get(what)
    if curve is None:
        if band is not None:
            axes.plot(band.t, band.mean, color=THEME.ink, linewidth=_THIN, label="fit", zorder=5)
        return
    for segment in curve.segments(last):
        axes.plot(segment.t, segment.s if what == "spliced" else segment.u, **_look(segment))


def _look(segment: CurveSegment) -> dict[str, Any]:
    """Whole where cells lie, dotted where the model alone speaks."""
    color = THEME.induction if segment.part == "induction" else THEME.repression
    look = {"color": color, "label": segment.name or "_nolegend_", "zorder": 5}
    if segment.measured:
        return {**look, "linewidth": _WIDTH}
    return {**look, "linewidth": _THIN, "linestyle": ":"}


def _finish(axes: Axes, data: GeneData, title: str | None, legend_loc: str) -> None:
    """Title and key: the lines alone above the axes, or with the groups where these are named."""
    _title(axes, data.gene, title)
    names = [name for name in data.labels.categories if name != ALL_CELLS]
    if legend_loc != "none" and names:
        lines, _ = axes.get_legend_handles_labels()
        style.legend(axes, style.own_colors(names, data.colors), legend_loc, lines=lines)
        return
    style.line_legend(axes)
    if axes.get_legend() is not None:
        italic = "italic" if title is None else "normal"
        # the title stands above the key
        axes.set_title(
            axes.get_title(loc="left"),
            loc="left",
            pad=2.0 * style.font_size(axes),
            fontstyle=italic,
        )


def _title(axes: Axes, gene: str, title: str | None) -> None:
    if title is None:
        axes.set_title(**style.gene_name(gene))
    else:
        axes.set_title(title, loc="left")


def _end(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size and finite.max() > 0 else 1.0
