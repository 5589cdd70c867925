"""Cells as a map in the browser needs them: places and colours in five bytes a cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from velovi.errors import OptionError
from velovi.keys import UNLABELLED, ScaleKind
from velovi.plotting.embedding import StreamlineSet, color_bounds
from velovi.plotting.theme import FigureTheme, Scale, category_colors

MISSING = 255  # code of a cell without a value
LEVELS = 254  # code of the highest value
COORD_MAX = 32_767  # the longer half of a map in whole-number coordinates
MISSING_COORDINATE = -32_768  # coordinate of a cell that has no place
MOST_LABELS = 254
_SAMPLE = 20_000  # cells that say where a group's name stands


@dataclass(frozen=True)
class QuantizedEmbedding:
    """Where cells are, as whole numbers that keep the embedding's proportions.

    Attributes
    ----------
    points
        int16 (cells, 2) from -32,767 to 32,767; -32,768 for a cell whose place is not finite.
    centre
        (2,) middle of the embedding, in its own units.
    half
        Half of its longer side, in its own units.
    extent
        (2,) half of its width and height as shares of ``half``.
    """

    points: NDArray[np.int16]
    centre: NDArray[np.float64]
    half: float
    extent: tuple[float, float]

    def relative(self, positions: ArrayLike) -> NDArray[np.float32]:
        """Coordinates (points, 2) of the embedding, from -1 to 1 along its longer side."""
        given = np.asarray(positions, dtype=float).reshape(-1, 2)
        return ((given - self.centre) / self.half).astype(np.float32)


def quantize_embedding(positions: ArrayLike) -> QuantizedEmbedding:
    """Round an embedding (cells, 2) to 65,535 steps along its longer side."""
    given = np.asarray(positions, dtype=np.float32).reshape(-1, 2)
    known = np.isfinite(given).all(axis=1)
    if not known.any():
        empty = np.full(given.shape, MISSING_COORDINATE, dtype=np.int16)
        return QuantizedEmbedding(empty, np.zeros(2), 1.0, (1.0, 1.0))
    low = given[known].min(axis=0).astype(float)
    high = given[known].max(axis=0).astype(float)
    centre, reach = (low + high) / 2, (high - low) / 2
    half = float(reach.max()) or 1.0
    points = np.full(given.shape, MISSING_COORDINATE, dtype=np.int16)
    points[known] = np.rint((given[known] - centre) / half * COORD_MAX)
    width, height = np.maximum(reach / half, 1e-3)
    return QuantizedEmbedding(points, centre, half, (float(width), float(height)))


@dataclass(frozen=True)
class CellColors:
    """What the colour of each cell means, as one of 256 codes.

    Attributes
    ----------
    title, note
        What is shown, and a sentence about it.
    kind
        ``"labels"``: a code is a group; ``"values"``: a step of the scale from ``low`` to
        ``high``; ``"plain"``: nothing is coloured.
    codes
        uint8 (cells,); 255 for a cell without a value.
    palette
        A hex colour for each code in use.
    labels, counts
        Names of the groups and their cells.
    low, high
        Ends of the scale; values beyond take the end colours.
    symmetric
        Whether the scale's middle is zero.
    """

    title: str
    kind: Literal["labels", "values", "plain"]
    codes: NDArray[np.uint8]
    palette: tuple[str, ...]
    note: str = ""
    labels: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    low: float = 0.0
    high: float = 1.0
    symmetric: bool = False

    def __post_init__(self) -> None:
        if self.codes.dtype != np.uint8:
            raise OptionError("codes of cells are bytes", found=str(self.codes.dtype))
        if not len(self.labels) == len(self.counts) <= len(self.palette):
            raise OptionError(
                "every group needs a count and a colour",
                expected=f"{len(self.labels)} of each",
                found=f"{len(self.counts)} counts, {len(self.palette)} colours",
            )


def label_colors(
    title: str,
    labels: pd.Series | pd.Categorical,
    theme: FigureTheme,
    *,
    colors: Mapping[str, str] | None = None,
    note: str = "",
) -> CellColors:
    """Colours of groups; cells of no group are one of their own, in grey.

    Raises
    ------
    OptionError
        When there are more groups than codes.
    """
    given = pd.Categorical(labels)
    names = [str(category) for category in given.categories]
    if len(names) > MOST_LABELS:
        raise OptionError(
            f"{title} has too many groups to colour",
            expected=f"at most {MOST_LABELS}",
            found=str(len(names)),
        )
    chosen = category_colors(names, colors)
    palette = [chosen[name] for name in names]
    codes = given.codes
    if (codes < 0).any():
        codes = np.where(codes < 0, len(names), codes)
        names.append(UNLABELLED)
        palette.append(theme.missing)
    counts = np.bincount(codes, minlength=len(names))
    return CellColors(
        title=title,
        kind="labels",
        codes=codes.astype(np.uint8),
        palette=tuple(palette),
        note=note,
        labels=tuple(names),
        counts=tuple(int(count) for count in counts),
    )


def value_colors(
    title: str,
    values: ArrayLike,
    theme: FigureTheme,
    *,
    scale: ScaleKind = "abundance",
    clip: tuple[float, float] = (1.0, 99.0),
    bounds: tuple[float, float] | None = None,
    note: str = "",
) -> CellColors:
    """Colours of a number, from a percentile of the finite values to another.

    Parameters
    ----------
    title, note
        What is shown.
    values
        (cells,)
    theme
        Has the scale's colours.
    scale
        ``"diverging"`` makes the ends symmetric about zero.
    clip
        The two percentiles.
    bounds
        Ends of the scale in place of percentiles.
    """
    given = np.asarray(values, dtype=np.float32)
    known = np.isfinite(given)
    if not known.any():
        return plain_colors(title, len(given), theme, note=note)
    low, high = bounds or color_bounds(given, clip, scale)
    share = (given - np.float32(low)) * np.float32(LEVELS / (high - low))
    with np.errstate(invalid="ignore"):
        codes = np.clip(np.rint(share), 0, LEVELS)
    codes[~known] = MISSING
    return CellColors(
        title=title,
        kind="values",
        codes=codes.astype(np.uint8),
        palette=palette_of(getattr(theme, scale)),
        note=note,
        low=low,
        high=high,
        symmetric=scale == "diverging",
    )


def plain_colors(title: str, n_cells: int, theme: FigureTheme, *, note: str = "") -> CellColors:
    """All cells in the colour of no value."""
    codes = np.full(n_cells, MISSING, dtype=np.uint8)
    return CellColors(title, "plain", codes, (theme.missing,), note)


def palette_of(scale: Scale, number: int = LEVELS + 1) -> tuple[str, ...]:
    """Evenly spaced hex colours of a scale."""
    stops = np.array([at for at, _ in scale])
    colors = np.array([[int(hexa[i : i + 2], 16) for i in (1, 3, 5)] for _, hexa in scale])
    wanted = np.linspace(0.0, 1.0, number)
    channels = [np.rint(np.interp(wanted, stops, colors[:, c])).astype(int) for c in range(3)]
    return tuple(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in zip(*channels, strict=True))


def name_places(where: QuantizedEmbedding, colors: CellColors) -> list[tuple[int, float, float]]:
    """Code and place of each group's name: the cell nearest to the median of the group."""
    if colors.kind != "labels":
        return []
    every = max(1, len(colors.codes) // _SAMPLE)
    known = np.flatnonzero(where.points[::every, 0] != MISSING_COORDINATE)
    points = where.points[::every][known] / COORD_MAX  # (sampled cells, 2)
    codes = colors.codes[::every][known]
    found = []
    for code, name in enumerate(colors.labels):
        mine = points[codes == code]
        if len(mine) and name != UNLABELLED:
            away = ((mine - np.median(mine, axis=0)) ** 2).sum(axis=1)
            x, y = mine[np.argmin(away)]
            found.append((code, round(float(x), 5), round(float(y), 5)))
    return found


def field_parts(where: QuantizedEmbedding, streams: StreamlineSet) -> dict[str, np.ndarray]:
    """Lines of the velocity field in the map's coordinates.

    Returns
    -------
    ``starts`` uint32 (lines + 1,), where each line begins in ``path`` float32 (points, 2);
    ``heads`` float32 (heads, 4), place and direction of each arrowhead; ``strengths`` float32
    (lines + heads,), how strongly each is drawn.
    """
    lengths = [len(line) for line in streams.lines]
    path = np.concatenate(streams.lines) if streams.lines else np.empty((0, 2))
    heads = where.relative(streams.arrowheads)
    return {
        "starts": np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint32),
        "path": where.relative(path),
        "heads": np.concatenate([heads, np.asarray(streams.directions)], axis=1).astype(np.float32),
        "strengths": np.concatenate(streams.strengths).astype(np.float32),
    }
