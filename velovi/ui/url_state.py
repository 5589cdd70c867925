"""What the address says: a link shows the same picture in another browser.

A choice that belongs to the picture lives in the session under its own name and, once the reader
has made it, in the address too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from urllib.parse import urlencode, urlsplit, urlunsplit

import streamlit as st

from velovi.ui.components import headless_component
from velovi.ui.errors import escape_markdown

_url_sync = headless_component("url_sync")
_READ, _WRITTEN = "addresses_read", "addresses_written"
_DELAY = 3.0  # seconds after which the browser's address is the new one


def url_param(
    name: str,
    options: Collection[str] | Callable[[str], bool],
    default: str,
    *,
    what: str | None = "choice",
) -> str:
    """The value of a choice: what the address names when a page is opened, else the last one.

    Parameters
    ----------
    name
        Of the choice, in the address and in the session.
    options
        What may be chosen, or a test of it.
    default
        When nothing was chosen, or nothing that is there.
    what
        How the reader calls it, for the note that a link names something that is not there; None
        when the page says so in its own way.
    """
    may_be = options if callable(options) else options.__contains__
    named = st.query_params.get(name)
    read: dict[str, str] = st.session_state.setdefault(_READ, {})
    if named is not None and read.get(name) != named and not just_written(name):
        read[name] = named
        if may_be(named):
            st.session_state[f"url_{name}"] = named
        elif what is not None:
            st.toast(
                f"The {what} {escape_markdown(named[:60])} of this link is not here.",
                icon=":material/link_off:",
            )
    chosen = last_choice(name)
    return chosen if chosen is not None and may_be(chosen) else default


def last_choice(name: str) -> str | None:
    """What the reader chose last, whether or not it is there now."""
    chosen: str | None = st.session_state.get(f"url_{name}")
    return chosen


def just_written(name: str) -> bool:
    """Whether the browser may not have heard yet what its address is now."""
    written: dict[str, float] = st.session_state.get(_WRITTEN, {})
    return time.monotonic() - written.get(name, -_DELAY) < _DELAY


def set_url_param(name: str, value: str | None) -> None:
    """Keep a choice for all pages, and in the address."""
    st.session_state.setdefault(_WRITTEN, {})[name] = time.monotonic()
    read: dict[str, str] = st.session_state.setdefault(_READ, {})
    if value is None:
        st.session_state.pop(f"url_{name}", None)
        st.query_params.pop(name, None)
        read.pop(name, None)
        return
    st.session_state[f"url_{name}"] = value
    st.query_params[name] = read[name] = value


def keep_address(page: str, *, whole: bool) -> None:
    """Keep in the address of a page what the reader chose, and hear when the reader goes back.

    Streamlit takes everything out of the address when the page is changed.

    Parameters
    ----------
    page
        The last part of its address.
    whole
        Keep all that belongs to a picture; else the run only.
    """

    def on_popstate() -> None:
        # what the address says now is not an echo of what it was before
        st.session_state.pop(_WRITTEN, None)

    kept = {name: item for name, item in current_picture().items() if whole or name == "run"}
    data = {"page": page, "picture": kept}
    _url_sync(key="address", data=data, on_popstate_change=on_popstate, height=1)


def address(**picture: str | None) -> str:
    """The full address of the present page with a picture's choices."""
    parts = urlsplit(str(st.context.url or "/"))
    query = urlencode({name: value for name, value in picture.items() if value})
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


def copy_link(*, key: str, **picture: str | None) -> None:
    """A small button with the address of what is on the screen.

    Parameters
    ----------
    key
        Names the button.
    picture
        What belongs to the picture beside everything that the reader chose.
    """
    with st.popover("Link", icon=":material/link:", key=f"link_{key}"):
        st.markdown(
            "Opens this page with the same run, colours and set of cells. Selected cells without a "
            "name stay here: keep them as a set first."
        )
        st.code(address(**{**current_picture(), **picture}), language=None, wrap_lines=True)


def current_picture() -> dict[str, str]:
    """Everything that the reader chose and that belongs into a link."""
    return {
        str(name).removeprefix("url_"): str(value)
        for name, value in st.session_state.items()
        if str(name).startswith("url_")
    }
