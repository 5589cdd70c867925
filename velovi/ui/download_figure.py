"""Files of a figure: a picture for paper, and the numbers behind it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import streamlit as st

from velovi.plotting.picture import (
    FONT_SIZE_PT,
    HEIGHT_MM,
    KINDS,
    WIDTH_MM,
    PictureOptions,
    PlotData,
    picture,
)
from velovi.plotting.visible_part import VisiblePart
from velovi.runs.tables import csv_bytes
from velovi.ui.components import headless_component
from velovi.ui.errors import show_errors
from velovi.ui.messages import VisiblePartQuery

_FONTS = {"sans-serif": "Arial, or its shapes", "serif": "Times", "DejaVu Sans": "DejaVu Sans"}
_CHOSEN, _TROUBLE, _NOTE = "download_chosen", "download_trouble", "download_note"
_query = headless_component("visible_part")


def set_figure_note(note: str) -> None:
    """What a reader may have written below every figure of this page; nothing when empty."""
    st.session_state[_NOTE] = note


def download_figure(
    name: str, data: Callable[[], PlotData], *, key: str, drawn_as: str = "", **how: Any
) -> None:
    """A button that opens what can be saved of one figure: a picture, and the numbers behind it.

    Parameters
    ----------
    name
        Of the files, without their endings.
    data
        Gives the figure's numbers when the reader asks for a file. It is called outside the
        page's script, so it may not read the session or write on the page.
    key
        Tells this figure's widgets from those of others; size and font are shared by all.
    drawn_as
        Key of the map or chart on the page that shows this figure: what is saved is the part of it
        that the reader sees, without the groups that are hidden.
    **how
        How the picture is drawn; see :func:`velovi.plotting.paper.draw.draw`.

    What is inside is made when a reader opens it: pages have many figures, and most are not saved.
    """
    # by itself, a fragment takes all the room beside a heading
    with st.container(width="content"):
        _button(name, data, key, drawn_as, how)


@st.fragment
def _button(
    name: str, data: Callable[[], PlotData], key: str, drawn_as: str, how: dict[str, Any]
) -> None:
    file = re.sub(r"[^\w.-]+", "_", name).strip("_") or "figure"
    trouble = st.session_state.setdefault(_TROUBLE, {})
    opened = st.popover(
        "Save", icon=":material/download:", key=f"{key}_download", on_change="rerun"
    )
    if not opened.open:
        st.session_state.pop(f"{key}_known_part", None)  # the browser is asked anew next time
        return
    with opened, show_errors():
        options = _options(key)
        part = _visible_part(key, drawn_as)
        if part != VisiblePart():
            st.caption("As it is on the page now: zoomed, and without the groups that are hidden.")
        with st.container(horizontal=True):
            st.download_button(
                f"Picture ({options.kind.upper()})",
                lambda: _file(lambda: _picture(data(), part, options, how), trouble, key),
                f"{file}.{options.kind}",
                options.media_type,
                on_click="ignore",
                icon=":material/image:",
                key=f"{key}_download_picture",
                type="primary",
            )
            st.download_button(
                "Data (CSV)",
                lambda: _file(
                    lambda: csv_bytes(part.of(data()).to_frame(), index=False), trouble, key
                ),
                f"{file}.csv",
                "text/csv",
                on_click="ignore",
                icon=":material/table:",
                key=f"{key}_download_data",
                help="The numbers that the figure shows; those of a chart are of the whole chart. "
                "Names that a spreadsheet would take for a "
                "formula have an apostrophe in front.",
            )
        if key in trouble:
            raise trouble.pop(key)


def _picture(
    data: PlotData, part: VisiblePart, options: PictureOptions, how: dict[str, Any]
) -> bytes:
    return picture(part.of(data), options, **part.limits(data), **how)


def _visible_part(key: str, drawn_as: str) -> VisiblePart:
    """What the reader sees of a map or chart; the browser is asked when the box is opened."""
    if not drawn_as:
        return VisiblePart()
    mounted, known = f"{key}_visible_part", f"{key}_known_part"

    def answered() -> None:
        st.session_state[known] = as_visible_part(st.session_state[mounted].get("part"))

    query: VisiblePartQuery = {"target": drawn_as}
    _query(key=mounted, data=query, on_part_change=answered, height=1)
    return st.session_state.get(known, VisiblePart())


def as_visible_part(said: Any) -> VisiblePart:
    """What the browser says, as far as it makes sense."""
    if not isinstance(said, dict):
        return VisiblePart()
    hidden = said.get("hidden")
    names = [item for item in hidden if isinstance(item, str)] if isinstance(hidden, list) else []
    x, y = (_ends(said.get(axis)) for axis in ("x", "y"))
    return VisiblePart(x, y, frozenset(names)) if x and y else VisiblePart(hidden=frozenset(names))


def _ends(said: Any) -> tuple[float, float] | None:
    try:
        low, high = (float(end) for end in said)
    except (TypeError, ValueError):
        return None
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None


def _file(make: Callable[[], bytes], trouble: dict[str, Exception], key: str) -> bytes:
    """The file's content; what goes wrong is kept for the page, which alone can say it."""
    try:
        return make()
    except Exception as error:
        trouble[key] = error
        raise


def _options(key: str) -> PictureOptions:
    """Widgets for kind, size and letters; their values are the same at every figure."""
    kind = _widget(
        st.segmented_control,
        key,
        "kind",
        label="Format",
        options=KINDS,
        required=True,
        format_func=str.upper,
        width="stretch",
        help="SVG and PDF stay sharp at any size and can be edited; in an SVG, text stays text.",
    )
    sizes = {}
    left, right = st.columns(2)
    for slot, field, label, (low, high), step in (
        (left, "width_mm", "Width (mm)", WIDTH_MM, 5.0),
        (right, "height_mm", "Height (mm)", HEIGHT_MM, 5.0),
        (left, "font_size_pt", "Font size (pt)", FONT_SIZE_PT, 0.5),
    ):
        sizes[field] = _widget(
            slot.number_input,
            key,
            field,
            label=label,
            min_value=low,
            max_value=high,
            step=step,
            format="%g",
        )
    font = _widget(
        right.selectbox,
        key,
        "font",
        label="Font",
        options=list(_FONTS),
        format_func=lambda option: _FONTS[option],
    )
    note = str(st.session_state.get(_NOTE) or "")
    wanted = bool(note) and _widget(
        st.checkbox,
        key,
        "with_note",
        label="With the verdict below",
        help=f"A line below the figure: “{note}”",
    )
    return PictureOptions(kind=kind, font=font, note=note if wanted else "", **sizes)


def _widget(make: Callable[..., Any], key: str, field: str, **look: Any) -> Any:
    chosen = st.session_state.setdefault(_CHOSEN, {})
    own = f"{key}_download_{field}"
    st.session_state[own] = chosen.get(field, getattr(PictureOptions, field, False))

    def changed() -> None:
        chosen[field] = st.session_state[own]

    return make(key=own, on_change=changed, **look)
