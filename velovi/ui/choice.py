"""Which run, file and gene the reader looks at; kept in the URL, so that a refresh finds it."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from velovi.errors import StoreError
from velovi.runs.folder import RunFolder, RunState
from velovi.runs.workspace import DEMO_RUN_ID, Workspace


@dataclass(frozen=True)
class Choice:
    """One run of the workspace and where it stands."""

    run_id: str
    run: RunFolder
    name: str
    state: RunState

    @property
    def is_demo(self) -> bool:
        """Whether it is the run that comes with the app."""
        return self.run_id == DEMO_RUN_ID


def all_runs(workspace: Workspace) -> list[Choice]:
    """Every run that can be read, the newest first and the demo last."""
    from velovi.runs import workspace as module

    found = []
    for run in workspace.runs():
        run_id = DEMO_RUN_ID if run.path == module.DEMO_FOLDER else run.run_id
        try:
            found.append(Choice(run_id, run, run.spec().name, run.state()))
        except StoreError:
            continue
    return found


def choose_run(run_id: str | None) -> None:
    """Make a run the one that all pages show."""
    st.session_state["run_id"] = run_id
    if run_id is None:
        st.query_params.pop("run", None)
    else:
        st.query_params["run"] = run_id


def chosen_run(runs: list[Choice], *, prefer_active: bool = False) -> Choice | None:
    """The run of the URL, else the one chosen before, else the one most worth looking at.

    Parameters
    ----------
    runs
        From :func:`all_runs`.
    prefer_active
        Without a choice, take the newest run at work rather than the newest finished one.
    """
    by_id = {one.run_id: one for one in runs}
    named = st.query_params.get("run")
    if named and named not in by_id:
        st.session_state["missing_run"] = named
    wanted = named if named in by_id else st.session_state.get("run_id")
    if wanted in by_id:
        choose_run(wanted)
        return by_id[wanted]
    choose_run(None)
    active = [one for one in runs if one.state.active]
    done = [one for one in runs if one.state == RunState.DONE]
    ranked = active + done if prefer_active else done + active
    return (ranked + runs)[0] if runs else None


def choose_gene(gene: str) -> None:
    """Make a gene the one that all pages show."""
    st.session_state["chosen_gene"] = gene
    # only what the reader chose goes into the address: writing a default there as well would
    # add a step to the browser's history that the Back button cannot leave
    st.query_params["gene"] = gene


def chosen_gene(genes: list[str], default: str) -> str:
    """The gene of the URL when a page is opened by a link, else the one chosen before."""
    named = st.query_params.get("gene")
    if named and "chosen_gene" not in st.session_state:
        st.session_state["chosen_gene"] = named
        if named not in genes:
            st.toast(f"{named} is not in this model.", icon=":material/link_off:")
    gene = st.session_state.get("chosen_gene")
    return gene if gene in genes else default
