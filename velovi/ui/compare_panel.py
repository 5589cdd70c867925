"""A run beside others: maps, angles of velocities, ranks of time, genes that changed sign."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from velovi.errors import DataError
from velovi.plotting.group_quantiles import group_quantiles_figure
from velovi.runs.compare_runs import RunComparison, compare_runs
from velovi.runs.folder import RunState
from velovi.runs.workspace import Workspace
from velovi.ui.cached_result import ResultView, open_result
from velovi.ui.cell_map import cell_map, maps_side_by_side
from velovi.ui.coloring import ColorBy
from velovi.ui.errors import escape_markdown, show_errors
from velovi.ui.explore import current_choice
from velovi.ui.panels import figure_panel, spread_by_group
from velovi.ui.run_state import RunEntry, all_runs
from velovi.ui.services import get_launcher, get_workspace

_MORE_SEEDS, _MOST_RUNS = (1, 2), 3
_MOST_GENES = 200


@st.cache_resource(show_spinner=False, max_entries=6)
def _compared(
    path: str,
    changed: float,
    other_path: str,
    other_changed: float,
    _view: ResultView,
    _other: ResultView,
) -> RunComparison:
    bar = st.progress(0.0, text="Comparing velocities, gene by gene …")

    def show(share: float) -> None:
        bar.progress(share, text="Comparing velocities, gene by gene …")

    try:
        return compare_runs(_view.store, _other.store, progress=show)
    finally:
        bar.empty()


def compare_panel(view: ResultView) -> None:
    """Choose other finished runs, and see what differs."""
    st.subheader("Beside other runs", anchor="runs")
    st.caption(
        "Other seeds, options or cells of the same file. **That runs agree is no evidence by "
        "itself**: two seeds agree as well (.95) on cells whose velocity was taken away, because "
        "they share what misleads them. That they differ says what not to read."
    )
    workspace, choice = get_workspace(), current_choice()
    others = {
        entry.run_id: entry
        for entry in all_runs(workspace)
        if entry.state == RunState.DONE and entry.run_id != view.run_id
    }
    with st.container(horizontal=True, vertical_alignment="bottom"):
        picked = st.multiselect(
            "Compare with",
            list(others),
            format_func=lambda run_id: others[run_id].name,
            key="compare_with",
            max_selections=_MOST_RUNS,
            placeholder="Choose finished runs" if others else "There is no other finished run",
            disabled=not others,
        )
        if choice is not None and not choice.is_demo:
            _seeds(workspace, choice)
    with show_errors():
        _show(view, [others[run_id] for run_id in picked])


def _seeds(workspace: Workspace, choice: RunEntry) -> None:
    """A button that trains the same again with two other seeds."""
    if not st.button(
        "Train two more seeds",
        icon=":material/casino:",
        key="more_seeds",
        help="The same file and options, with other random numbers in training.",
    ):
        return
    with show_errors():
        spec = choice.run.spec()
        for more in _MORE_SEEDS:
            seed = spec.options.train.seed + more
            options = replace(spec.options, train=replace(spec.options.train, seed=seed))
            name = workspace.free_run_name(f"{spec.name}, seed {seed}")
            workspace.run_again(choice.run, options, name=name)
        get_launcher().start_waiting_runs()
        st.toast("Two runs wait or train; the Runs page lists them.", icon=":material/casino:")


def _show(view: ResultView, entries: Sequence[RunEntry]) -> None:
    if not entries:
        return
    names = {entry.run_id: entry.name for entry in entries}
    views = {entry.run_id: open_result(entry.run, entry.run_id) for entry in entries}
    found: dict[str, RunComparison] = {}
    for run_id, other in views.items():
        with show_errors():  # a run that shares nothing does not take the others away
            try:
                found[run_id] = _compared(
                    view.path, view.changed, other.path, other.changed, view, other
                )
            except DataError as error:
                error.where = names[run_id]
                raise
    if not found:
        return
    _numbers(names, found)
    with_maps = [
        (views[run_id], names[run_id]) for run_id in found if views[run_id].store.embeddings
    ]
    if view.store.embeddings and with_maps:
        maps_side_by_side([(view, "This run"), *with_maps], key="runs_beside")
    detailed = next(iter(found))
    if len(found) > 1:
        detailed = st.segmented_control(
            "In detail",
            list(found),
            format_func=lambda run_id: names[run_id],
            default=detailed,
            required=True,
            key="compared_run",
        )
    _in_detail(view, detailed, names[detailed], found[detailed])


def _numbers(names: Mapping[str, str], found: Mapping[str, RunComparison]) -> None:
    """What is shared with each run, and how far it agrees."""
    table = pd.DataFrame(
        {
            "Run": [names[run_id] for run_id in found],
            "Shared cells": [item.n_cells for item in found.values()],
            "Shared genes": [len(item.genes) for item in found.values()],
            "Angle of velocities": [float(np.nanmedian(item.angle)) for item in found.values()],
            "Rank of time": [item.time_rank for item in found.values()],
            "Genes the other way": [len(item.changed) for item in found.values()],
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        key="compared_numbers",
        placeholder="–",
        column_config={
            "Angle of velocities": st.column_config.NumberColumn(
                format="%.0f°",
                help="Median over cells, over all shared genes: 0 the same direction, 90 none in "
                "common.",
            ),
            "Rank of time": st.column_config.NumberColumn(
                format="%.2f",
                help="Spearman correlation of the shared latent times; below 0 they run against "
                "each other.",
            ),
            "Genes the other way": st.column_config.NumberColumn(
                help="Their velocities have opposite signs in more than half of the shared cells."
            ),
        },
    )
    for run_id, item in found.items():
        if math.isfinite(item.time_rank) and item.time_rank < 0:
            st.error(
                f"Time runs backwards in one of the two: its rank correlation with "
                f"{escape_markdown(names[run_id])} is {item.time_rank:.2f}.",
                icon=":material/error:",
            )


def _in_detail(view: ResultView, run_id: str, name: str, found: RunComparison) -> None:
    """Where on the map, in which groups and genes this run and another differ."""
    title = f"Angle to the velocity of {name} (degrees)"
    angle = found.angle.astype(np.float32)
    if view.store.embeddings:
        cell_map(view, [ColorBy(title=title, values=angle)], key="compared", height=320)
    labels = view.labels()
    if labels is not None:
        data = spread_by_group(view, title, f"compared with {run_id}", angle, labels, None)
        figure_panel(
            "Angle by group",
            "For each group the median (point), the middle half (bar) and 90 % (line) of its "
            "cells; groups at the top differ most between the runs.",
            lambda theme: group_quantiles_figure(data, theme),
            data,
            key="compared_by_group",
        )
    _genes(found)


def _genes(found: RunComparison) -> None:
    changed = found.changed
    st.markdown(
        f"**{len(changed):,} of {len(found.genes):,} genes go the other way in most cells**",
        help="Their velocities have opposite signs in more than half of the shared cells.",
    )
    if changed.empty:
        return
    table = pd.DataFrame(
        {
            "Gene": changed.index[:_MOST_GENES],
            "Opposite in": 100 * changed["opposite"].to_numpy()[:_MOST_GENES],
            "Correlation": changed["correlation"].to_numpy()[:_MOST_GENES],
        }
    )
    percent = st.column_config.NumberColumn(format="%.0f %%", help="Of the shared cells.")
    number = st.column_config.NumberColumn(format="%.2f", help="Of its velocity, over cells.")
    st.dataframe(
        table,
        hide_index=True,
        height="content" if len(table) <= 8 else 320,
        key="changed_genes",
        placeholder="–",
        column_config={"Opposite in": percent, "Correlation": number},
    )
