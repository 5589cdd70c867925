"""Train: watch a model learn."""

import streamlit as st

from velovi.ui.errors import show_errors
from velovi.ui.explore import current_choice
from velovi.ui.new_run import new_run
from velovi.ui.router import page
from velovi.ui.run_state import all_runs
from velovi.ui.services import advance_queue, get_workspace
from velovi.ui.train_panel import queue_panel, run_progress_panel


def body() -> None:
    st.title("Train a model")
    workspace, choice = get_workspace(), current_choice()
    advance_queue()
    own = choice if choice is not None and not choice.is_demo else None
    wants_new = "dataset" in st.query_params or own is None
    if own is not None and not wants_new:
        with show_errors():
            run_progress_panel(own)
    if wants_new:
        new_run(workspace)
    else:
        with st.expander("Train another model", icon=":material/add:"):
            new_run(workspace)
    runs = [run for run in all_runs(workspace) if not run.is_demo]
    if runs:
        queue_panel(runs, None if wants_new or own is None else own.run_id)


page(body)
