"""Starting a run: the file, the options, the machine."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from velovi.runs.workspace import Dataset, Workspace
from velovi.ui.choice import choose_run
from velovi.ui.data_panel import trainable
from velovi.ui.forms import Defaults, options_form
from velovi.ui.guard import plain_errors
from velovi.ui.services import get_hardware, get_launcher, server_model
from velovi.ui.words import ago


def new_run(workspace: Workspace) -> None:
    """Choose a file, set the options, press Train."""
    datasets = workspace.datasets()
    if not datasets:
        st.info("Bring a file first; then train a model on it.", icon=":material/info:")
        st.page_link("pages/data.py", label="Bring a file", icon=":material/upload_file:")
        return
    dataset = _pick(datasets)
    summary = dataset.summary()
    if not trainable(summary):
        st.warning("This file cannot be trained on as it is.", icon=":material/warning:")
        st.page_link(
            "pages/data.py", label="See what it needs", icon=":material/arrow_forward:",
            query_params={"dataset": dataset.dataset_id},
        )  # fmt: skip
        return
    st.caption(
        f"{summary.n_cells:,} cells × {summary.n_genes:,} genes. {_hardware()} The options below "
        "suit most data: press Train."
    )
    with plain_errors():
        form = f"options_{dataset.dataset_id}"
        options = options_form(form, Defaults.from_summary(summary))
        if options is not None:
            if options.train.saved_model:
                model = server_model(options.train.saved_model, workspace)
                options = replace(options, train=replace(options.train, saved_model=str(model)))
            run = workspace.create_run(dataset, options)
            get_launcher().submit(run)
            choose_run(run.run_id)
            st.query_params.pop("dataset", None)
            st.rerun()


def _pick(datasets: list[Dataset]) -> Dataset:
    by_id = {one.dataset_id: one for one in datasets}
    named = st.query_params.get("dataset")
    if named in by_id:
        st.session_state["train_dataset"] = named
    elif st.session_state.get("train_dataset") not in by_id:
        st.session_state["train_dataset"] = datasets[0].dataset_id

    def chosen() -> None:
        if "dataset" in st.query_params:
            st.query_params["dataset"] = st.session_state["train_dataset"]

    picked = st.selectbox(
        "File", list(by_id), key="train_dataset", on_change=chosen, persist_state="session",
        format_func=lambda key: f"{by_id[key].name} · {ago(by_id[key].created)}",
        help="A file from the Data page.",
    )  # fmt: skip
    return by_id[picked]


def _hardware() -> str:
    try:
        return f"Trains on {get_hardware().summary}."
    except (ImportError, OSError):
        return ""
