"""The cells that the reader has selected: one selection for all pages of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import streamlit as st

from velovi.ui.cached_result import ResultView
from velovi.ui.messages import CombineHow
from velovi.ui.url_state import last_choice, set_url_param

_KEY = "selected_cells"
HOW = get_args(CombineHow)


@dataclass(frozen=True)
class Outline:
    """An outline around points in a chart: its corners (corners,) in the units of the axes."""

    x: np.ndarray
    y: np.ndarray
    how: CombineHow = "replace"


def selected(view: ResultView) -> np.ndarray | None:
    """Which cells of a run are selected, bool (cells,); None when none are."""
    run_id, packed = st.session_state.get(_KEY, ("", None))
    if run_id != view.run_id or packed is None:
        return None
    return np.unpackbits(packed, count=view.store.n_cells, bitorder="little").view(bool)


def select(view: ResultView, cells: np.ndarray | None) -> None:
    """Make these cells (bool, one for each cell of the run) the selection; None selects none.

    A set of cells that the address names is not what is selected any more; who selects a set says
    so afterwards.
    """
    if last_choice("cells") is not None:
        set_url_param("cells", None)
    st.session_state.pop("selected_set", None)
    if cells is None or not cells.any():
        st.session_state.pop(_KEY, None)
        return
    st.session_state[_KEY] = view.run_id, np.packbits(cells, bitorder="little")


def merge(view: ResultView, cells: np.ndarray, how: str) -> None:
    """Select cells (bool, one for each cell of the run) instead of, or beside, or out of others."""
    before = selected(view)
    if before is not None and how == "add":
        cells = cells | before
    elif how == "subtract":
        cells = np.zeros_like(cells) if before is None else before & ~cells
    select(view, cells)
