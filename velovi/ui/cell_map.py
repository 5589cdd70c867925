"""Cells on an embedding, as many maps side by side as there are things to colour by.

All maps of a page share one camera and one selection. Positions go to the browser once a session;
after that a change of colour moves one byte a cell.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import streamlit as st

from velovi.plotting.cell_codes import (
    MISSING,
    MISSING_COORDINATE,
    CellColors,
    QuantizedEmbedding,
    field_parts,
    label_colors,
    name_places,
    plain_colors,
    quantize_embedding,
    value_colors,
)
from velovi.plotting.embedding import StreamlineSet
from velovi.plotting.message import pack
from velovi.plotting.theme import FONT, FigureTheme, theme_named
from velovi.ui.cached_result import ResultView
from velovi.ui.coloring import ColorBy, ColorData, resolve_color
from velovi.ui.components import headless_component, visible_component
from velovi.ui.messages import CellCard, MapDescription, MapHeader
from velovi.ui.selection import select, selected
from velovi.ui.theme import browser_colors, current_theme

_SENT = "sent_to_browser"
_LINE, _HEAD = 1.2, 5.0  # width of the velocity field's lines and size of its arrowheads, pixels
_PLACES_KEPT, _CODES_KEPT = 3, 8  # fewer than the browser keeps
_scatter = visible_component("scatter", '<div class="bar"></div><div class="maps"></div>')
_hover_query = headless_component("hover_query")
# what, beside places, colours and selection, changes the picture
_DRAWN_BY = (
    "view",
    "height",
    "tall",
    "columns",
    "size",
    "opacity",
    "names",
    "theme",
    "field",
    "maps",
)


@dataclass(frozen=True)
class MapLook:
    """How maps are drawn; ``only``, bool (cells,), leaves out the other cells."""

    embedding: str = ""
    size: float = 0.0
    opacity: float = 0.8
    names: bool = True
    clip: tuple[float, float] = (1.0, 99.0)
    streams: StreamlineSet = field(default_factory=StreamlineSet)
    only: np.ndarray | None = field(default=None, compare=False)
    only_name: str = ""


def default_size(n_cells: int) -> float:
    """Smaller points for more cells."""
    return float(np.clip(round(2 * 320 / max(n_cells, 1) ** 0.5) / 2, 1.5, 9.0))


def cell_map(
    view: ResultView,
    colorings: Sequence[ColorBy],
    *,
    key: str,
    height: int = 480,
    tall: int = 0,
    columns: int = 0,
    look: MapLook | None = None,
) -> None:
    """Draw linked maps of the cells; a lasso in one selects in all, on every page.

    Parameters
    ----------
    view
        The result.
    colorings
        One map for each.
    key
        Names the component; a view keeps its camera under it.
    height
        Of each map, in pixels.
    tall
        Of each map at least, in percent of the window's height.
    columns
        Maps side by side; all when 0.
    look
        How to draw; the first embedding with plain settings when left out.
    """
    embeddings = view.store.embeddings
    if not embeddings:
        st.info("This result has no two-dimensional embedding to draw cells on.")
        return
    look = look or MapLook()
    embedding = look.embedding or embeddings[0]
    theme = current_theme()
    colors = [cell_colors(view, coloring, theme, look.clip) for coloring in colorings]
    message = pack_maps(
        view,
        colors,
        theme,
        embedding=embedding,
        look=look,
        height=height,
        tall=tall,
        columns=columns or len(colors),
        key=key,
    )
    mounted = f"scatter_{key}"

    def picked() -> None:
        apply_selection(view, st.session_state[mounted].get("picked"))

    def missing() -> None:
        st.session_state.pop(_SENT, None)

    _scatter(key=mounted, data=message, on_picked_change=picked, on_missing_change=missing)
    hover_card(view, list(colorings), key=key)


def maps_side_by_side(shown: Sequence[tuple[ResultView, str]], *, key: str) -> None:
    """The maps of several results with all their lines, in colours of their groups.

    Parameters
    ----------
    shown
        Results with a map each, and what stands above it; drawn on the map of the first, where a
        result has it.
    key
        Names what the maps keep.
    """
    wanted = shown[0][0].store.embeddings[0]
    for slot, (view, title) in zip(st.columns(len(shown)), shown, strict=True):
        embedding = wanted if wanted in view.store.embeddings else view.store.embeddings[0]
        labels = view.labels()
        column = None if labels is None else str(labels.name)
        look = MapLook(embedding, names=False, streams=view.streams(embedding, 1.0))
        coloring = ColorBy(column=column, title=title)
        with slot:
            cell_map(view, [coloring], key=f"{key}_{view.run_id}", height=300, look=look)


def pack_maps(
    view: ResultView,
    colors: Sequence[CellColors],
    theme: FigureTheme,
    *,
    embedding: str,
    look: MapLook,
    height: int,
    tall: int,
    columns: int,
    key: str = "",
) -> bytes:
    """What the browser needs to draw the maps."""
    where = embedding_places(view, embedding)
    places_key = f"{view.run_id}|{view.changed}|{embedding}|{look.only_name}"
    stamps = [f"{len(color.codes)}-{zlib.crc32(color.codes.data):x}" for color in colors]
    parts = _arrays(where, places_key, colors, stamps, look)
    mask = selected(view)
    if mask is not None:
        parts["selected"] = np.packbits(mask, bitorder="little")
    header: MapHeader = {
        "name": key,
        "run": view.run_id,
        "view": f"{view.run_id}|{embedding}",
        "places": places_key,
        "extent": where.extent,
        "centre": (float(where.centre[0]), float(where.centre[1])),
        "half": where.half,
        "height": height,
        "tall": tall,
        "columns": columns,
        "size": look.size or default_size(view.store.n_cells),
        "opacity": look.opacity,
        "names": look.names,
        "font": FONT,
        "theme": browser_colors(theme),
        "field": {"width": _LINE, "head": _HEAD} if "starts" in parts else None,
        "maps": [
            _described(color, where, theme, stamp)
            for color, stamp in zip(colors, stamps, strict=True)
        ],
        "stamp": f"{embedding}|" + "|".join(color.title for color in colors),
    }
    drawn = json.dumps([value for name, value in header.items() if name in _DRAWN_BY])
    lines = parts.get("path", np.empty(0))
    header["look"] = f"{zlib.crc32(drawn.encode()):x}-{zlib.crc32(lines.data):x}"
    return pack(header, parts)


def _arrays(
    where: QuantizedEmbedding,
    places_key: str,
    colors: Sequence[CellColors],
    stamps: Sequence[str],
    look: MapLook,
) -> dict[str, np.ndarray]:
    """Places and codes that the browser does not have yet, and the velocity field's lines."""
    parts: dict[str, np.ndarray] = {}
    if _is_new(places_key, _PLACES_KEPT):
        parts["places"] = where.points
        if look.only is not None:
            shown = look.only[:, None]
            parts["places"] = np.where(shown, where.points, np.int16(MISSING_COORDINATE))
    for i, (item, stamp) in enumerate(zip(colors, stamps, strict=True)):
        if _is_new(stamp, _CODES_KEPT):
            parts[f"codes{i}"] = item.codes
    if look.streams.arrowheads.size or look.streams.lines:
        parts |= field_parts(where, look.streams)
    return parts


def _is_new(stamp: str, kept: int) -> bool:
    """Whether the browser cannot be expected to have this still; from now on it can."""
    sent: list[str] = st.session_state.setdefault(_SENT, {}).setdefault(kept, [])
    known = stamp in sent
    if known:
        sent.remove(stamp)
    sent.append(stamp)
    del sent[:-kept]
    return not known


def _described(
    colors: CellColors, where: QuantizedEmbedding, theme: FigureTheme, stamp: str
) -> MapDescription:
    unknown = 0
    if colors.kind == "values":
        unknown = int(np.count_nonzero(colors.codes == MISSING))
    return {
        "codes": stamp,
        "title": colors.title,
        "note": colors.note,
        "kind": colors.kind,
        "palette": colors.palette,
        "missing": theme.missing,
        "labels": colors.labels,
        "counts": colors.counts,
        "low": colors.low,
        "high": colors.high,
        "lowText": _end(colors.low, colors),
        "highText": _end(colors.high, colors),
        "symmetric": colors.symmetric,
        "unknown": unknown,
        "places": name_places(where, colors),
    }


def _end(value: float, colors: CellColors) -> str:
    """An end of the scale, without digits that nobody can see in a colour."""
    small = abs(value) < 0.005 * (colors.high - colors.low)
    return "0" if small else f"{value:.2g}" if abs(value) < 10 else f"{value:.3g}"


def apply_selection(view: ResultView, said: Any) -> None:
    """Take over what the reader outlined in the browser; what is no selection is ignored."""
    if not isinstance(said, dict) or said.get("run") != view.run_id:
        return
    n_cells = view.store.n_cells
    try:
        packed = base64.b64decode(str(said.get("bits", "")), validate=True)
    except (binascii.Error, ValueError):
        return
    if not packed:
        select(view, None)
    elif len(packed) == (n_cells + 7) // 8:
        bits = np.frombuffer(packed, dtype=np.uint8)
        select(view, np.unpackbits(bits, count=n_cells, bitorder="little").view(bool))


@st.cache_resource(show_spinner=False, max_entries=8)
def _places(path: str, changed: float, embedding: str, _view: ResultView) -> QuantizedEmbedding:
    return quantize_embedding(_view.store.embedding(embedding))


def embedding_places(view: ResultView, embedding: str) -> QuantizedEmbedding:
    """Rounded places of the cells, worked out once."""
    return _places(view.path, view.changed, embedding, view)


def cell_colors(
    view: ResultView, coloring: ColorBy, theme: FigureTheme, clip: tuple[float, float]
) -> CellColors:
    """Codes and colours of a colouring; kept, because a page asks again whenever it is drawn."""
    if coloring.values is not None or coloring.labels is not None:
        return _coded(resolve_color(view, coloring), view.store.n_cells, theme, clip)
    return _colors(view.path, view.changed, coloring, theme.name, clip, view)


@st.cache_resource(show_spinner=False, max_entries=24)
def _colors(
    path: str,
    changed: float,
    coloring: ColorBy,
    theme_name: str,
    clip: tuple[float, float],
    _view: ResultView,
) -> CellColors:
    shown = resolve_color(_view, coloring)
    return _coded(shown, _view.store.n_cells, theme_named(theme_name), clip)


def _coded(
    shown: ColorData, n_cells: int, theme: FigureTheme, clip: tuple[float, float]
) -> CellColors:
    title, note = shown.name, shown.note
    if shown.gene:
        title = title.removeprefix("Probability: ")
        title = f"{shown.gene}: {title[:1].lower()}{title[1:]}"
    if shown.labels is not None:
        return label_colors(title, shown.labels, theme, colors=shown.colors, note=note)
    if shown.values is None:
        return plain_colors(title, n_cells, theme, note=note)
    return value_colors(
        title, shown.values, theme, scale=shown.scale, clip=clip, bounds=shown.bounds, note=note
    )


@st.fragment
def hover_card(view: ResultView, colorings: list[ColorBy], *, key: str) -> None:
    """Tell the browser the name and the exact values of the cell under the pointer."""
    mounted = f"lookup_{key}"
    asked = st.session_state.get(mounted) or {}
    said = asked.get("ask")
    data = None
    if isinstance(said, dict) and said.get("run") == view.run_id:
        data = cell_facts(view, colorings, said.get("cell"))
    _hover_query(key=mounted, data=data, on_ask_change=lambda: None, height=1)


def cell_facts(view: ResultView, colorings: Sequence[ColorBy], cell: Any) -> CellCard | None:
    """Name of a cell and what each map shows of it; None when there is no such cell."""
    if not isinstance(cell, int) or not 0 <= cell < view.store.n_cells:
        return None
    values = []
    for shown in (resolve_color(view, coloring) for coloring in colorings):
        column = shown.values if shown.labels is None else shown.labels.array
        if column is not None:
            title = f"{shown.gene}: {shown.name}" if shown.gene else shown.name
            values.append((title, _told(column[cell])))
    labels = view.labels()
    if labels is not None and all(coloring.column != labels.name for coloring in colorings):
        values.append((str(labels.name), str(labels.iloc[cell])))
    name = str(view.store.obs.index[cell])
    return {"run": view.run_id, "cell": cell, "name": name, "values": values}


def _told(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if np.isfinite(value) else "no value"
