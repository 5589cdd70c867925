"""What runs in the browser: plain JavaScript without a build step.

Each drawing has a file in ``web/`` that imports what it shares with others. Streamlit takes one
text for a component, so the files are joined as they are.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import streamlit as st

WEB = Path(__file__).parent / "web"
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+\.js)";\n', re.MULTILINE)


def joined_script(name: str) -> str:
    """The text of a file of ``web/`` after those that it imports, each of them once.

    Names at the top of files have to differ, because they share one scope.
    """
    texts: dict[str, str] = {}

    def add(file: str) -> None:
        if file in texts:
            return
        text = (WEB / file).read_text()
        for imported in _IMPORT.findall(text):
            add(imported)
        texts[file] = _IMPORT.sub("", text)

    add(name)
    return "\n".join(texts.values())


def visible_component(name: str, html: str) -> Any:
    """A component drawn by ``web/<name>.js`` and styled by ``web/<name>.css``."""
    css = "\n".join((WEB / f"{part}.css").read_text() for part in ("common", name))
    inner = f'<div class="velovi velovi-{name}">{html}</div>'
    return st.components.v2.component(
        f"velovi.{name}", html=inner, css=css, js=joined_script(f"{name}.js")
    )


def headless_component(name: str) -> Any:
    """A component that only runs, and draws nothing."""
    return st.components.v2.component(f"velovi.{name}", js=joined_script(f"{name}.js"))
