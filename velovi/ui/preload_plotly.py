"""Have the browser load the drawing library before the first figure asks for it.

Streamlit's page fetches Plotly (4.7 MB, more than all the rest) when the first figure arrives,
and only then begins to read it. Reading it while the server works, or while the reader looks at a
map, which needs no Plotly, takes that wait away. A version of Streamlit that keeps it elsewhere
loads it later, as before.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import streamlit as st

from velovi.ui.components import headless_component

_WAIT = 2_500  # milliseconds that a reader is left alone with a map
_component = headless_component("preload_plotly")


@cache
def library() -> str | None:
    """Where Streamlit's page keeps Plotly, below the page's address; None when unknown."""
    static = Path(st.__file__).parent / "static"
    found = sorted(static.glob("static/js/PlotlyChart.*.js"))
    return found[0].relative_to(static).as_posix() if found else None


def preload_plotly(*, now: bool) -> None:
    """Load the drawing library.

    Parameters
    ----------
    now
        At once, because figures are on their way; else when the browser has nothing to do.
    """
    path = library()
    if path is not None:
        _component(key="preload_plotly", data={"path": path, "now": now, "wait": _WAIT}, height=1)
