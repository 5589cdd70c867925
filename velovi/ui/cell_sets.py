"""The selection and named sets of cells: keep, colour by, show, train on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from velovi.errors import VeloviError
from velovi.runs.cell_sets import CellSets
from velovi.runs.naming import LONGEST_SHORT_NAME
from velovi.ui.cached_result import ResultView
from velovi.ui.coloring import ColorBy
from velovi.ui.errors import escape_markdown, show_errors
from velovi.ui.explore import current_choice
from velovi.ui.run_state import choose_run
from velovi.ui.selection import select, selected
from velovi.ui.services import get_launcher, get_workspace
from velovi.ui.theme import current_theme
from velovi.ui.url_state import set_url_param, url_param

_MOST_GROUPS = 3  # of a selection that a sentence names
_FEWEST_TO_TRAIN = 50
_KEPT = "cell_sets_kept"  # how many were kept in this session


def cell_sets(view: ResultView) -> CellSets:
    """The sets of a run."""
    return CellSets(get_workspace(), view.run_id, view.store.n_cells)


def set_names(view: ResultView) -> list[str]:
    """Names of a run's sets."""
    return cell_sets(view).names()


def set_mask(view: ResultView, name: str) -> np.ndarray | None:
    """Which cells are in a set; None, with a note, when it is gone."""
    try:
        return cell_sets(view).load(name)
    except VeloviError as error:
        st.toast(str(error), icon=":material/link_off:")
        return None


def set_coloring(view: ResultView, name: str) -> ColorBy:
    """Colours that show a set."""
    mask = set_mask(view, name)
    theme = current_theme()
    inside = np.zeros(view.store.n_cells, dtype=bool) if mask is None else mask
    labels = pd.Categorical(np.where(inside, name, "other cells"), ["other cells", name])
    return ColorBy(
        title=f"Set: {name}",
        labels=pd.Series(labels, index=view.store.obs.index),
        colors={"other cells": theme.missing, name: theme.repression},
    )


def linked_selection(view: ResultView) -> None:
    """Select the set that the address names, once."""
    names = set_names(view)
    name = url_param("cells", names, "", what="set of cells")
    if name and st.session_state.get("selected_set") != (view.run_id, name):
        select(view, set_mask(view, name))
        st.session_state["selected_set"] = view.run_id, name
        set_url_param("cells", name)


def composition(view: ResultView, mask: np.ndarray) -> str:
    """What the selected cells are, as a sentence in Markdown."""
    n, total = int(mask.sum()), view.store.n_cells
    said = f"**{n:,} of {total:,} cells selected** ({100 * n / total:.3g} %)"
    labels = view.labels()
    if labels is None:
        return said + "."
    codes = labels.cat.codes.to_numpy()[mask]
    counts = np.bincount(codes[codes >= 0], minlength=len(labels.cat.categories))
    order = np.argsort(-counts, kind="stable")[:_MOST_GROUPS]
    groups = [
        f"{escape_markdown(str(labels.cat.categories[item]))} {100 * counts[item] / n:.0f} %"
        for item in order
        if counts[item]
    ]
    return f"{said}: {', '.join(groups)}." if groups else f"{said}."


def selection_panel(view: ResultView) -> None:
    """What is selected, and what can be done with it."""
    mask, names = selected(view), set_names(view)
    if mask is None and not names:
        return
    with (
        st.container(border=True, key="selection_panel"),
        st.container(horizontal=True, vertical_alignment="center"),
    ):
        if mask is None:
            st.caption("No cells are selected. Draw around cells, or take one of your sets.")
        else:
            st.markdown(composition(view, mask), width="content")
            if st.button("Clear", key="clear_selection", icon=":material/close:"):
                select(view, None)
                st.rerun()
            _keep(view, mask)
            _train(view, mask)
        if names:
            _sets(view, names)


def _keep(view: ResultView, mask: np.ndarray) -> None:
    # a popover of another name is closed: so it is after a set was kept
    turn = st.session_state.setdefault(_KEPT, 0)
    with (
        st.popover("Keep as a set", icon=":material/bookmark_add:", key=f"keep_cells_{turn}"),
        st.form("keep_cells", clear_on_submit=True, border=False),
    ):
        name = st.text_input(
            "Name",
            key="new_set_name",
            max_chars=LONGEST_SHORT_NAME,
            placeholder="for example: early ducts",
        )
        if st.form_submit_button("Keep", key="keep_set", type="primary"):
            with show_errors():
                kept = cell_sets(view).save(name, mask)
                st.session_state[_KEPT] = turn + 1
                st.session_state["selected_set"] = view.run_id, kept
                set_url_param("cells", kept)
                st.toast(f"**{escape_markdown(kept)}** is kept: {int(mask.sum()):,} cells.")
                st.rerun()


def _sets(view: ResultView, names: list[str]) -> None:
    with st.popover(f"Sets ({len(names)})", icon=":material/bookmarks:"):
        for i, name in enumerate(names):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(escape_markdown(name))
                if st.button("Select", key=f"take_set_{i}"):
                    select(view, set_mask(view, name))
                    st.session_state["selected_set"] = view.run_id, name
                    set_url_param("cells", name)
                    st.rerun()
                if st.button(
                    "Delete",
                    key=f"delete_set_{i}",
                    icon=":material/delete:",
                    help="When nothing else is selected, its cells are, so that you can keep them "
                    "again.",
                ):
                    _delete(view, name)
                    st.rerun()


def _delete(view: ResultView, name: str) -> None:
    before, mask = selected(view), set_mask(view, name)
    alone = mask is not None and (before is None or np.array_equal(before, mask))
    if alone:
        select(view, mask)
    cell_sets(view).delete(name)
    way_back = " Its cells are selected: *Keep as a set* brings it back." if alone else ""
    st.toast(f"**{escape_markdown(name)}** is deleted.{way_back}")


def _train(view: ResultView, mask: np.ndarray) -> None:
    choice = current_choice()
    n = int(mask.sum())
    if choice is None or choice.is_demo:
        return
    with st.popover("Train on these cells", icon=":material/model_training:"):
        st.write(
            f"A new run with the same options as **{escape_markdown(choice.name)}**, on these "
            f"{n:,} cells "
            "only: genes are chosen and scaled anew."
        )
        if n < _FEWEST_TO_TRAIN:
            st.caption(f"Select at least {_FEWEST_TO_TRAIN} cells.")
        pressed = st.button(
            "Train", key="train_selected", type="primary", disabled=n < _FEWEST_TO_TRAIN
        )
        if not pressed:
            return
        with show_errors():
            names = [str(item) for item in view.store.obs.index[mask]]
            run = get_workspace().run_again(
                choice.run, cells=names, name=f"{choice.name}, {n:,} cells"
            )
            get_launcher().start_waiting_runs()
            choose_run(run.run_id)
            st.switch_page("pages/train.py", query_params={"run": run.run_id})
