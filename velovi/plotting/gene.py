"""One gene: its phase portrait, and its course over latent time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from velovi.errors import OptionError
from velovi.keys import TIME_AXIS
from velovi.plotting.bands import Band, TimeBins
from velovi.plotting.chart import Chart, ChartArea, ChartAxis, ChartLine, ChartPoints, path
from velovi.plotting.fitted_curve import CurveSegment, FittedCurve, fitted_curve
from velovi.plotting.sampling import MOST_POINTS
from velovi.plotting.selection import cells_drawn_caption, cells_to_draw
from velovi.plotting.theme import FigureTheme, category_colors, translucent

ALL_CELLS = "all cells"
_DASHED, _DOTTED = (6.0, 4.0), (1.5, 4.0)  # strokes and gaps in pixels
_AT_REST, _LIKELY = "gene at rest", 0.5
_RATE_COLUMNS = ("fit_alpha", "fit_beta", "fit_gamma", "fit_t_")


@dataclass(frozen=True)
class GeneData:
    """One gene in all the cells that are drawn.

    ``spliced``, ``unspliced`` and ``time`` are (cells,); bands and curve may be missing.
    ``selected`` says which of the cells drawn the reader selected; None when no cell of the run
    is. ``n_selected`` counts all of the run. ``at_rest`` says in which of them the gene is off and
    has no time of its own; None when that is not known.
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
    at_rest: np.ndarray | None = None

    def __post_init__(self) -> None:
        columns = (self.cells, self.spliced, self.unspliced, self.labels, self.time, self.selected)
        lengths = {len(column) for column in (*columns, self.at_rest) if column is not None}
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
        The fitted course, from :func:`velovi.plotting.fitted_curve.fitted_curve`.
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
        at_rest=None if weights is None else at_rest(1 - weights)[chosen],
    )


def at_rest(p_repression_steady: np.ndarray) -> np.ndarray:
    """In which cells a gene is most likely off and no longer falling, bool of the same shape.

    There it has no latent time of its own: whatever the model says of it comes from the prior.

    Examples
    --------
    >>> at_rest(np.array([0.1, 0.9, np.nan]))
    array([False,  True, False])
    """
    return np.asarray(p_repression_steady) > _LIKELY


def own_time(time: np.ndarray, p_repression_steady: np.ndarray | None) -> np.ndarray:
    """A gene's latent time (cells,), NaN in cells in which it has none; see :func:`at_rest`.

    Examples
    --------
    >>> own_time(np.array([3.0, 20.0]), np.array([0.1, 0.9]))
    array([ 3., nan])
    """
    if p_repression_steady is None:
        return time
    return np.where(at_rest(p_repression_steady), np.nan, time)


def gene_rates(row: pd.Series) -> tuple[float, float, float, float]:
    """Transcription, splicing, degradation rate and switch time of a row of ``var``; or NaN."""
    return tuple(float(row.get(name, np.nan)) for name in _RATE_COLUMNS)  # type: ignore[return-value]


def gene_data_from_layers(
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
    resting, rates, time = layer("p_repression_steady"), gene_rates(row), layer("fit_t")
    weights = None if resting is None else 1 - resting
    curve = fitted_curve(*rates)
    if curve is not None and time is not None:
        curve = curve.with_cells(time, weights)
    return gene_data(
        gene,
        cells,
        spliced,
        unspliced,
        labels=labels,
        colors=colors,
        time=time,
        fitted=fitted,
        weights=weights,
        curve=curve,
        steady_slope=rates[2] / rates[1] if rates[1] > 0 else None,
        selected=selected,
        limit=limit,
    )


def phase_chart(data: GeneData, theme: FigureTheme, *, height: int = 430) -> Chart:
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
    return Chart(
        x=ChartAxis("spliced (scaled)", -0.03 * x_max, 1.05 * x_max),
        y=ChartAxis("unspliced (scaled)", -0.03 * y_max, 1.05 * y_max),
        height=height,
        points=_cell_points(data, theme, data.spliced, data.unspliced),
        lines=lines,
    )


def _phase_lines(
    data: GeneData, theme: FigureTheme, x_max: float, y_max: float
) -> tuple[ChartLine, ...]:
    lines = []
    slope, curve = data.steady_slope, data.curve
    if slope is not None:
        reach = min(x_max, y_max / slope) if slope > 0 else x_max
        ends = path(np.array([0, reach]), np.array([0, reach * slope]))
        lines.append(ChartLine(ends, theme.ink, 1.4, _DASHED, "steady state"))
    if curve is not None:
        lines += [
            _curve_line(segment, path(segment.s, segment.u), theme, segment.name)
            for segment in curve.segments()
        ]
    return tuple(lines)


def _curve_line(
    segment: CurveSegment, points: NDArray[np.float32], theme: FigureTheme, name: str = ""
) -> ChartLine:
    """Whole and wide where cells lie; thin and dotted where the model alone speaks."""
    color = theme.induction if segment.part == "induction" else theme.repression
    if segment.measured:
        return ChartLine(points, color, 3.2, name=name)
    return ChartLine(points, color, 1.8, _DOTTED, name)


def course_chart(data: GeneData, theme: FigureTheme, *, what: str, height: int = 430) -> Chart:
    """Spliced or unspliced against the gene's latent time, with the fitted course and its band."""
    values = data.spliced if what == "spliced" else data.unspliced
    time = np.full(len(values), np.float32(np.nan)) if data.time is None else data.time
    last = max(_end(time), TIME_AXIS)
    top, areas = _end(values), []
    band = course_band(data, what, last)
    if band is not None and band.sd.any():
        there_and_back = np.concatenate([band.t, band.t[::-1]])
        outline = path(there_and_back, np.concatenate([band.high, band.low[::-1]]))
        areas.append(ChartArea(outline, translucent(theme.muted, 0.28)))
        top = max(top, min(_end(band.high), 1.5 * top))
    return Chart(
        x=ChartAxis("latent time of the gene", -0.02 * last, 1.02 * last),
        y=ChartAxis(f"{what} (scaled)", -0.04 * top, 1.06 * top),
        height=height,
        points=_cell_points(data, theme, time, values, resting=data.at_rest),
        areas=tuple(areas),
        lines=_course_lines(data, theme, what, last),
    )


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
) -> tuple[ChartLine, ...]:
    """The fitted course, in the phase portrait's colours."""
    curve, band = data.curve, data.bands.get(what)
    if curve is None:
        return () if band is None else (ChartLine(path(band.t, band.mean), theme.ink, 2.2),)
    return tuple(
        _curve_line(segment, path(segment.t, segment.s if what == "spliced" else segment.u), theme)
        for segment in curve.segments(last)
    )


def _cell_points(
    data: GeneData,
    theme: FigureTheme,
    x: np.ndarray,
    y: np.ndarray,
    *,
    resting: np.ndarray | None = None,
) -> tuple[ChartPoints, ...]:
    """Points of each group; below them, in grey, cells not selected and cells without a time."""
    shown = np.ones(len(x), dtype=bool) if data.selected is None else data.selected
    opacity = 0.55 if data.selected is None else 0.9
    groups = [("not selected", ~shown, theme.missing, 0.8)]
    if resting is not None:
        groups.append((_AT_REST, shown & resting, theme.missing, 0.6))
        shown = shown & ~resting
    for code, name in enumerate(data.labels.categories):
        groups.append((name, shown & (data.labels.codes == code), data.colors[name], opacity))
    return tuple(
        ChartPoints(name, x[mask], y[mask], color, alpha)
        for name, mask, color, alpha in groups
        if mask.any()
    )


def _end(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size and finite.max() > 0 else 1.0
