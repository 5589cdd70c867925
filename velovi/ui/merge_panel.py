"""Putting files together: samples below each other, or their counts into annotated cells."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from velovi.data.check import answer_of
from velovi.data.merge import LEAST_MATCHED, merge_seconds
from velovi.runs.workspace import Dataset, Workspace
from velovi.ui.data_panel import choose_dataset, file_label
from velovi.ui.errors import show_errors

_MATCH = "merge_match"


def merge_panel(workspace: Workspace, datasets: Sequence[Dataset]) -> None:
    """Choose files, see how their cells match, and put them together as a new file."""
    if len(datasets) < 2:
        return
    with (
        st.expander("Put files together", icon=":material/merge:", key="merge"),
        show_errors(),
    ):
        st.caption(
            "Several samples become one file with a column *sample*. With annotated cells "
            "(clusters, UMAP), counts are brought to them: cells are found by their barcodes, "
            "whatever stands around these."
        )
        by_id = {dataset.dataset_id: dataset for dataset in datasets}
        label = file_label(list(datasets))
        left, right = st.columns(2)
        counts = left.multiselect(
            "Counts, a file for each sample",
            list(by_id),
            format_func=label,
            key="merge_counts",
            placeholder="Choose files",
        )
        into = right.selectbox(
            "Annotated cells",
            [name for name in by_id if name not in counts],
            index=None,
            format_func=label,
            key="merge_into",
            placeholder="None: put the samples together",
        )
        chosen = [by_id[name] for name in counts]
        if into is None:
            _combine(workspace, chosen)
        else:
            _bring(workspace, chosen, by_id[into])


def _combine(workspace: Workspace, chosen: list[Dataset]) -> None:
    every = st.toggle(
        "Genes of any sample",
        key="merge_all_genes",
        help="On: 0 where a sample has not counted a gene. Off: only genes that all samples hold.",
    )
    if st.button("Put together", key="merge_go", disabled=len(chosen) < 2, type="primary"):
        _write(workspace, chosen, genes="all" if every else "shared")


def _bring(workspace: Workspace, chosen: list[Dataset], into: Dataset) -> None:
    key = [into.dataset_id, *(item.dataset_id for item in chosen)]
    if st.button("See how cells match", key="merge_look", disabled=not chosen):
        with st.spinner("Comparing barcodes …"):
            st.session_state[_MATCH] = key, _merged(chosen, into=into)
    known, told = st.session_state.get(_MATCH, (None, {}))
    if known != key:
        return
    if len(chosen) > 1:
        st.caption(f"Samples of the annotated cells are told apart by {told['told_apart_by']}.")
    rows = pd.DataFrame(told["samples"])
    table = pd.DataFrame(
        {
            "Counts": rows["sample"],
            "Annotated cells": rows["group"],
            "Cells": rows["n_cells"],
            "Found": rows["found"],
            "Share": [f"{100 * share:.0f} %" for share in rows["share"]],
        }
    )
    st.dataframe(table, hide_index=True, height="content", key="merge_table")
    poor = bool((rows["share"] < LEAST_MATCHED).any())
    allowed = not poor or st.checkbox(
        "Fewer than half of the cells of a sample are found: put together all the same",
        key="merge_allow",
    )
    if st.button("Put together", key="merge_go", disabled=not allowed, type="primary"):
        _write(workspace, chosen, into=into, least=0.0 if poor else LEAST_MATCHED)


def _write(workspace: Workspace, chosen: list[Dataset], **how: Any) -> None:
    into = how.get("into")
    name = f"{into.name} with counts" if into else " + ".join(item.name for item in chosen)
    with (
        tempfile.TemporaryDirectory(dir=workspace.root, prefix=".merge-") as folder,
        st.spinner("Putting files together …"),
    ):
        out = Path(folder) / "merged.h5ad"
        _merged(chosen, out=str(out), **how)
        dataset = workspace.add_dataset(out, name[:120], move=True)
    st.session_state.pop(_MATCH, None)
    choose_dataset(dataset)


def _merged(chosen: list[Dataset], *, into: Dataset | None = None, **how: Any) -> dict[str, Any]:
    """What the merge says, from a process of its own, which gives its memory back.

    Raises
    ------
    DataError
        It cannot be done.
    """
    names = pd.Index([item.name for item in chosen])
    if not names.is_unique:
        names = pd.Index([f"{name} {number}" for number, name in enumerate(names, start=1)])
    sources = [str(item.source) for item in chosen]
    job = {"counts": dict(zip(names, sources, strict=True)), **how}
    if into is not None:
        job["into"] = str(into.source)
        sources.append(str(into.source))
    size = sum(Path(path).stat().st_size for path in sources)
    return answer_of(
        ["velovi.data.merge", json.dumps(job)],
        seconds=merge_seconds(size),
        where=" + ".join(names),
    )
