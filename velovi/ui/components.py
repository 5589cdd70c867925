"""What runs in the browser: plain JavaScript without a build step, one file for each drawing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

_CODE = Path(__file__).parent / "web"


def visible_component(name: str, html: str) -> Any:
    """A component whose code is that of ``common``, then that of ``name``, ``.css`` and ``.js``."""
    css, js = (
        "\n".join((_CODE / f"{part}.{kind}").read_text() for part in ("common", name))
        for kind in ("css", "js")
    )
    inner = f'<div class="velovi velovi-{name}">{html}</div>'
    return st.components.v2.component(f"velovi.{name}", html=inner, css=css, js=js)


def headless_component(name: str) -> Any:
    """A component that only runs, and draws nothing."""
    return st.components.v2.component(f"velovi.{name}", js=(_CODE / f"{name}.js").read_text())
