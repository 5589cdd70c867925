"""Which pages there are.

It loads nothing but Streamlit: until the pages are declared, a fresh server shows the names of the
files in ``pages/`` instead.
"""

from __future__ import annotations

import streamlit as st

SVG = '<svg xmlns="http://www.w3.org/2000/svg"'
MARK = (
    '<path d="M6 27 C14 27 14 9 24 9" fill="none" stroke="#0f9b94" stroke-width="3.4" '
    'stroke-linecap="round"/><path d="M6 33 C19 33 19 20 31 18" fill="none" stroke="#5666d6" '
    'stroke-width="3.4" stroke-linecap="round"/><path d="M21.5 3.5 L30 8.5 L21.5 14 Z" '
    'fill="#0f9b94"/><circle cx="6" cy="27" r="2.6" fill="#0f9b94"/>'
    '<circle cx="6" cy="33" r="2.6" fill="#5666d6"/><circle cx="31" cy="18" r="2.6" '
    'fill="#5666d6"/>'
)


def mark() -> str:
    """The app's sign as an SVG picture; nothing has to be fetched for it."""
    return f'{SVG} viewBox="0 0 38 40" width="38" height="40">{MARK}</svg>'


def navigate() -> st.Page:
    """Set up the browser's tab and declare the pages; returns the one that is asked for."""
    # without a picture of our own, the browser would fetch the page's icon from the network
    st.set_page_config(page_title="veloVI Explorer", page_icon=mark(), layout="wide")
    return st.navigation(
        {
            "Explore": [
                st.Page("pages/map.py", title="Map", icon=":material/map:", default=True),
                st.Page("pages/genes.py", title="Genes", icon=":material/genetics:"),
                st.Page(
                    "pages/latent_time.py",
                    title="Time",
                    icon=":material/timeline:",
                ),
                st.Page(
                    "pages/states.py",
                    title="States and rates",
                    icon=":material/stacked_bar_chart:",
                ),
                st.Page("pages/evidence.py", title="Evidence", icon=":material/balance:"),
            ],
            "Prepare": [
                st.Page("pages/data.py", title="Data", icon=":material/upload_file:"),
                st.Page("pages/train.py", title="Train", icon=":material/model_training:"),
                st.Page("pages/runs.py", title="Runs", icon=":material/history:"),
            ],
        }
    )
