"""The Runs page's parts: the table of all runs, and one run opened."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from velovi.errors import StoreError, VeloviError
from velovi.runs.folder import RunFolder, RunSpec, RunState
from velovi.runs.naming import LONGEST_NAME
from velovi.runs.results import has_manifest, verify_result
from velovi.runs.workspace import Workspace
from velovi.ui.cached_result import open_result
from velovi.ui.errors import escape_markdown, show_error, show_errors
from velovi.ui.formatting import format_duration, format_size
from velovi.ui.forms import changed_sentence, options_table
from velovi.ui.labels import RUN_STATES, device_name
from velovi.ui.new_run import run_again
from velovi.ui.run_state import RunEntry, choose_run
from velovi.ui.train_panel import explore_button, loss_curve, show_log, show_outcome, watch_states

_OPENED = "opened_run"  # the run that was open on this page, to say so when it is gone
_ROWS_SHOWN, _HEIGHT = 10, 400
_NONE = "–"


@dataclass(frozen=True)
class RunFacts:
    """What a run's folder tells at a glance.

    ``shape`` is cells and genes of its result, ``support`` the verdict's word on its velocities.
    """

    size: int
    epochs: int
    shape: tuple[int, int] | None
    support: str


@st.cache_data(show_spinner=False, max_entries=2000)
def _facts(path: str, changed: tuple[float, float]) -> RunFacts:
    run = RunFolder(Path(path))
    return RunFacts(run.size(), len(run.history()), run.result_shape(), run.support())


def run_facts(run: RunFolder) -> RunFacts:
    """The facts of a run, looked up again only when its folder or its history has changed."""
    return _facts(str(run.path), (_changed(run.path), _changed(run.path / "history.jsonl")))


def _changed(path: Path) -> float:
    try:
        return os.stat(path).st_mtime  # noqa: PTH116 - one call, also for a path that is gone
    except OSError:
        return 0.0


def file_name(workspace: Workspace, choice: RunEntry, spec: RunSpec) -> str:
    """What the file of a run is called, and whether it is still there."""
    if choice.is_demo:
        return "simulated cells"
    try:
        return workspace.dataset(spec.dataset_id).name
    except StoreError:  # gone, or its description is damaged
        there = Path(spec.source).exists()
        return Path(spec.source).name if there else "no longer here"


def _moment(seconds: float) -> pd.Timestamp | None:
    """A moment in seconds since 1970; 0 is none."""
    return pd.Timestamp(seconds, unit="s", tz="UTC") if seconds else None


def runs_frame(workspace: Workspace, choices: list[RunEntry]) -> pd.DataFrame:
    """One row for each run that can be read, with its id as index."""
    rows = {}
    for choice in choices:
        try:
            spec = choice.run.spec()
        except StoreError:
            continue  # deleted since the list was made
        facts = run_facts(choice.run)
        cells, genes = facts.shape or (None, None)
        rows[choice.run_id] = {
            "name": choice.name,
            "state": [RUN_STATES[choice.state][0]],
            "created": _moment(spec.created),
            "velocities": facts.support or None,
            "file": file_name(workspace, choice, spec),
            "cells": cells,
            "genes": genes,
            "epochs": facts.epochs,
            "device": device_name(choice.run.progress().device) or None,
            "size": facts.size,
        }
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(_config()))
    return frame.astype(dict.fromkeys(("cells", "genes", "epochs", "size"), "Int64"))


def runs_table(workspace: Workspace, choices: list[RunEntry], opened: str) -> None:
    """The sortable table; a click on a row opens that run on all pages."""
    frame = runs_frame(workspace, choices)
    ids = list(frame.index)
    # a table of other runs is another table: what was selected in the old one means nothing here
    key = f"runs_table_{abs(hash(tuple(ids)))}"

    def chosen() -> None:
        # a click anywhere in a row selects a cell; the circle before the row selects the row
        selection = st.session_state[key]["selection"]
        row = selection["cells"][0][0] if selection["cells"] else next(iter(selection["rows"]), -1)
        if 0 <= row < len(ids):
            choose_run(ids[row])

    if opened in ids:
        st.session_state[key] = {
            "selection": {"rows": [ids.index(opened)], "columns": [], "cells": []}
        }
    st.dataframe(
        frame.reset_index(drop=True),
        key=key,
        hide_index=True,
        column_config=_config(),
        height=_HEIGHT if len(ids) > _ROWS_SHOWN else "content",
        placeholder=_NONE,
        on_select=chosen,
        selection_mode=["single-row-required", "single-cell"],
        alt="All runs of this workspace",
    )
    active = tuple((choice.run, choice.state) for choice in choices if choice.state.active)
    if active:
        watch_states(active)


def _config() -> dict[str, Any]:
    column = st.column_config
    return {
        "name": column.TextColumn("Run", width=235, help="Click a row to open a run."),
        "state": column.MultiselectColumn(
            "State",
            options=[state[0] for state in RUN_STATES.values()],
            format_func=str.capitalize,
            color=[state[1] for state in RUN_STATES.values()],
            width=105,
            help="Where the run stands. Lost: its worker ended without a word.",
        ),
        "created": column.DatetimeColumn(
            "Created", format="distance", help="When Train was pressed; it may have waited then."
        ),
        "velocities": column.TextColumn(
            "Velocities", help="The verdict on them; the Evidence page has its reasons."
        ),
        "file": column.TextColumn("File", help="What it was trained on."),
        "cells": column.NumberColumn("Cells", format="localized", help="Cells in the result."),
        "genes": column.NumberColumn("Genes", format="localized", help="Genes in the model."),
        "epochs": column.NumberColumn(
            "Epochs", format="localized", help="Times that training went through all cells so far."
        ),
        "device": column.TextColumn("Device", help="Hardware that trained the model."),
        "size": column.NumberColumn("Size", format="bytes", help="Room it takes on disk."),
    }


def note_if_gone(choices: list[RunEntry]) -> None:
    """Say so when the run that was open here has been deleted in another tab."""
    run_id, name, linked = st.session_state.get(_OPENED, ("", "", True))
    if run_id in {choice.run_id for choice in choices}:
        return
    st.session_state.pop(_OPENED, None)
    if run_id and not linked:  # the sidebar speaks about runs that the address names
        st.warning(
            f"**{escape_markdown(name)}** has been deleted, perhaps in another tab. Choose "
            "another run "
            "from the table.",
            icon=":material/link_off:",
        )


def show_run(workspace: Workspace, choice: RunEntry) -> None:
    """One run: what came of it, what it was told, and what can be done with it."""
    st.session_state[_OPENED] = choice.run_id, choice.name, "run" in st.query_params
    try:
        spec = choice.run.spec()
    except StoreError:
        st.warning(
            f"**{escape_markdown(choice.name)}** has just been deleted, perhaps in another tab.",
            icon=":material/link_off:",
        )
        if st.button("See the other runs", icon=":material/history:", key="other_runs"):
            _forget()
        return
    with st.container(border=True, key="opened_run_panel"):
        _heading(workspace, choice)
        _numbers(choice, spec)
        show_outcome(choice)
        loss_curve(choice.run)
        _about(workspace, choice, spec)
    with st.expander("Options", icon=":material/tune:"):
        st.markdown(changed_sentence(spec.options))
        st.dataframe(
            pd.DataFrame(options_table(spec.options)),
            hide_index=True,
            alt="Options of this run",
            column_config={
                "Differs": st.column_config.TextColumn(
                    width=65, help="● marks values other than the default; they come first."
                ),
                "What it does": st.column_config.TextColumn(width="large"),
                **{name: st.column_config.TextColumn(width=115) for name in ("Value", "Default")},
            },
        )
    if not choice.is_demo:
        again = st.expander("Run again with other options", icon=":material/replay:")
        with again, show_errors():
            run_again(workspace, choice.run)
    show_log(choice.run)
    with st.expander("Versions", icon=":material/inventory_2:"):
        _versions(spec)


def _heading(workspace: Workspace, choice: RunEntry) -> None:
    text, color, icon = RUN_STATES[choice.state]
    name, actions = st.columns([1, 1.5], vertical_alignment="top")
    with name, st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(escape_markdown(choice.name), width="content")
        st.badge(text, icon=icon, color=color)  # type: ignore[arg-type]
    with (
        actions,
        st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"),
    ):
        if choice.state == RunState.DONE:
            explore_button(choice, "Show on the map")
        elif not choice.is_demo:
            st.page_link(
                "pages/train.py",
                icon=":material/model_training:",
                label="Watch it" if choice.state.active else "Open on Train",
                query_params={"run": choice.run_id},
            )
        if choice.state == RunState.DONE:
            _verify(choice)
        if not choice.is_demo:
            _rename(workspace, choice)
            _delete(workspace, choice)


def _verify(choice: RunEntry) -> None:
    """A button that compares a result on disk with what was written."""
    path = choice.run.result_path
    if not st.button(
        "Verify",
        icon=":material/fact_check:",
        key=f"verify_{choice.run_id}",
        help="Reads the whole result and compares it with the checksums that were kept when it "
        "was written.",
    ):
        return
    if not has_manifest(path):
        st.info("This result was written before checksums were kept.", icon=":material/info:")
        return
    with show_errors():
        bar = st.progress(0.0, text="Reading the result …")
        try:
            verify_result(path, progress=lambda share: _show_share(bar, share))
        finally:
            bar.empty()
        st.success("The result is as it was written.", icon=":material/check_circle:")


def _show_share(bar: Any, share: float) -> None:
    bar.progress(share, text=f"Reading the result: {share:.0%}")


def unreadable_runs(workspace: Workspace) -> None:
    """Runs that do not say what they are, each with a button that removes it."""
    for run in workspace.unreadable_runs():
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**{escape_markdown(run.run_id)} is unreadable**: its specification is damaged. "
                f"It takes {format_size(run.size())}.",
                width="stretch",
            )
            if st.button("Delete", key=f"delete_{run.run_id}", icon=":material/delete:"):
                with show_errors():
                    workspace.delete_run(run.run_id)
                    st.rerun()


def _rename(workspace: Workspace, choice: RunEntry) -> None:
    # a popover with a new key is a closed one
    turn = st.session_state.get("renamed", 0)
    key = f"rename_{choice.run_id}_{turn}"
    with st.popover("Rename", icon=":material/edit:", key=f"{key}_box"), st.form(key, border=False):
        name = st.text_input(
            "Name",
            choice.name,
            max_chars=LONGEST_NAME,
            key=f"{key}_name",
            help="How the run is called in lists. The name inside a finished result stays.",
        )
        if st.form_submit_button("Rename", type="primary", key=f"{key}_do"):
            try:
                workspace.rename_run(choice.run_id, name or "")
            except VeloviError as error:
                show_error(error)
                return
            st.session_state["renamed"] = turn + 1
            st.rerun()


def _delete(workspace: Workspace, choice: RunEntry) -> None:
    with st.popover(
        "Delete",
        icon=":material/delete:",
        disabled=choice.state.active,
        key=f"delete_{choice.run_id}_box",
        help="Cancel the run first, on the Train page." if choice.state.active else None,
    ):
        st.write(
            f"Delete **{escape_markdown(choice.name)}** and its result "
            f"({format_size(run_facts(choice.run).size)})? The file that it was trained on stays. "
            "This cannot be undone."
        )
        if st.button("Delete this run", type="primary", key=f"delete_{choice.run_id}"):
            try:
                workspace.delete_run(choice.run_id)
            except VeloviError as error:
                show_error(error)
                return
            st.toast(f"{escape_markdown(choice.name)} was deleted.", icon=":material/delete:")
            _forget()


def _forget() -> None:
    """Leave the run that is open for the one most worth looking at."""
    st.session_state.pop(_OPENED, None)
    choose_run(None)
    st.rerun()


def _numbers(choice: RunEntry, spec: RunSpec) -> None:
    facts, progress = run_facts(choice.run), choice.run.progress()
    cells, genes = facts.shape or (None, None)
    end = time.time() if choice.state.active else progress.heartbeat
    took = end - progress.started if progress.started else None
    numbers = (
        ("Cells", _count(cells), "Cells in the result."),
        ("Genes", _count(genes), "Genes in the model, after those without signal were dropped."),
        (
            "Epochs",
            f"{facts.epochs:,} of {spec.options.train.most_epochs:,}",
            "Times that training went through all cells, and the most that the options allow.",
        ),
        (
            "Time taken",
            _NONE if took is None else format_duration(took),
            "From the first step to the last; waiting in the queue does not count.",
        ),
        ("Size", format_size(facts.size), "Room that the run takes on disk."),
    )
    for slot, (label, value, note) in zip(st.columns(len(numbers)), numbers, strict=True):
        slot.metric(label, value, help=note)


def _count(number: int | None) -> str:
    return _NONE if number is None else f"{number:,}"


def _about(workspace: Workspace, choice: RunEntry, spec: RunSpec) -> None:
    """File, date and hardware in a line, and the notes of the result."""
    parts = [f"File: {escape_markdown(file_name(workspace, choice, spec))}"]
    if spec.created:
        parts.append(time.strftime("created %d %B %Y, %H:%M", time.localtime(spec.created)))
    device = device_name(choice.run.progress().device)
    parts += [f"trained on: {escape_markdown(device)}"] if device else []
    cells = choice.run.only_cells()
    parts += [f"on {len(cells):,} selected cells"] if cells is not None else []
    st.caption(" · ".join(parts))
    if choice.state != RunState.DONE:
        return
    with show_errors():
        notes = open_result(choice.run, choice.run_id).store.details.get("notes", ())
        told = [escape_markdown(str(note)) for note in notes]
        if told:
            st.markdown("**Notes**\n\n" + "\n".join(f"- {item}" for item in told))


def _versions(spec: RunSpec) -> None:
    if not spec.versions:
        st.caption("This run does not say with which software it was made.")
        return
    st.caption("Software that made this run; the same versions and seeds give the same result.")
    st.dataframe(
        pd.DataFrame(list(spec.versions.items()), columns=["Package", "Version"]),
        hide_index=True,
        width="content",
        alt="Versions of the software",
    )
