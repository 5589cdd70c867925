"""What the colour of a cell means, wherever cells are coloured: on the page, in print, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from velovi.keys import GENE_LAYERS, ScaleKind, cell_bounds, cell_scale, layer_bounds
from velovi.ui.cached_result import ResultView
from velovi.ui.labels import cell_column_title


@dataclass(frozen=True)
class ColorBy:
    """What to colour by: an annotation, a layer of a gene, or numbers or groups given here.

    ``values`` are (cells,), ``labels`` a categorical Series; both need a ``title``, which an
    annotation may have in place of its own.
    """

    column: str | None = None
    gene: str | None = None
    layer: str | None = None
    title: str = ""
    note: str = ""
    values: np.ndarray | None = field(default=None, compare=False)
    scale: ScaleKind = "abundance"
    labels: pd.Series | None = field(default=None, compare=False)
    colors: Mapping[str, str] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ColorData:
    """What a colouring shows: groups, or numbers, or neither.

    Attributes
    ----------
    name, note
        What it is, and a sentence about it.
    gene
        Whose quantity it is, if it is one of a gene.
    labels, colors
        Groups (cells,) and the file's own colours.
    values, scale, bounds
        Numbers (cells,), their kind of scale, and its ends where they do not come from the data.
    """

    name: str
    note: str = ""
    gene: str = ""
    labels: pd.Series | None = None
    colors: Mapping[str, str] | None = None
    values: np.ndarray | None = None
    scale: ScaleKind = "abundance"
    bounds: tuple[float, float] | None = None


def resolve_color(view: ResultView, coloring: ColorBy) -> ColorData:
    """Read what a colouring shows."""
    title, note, store = coloring.title, coloring.note, view.store
    if coloring.values is not None:
        return ColorData(title, note, values=coloring.values, scale=coloring.scale)
    if coloring.labels is not None:
        return ColorData(title, note, labels=coloring.labels, colors=coloring.colors)
    if coloring.gene and coloring.layer:
        name, scale, note = GENE_LAYERS[coloring.layer]
        if coloring.layer == "fit_t":
            values = view.gene_time(coloring.gene)
        else:
            values = view.gene(coloring.layer, coloring.gene)
        bounds = layer_bounds(coloring.layer)
        return ColorData(name, note, coloring.gene, values=values, scale=scale, bounds=bounds)
    if coloring.column is None:
        return ColorData("Cells")
    name, note = cell_column_title(coloring.column)
    if coloring.column in store.label_columns:
        labels, colors = store.labels(coloring.column), view.colors(coloring.column)
        return ColorData(title or name, note, labels=labels, colors=colors)
    values = store.obs[coloring.column].to_numpy(dtype=np.float32, na_value=np.nan)
    scale, bounds = cell_scale(coloring.column), cell_bounds(coloring.column)
    return ColorData(title or name, note, values=values, scale=scale, bounds=bounds)
