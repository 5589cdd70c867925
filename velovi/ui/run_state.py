"""Which run and gene the reader looks at; kept in the address, so that a refresh finds it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import streamlit as st

from velovi.errors import StoreError
from velovi.runs.folder import RunFolder, RunState
from velovi.runs.workspace import DEMO_RUN_ID, Workspace
from velovi.ui.url_state import just_written, last_choice, set_url_param, url_param


@dataclass(frozen=True)
class RunEntry:
    """One run of the workspace and where it stands."""

    run_id: str
    run: RunFolder
    name: str
    state: RunState
    created: float

    @property
    def is_demo(self) -> bool:
        """Whether it is the run that comes with the app."""
        return self.run_id == DEMO_RUN_ID


def all_runs(workspace: Workspace) -> list[RunEntry]:
    """Every run that can be read, the newest first and the demo last."""
    from velovi.runs import workspace as module

    found = []
    for run in workspace.runs():
        run_id = DEMO_RUN_ID if run.path == module.DEMO_FOLDER else run.run_id
        try:
            spec = run.spec()
            found.append(RunEntry(run_id, run, spec.name, run.state(), spec.created))
        except StoreError:
            continue
    return found


def choose_run(run_id: str | None) -> None:
    """Make a run the one that all pages show; sets of cells and rooted times are another run's."""
    if run_id != last_choice("run"):
        for name in ("cells", "time"):
            if last_choice(name) is not None:
                set_url_param(name, None)
    set_url_param("run", run_id)


def chosen_run(runs: list[RunEntry], *, prefer_active: bool = False) -> RunEntry | None:
    """The run of the address, else the one chosen before, else the one most worth looking at.

    Parameters
    ----------
    runs
        From :func:`all_runs`.
    prefer_active
        Without a choice, take the newest run at work rather than the newest finished one.
    """
    by_id = {run.run_id: run for run in runs}
    named = st.query_params.get("run")
    if named is not None and named not in by_id and not just_written("run"):
        st.session_state["missing_run"] = named
    chosen = url_param("run", by_id, "", what=None)
    if chosen:
        if named is not None and named != chosen:
            choose_run(chosen)
        return by_id[chosen]
    choose_run(None)
    active = [run for run in runs if run.state.active]
    done = [run for run in runs if run.state == RunState.DONE]
    ranked = active + done if prefer_active else done + active
    return (ranked + runs)[0] if runs else None


def choose_gene(gene: str) -> None:
    """Make a gene the one that all pages show."""
    # only what the reader chose goes into the address: writing a default there as well would
    # add a step to the browser's history that the Back button cannot leave
    set_url_param("gene", gene)


def chosen_gene(genes: Collection[str], default: str, *, tell: bool = True) -> str:
    """The gene of the address when a page is opened by a link, else the one chosen before.

    Parameters
    ----------
    genes, default
        Those that can be shown, and the one to begin with.
    tell
        Say so when the gene of a link is not among them.
    """
    return url_param("gene", genes, default, what="gene" if tell else None)


def wanted_gene() -> str | None:
    """The gene that was chosen last, or that the address names, whether or not it is there."""
    return last_choice("gene") or st.query_params.get("gene")
