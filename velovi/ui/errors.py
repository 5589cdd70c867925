"""Errors as sentences: no user ever sees a traceback."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import streamlit as st

from velovi.errors import VeloviError
from velovi.runs.files import store_error

log = logging.getLogger(__name__)
_MARKDOWN = re.compile(r"[\\`*_\[\]$<>:#~|]")
_PARTS = ("expected", "found", "remedy")


def sentence(parts: Mapping[str, str | None]) -> str:
    """The parts of an error as Markdown: what is wrong in bold, then what to do."""
    what = (parts.get("what") or "Something went wrong").strip().rstrip(".")
    where = parts.get("where")
    lines = [
        f"**{escape_markdown(what[:1].upper() + what[1:])}.**"
        + (f" ({escape_markdown(where)})" if where else "")
    ]
    for name in _PARTS:
        value = (parts.get(name) or "").strip().rstrip(".")
        if value:
            prefix = {"expected": "Expected ", "found": "Found "}.get(name, "")
            lines.append(f"{prefix}{escape_markdown(value)}.")
    return " ".join(lines)


def escape_markdown(text: str) -> str:
    """Text from a user or a file, kept from acting as Markdown."""
    return _MARKDOWN.sub(r"\\\g<0>", " ".join(text.splitlines()))


def show_error(error: VeloviError | Mapping[str, str | None]) -> None:
    """A red box with the sentence."""
    parts = error.to_dict() if isinstance(error, VeloviError) else error
    st.error(sentence(parts), icon=":material/error:")


@contextmanager
def show_errors() -> Iterator[None]:
    """Turn what goes wrong inside into a sentence; the rest of the page goes on."""
    try:
        yield
    except VeloviError as error:
        show_error(error)
    except OSError as error:
        # a full or write-protected disk, met outside of the functions that write files
        log.warning("A page could not use a file: %s", error)
        show_error(store_error(error, Path(str(error.filename or "the workspace"))))
    except Exception:
        log.exception("A page failed")
        st.error(
            "**Something unexpected went wrong on this page.** Reload it; if it happens again, "
            "the server's log has the details.",
            icon=":material/error:",
        )
