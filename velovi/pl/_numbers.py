"""Numbers of cells and genes: along time, by group, against each other, over training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from velovi.errors import UnknownNameError
from velovi.keys import CELL_COLUMNS, GENE_LAYERS
from velovi.pl._figure import Save, drawing
from velovi.pl._genes import _group_column, _known
from velovi.pl._result import Result, ResultReader, read_result, training_history
from velovi.plotting.density2d import density2d
from velovi.plotting.group_quantiles import group_quantiles
from velovi.plotting.paper.numbers import (
    draw_density,
    draw_group_quantiles,
    draw_rates,
    draw_time_heatmap,
    draw_training,
)
from velovi.plotting.rates import rate_pair
from velovi.plotting.time_heatmap import time_heatmap as time_heatmap_data
from velovi.plotting.training import training_data

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ANGLE = "direction_angle"


def time_heatmap(
    result: Result,
    genes: Sequence[str] | None = None,
    *,
    n_genes: int = 40,
    layer: str = "Ms",
    time: str = "latent_time",
    title: str | None = None,
    ax: Axes | None = None,
    save: Save = None,
    show: bool = False,
) -> Axes:
    """Genes along shared latent time, ordered by their peak.

    Parameters
    ----------
    result
        A trained model, an AnnData with its results, or the folder of a run.
    genes
        Which; those that the fit explains best when left out.
    n_genes
        So many of these.
    layer
        What of the genes.
    time
        The column of ``obs`` that holds the time.
    title
        Above the heat map.
    ax
        Draw here; new axes, 120 mm wide, when left out.
    save
        Write the figure to this path.
    show
        Show it at once.

    Returns
    -------
    matplotlib.axes.Axes
        Each gene's mean in bins of time, scaled from 0 to 1.

    Raises
    ------
    UnknownNameError
        A gene or ``time`` is not in the result.

    Examples
    --------
    >>> velovi.pl.time_heatmap(result, n_genes=10).get_xlabel()
    'latent time'
    """
    reader = read_result(result)
    chosen = (
        [_known(reader, gene) for gene in genes] if genes is not None else _best(reader, n_genes)
    )
    columns = {gene: reader.gene(layer, gene) for gene in chosen}
    data = time_heatmap_data(GENE_LAYERS.get(layer, (layer,))[0], _column(reader, time), columns)
    height = 30 + 3.2 * min(max(len(chosen), 8), 70)
    with drawing(ax, (120, height), save, show) as axes:
        draw_time_heatmap(axes, data, title=title)
    return axes


def rates(
    result: Result,
    x: str = "fit_beta",
    y: str = "fit_gamma",
    *,
    gene: str = "",
    title: str | None = None,
    ax: Axes | None = None,
    save: Save = None,
    show: bool = False,
) -> Axes:
    """Two kinetic rates of the genes against each other, on logarithmic axes.

    Parameters
    ----------
    x, y
        ``"fit_alpha"``, ``"fit_beta"`` or ``"fit_gamma"``, per unit of the gene's latent time.
    gene
        Mark this gene.
    result, title, ax, save, show
        As in :func:`time_heatmap`.

    Returns
    -------
    matplotlib.axes.Axes
        A point for each gene, shaded by the share of variance that its fit explains.

    Examples
    --------
    >>> velovi.pl.rates(result).get_xlabel()
    'Splicing rate'
    """
    data = rate_pair(read_result(result).var, x, y)
    with drawing(ax, (100, 80), save, show) as axes:
        draw_rates(axes, data, gene=gene, title=title)
    return axes


def uncertainty(
    result: Result,
    column: str = _ANGLE,
    groupby: str | None = None,
    *,
    title: str | None = None,
    ax: Axes | None = None,
    save: Save = None,
    show: bool = False,
) -> Axes:
    """How a number of the cells is spread in each group: median, middle half, and 90 %.

    Parameters
    ----------
    column
        Of ``obs``; the typical angle between posterior samples of a cell's direction and their
        mean, in degrees, when left out.
    groupby
        A column of ``obs`` with groups; the first one when left out.
    result, title, ax, save, show
        As in :func:`time_heatmap`.

    Returns
    -------
    matplotlib.axes.Axes
        A row for each group, the lowest median at the bottom.

    Examples
    --------
    >>> velovi.pl.uncertainty(result).get_xlabel()
    'Direction uncertainty: typical angle (degrees)'
    """
    reader = read_result(result)
    groups = _group_column(reader, groupby)
    labels = None if groups is None else reader.labels(groups)
    colors = None if groups is None else reader.colors(groups)
    data = group_quantiles(_title(column), _column(reader, column), labels, colors=colors)
    with drawing(ax, (110, 25 + 7 * max(3, len(data.groups))), save, show) as axes:
        draw_group_quantiles(axes, data, title=title)
        if column.startswith(_ANGLE):
            axes.set_xlim(0, 90)
    return axes


def scatter(
    result: Result,
    x: str,
    y: str,
    *,
    title: str | None = None,
    ax: Axes | None = None,
    save: Save = None,
    show: bool = False,
) -> Axes:
    """Two numbers of the cells against each other: squares by their number of cells, and medians.

    Parameters
    ----------
    x, y
        Columns of ``obs``.
    result, title, ax, save, show
        As in :func:`time_heatmap`.

    Returns
    -------
    matplotlib.axes.Axes
        With a logarithmic colour key.

    Examples
    --------
    >>> axes = velovi.pl.scatter(result, "direction_angle", "directional_variance")
    >>> axes.get_ylabel()
    'Intrinsic uncertainty: variance of angle'
    """
    reader = read_result(result)
    data = density2d(_column(reader, x), _column(reader, y), _title(x), _title(y))
    with drawing(ax, (100, 80), save, show) as axes:
        draw_density(axes, data, title=title)
    return axes


def training(
    result: Result,
    *,
    title: str | None = None,
    ax: Axes | None = None,
    save: Save = None,
    show: bool = False,
) -> Axes:
    """Loss of training and held-out cells over the epochs; lower is better.

    Parameters
    ----------
    result
        A trained model, the folder of a run, or the AnnData that a run wrote.
    title, ax, save, show
        As in :func:`time_heatmap`.

    Returns
    -------
    matplotlib.axes.Axes
        The steep first epochs may lie above the picture.

    Examples
    --------
    >>> velovi.pl.training(model).get_xlabel()
    'epoch'
    """
    data = training_data(training_history(result))
    with drawing(ax, (110, 70), save, show) as axes:
        draw_training(axes, data, title=title)
    return axes


def _best(reader: ResultReader, most: int) -> list[str]:
    """Genes that the fit explains best."""
    for quality in ("fit_explained", "fit_likelihood"):
        if quality in reader.var:
            return list(reader.var[quality].sort_values(ascending=False).index[:most])
    return reader.genes[:most]


def _column(reader: ResultReader, name: str) -> np.ndarray:
    if name not in reader.obs:
        raise UnknownNameError(
            f"there is no number of the cells called {name!r}",
            where="obs",
            expected=", ".join(map(str, reader.obs.select_dtypes("number"))) or "a numeric column",
        )
    return pd.to_numeric(reader.obs[name], errors="coerce").to_numpy(dtype=np.float32)


def _title(column: str) -> str:
    name = CELL_COLUMNS.get(column, (column, ""))[0]
    return f"{name} (degrees)" if column.startswith(_ANGLE) else name
