"""What stands around every page: its title, the sidebar, the address and the errors."""

from __future__ import annotations

import gc
from collections.abc import Callable

import streamlit as st

from velovi.ui.download_figure import set_figure_note
from velovi.ui.errors import show_errors
from velovi.ui.navigation import navigate
from velovi.ui.preload_plotly import preload_plotly
from velovi.ui.sidebar import run_picker, show_logo
from velovi.ui.theme import page_style
from velovi.ui.url_state import keep_address

ROUTED = "choice"
_WITH_FIGURES = ("Time", "States and rates", "Evidence")  # by Plotly, as soon as they open
_EXPLORE = ("Map", "Genes", *_WITH_FIGURES)  # whose address says what they show


def show_site(current: st.Page) -> None:
    """Sidebar, then the page that is asked for."""
    with show_errors():
        page_style()
        show_logo()
        st.session_state[ROUTED] = None
        with st.sidebar:
            preload_plotly(now=current.title in _WITH_FIGURES)
        st.session_state[ROUTED] = run_picker(prefer_active=current.title == "Train")
    current.run()
    with st.sidebar:
        keep_address(current.url_path, whole=current.title in _EXPLORE)
    _set_modules_aside(current.title)


@st.cache_resource(show_spinner=False)
def _set_modules_aside(page: str) -> None:
    """Keep what the libraries of a page hold out of the garbage collection after every rerun.

    Streamlit collects whenever a script has run. Looking through all that pandas, Plotly and the
    others keep for good took longer than most reruns; what comes later is looked through as ever.
    """
    gc.collect()
    gc.freeze()


def page(body: Callable[[], None]) -> None:
    """Run a page's body with its errors as sentences.

    Until the navigation has been declared once, a fresh server that is opened by a link to a page
    runs that page's file by itself, without ``app.py``: declare it and begin again.
    """
    if ROUTED not in st.session_state:
        navigate()
        st.rerun()
    set_figure_note("")  # of the page before; a page with a result says its own
    with show_errors():
        body()
