"""One gene: its phase portrait, and its course over latent time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from velovi.errors import OptionError
from velovi.plotting.bands import Band, TimeBins
from velovi.plotting.kinetics import TIME_AXIS, FittedCurve, fitted_curve
from velovi.plotting.overlay import area_shape, legend_entry, line_shape
from velovi.plotting.sampling import MOST_POINTS
from velovi.plotting.selection import cells_drawn_caption, cells_to_draw
from velovi.plotting.theme import FigureTheme, axis, base_layout, category_colors, translucent

ALL_CELLS = "all cells"
_RATE_COLUMNS = ("fit_alpha", "fit_beta", "fit_gamma", "fit_t_")


@dataclass(frozen=True)
class GeneData:
    """One gene in all the cells that are drawn.

    ``spliced``, ``unspliced`` and ``time`` are (cells,); bands and curve may be missing.
    ``selected`` says which of the cells drawn the reader selected; None when no cell of the run
    is. ``n_selected`` counts all of the run.
    """

    gene: str
    cells: np.ndarray
    spliced: np.ndarray
    unspliced: np.ndarray
    labels: pd.Categorical
    colors: Mapping[str, str]
    n_total: int
    time: np.ndarray | None = None
    curve: FittedCurve | None = None
    steady_slope: float | None = None
    bands: Mapping[str, Band] = field(default_factory=dict)
    selected: np.ndarray | None = None
    n_selected: int = 0

    def __post_init__(self) -> None:
        columns = (self.cells, self.spliced, self.unspliced, self.labels, self.time, self.selected)
        lengths = {len(column) for column in columns if column is not None}
        if len(lengths) != 1:
            raise OptionError(
                "columns of one gene differ in length", where=self.gene, found=str(sorted(lengths))
            )

    @property
    def caption(self) -> str:
        """How many of the cells are drawn, and how many are selected."""
        return cells_drawn_caption(len(self.cells), self.n_total, self.selected, self.n_selected)

    def to_frame(self) -> pd.DataFrame:
        """One row for each cell drawn."""
        frame = pd.DataFrame(
            {
                "cell": self.cells,
                "label": np.asarray(self.labels),
                "spliced": self.spliced,
                "unspliced": self.unspliced,
            }
        )
        if self.time is not None:
            frame = frame.assign(gene_time=self.time)
        return frame if self.selected is None else frame.assign(selected=self.selected)


def gene_data(
    gene: str,
    cells: Sequence[str] | pd.Index | np.ndarray,
    spliced: np.ndarray,
    unspliced: np.ndarray,
    *,
    labels: pd.Series | pd.Categorical | None = None,
    colors: Mapping[str, str] | None = None,
    time: np.ndarray | None = None,
    fitted: Mapping[str, tuple[np.ndarray, np.ndarray | None]] | None = None,
    weights: np.ndarray | None = None,
    curve: FittedCurve | None = None,
    steady_slope: float | None = None,
    selected: np.ndarray | None = None,
    limit: int = MOST_POINTS,
) -> GeneData:
    """Collect what the figures of one gene need.

    Parameters
    ----------
    gene, cells
        Names.
    spliced, unspliced
        Smoothed abundance (cells,).
    labels, colors
        A category for each cell, and the file's own colours.
    time
        Latent time of this gene in each cell (cells,).
    fitted
        Posterior mean and standard deviation (cells,) of ``"spliced"`` and ``"unspliced"``.
    weights
        How much a cell counts in the bands (cells,): the probability that the gene is not at
        rest there, because a gene at rest has no time of its own.
    curve
        The fitted course, from :func:`velovi.plotting.kinetics.fitted_curve`.
    steady_slope
        ``gamma / beta``: unspliced per spliced where nothing changes.
    selected
        Which cells the reader selected, bool (cells,).
    limit
        About how many cells to draw; bands are made from all.
    """
    n_cells = len(spliced)
    groups = pd.Categorical([ALL_CELLS] * n_cells) if labels is None else pd.Categorical(labels)
    groups = groups.rename_categories(str)
    chosen = cells_to_draw(n_cells, groups.codes, selected, limit)
    known = np.isfinite(spliced) & np.isfinite(unspliced) & (groups.codes >= 0)
    chosen = chosen[known[chosen]]
    bands = {}
    if time is not None and fitted:
        bins = TimeBins.of(time, weights=weights)
        bands = {name: bins.band(mean, sd) for name, (mean, sd) in fitted.items()}
    slope_known = steady_slope is not None and np.isfinite(steady_slope)
    return GeneData(
        gene=gene,
        cells=np.asarray(cells, dtype=object)[chosen],
        spliced=np.asarray(spliced, dtype=np.float32)[chosen],
        unspliced=np.asarray(unspliced, dtype=np.float32)[chosen],
        labels=groups[chosen],
        colors=category_colors(list(groups.categories), colors),
        n_total=n_cells,
        time=None if time is None else np.asarray(time, dtype=np.float32)[chosen],
        curve=curve,
        steady_slope=float(steady_slope) if slope_known and steady_slope is not None else None,
        bands=bands,
        selected=None if selected is None else selected[chosen],
        n_selected=0 if selected is None else int(np.count_nonzero(selected)),
    )


def gene_rates(row: pd.Series) -> tuple[float, float, float, float]:
    """Transcription, splicing, degradation rate and switch time of a row of ``var``; or NaN."""
    return tuple(float(row.get(name, np.nan)) for name in _RATE_COLUMNS)  # type: ignore[return-value]


def gene_data_from(
    gene: str,
    cells: Sequence[str] | pd.Index | np.ndarray,
    layer: Callable[[str], np.ndarray | None],
    row: pd.Series,
    *,
    labels: pd.Series | None = None,
    colors: Mapping[str, str] | None = None,
    selected: np.ndarray | None = None,
    limit: int = MOST_POINTS,
) -> GeneData:
    """Collect the same from a result; what it lacks is left out.

    Parameters
    ----------
    gene, cells, labels, colors, selected, limit
        As in :func:`gene_data`.
    layer
        Gives the gene's column (cells,) of a layer, None when the result has no such layer;
        ``Ms`` and ``Mu`` must be there.
    row
        The gene's row of ``var``.
    """
    spliced, unspliced = layer("Ms"), layer("Mu")
    assert spliced is not None
    assert unspliced is not None
    fitted = {}
    for what, name in (("spliced", "fit_s"), ("unspliced", "fit_u")):
        mean = layer(name)
        if mean is not None:
            fitted[what] = (mean, layer(f"{name}_sd"))
    at_rest, rates = layer("p_repression_steady"), gene_rates(row)
    return gene_data(
        gene,
        cells,
        spliced,
        unspliced,
        labels=labels,
        colors=colors,
        time=layer("fit_t"),
        fitted=fitted,
        weights=None if at_rest is None else 1 - at_rest,
        curve=fitted_curve(*rates),
        steady_slope=rates[2] / rates[1] if rates[1] > 0 else None,
        selected=selected,
        limit=limit,
    )


def phase_figure(
    data: GeneData,
    theme: FigureTheme,
    *,
    height: int = 430,
) -> go.Figure:
    """Unspliced against spliced, with the fitted course and the steady-state line.

    Parameters
    ----------
    data, theme, height
        What to draw, in which dress, how many pixels tall.
    """
    x_max, y_max = _end(data.spliced), _end(data.unspliced)
    lines = _phase_lines(data, theme, x_max, y_max)
    if data.curve is not None:
        x_max = max(x_max, min(_end(data.curve.s_on), 1.5 * x_max))
        y_max = max(y_max, min(_end(data.curve.u_on), 1.5 * y_max))
    layout = base_layout(
        theme,
        height=height,
        showlegend=True,
        shapes=[line_shape(points, line) for _, points, line in lines],
        xaxis=axis(theme, "spliced (scaled)", range=[-0.03 * x_max, 1.05 * x_max]),
        yaxis=axis(theme, "unspliced (scaled)", range=[-0.03 * y_max, 1.05 * y_max]),
    )
    keys = [legend_entry(name, line) for name, _, line in lines]
    # all at once: Plotly looks over the whole figure again whenever a part is added
    return go.Figure(
        [*_cell_traces(data, theme, data.spliced, data.unspliced), *keys],
        {**layout, "legend": {**layout["legend"], **legend_above(theme)}},
    )


def _phase_lines(
    data: GeneData, theme: FigureTheme, x_max: float, y_max: float
) -> list[tuple[str, np.ndarray, dict[str, object]]]:
    """Name, points and look of each line of the phase portrait."""
    lines: list[tuple[str, np.ndarray, dict[str, object]]] = []
    slope, curve = data.steady_slope, data.curve
    if slope is not None:
        reach = min(x_max, y_max / slope) if slope > 0 else x_max
        look: dict[str, object] = {"color": theme.ink, "width": 1.4, "dash": "dash"}
        lines.append(("steady state", np.array([[0, 0], [reach, reach * slope]]), look))
    if curve is not None:
        on = {"color": theme.second, "width": 3.2}
        off = {"color": theme.third, "width": 3.2, "dash": "7px,3px"}
        lines.append(("induction", np.stack([curve.s_on, curve.u_on], 1), on))
        lines.append(("repression", np.stack([curve.s_off, curve.u_off], 1), off))
    return lines


def time_figure(data: GeneData, theme: FigureTheme, *, what: str, height: int = 430) -> go.Figure:
    """Spliced or unspliced against the gene's latent time, with the fitted course and its band."""
    values = data.spliced if what == "spliced" else data.unspliced
    time = data.time if data.time is not None else np.full(len(values), np.nan)
    last = max(_end(time), TIME_AXIS)
    top, shapes = _end(values), []
    band = course_band(data, what, last)
    if band is not None and band.sd.any():
        upper, lower = np.stack([band.t, band.high], 1), np.stack([band.t, band.low], 1)
        outline = np.concatenate([upper, lower[::-1]])
        shapes.append(area_shape(outline, translucent(theme.muted, 0.28)))
        top = max(top, min(_end(band.high), 1.5 * top))
    shapes += [line_shape(points, look) for points, look in _course_lines(data, theme, what, last)]
    layout = base_layout(
        theme,
        height=height,
        showlegend=False,
        shapes=shapes,
        xaxis=axis(theme, "latent time of the gene", range=[-0.02 * last, 1.02 * last]),
        yaxis=axis(theme, what, range=[-0.04 * top, 1.06 * top]),
    )
    return go.Figure(_cell_traces(data, theme, time, values), layout)


def course_band(data: GeneData, what: str, last: float) -> Band | None:
    """The fitted course with the posterior spread that cells have at the same time.

    Without a course, the mean fit of the cells takes its place; None when there is neither.
    """
    spread, curve = data.bands.get(what), data.curve
    if spread is None or not len(spread.t):
        return None
    if curve is None:
        return spread
    on, off = (curve.s_on, curve.s_off) if what == "spliced" else (curve.u_on, curve.u_off)
    t, mean = np.concatenate([curve.t_on, curve.t_off]), np.concatenate([on, off])
    seen = t <= last
    t, mean = t[seen], mean[seen]
    return Band(t, mean, np.interp(t, spread.t, spread.sd))


def _course_lines(
    data: GeneData, theme: FigureTheme, what: str, last: float
) -> list[tuple[np.ndarray, dict[str, object]]]:
    """Points and look of the fitted course, in the phase portrait's colours."""
    curve, band = data.curve, data.bands.get(what)
    if curve is None:
        look: dict[str, object] = {"color": theme.ink, "width": 2.2}
        return [] if band is None else [(np.stack([band.t, band.mean], 1), look)]
    on, off = (curve.s_on, curve.s_off) if what == "spliced" else (curve.u_on, curve.u_off)
    seen = curve.t_off <= last
    return [
        (np.stack([curve.t_on, on], 1), {"color": theme.second, "width": 3.0}),
        (
            np.stack([curve.t_off[seen], off[seen]], 1),
            {"color": theme.third, "width": 3.0, "dash": "7px,3px"},
        ),
    ]


def _cell_traces(
    data: GeneData, theme: FigureTheme, x: np.ndarray, y: np.ndarray
) -> list[go.Scatter]:
    """One trace a group; cells that are not selected, when some are, in one of their own."""
    shown = np.ones(len(x), dtype=bool) if data.selected is None else data.selected
    traces = []
    if not shown.all():
        marker = {"size": 4, "opacity": 0.8, "color": theme.missing}
        traces.append(_points(x[~shown], y[~shown], "not selected", marker))
    for code, name in enumerate(data.labels.categories):
        mine = shown & (data.labels.codes == code)
        if mine.any():
            opacity = 0.55 if data.selected is None else 0.9
            marker = {"size": 4, "opacity": opacity, "color": data.colors[name]}
            traces.append(_points(x[mine], y[mine], name, marker))
    return traces


def _points(x: np.ndarray, y: np.ndarray, name: str, marker: dict[str, object]) -> go.Scatter:
    # not WebGL: a browser keeps sixteen such drawings, and every figure drawn anew takes two
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        name=name,
        showlegend=False,
        marker=marker,
        hovertemplate=f"{name}<br>%{{x:.3g}}, %{{y:.3g}}<extra></extra>",
    )


def _end(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size and finite.max() > 0 else 1.0


def legend_above(theme: FigureTheme) -> dict[str, object]:
    """A legend in one line above the figure."""
    font = {"size": 12, "color": theme.ink}
    return {"orientation": "h", "y": 1.01, "yanchor": "bottom", "x": 0, "font": font}
