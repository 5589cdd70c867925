"""Data: bring a file and see whether it is ready."""

import streamlit as st

from velovi.runs.velocity_signal import signal_state
from velovi.ui.data_panel import (
    NEEDS,
    REFUSED,
    bring_file,
    delete_file,
    pick_dataset,
    show_check,
    show_ready,
    show_signal,
    trainable,
    unreadable_files,
)
from velovi.ui.errors import show_errors
from velovi.ui.merge_panel import merge_panel
from velovi.ui.router import page
from velovi.ui.services import get_workspace


def body() -> None:
    st.title("Bring your cells")
    workspace = get_workspace()
    bring_file(workspace)
    unreadable_files(workspace)
    datasets = workspace.datasets()
    if not datasets:
        with st.container(border=True, key="needs"):
            st.markdown("**What a velocity file needs**")
            st.markdown(NEEDS)
        return
    merge_panel(workspace, datasets)
    st.divider()
    dataset = pick_dataset(datasets)
    if st.session_state.get(REFUSED):
        st.caption(
            "The file above was not taken. Choose one of your files to see its check, or bring "
            "another."
        )
        return
    # the buttons come first: a file whose check takes long can be removed meanwhile
    with st.container(horizontal=True):
        train_here = st.empty()
        delete_file(workspace, dataset)
    ready = False
    with show_errors():
        with st.spinner("Looking into the file …"):
            summary = dataset.summary()
        ready = trainable(summary)
        signal = signal_state(dataset.path)
        show_ready(summary, signal[1])
        show_check(summary)
        show_signal(dataset, summary, signal)
    train = train_here.button(
        "Train on this file",
        type="primary",
        icon=":material/play_arrow:",
        key="train_on",
        disabled=not ready,
    )
    if train:
        st.switch_page("pages/train.py", query_params={"dataset": dataset.dataset_id})


page(body)
