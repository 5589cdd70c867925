"""Runs: what has been run here?"""

import streamlit as st

from velovi.ui.choice import all_runs
from velovi.ui.router import page
from velovi.ui.services import get_workspace


def body() -> None:
    st.title("What has been run")
    for choice in all_runs(get_workspace()):
        st.markdown(f"**{choice.name}**: {choice.state.value}")


page(body)
