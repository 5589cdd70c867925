"""Figures of numbers of cells and genes: heat map, bars, spreads, curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    NullFormatter,
    PercentFormatter,
)

from velovi.keys import STATE_TITLES
from velovi.plotting.dataset import USUAL
from velovi.plotting.null_comparison import DATA, NULL
from velovi.plotting.paper import style
from velovi.plotting.paper.style import THEME
from velovi.plotting.states import state_colors
from velovi.plotting.training import loss_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from velovi.plotting.dataset import UnsplicedData
    from velovi.plotting.density2d import Density2D
    from velovi.plotting.group_quantiles import GroupQuantiles
    from velovi.plotting.null_comparison import NullComparison
    from velovi.plotting.rates import RatePair, StateShares
    from velovi.plotting.time_heatmap import GeneTimeBand, TimeHeatmap
    from velovi.plotting.training import TrainingData

_LEAST_LETTERS = 3.5  # points; smaller names of genes are not written at all


def draw_time_heatmap(axes: Axes, data: TimeHeatmap, *, title: str | None = None) -> None:
    """Genes downwards by their peak, shared time to the right; every gene is named, or none."""
    image = axes.imshow(
        np.ma.masked_invalid(data.values),
        aspect="auto",
        interpolation="nearest",
        cmap=style.theme_scale("time"),
        vmin=0,
        vmax=1,
        extent=(float(data.time[0]), float(data.time[-1]), len(data.genes) - 0.5, -0.5)
        if len(data.time) > 1
        else None,
    )
    axes.set_xlabel("latent time")
    axes.set_title(data.quantity if title is None else title, loc="left")
    for side in axes.spines.values():
        side.set_visible(False)
    style.color_bar(axes, image, "of the gene's range")
    figure = style.laid_out(axes)
    row = axes.get_window_extent().height * 72 / figure.dpi / max(1, len(data.genes))
    letters = min(0.9 * style.font_size(axes), 0.95 * row)
    if letters < _LEAST_LETTERS:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(data.genes):,} genes by their peak")
        return
    axes.set_yticks(range(len(data.genes)), data.genes, fontsize=letters, fontstyle="italic")
    axes.tick_params(axis="y", length=0)


def draw_gene_time(axes: Axes, data: GeneTimeBand, *, title: str | None = None) -> None:
    """A gene's own time where the shared time is known: the median, and 10 to 90 %."""
    axes.fill_between(
        data.time,
        data.low,
        data.high,
        color=THEME.accent,
        alpha=0.22,
        linewidth=0,
        label="10 to 90 % of cells",
    )
    axes.plot(data.time, data.median, color=THEME.accent, linewidth=1.6, label="median")
    axes.set_ylim(0, 20.5)
    axes.set_xlabel("shared latent time")
    axes.set_ylabel("the gene's own time (0 to 20)")
    axes.set_title(
        **(style.gene_name(data.gene) if title is None else {"label": title, "loc": "left"})
    )
    style.line_legend(axes, "best")


def draw_state_shares(
    axes: Axes, data: StateShares, *, legend_loc: str = "bottom", title: str | None = None
) -> None:
    """A stacked bar for each group or gene, the first on top."""
    colors, left = state_colors(THEME), np.zeros(len(data.rows))
    for number, state in enumerate(data.states):
        width = data.shares[:, number]
        axes.barh(
            range(len(data.rows)),
            width,
            left=left,
            height=0.78,
            label=STATE_TITLES[state],
            color=style.color(colors[state]),
            linewidth=0,
        )
        left = left + width
    italic = "italic" if data.title == "gene" else "normal"
    axes.set_yticks(range(len(data.rows)), data.rows, fontstyle=italic)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(data.rows) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_xlabel("mean probability of the state")
    if title is None and data.title != "gene":
        axes.set_title(**style.gene_name(data.title))
    elif title:
        axes.set_title(title, loc="left")
    if legend_loc != "none":
        place = style.legend_place(axes, legend_loc, len(data.states))
        place |= {"ncols": 2} if legend_loc == "bottom" else {}
        axes.legend(**place)


def draw_rates(axes: Axes, data: RatePair, *, gene: str = "", title: str | None = None) -> None:
    """A point for each gene on logarithmic axes, shaded by the share that its fit explains."""
    known = np.isfinite(data.quality)
    look: Any = {"s": 12, "linewidths": 0.3, "edgecolors": THEME.muted}
    if known.any():
        shade: Any = {
            "cmap": style.theme_scale("abundance"),
            "vmin": 0,
            "vmax": 1,
            "plotnonfinite": True,
        }
        cloud = axes.scatter(data.x, data.y, c=data.quality, **shade, **look)
        style.color_bar(axes, cloud, "explained")
    else:
        axes.scatter(data.x, data.y, color=THEME.accent, **look)
    for scale, ruler in (("x", axes.xaxis), ("y", axes.yaxis)):
        getattr(axes, f"set_{scale}scale")("log")
        ruler.set_major_locator(LogLocator(10.0, numticks=12))
        ruler.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
        ruler.set_minor_formatter(NullFormatter())
    _whole_decades(axes, data)
    axes.set_xlabel(data.x_title)
    axes.set_ylabel(data.y_title)
    for place in np.flatnonzero(data.genes == gene):
        axes.scatter(
            data.x[place],
            data.y[place],
            s=60,
            facecolors="none",
            edgecolors=THEME.repression,
            linewidths=1.4,
        )
        axes.annotate(
            gene,
            (data.x[place], data.y[place]),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontstyle="italic",
        )
    if title:
        axes.set_title(title, loc="left")


def _whole_decades(axes: Axes, data: RatePair) -> None:
    """Limits that show at least one decade on each axis, so that its number is written."""
    for values, set_limits in ((data.x, axes.set_xlim), (data.y, axes.set_ylim)):
        if not len(values):
            continue
        low, high = np.log10(values.min()), np.log10(values.max())
        pad = 0.04 * max(high - low, 0.1)
        low, high = low - pad, high + pad
        if np.floor(high) < np.ceil(low) + 1:  # fewer than two powers of ten are in view
            low, high = min(low, np.floor(low + pad)), max(high, np.ceil(high - pad))
        set_limits(10**low, 10**high)


def draw_group_quantiles(axes: Axes, data: GroupQuantiles, *, title: str | None = None) -> None:
    """A row for each group: line from 5 to 95 %, bar from 25 to 75 %, point at the median."""
    thick = 0.7 * style.font_size(axes)
    for row, (name, values) in enumerate(zip(data.groups, data.quantiles, strict=True)):
        shade = style.color(data.colors[name])
        axes.hlines(row, values[0], values[4], color=shade, linewidth=1.2)
        axes.hlines(row, values[1], values[3], color=shade, linewidth=thick)
        axes.plot(
            values[2],
            row,
            marker="o",
            color=THEME.paper,
            markeredgecolor=THEME.ink,
            markersize=0.45 * style.font_size(axes),
        )
    axes.set_yticks(range(len(data.groups)), data.groups)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.7, len(data.groups) - 0.3)
    axes.set_xlabel(data.title)
    if title:
        axes.set_title(title, loc="left")


def draw_density(axes: Axes, data: Density2D, *, title: str | None = None) -> None:
    """Squares shaded by the number of cells, with the median as a line."""
    most = max(float(data.counts.max(initial=1)), 2.0)
    image = axes.pcolormesh(
        data.x_edges,
        data.y_edges,
        np.ma.masked_less(data.counts, 1),
        rasterized=True,
        cmap=style.theme_scale("abundance").with_extremes(bad=(0, 0, 0, 0)),
        norm=LogNorm(1, most),
    )
    axes.plot(data.x_middle, data.median, color=THEME.repression, linewidth=1.6, label="median")
    axes.set_xlabel(data.x_title)
    axes.set_ylabel(data.y_title)
    powers = 10.0 ** np.arange(0, int(np.log10(most)) + 1)
    style.color_bar(
        axes,
        image,
        "cells",
        ticks=powers if len(powers) > 1 else [1, int(most)],
        format=FuncFormatter(lambda count, _: f"{count:,.0f}"),
    )
    style.line_legend(axes, "best")
    if title:
        axes.set_title(title, loc="left")


def draw_training(axes: Axes, data: TrainingData, *, title: str | None = None) -> None:
    """Loss of training and held-out cells; lower is better."""
    for name, values, shade, width in (
        ("training cells", data.train, THEME.muted, 1.0),
        ("held-out cells", data.held_out, THEME.accent, 1.6),
    ):
        known = np.isfinite(values)
        if known.any():
            axes.plot(data.epochs[known], values[known], color=shade, linewidth=width, label=name)
    limits = loss_range(data)
    if limits is not None:
        axes.set_ylim(*limits)
    axes.set_xlim(left=0)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss (negative ELBO)")
    style.line_legend(axes, "best")
    if title:
        axes.set_title(title, loc="left")


def draw_null_comparison(axes: Axes, data: NullComparison, *, title: str | None = None) -> None:
    """Shares of genes over a number, as steps; the null is filled."""
    edges, found, null = data.shares()
    axes.stairs(null, edges, color=THEME.muted, alpha=0.4, fill=True, label=NULL)
    axes.stairs(found, edges, color=THEME.accent, linewidth=1.4, label=DATA)
    axes.axvline(data.limit, color=THEME.muted, linewidth=0.8, linestyle=":")
    axes.set_xlabel(data.title)
    axes.set_ylabel("genes (%)")
    style.line_legend(axes, "best")
    if title:
        axes.set_title(title, loc="left")


def draw_unspliced(axes: Axes, data: UnsplicedData, *, title: str | None = None) -> None:
    """A bar for each category, with the usual range behind."""
    usual = (data.fractions >= USUAL[0]) & (data.fractions <= USUAL[1])
    axes.axvspan(
        100 * USUAL[0], 100 * USUAL[1], color=THEME.accent, alpha=0.1, linewidth=0, label="usual"
    )
    bars = axes.barh(
        range(len(data.names)),
        100 * data.fractions,
        height=0.65,
        color=[THEME.induction if good else THEME.repression for good in usual],
    )
    axes.bar_label(
        bars, [f"{100 * share:.0f} %" for share in data.fractions], padding=2, color=THEME.muted
    )
    axes.set_yticks(range(len(data.names)), data.names)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, max(30.0, 115 * float(data.fractions.max(initial=0))))
    axes.set_xlabel("unspliced share of all counts (%)")
    axes.legend(loc="best")
    if title:
        axes.set_title(title, loc="left")
