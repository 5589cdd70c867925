"""Data: bring a file and see whether it is ready."""

import streamlit as st

from velovi.ui.data_panel import NEEDS, bring_file, delete_file, pick_dataset, show_check, trainable
from velovi.ui.guard import plain_errors
from velovi.ui.router import page
from velovi.ui.services import get_workspace


def body() -> None:
    st.title("Bring your cells")
    workspace = get_workspace()
    bring_file(workspace)
    datasets = workspace.datasets()
    if not datasets:
        with st.container(border=True, key="needs"):
            st.markdown("**What a velocity file needs**")
            st.markdown(NEEDS)
        return
    st.divider()
    dataset = pick_dataset(datasets)
    ready = False
    with plain_errors():
        with st.spinner("Looking into the file …"):
            summary = dataset.summary()
        show_check(summary)
        ready = trainable(summary)
        if summary.ready:
            st.success("This file is ready to train on.", icon=":material/check_circle:")
    with st.container(horizontal=True):
        train = st.button(
            "Train on this file", type="primary", icon=":material/play_arrow:", key="train_on",
            disabled=not ready,
        )  # fmt: skip
        delete_file(workspace, dataset)
    if train:
        st.switch_page("pages/train.py", query_params={"dataset": dataset.dataset_id})


page(body)
