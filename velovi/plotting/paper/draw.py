"""One way from any data of a figure to the figure on paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from velovi.errors import OptionError
from velovi.plotting.dataset import UnsplicedData
from velovi.plotting.density2d import Density2D
from velovi.plotting.embedding import EmbeddingData
from velovi.plotting.gene import GeneData
from velovi.plotting.gene_grid import GeneGridData
from velovi.plotting.group_flow import FlowGraph
from velovi.plotting.group_quantiles import GroupQuantiles
from velovi.plotting.null_comparison import NullComparison
from velovi.plotting.paper import cells, gene, numbers
from velovi.plotting.quantity_maps import QuantityMaps
from velovi.plotting.rates import RatePair, StateShares
from velovi.plotting.states import StateCourse
from velovi.plotting.time_heatmap import GeneTimeBand, TimeHeatmap
from velovi.plotting.training import TrainingData

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ONE_COLUMN_MM = 100.0
"""Narrower figures have their keys below: beside the axes they would take half of them."""
_ON_AXES: dict[type, Callable[..., None]] = {
    EmbeddingData: cells.draw_embedding,
    StateCourse: gene.draw_state_course,
    StateShares: numbers.draw_state_shares,
    RatePair: numbers.draw_rates,
    GroupQuantiles: numbers.draw_group_quantiles,
    Density2D: numbers.draw_density,
    TimeHeatmap: numbers.draw_time_heatmap,
    GeneTimeBand: numbers.draw_gene_time,
    TrainingData: numbers.draw_training,
    NullComparison: numbers.draw_null_comparison,
    UnsplicedData: numbers.draw_unspliced,
    FlowGraph: cells.draw_flow_graph,
}
_ON_FIGURE: dict[type, Callable[..., None]] = {
    GeneGridData: gene.draw_gene_grid,
    QuantityMaps: cells.draw_quantity_maps,
}


def draw(
    figure: Figure,
    data: Any,
    *,
    xlim: tuple[float, float] | None = None,
    ylim: tuple[float, float] | None = None,
    **how: Any,
) -> None:
    """Draw the data of any figure of the explorer.

    Parameters
    ----------
    figure
        An empty figure.
    data
        From one of the functions ``velovi.plotting.*_data``.
    xlim, ylim
        Ends of the axes in place of those of the data.
    **how
        Of the function that draws this kind of data; ``what`` of a gene's course over time.

    Raises
    ------
    OptionError
        Nothing draws this kind of data.
    """
    if isinstance(data, GeneData):
        _draw_gene(figure.subplots(), data, _legend_beside(figure), **how)
    elif type(data) in _ON_AXES:
        if isinstance(data, StateCourse):
            how.setdefault("legend_loc", _legend_beside(figure))
        _ON_AXES[type(data)](figure.subplots(), data, **how)
    elif type(data) in _ON_FIGURE:
        _ON_FIGURE[type(data)](figure, data, **how)
    else:
        raise OptionError(
            "there is no figure for paper of this", where="data", found=type(data).__name__
        )
    for axes in figure.axes:
        if xlim is not None:
            axes.set_xlim(*xlim)
        if ylim is not None:
            axes.set_ylim(*ylim)


def _draw_gene(axes: Axes, data: GeneData, legend_loc: str, what: str = "", **how: Any) -> None:
    how.setdefault("legend_loc", legend_loc)
    if what:
        gene.draw_gene_over_time(axes, data, what, **how)
    else:
        gene.draw_phase_portrait(axes, data, **how)


def _legend_beside(figure: Figure) -> str:
    return "bottom" if figure.get_figwidth() * 25.4 < ONE_COLUMN_MM else "right margin"
