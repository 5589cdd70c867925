"""What the pages of figures share: a heading with help, a figure, and the way to save it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from velovi.figures.theme import LIGHT, FigureTheme
from velovi.ui.selection import selected
from velovi.ui.take_away import take_away
from velovi.ui.theme import current_theme, draw
from velovi.ui.view import ResultView

KEEP: dict[str, Any] = {"persist_state": "session"}


def figure_panel(
    title: str,
    help_text: str,
    figure: Callable[[FigureTheme], go.Figure],
    frame: Callable[[], pd.DataFrame],
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
        Makes it in a theme.
    frame
        Its numbers.
    key
        Names the figure and its file.
    note
        A sentence below it.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{title}**", help=help_text)
        take_away(key, lambda: figure(LIGHT), frame, key=key)
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
        f"Only the {n:,} selected cells", key="only_selected", **KEEP,
        help="The figures below are worked out from the cells that you selected on a map.",
    )  # fmt: skip
    return mask if only else None


def column(view: ResultView, name: str) -> np.ndarray | None:
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
            "Groups", columns, key=key, help="The annotation whose groups are compared.", **KEEP
        )
    return view.labels(name)


def group_colors(view: ResultView, labels: pd.Series | None) -> dict[str, str] | None:
    """The file's own colours of the groups."""
    return None if labels is None else view.colors(str(labels.name))


def best_genes(view: ResultView, most: int) -> list[str]:
    """The genes that the fit explains best."""
    from velovi.ui.gene_choice import gene_tables

    return [str(one) for one in gene_tables(view)[0].index[:most]]
