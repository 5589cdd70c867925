"""The Data page's parts: bringing a file, the list of files, and the check of one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from velovi.data.formats import title_of
from velovi.errors import DataError
from velovi.plotting.dataset import unspliced_data, unspliced_figure
from velovi.runs.velocity_signal import (
    MOST_CELLS_UNASKED,
    SignalState,
    SignalSummary,
    forget_signal,
    request_signal,
    signal_state,
    stop_signal,
)
from velovi.runs.workspace import DEMO_FOLDER, Dataset, Workspace
from velovi.ui.errors import escape_markdown, show_error, show_errors
from velovi.ui.formatting import distinct_labels, format_time
from velovi.ui.labels import embedding_name
from velovi.ui.panels import figure_panel
from velovi.ui.services import server_file, server_files, server_folders
from velovi.ui.signal_panel import signal_panel

if TYPE_CHECKING:
    from velovi.data import DatasetSummary

NEEDS = """
A file of velocity holds two counts of the same cells and genes:

- **spliced**: mature RNA, without introns
- **unspliced**: nascent RNA, with introns

An ordinary count matrix (Cell Ranger, Seurat) has only the first. Both come from the raw reads:

| from | bring |
|---|---|
| **velocyto** | its `.loom` |
| **STARsolo** (`--soloFeatures Gene Velocyto`) | `Solo.out/Velocyto`, as a zip |
| **alevin-fry** (USA mode) | its output folder, as a zip |
| **kb-python** (`--workflow nac` or `lamanno`) | its `counts_unfiltered`, as a zip |
| **nf-core/scrnaseq**, scanpy, scVelo | `.h5ad`, zarr (as a zip) or `.h5mu` |

What a file holds counts, not its name; `.gz`, `.zip` and `.tar.gz` may be around it. Clusters in
`obs` and a UMAP in `obsm` are used when they are there.
"""
REFUSED = "refused_upload"
"""In the session while the uploader holds a file that was not taken."""
LEVELS = {
    "error": (st.error, ":material/error:"),
    "warning": (st.warning, ":material/warning:"),
    "note": (st.info, ":material/info:"),
}


def bring_file(workspace: Workspace) -> None:
    """Upload, or open a file that is already on the server."""
    upload, rest = st.columns([1.6, 1], gap="large")
    with upload:
        _upload(workspace)
    with rest:
        if server_folders():
            _from_server(workspace)
        else:
            st.caption("No file at hand? Look around in a finished run on simulated cells.")
        if not (DEMO_FOLDER / "spec.json").exists():
            return
        st.page_link(
            "pages/map.py",
            label="Open the demo",
            icon=":material/science:",
            query_params={"run": "demo"},
        )


def _upload(workspace: Workspace) -> None:
    turn = st.session_state.setdefault("upload_turn", 0)
    given = st.file_uploader(
        "Upload files of counts",
        accept_multiple_files=True,
        key=f"upload_{turn}",
        help="h5ad, loom, h5mu, or a zip of a folder; see below. Files go into the workspace "
        "at once, so that a refresh loses nothing.",
    )
    taken = st.session_state.setdefault("taken", set())
    new = [uploaded for uploaded in given if uploaded.file_id not in taken]
    if not given:
        st.session_state.pop(REFUSED, None)
    if not new:
        return
    st.session_state[REFUSED] = True  # until a file has been taken
    dataset, refused = None, False
    for uploaded in new:
        taken.add(uploaded.file_id)
        before = refused
        refused = True
        with show_errors(), st.spinner(f"Taking {escape_markdown(uploaded.name)} in …"):
            arrived = take_upload(workspace, uploaded, uploaded.name)
            refuse_unreadable(workspace, arrived)
            dataset, refused = arrived, before
    if dataset is None:
        return
    st.session_state.pop(REFUSED, None)
    if refused:  # its sentence stays on the page beside the file that was taken
        st.query_params["dataset"] = dataset.dataset_id
        return
    # a fresh uploader lets go of the copies that it holds in memory
    st.session_state["upload_turn"] = turn + 1
    choose_dataset(dataset)


def take_upload(workspace: Workspace, stream: Any, name: str) -> Dataset:
    """Copy an open upload into the workspace in pieces."""
    with tempfile.TemporaryDirectory(dir=workspace.root, prefix=".upload-") as folder:
        path = Path(folder) / (Path(name).name[-120:] or "upload")
        with path.open("wb") as target:
            shutil.copyfileobj(stream, target, 1 << 22)
        return workspace.add_dataset(path, title_of(path)[:120], move=True)


def refuse_unreadable(workspace: Workspace, dataset: Dataset) -> None:
    """Look into a new file, and let go of it at once when it is none that can be read.

    Raises
    ------
    DataError
        It was refused.
    """
    summary = dataset.summary()
    if not nothing_read(summary) or summary.given_up:
        return
    name, problem = dataset.name, summary.errors[0]
    workspace.delete_dataset(dataset.dataset_id)
    raise DataError(problem.what.rstrip("."), where=name, remedy=problem.remedy)


def _from_server(workspace: Workspace) -> None:
    chosen = st.selectbox(
        "Or a file on this server",
        server_files(),
        index=None,
        accept_new_options=True,
        placeholder="Choose, or type a path",
        key="server_file",
        help="Files in the folders that this server was told to offer (VELOVI_DATA).",
    )
    if st.button("Take this file", disabled=not chosen, icon=":material/folder_open:"):
        with show_errors(), st.spinner("Copying …"):
            path = server_file(str(chosen))
            dataset = workspace.add_dataset(path, title_of(path))
            refuse_unreadable(workspace, dataset)
            choose_dataset(dataset)


def choose_dataset(dataset: Dataset) -> None:
    """Show a file from now on."""
    st.query_params["dataset"] = dataset.dataset_id
    st.rerun()


def file_label(datasets: list[Dataset]) -> Callable[[str], str]:
    """What each file is called in a list, by its id; the same at any time of the day."""
    return distinct_labels(
        {
            dataset.dataset_id: f"{dataset.name} · {format_time(dataset.created)}"
            for dataset in datasets
        }
    )


def is_unreadable(dataset: Dataset) -> bool:
    """Whether a file is known to be none that can be read, so that nothing can be done with it."""
    kept = dataset.kept_summary()
    return kept is not None and nothing_read(kept)


def nothing_read(summary: DatasetSummary) -> bool:
    """Whether the check could not even see cells."""
    return bool(summary.errors) and summary.n_cells == 0


def pick_dataset(datasets: list[Dataset]) -> Dataset:
    """The list of files; the one in the URL is open."""
    by_id = {dataset.dataset_id: dataset for dataset in datasets}
    named = st.query_params.get("dataset")
    st.session_state["dataset_picker"] = named if named in by_id else datasets[0].dataset_id

    def chosen() -> None:
        # only ids go into the address, whatever a browser sends
        if st.session_state["dataset_picker"] in by_id:
            st.query_params["dataset"] = st.session_state["dataset_picker"]
            st.session_state.pop(REFUSED, None)

    picked = st.selectbox(
        "Your files",
        list(by_id),
        key="dataset_picker",
        on_change=chosen,
        format_func=file_label(datasets),
        help="Files that you have brought into this workspace.",
    )
    return by_id.get(picked, datasets[0])


def trainable(summary: DatasetSummary) -> bool:
    """Whether a run can start, if need be once the reader has said which layer is which."""
    unnamed = summary.spliced_layer is None or summary.unspliced_layer is None
    only_names = unnamed and len(summary.errors) == 1 and len(summary.layers) >= 2
    return summary.ready or only_names


def show_check(summary: DatasetSummary) -> None:
    """What is in the file, in plain words, and what is wrong with it."""
    known = not nothing_read(summary)
    if known:
        _numbers(summary)
    for problem in summary.problems:
        show, icon = LEVELS[problem.level]
        show(
            f"**{escape_markdown(problem.what)}** {escape_markdown(problem.remedy)}".strip(),
            icon=icon,
        )
    if known:
        _contents(summary)
    if not summary.ready:
        with st.expander("What a velocity file needs", expanded=True):
            st.markdown(NEEDS)


def show_ready(summary: DatasetSummary, signal: SignalSummary | None = None) -> None:
    """Whether a run can start, without a green tick when something should be read first."""
    if not summary.ready:
        return
    if signal is not None and signal.strength in ("none", "cannot tell"):
        st.warning(
            "A run can start on this file, but its counts do not show velocity: read what is said "
            "below of it first.",
            icon=":material/flag:",
        )
    elif any(problem.level == "warning" for problem in summary.problems):
        st.warning(
            "This file is ready to train on, but read the warnings below first: they stay with "
            "every result.",
            icon=":material/flag:",
        )
    else:
        st.success("This file is ready to train on.", icon=":material/check_circle:")


def _contents(summary: DatasetSummary) -> None:
    facts, bars = st.columns([1, 1.25], gap="large")
    with facts:
        _roles(summary)
    with bars:
        if summary.unspliced_fraction_by_label:
            data = unspliced_data(
                summary.label_column or "group", summary.unspliced_fraction_by_label
            )
            figure_panel(
                f"Unspliced RNA by {escape_markdown(str(summary.label_column))}",
                "Most droplet experiments lie between 10 and 25 %. A group far outside is worth a "
                "second look: its counting, or its biology, is unusual.",
                lambda theme: unspliced_figure(data, theme),
                data,
                key="unspliced",
            )


def _numbers(summary: DatasetSummary) -> None:
    cells, genes, share = st.columns(3)
    cells.metric("Cells", f"{summary.n_cells:,}", help="Cells in the file.")
    genes.metric("Genes", f"{summary.n_genes:,}", help="Genes in the file, before any selection.")
    fraction = summary.unspliced_fraction
    share.metric(
        "Unspliced",
        "–" if fraction is None else f"{100 * fraction:.0f} %",
        help="Share of unspliced counts in all counts; 10 to 25 % is usual.",
    )


def _roles(summary: DatasetSummary) -> None:
    lines = []
    for what, name in (
        ("Spliced counts", summary.spliced_layer),
        ("Unspliced counts", summary.unspliced_layer),
        ("Groups of cells", summary.label_column),
    ):
        lines.append(f"| {what} | {escape_markdown(name) if name else 'not found'} |")
    maps = ", ".join(
        escape_markdown(embedding_name(embedding.name)) for embedding in summary.embeddings
    )
    lines.append(f"| Embeddings | {maps or 'none; a UMAP will be computed'} |")
    used = {summary.spliced_layer, summary.unspliced_layer}
    others = ", ".join(
        escape_markdown(layer.name) for layer in summary.layers if layer.name not in used
    )
    lines.append(f"| Other layers | {others or 'none'} |")
    st.markdown("\n".join(["| In the file | |", "|---|---|", *lines]))


def show_signal(dataset: Dataset, summary: DatasetSummary, signal: SignalState) -> None:
    """Whether the counts hold velocity at all, beside the same cells without any.

    ``signal`` is what :func:`velovi.runs.velocity_signal.signal_state` says of the file.
    """
    if summary.spliced_layer is None or summary.unspliced_layer is None or not summary.ready:
        return
    st.markdown("**Is there velocity in these counts?**")
    with show_errors():
        state, found, error = signal
        if state == "none" and summary.n_cells > MOST_CELLS_UNASKED:
            st.caption("Looking reads the whole file, which takes a while with so many cells.")
            if not st.button("Look for velocity", icon=":material/search:", key="look_signal"):
                return
        if state == "none":
            layers = (summary.spliced_layer, summary.unspliced_layer)
            request_signal(dataset.path, layers, summary.label_column)
            state = "working"
        if state == "working":
            _signal_is_coming(dataset)
        elif found is not None:
            signal_panel(found)
        elif error is not None:
            show_error(error)
            if st.button("Try again", icon=":material/refresh:", key="signal_again"):
                forget_signal(dataset.path)
                st.rerun()


@st.fragment(run_every=1)
def _signal_is_coming(dataset: Dataset) -> None:
    if signal_state(dataset.path)[0] != "working":
        st.rerun(scope="app")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            ":material/progress_activity: Comparing unspliced counts between cells, without a "
            "model; about ten seconds …"
        )
        if st.button("Cancel", key="cancel_signal"):
            stop_signal(dataset.path)
            st.rerun(scope="app")


def delete_file(workspace: Workspace, dataset: Dataset) -> None:
    """A button that asks before it removes a file."""
    with st.popover("Delete", icon=":material/delete:"):
        st.write(
            f"Remove **{escape_markdown(dataset.name)}** from the workspace? Runs made from it "
            "stay."
        )
        if st.button("Delete this file", type="primary", key="delete_dataset"):
            with show_errors():
                workspace.delete_dataset(dataset.dataset_id)
                st.query_params.pop("dataset", None)
                st.rerun()


def unreadable_files(workspace: Workspace) -> None:
    """Files whose description is damaged, each with a button that removes it."""
    for dataset in workspace.unreadable_datasets():
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**{escape_markdown(dataset.dataset_id)} is unreadable**: what the workspace "
                "knows of this "
                "file is damaged.",
                width="stretch",
            )
            if st.button("Delete", key=f"delete_{dataset.dataset_id}", icon=":material/delete:"):
                with show_errors():
                    workspace.delete_dataset(dataset.dataset_id)
                    st.rerun()
