"""What the pages of figures share: a figure with its help and the way to save it, groups, cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from velovi.keys import STATE_TITLES
from velovi.plotting.embedding import embedding_data
from velovi.plotting.group_quantiles import GroupQuantiles, group_quantiles
from velovi.plotting.picture import PlotData
from velovi.plotting.quantity_maps import QuantityMaps
from velovi.plotting.states import state_colors
from velovi.plotting.theme import FigureTheme
from velovi.ui.cached_result import ResultView
from velovi.ui.coloring import ColorBy, resolve_color
from velovi.ui.download_figure import download_figure
from velovi.ui.selection import selected
from velovi.ui.theme import color_key, current_theme, draw

PERSIST: dict[str, Any] = {"persist_state": "session"}


def figure_header(
    title: str,
    note: str,
    name: str,
    data: Callable[[], PlotData],
    *,
    key: str,
    **how: Any,
) -> None:
    """What a figure shows, how to read it, and the button that downloads it."""
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    ):
        st.markdown(f"**{title}**", help=note, width="content")
        download_figure(name, data, key=key, **how)


def maps_header(
    view: ResultView, title: str, note: str, name: str, colorings: Sequence[ColorBy], *, key: str
) -> None:
    """The same for maps side by side, each of which shows a number of the cells."""
    figure_header(
        title,
        note,
        name,
        lambda: collect_maps(view, name, colorings),
        key=f"{key}_maps",
        drawn_as=key,
    )


def collect_maps(view: ResultView, name: str, colorings: Sequence[ColorBy]) -> QuantityMaps:
    """Read what the maps to take away need."""
    store = view.store
    maps = [
        embedding_data(
            store.embedding(store.embeddings[0]),
            store.obs.index,
            title=shown.name,
            values=shown.values,
            scale=shown.scale,
            bounds=shown.bounds,
            strata=view.group_codes(),
        )
        for shown in (resolve_color(view, coloring) for coloring in colorings)
    ]
    return QuantityMaps(name, tuple(maps))


def state_key(states: Iterable[str]) -> None:
    """Which colour is which state of a gene, in lines that a narrow page can break."""
    colors = state_colors(current_theme())
    color_key({STATE_TITLES[name]: colors[name] for name in states})


def figure_panel(
    title: str,
    help_text: str,
    figure: Callable[[FigureTheme], go.Figure],
    data: PlotData,
    *,
    key: str,
    note: str = "",
) -> None:
    """A heading, a figure, how to read it, and a button that saves it with its numbers.

    Parameters
    ----------
    title, help_text
        The heading, and how to read the figure.
    figure
        Makes it for the screen, in a theme.
    data
        Its numbers.
    key
        Names the figure and its file.
    note
        A sentence below it.
    """
    figure_header(title, help_text, key, lambda: data, key=key)
    draw(figure(current_theme()), key, alt=title)
    if note:
        st.caption(note)


def chosen_cells(view: ResultView) -> np.ndarray | None:
    """The selected cells, once the reader wants the page to look at these alone; else None."""
    mask = selected(view)
    if mask is None:
        return None
    n = int(mask.sum())
    only = st.toggle(
        f"Only the {n:,} selected cells",
        key="only_selected",
        **PERSIST,
        help="The figures below are worked out from the cells that you selected on a map.",
    )
    return mask if only else None


def cell_values(view: ResultView, name: str) -> np.ndarray | None:
    """A number of each cell (cells,) float32; None when the result has no such number."""
    if name not in view.store.obs:
        return None
    return view.store.obs[name].to_numpy(dtype=np.float32, na_value=np.nan)


def label_choice(view: ResultView, key: str) -> pd.Series | None:
    """The annotation whose groups are compared; None when the result has none."""
    columns = view.store.label_columns
    if not columns:
        return None
    name = columns[0]
    if len(columns) > 1:
        name = st.selectbox(
            "Groups", columns, key=key, help="The annotation whose groups are compared.", **PERSIST
        )
    return view.labels(name)


def group_colors(view: ResultView, labels: pd.Series | None) -> dict[str, str] | None:
    """The file's own colours of the groups."""
    return None if labels is None else view.colors(str(labels.name))


def in_group(labels: pd.Series, group: str) -> np.ndarray:
    """Which cells are in a group of an annotation, bool (cells,)."""
    mine = np.flatnonzero(labels.cat.categories.astype(str) == group)
    return np.isin(labels.cat.codes.to_numpy(), mine)


def cells_key(cells: np.ndarray | None) -> int:
    """A number that stands for some cells (bool, or None for all) in the key of a cache."""
    return 0 if cells is None else hash(cells.tobytes())


@st.cache_data(show_spinner=False, max_entries=40)
def _spread(
    path: str,
    changed: float,
    title: str,
    what: str,
    label: str,
    only: int,
    _values: np.ndarray,
    _labels: pd.Series | None,
    _colors: dict[str, str] | None,
    _only: np.ndarray | None,
) -> GroupQuantiles:
    return group_quantiles(title, _values, _labels, colors=_colors, only=_only)


def spread_by_group(
    view: ResultView,
    title: str,
    what: str,
    values: np.ndarray,
    labels: pd.Series | None,
    only: np.ndarray | None,
) -> GroupQuantiles:
    """How a number is spread in each group; kept, because a page asks whenever it is drawn.

    Parameters
    ----------
    view, title, values, labels, only
        See :func:`velovi.plotting.group_quantiles.group_quantiles`.
    what
        Tells these values from others of the result.
    """
    return _spread(
        view.path,
        view.changed,
        title,
        what,
        "" if labels is None else str(labels.name),
        cells_key(only),
        values,
        labels,
        group_colors(view, labels),
        only,
    )
