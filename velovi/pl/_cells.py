"""Maps of cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from velovi.errors import OptionError, UnknownNameError
from velovi.keys import CELL_COLUMNS, GENE_LAYERS, ScaleKind, cell_bounds, cell_scale, layer_bounds
from velovi.pl._figure import Save, drawing
from velovi.pl._result import Result, ResultReader, read_result
from velovi.plotting.arrows import grid_arrows, stream_arrows
from velovi.plotting.embedding import EmbeddingData, StreamlineSet, embedding_data
from velovi.plotting.gene import own_time
from velovi.plotting.paper.cells import draw_embedding

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Velocity = Literal["stream", "grid", "cell"]
_CELL_ARROWS = 400


def embedding(
    result: Result,
    color: str | None = None,
    *,
    basis: str | None = None,
    velocity: Velocity | None = "stream",
    layer: str = "Ms",
    groups: list[str] | None = None,
    palette: Mapping[str, str] | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    density: float = 1.0,
    arrow_length: float = 1.0,
    size: float | None = None,
    alpha: float = 0.85,
    legend_loc: str = "on data",
    title: str | None = None,
    ax: Axes | None = None,
    save: Save = None,
    show: bool = False,
) -> Axes:
    """Cells on an embedding with the velocity field.

    Parameters
    ----------
    result
        A trained model, an AnnData with its results, or the folder of a run.
    color
        A column of ``obs`` (groups or numbers) or a gene; the first annotation with groups when
        left out.
    basis
        The embedding, ``"umap"`` or ``"X_umap"``; the first when left out.
    velocity
        ``"stream"`` for streamlines, ``"grid"`` for arrows on a grid, ``"cell"`` for an arrow at
        each of some cells, None for none.
    layer
        What of a gene is coloured: ``"Ms"``, ``"velocity"``, ``"fit_t"``, ...
    groups
        Show only cells of these groups of ``color``.
    palette
        Colours of groups, by name.
    vmin, vmax
        Ends of the colour scale; the 1st and 99th percentile when left out.
    density
        Of lines or arrows.
    arrow_length
        Of arrows; 1 makes the fastest tenth as long as arrows are apart.
    size
        Diameter of a cell in points.
    alpha
        Opacity of the cells.
    legend_loc
        Names of the groups: ``"on data"``, ``"right margin"``, ``"bottom"`` or ``"none"``.
    title
        Above the map.
    ax
        Draw here; new axes, 120 by 100 mm, when left out.
    save
        Write the figure to this path.
    show
        Show it at once.

    Returns
    -------
    matplotlib.axes.Axes
        With the map.

    Raises
    ------
    UnknownNameError
        ``color`` or ``basis`` is not in the result.

    Examples
    --------
    >>> axes = velovi.pl.embedding(result, "clusters", velocity="stream")
    >>> axes.get_title(loc="left")
    'clusters'
    """
    reader = read_result(result)
    name = _basis(reader, basis)
    data = _map_data(reader, color, name, layer, groups, palette, vmin, vmax)
    overlay = _overlay(reader, name, velocity, density, arrow_length)
    data = EmbeddingData(**{**vars(data), "streams": overlay})
    with drawing(ax, (120, 100), save, show) as axes:
        draw_embedding(axes, data, size=size, alpha=alpha, legend_loc=legend_loc, title=title)
    return axes


def _basis(reader: ResultReader, basis: str | None) -> str:
    names = reader.embeddings
    if basis is None and names:
        return names[0]
    for name in (basis, f"X_{basis}"):
        if name in names:
            return str(name)
    raise UnknownNameError(
        f"there is no embedding {basis!r}" if basis else "there is no embedding",
        where="basis",
        expected=", ".join(names) or "an embedding in obsm",
    )


def _map_data(
    reader: ResultReader,
    color: str | None,
    basis: str,
    layer: str,
    groups: list[str] | None,
    palette: Mapping[str, str] | None,
    vmin: float | None,
    vmax: float | None,
) -> EmbeddingData:
    positions, cells = reader.embedding(basis), reader.obs.index
    labelled = reader.label_columns
    color = color or next(iter(labelled), None)
    if color is None:
        return embedding_data(
            positions, cells, title="", values=np.full(len(cells), np.nan, dtype=np.float32)
        )
    if color in labelled:
        labels = reader.labels(color)
        if groups is not None:
            positions = np.where(labels.isin(groups).to_numpy()[:, None], positions, np.nan)
        colors = dict(reader.colors(color) or {}) | dict(palette or {})
        return embedding_data(positions, cells, title=color, labels=labels, colors=colors)
    values, title, scale, bounds = _numbers(reader, color, layer)
    if vmin is not None or vmax is not None:
        low, high = bounds or np.nanpercentile(values, [1, 99])
        bounds = (low if vmin is None else vmin, high if vmax is None else vmax)
    return embedding_data(positions, cells, title=title, values=values, scale=scale, bounds=bounds)


def _numbers(
    reader: ResultReader, color: str, layer: str
) -> tuple[np.ndarray, str, ScaleKind, tuple[float, float] | None]:
    """Values of each cell (cells,), their title, their colour scale and its fixed ends."""
    if color in reader.obs:
        values = pd.to_numeric(reader.obs[color], errors="coerce").to_numpy(dtype=np.float32)
        title = CELL_COLUMNS.get(color, (color, ""))[0]
        return values, title, cell_scale(color), cell_bounds(color)
    if color in reader.genes:
        name, scale, _ = GENE_LAYERS.get(layer, (layer, "abundance", ""))
        values = reader.gene(layer, color)
        if layer == "fit_t" and "p_repression_steady" in reader.layers:
            values = own_time(values, reader.gene("p_repression_steady", color))
        return values, f"{color}: {name}", scale, layer_bounds(layer)
    raise UnknownNameError(
        f"there is no annotation and no gene called {color!r}",
        where="color",
        expected="a column of obs or a gene of the model",
    )


def _overlay(
    reader: ResultReader, basis: str, velocity: str | None, density: float, length: float
) -> StreamlineSet:
    if velocity is None:
        return StreamlineSet()
    if velocity == "cell":
        return _cell_arrows(reader, basis, density, length)
    grid = reader.grid(basis)
    field = grid["x"], grid["y"], grid["u"], grid["v"]
    if velocity == "grid":
        return grid_arrows(*field, density=density, length=length)
    if velocity != "stream":
        raise OptionError(
            "there is no such way to draw the velocity",
            where="velocity",
            expected="'stream', 'grid', 'cell' or None",
            found=repr(velocity),
        )
    return stream_arrows(*field, density=density)


def _cell_arrows(reader: ResultReader, basis: str, density: float, length: float) -> StreamlineSet:
    """An arrow at each of some cells, chosen so that every part of the map has its share."""
    places, moves = reader.embedding(basis), reader.embedded_velocity(basis)
    known = np.flatnonzero(np.isfinite(places).all(axis=1) & np.isfinite(moves).all(axis=1))
    most = min(len(known), int(_CELL_ARROWS * density))
    chosen = np.sort(np.random.default_rng(0).choice(known, most, replace=False))
    places, moves = places[chosen].astype(float), moves[chosen].astype(float)
    speed = np.linalg.norm(moves, axis=1)
    if not (speed > 0).any():
        return StreamlineSet()
    places, moves, speed = places[speed > 0], moves[speed > 0], speed[speed > 0]
    directions = moves / speed[:, None]
    apart = float(np.sqrt(np.prod(np.ptp(places, axis=0)) / max(1, len(places))))
    reach = np.minimum(speed / np.percentile(speed, 90), 1.5) * length * apart
    ends = places + directions * reach[:, None]
    return StreamlineSet(tuple(np.stack([places, ends], axis=1)), ends, directions)
