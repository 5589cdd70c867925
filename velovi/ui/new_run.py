"""Starting a run, anew or once more with other options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from velovi.config import RunOptions
from velovi.errors import StoreError
from velovi.runs.folder import RunFolder, RunSpec
from velovi.runs.workspace import Dataset, Workspace
from velovi.ui.data_panel import file_label, is_unreadable, trainable
from velovi.ui.estimate import file_size, show_estimate
from velovi.ui.forms import Defaults, options_panel
from velovi.ui.run_state import choose_run
from velovi.ui.services import get_hardware, get_launcher, server_model

if TYPE_CHECKING:
    from velovi.data import DatasetSummary


def new_run(workspace: Workspace) -> None:
    """Choose a file, set the options, press Train."""
    datasets = [item for item in workspace.datasets() if not is_unreadable(item)]
    if not datasets:
        st.info("Bring a file first; then train a model on it.", icon=":material/info:")
        st.page_link("pages/data.py", label="Bring a file", icon=":material/upload_file:")
        return
    dataset = _pick(datasets)
    summary = dataset.summary()
    if not trainable(summary):
        st.warning("This file cannot be trained on as it is.", icon=":material/warning:")
        st.page_link(
            "pages/data.py",
            label="See what it needs",
            icon=":material/arrow_forward:",
            query_params={"dataset": dataset.dataset_id},
        )
        return
    st.caption(
        f"{summary.n_cells:,} cells × {summary.n_genes:,} genes. {_hardware()} The options below "
        "suit most data: press Train."
    )

    def start(options: RunOptions, name: str) -> None:
        run = workspace.create_run(dataset, _checked(options, workspace), name)
        _submit(run)
        st.query_params.pop("dataset", None)
        st.rerun()

    options_panel(
        f"options_{dataset.dataset_id}",
        Defaults.from_summary(summary),
        workspace.free_run_name(dataset.name),
        start,
        lambda options: show_estimate(file_size(summary, options), options),
    )


def run_again(workspace: Workspace, run: RunFolder) -> None:
    """The same form with the options of a run, for another run of the same file."""
    spec = run.spec()
    if not Path(spec.source).exists():
        st.info(
            "The file of this run is gone, so it cannot be trained on again from here. Bring the "
            "file again and train a new run; the options of this one are listed above.",
            icon=":material/link_off:",
        )
        st.page_link("pages/data.py", label="Bring a file", icon=":material/upload_file:")
        return
    summary, cells = _summary_of(workspace, spec), run.only_cells()
    if cells is not None:
        st.caption(f"On the {len(cells):,} cells of this run, not on all of the file.")

    def start(options: RunOptions, name: str) -> None:
        again = workspace.run_again(run, _checked(options, workspace), name=name)
        _submit(again)
        st.switch_page("pages/train.py", query_params={"run": again.run_id})

    def expect(options: RunOptions) -> None:
        if summary is None:
            return
        size = file_size(summary, options)
        show_estimate(size if cells is None else size.part(len(cells)), options)

    options_panel(
        f"again_{run.run_id}",
        Defaults.from_options(spec.options, summary),
        workspace.free_run_name(spec.name),
        start,
        expect,
        label="Train with these options",
    )


def _submit(run: RunFolder) -> None:
    get_launcher().start_waiting_runs()
    choose_run(run.run_id)


def _checked(options: RunOptions, workspace: Workspace) -> RunOptions:
    """The options, with a saved model only from a folder that may be opened."""
    if not options.train.saved_model:
        return options
    model = server_model(options.train.saved_model, workspace)
    return replace(options, train=replace(options.train, saved_model=str(model)))


def _summary_of(workspace: Workspace, spec: RunSpec) -> DatasetSummary | None:
    """What the file of a run holds; None when it is none of the workspace's."""
    try:
        return workspace.dataset(spec.dataset_id).summary()
    except StoreError:
        return None


def _pick(datasets: list[Dataset]) -> Dataset:
    by_id = {dataset.dataset_id: dataset for dataset in datasets}
    named = st.query_params.get("dataset")
    if named in by_id:
        st.session_state["train_dataset"] = named
    elif st.session_state.get("train_dataset") not in by_id:
        st.session_state["train_dataset"] = datasets[0].dataset_id

    def chosen() -> None:
        # only ids go into the address, whatever a browser sends
        if "dataset" in st.query_params and st.session_state["train_dataset"] in by_id:
            st.query_params["dataset"] = st.session_state["train_dataset"]

    picked = st.selectbox(
        "File",
        list(by_id),
        key="train_dataset",
        on_change=chosen,
        persist_state="session",
        format_func=file_label(datasets),
        help="A file from the Data page.",
    )
    return by_id.get(picked, datasets[0])


def _hardware() -> str:
    try:
        return f"Trains on {get_hardware().summary}."
    except (ImportError, OSError):
        return ""
