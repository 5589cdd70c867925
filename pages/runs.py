"""Runs: what has been run here, with which options, and what came of it."""

import streamlit as st

from velovi.ui.explore import current_choice
from velovi.ui.router import page
from velovi.ui.run_state import all_runs
from velovi.ui.runs_panel import note_if_gone, runs_table, show_run, unreadable_runs
from velovi.ui.services import advance_queue, get_workspace


def body() -> None:
    st.title("What has been run here")
    workspace, choice = get_workspace(), current_choice()
    advance_queue()
    runs = all_runs(workspace)
    note_if_gone(runs)
    unreadable_runs(workspace)
    if choice is None:
        with st.container(border=True, key="empty_state"):
            st.subheader("No runs yet")
            st.write("Bring a file and train a model on it; every run is listed here.")
            st.page_link("pages/data.py", label="Bring a file", icon=":material/arrow_forward:")
        return
    runs_table(workspace, runs, choice.run_id)
    # the sidebar's word may be older than this list
    show_run(workspace, next((run for run in runs if run.run_id == choice.run_id), choice))


page(body)
