"""Cells on an embedding, coloured by an annotation or a number, with the velocity field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from velovi.errors import OptionError
from velovi.keys import UNLABELLED, ScaleKind
from velovi.plotting.sampling import MOST_POINTS, showing, stratified_sample
from velovi.plotting.theme import (
    category_colors,
)


@dataclass(frozen=True)
class StreamlineSet:
    """Lines that follow the velocity field, and the heads of their arrows.

    Attributes
    ----------
    lines
        Points of each line, (points, 2).
    arrowheads, directions
        Places and directions of the heads, (heads, 2).
    line_strength, head_strength
        How strongly each is drawn, (lines,) and (heads,), above 0 up to 1; all fully when None.
    """

    lines: tuple[np.ndarray, ...] = ()
    arrowheads: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    directions: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    line_strength: np.ndarray | None = None
    head_strength: np.ndarray | None = None

    @property
    def strengths(self) -> tuple[np.ndarray, np.ndarray]:
        """Strength of each line and of each head."""
        given = (self.line_strength, self.head_strength)
        sizes = (len(self.lines), len(self.arrowheads))
        lines, heads = (
            np.ones(n) if item is None else item for item, n in zip(given, sizes, strict=True)
        )
        return lines, heads

    def __post_init__(self) -> None:
        if np.shape(self.arrowheads) != np.shape(self.directions):
            raise OptionError(
                "each arrowhead needs one direction",
                expected=str(np.shape(self.arrowheads)),
                found=str(np.shape(self.directions)),
            )


@dataclass(frozen=True)
class EmbeddingData:
    """The cells that are drawn, and how they are coloured.

    Exactly one of ``labels`` and ``values`` is there. ``colors`` has one entry a category;
    ``low`` and ``high`` bound the colour scale; ``extent`` is the part of the embedding that is
    shown, along x and along y, and all of it when None.
    """

    title: str
    cells: np.ndarray
    positions: np.ndarray
    n_total: int
    labels: pd.Categorical | None = None
    colors: Mapping[str, str] = field(default_factory=dict)
    values: np.ndarray | None = None
    low: float = 0.0
    high: float = 1.0
    scale: ScaleKind = "abundance"
    streams: StreamlineSet = field(default_factory=StreamlineSet)
    extent: tuple[tuple[float, float], tuple[float, float]] | None = None

    def __post_init__(self) -> None:
        coloured = self.labels if self.labels is not None else self.values
        if coloured is None or (self.labels is not None and self.values is not None):
            raise OptionError("colour cells by labels or by values, one of the two")
        if not len(self.cells) == len(self.positions) == len(coloured):
            raise OptionError(
                "cells, positions and colours differ in number",
                found=f"{len(self.cells)}, {len(self.positions)} and {len(coloured)}",
            )

    @property
    def caption(self) -> str:
        """How many of the cells are drawn."""
        return showing(len(self.cells), self.n_total)

    def to_frame(self) -> pd.DataFrame:
        """One row for each cell drawn."""
        color = self.labels if self.labels is not None else self.values
        return pd.DataFrame(
            {
                "cell": self.cells,
                "x": self.positions[:, 0],
                "y": self.positions[:, 1],
                self.title: np.asarray(color),
            }
        )


def embedding_data(
    positions: np.ndarray,
    cells: Sequence[str] | pd.Index | np.ndarray,
    *,
    title: str,
    labels: pd.Series | pd.Categorical | None = None,
    values: np.ndarray | None = None,
    colors: Mapping[str, str] | None = None,
    clip: tuple[float, float] = (1.0, 99.0),
    bounds: tuple[float, float] | None = None,
    scale: ScaleKind = "abundance",
    strata: np.ndarray | None = None,
    streams: StreamlineSet | None = None,
    limit: int = MOST_POINTS,
) -> EmbeddingData:
    """Choose the cells to draw and bound their colours.

    Parameters
    ----------
    positions
        Coordinates (cells, 2); cells whose coordinates are not finite are left out.
    cells
        Names of the cells.
    title
        What the colour means.
    labels, values
        One category or one number for each cell; give one of the two.
    colors
        The file's own colours for the categories.
    clip
        Percentiles that bound the colour scale.
    bounds
        Ends of the colour scale in place of percentiles.
    scale
        ``"diverging"`` makes the bounds symmetric about zero.
    strata
        Codes of groups that sampling keeps in proportion; the labels' own when left out.
    streams
        The velocity field's lines.
    limit
        Most cells to draw.
    """
    positions = np.asarray(positions, dtype=np.float32).reshape(-1, 2)
    categories = None if labels is None else _with_unlabelled(pd.Categorical(labels))
    if categories is not None and strata is None:
        strata = categories.codes
    chosen = stratified_sample(len(positions), strata, limit)
    chosen = chosen[np.isfinite(positions[chosen]).all(axis=1)]
    low, high = bounds or ((0.0, 1.0) if values is None else color_bounds(values, clip, scale))
    return EmbeddingData(
        title=title,
        cells=np.asarray(cells, dtype=object)[chosen],
        positions=positions[chosen],
        n_total=len(positions),
        labels=None if categories is None else categories[chosen],
        colors={}
        if categories is None
        else category_colors([str(c) for c in categories.categories], colors),
        values=None if values is None else np.asarray(values, dtype=np.float32)[chosen],
        low=low,
        high=high,
        scale=scale,
        streams=streams or StreamlineSet(),
    )


def color_bounds(
    values: np.ndarray, clip: tuple[float, float], scale: ScaleKind
) -> tuple[float, float]:
    """Ends of the colour scale: percentiles of the finite values, symmetric when diverging."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(level) for level in np.percentile(finite, clip))
    if scale == "diverging":
        high = max(abs(low), abs(high)) or float(np.abs(finite).max()) or 1.0
        return -high, high
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low, low + 1.0)


def _with_unlabelled(labels: pd.Categorical) -> pd.Categorical:
    labels = labels.rename_categories(str)
    if not labels.isna().any():
        return labels
    return labels.add_categories([UNLABELLED]).fillna(UNLABELLED)


def centroids(data: EmbeddingData) -> pd.DataFrame:
    """Where to write each category's name: the cell nearest to the category's median."""
    if data.labels is None:
        return pd.DataFrame(columns=["label", "x", "y"])
    rows = []
    for code, name in enumerate(data.labels.categories):
        mine = data.positions[data.labels.codes == code]
        if len(mine):
            middle = np.median(mine, axis=0)
            x, y = mine[np.argmin(((mine - middle) ** 2).sum(axis=1))]
            rows.append((name, float(x), float(y)))
    return pd.DataFrame(rows, columns=["label", "x", "y"])
