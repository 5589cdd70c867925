"""A list of genes of one's own: paste, upload, keep with the workspace, download."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from velovi.errors import DataError, VeloviError
from velovi.runs.gene_sets import (
    GeneMatch,
    GeneSets,
    names_table,
    split_names,
    table_names,
)
from velovi.ui.errors import escape_markdown, show_errors
from velovi.ui.panels import PERSIST
from velovi.ui.services import get_workspace

_TEXT, _OPEN, _NAME, _FILE = ("genes_list_text", "genes_set", "genes_set_name", "genes_list_file")
_SAID = "genes_said"
_MOST_SAID = 6  # names of each kind in a sentence


def wanted_names() -> list[str]:
    """Names in the reader's list, as written."""
    return split_names(str(st.session_state.get(_TEXT) or ""))


def list_popover(listed: Sequence[str], changed: Callable[[], None]) -> None:
    """Where a list is pasted, opened, kept and downloaded.

    Parameters
    ----------
    listed
        Genes that the table lists now: what is kept when there is no list.
    changed
        Called when the list is another one.
    """
    names = wanted_names()
    with st.popover("My genes", key="genes_list", width="stretch"):
        st.text_area(
            "Your genes",
            key=_TEXT,
            height=130,
            on_change=changed,
            placeholder="Paste names, separated by commas, blanks or new lines",
            help="The table and the phase portraits side by side then show these genes only.",
            **PERSIST,
        )
        st.button("Use this list", key="genes_use_list", on_click=changed)
        with show_errors():
            _saved_sets(changed)
            _keep_set(names or listed, bool(names))
            _files(names or listed, changed)


def list_report(match: GeneMatch, changed: Callable[[], None]) -> None:
    """What became of the names of a list."""
    total = len(match.found) + len(match.left_out) + len(match.missing)
    with st.container(border=True, key="genes_list_report", gap="small"):
        st.markdown(f"**{len(match.found):,} of {total:,} names** of your list are in the model.")
        for sentence in report_sentences(match):
            st.caption(sentence)
        st.button(
            "Show all genes",
            key="genes_clear_list",
            type="tertiary",
            icon=":material/close:",
            on_click=_set_list,
            args=([], changed),
        )


def report_sentences(match: GeneMatch) -> list[str]:
    """In Markdown: which names were left out and why, which are not in the file."""
    said = []
    if match.left_out:
        parts = [
            f"**{escape_markdown(name)}**" + (f" ({escape_markdown(why)})" if why else "")
            for name, why in match.left_out.items()
        ]
        said.append("In the file, but left out: " + _some(parts) + ".")
    if match.missing:
        parts = [
            f"**{escape_markdown(name)}**"
            + (f" (near: {', '.join(map(escape_markdown, near))})" if near else "")
            for name, near in match.missing.items()
        ]
        said.append("Not in this file: " + _some(parts) + ".")
    return said


def _some(parts: Sequence[str]) -> str:
    rest = len(parts) - _MOST_SAID
    return ", ".join(parts[:_MOST_SAID]) + (f" and {rest:,} more" if rest > 0 else "")


def _sets() -> GeneSets:
    return GeneSets(get_workspace())


def _set_list(names: Sequence[str], changed: Callable[[], None]) -> None:
    st.session_state[_TEXT] = "\n".join(names)
    changed()


def _saved_sets(changed: Callable[[], None]) -> None:
    def opened() -> None:
        name = st.session_state[_OPEN]
        if name:
            _with_word(lambda: _set_list(_sets().load(name), changed))

    def deleted() -> None:
        name = st.session_state[_OPEN]
        if name:
            _with_word(lambda: _sets().delete(name))
            st.session_state[_OPEN] = None

    saved = _sets().names()
    if st.session_state.get(_OPEN) not in saved:
        st.session_state[_OPEN] = None
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    left.selectbox(
        "Gene sets",
        saved,
        index=None,
        key=_OPEN,
        on_change=opened,
        disabled=not saved,
        placeholder="Open a set" if saved else "None kept yet",
        help="Sets that were kept in this workspace; they serve every run.",
    )
    right.button(
        "Delete",
        key="genes_delete_set",
        on_click=deleted,
        disabled=not st.session_state.get(_OPEN),
        width="stretch",
        help="Remove the set that is open. The list above stays.",
    )


def _keep_set(genes: Sequence[str], is_list: bool) -> None:
    def kept() -> None:
        name = str(st.session_state[_NAME] or "").strip()

        def save() -> None:
            _sets().save(name, genes)
            st.session_state[_OPEN] = name
            st.session_state[_SAID] = f"Kept {len(genes):,} genes as {name}.", ":material/check:"

        _with_word(save)

    left, right = st.columns([2, 1], vertical_alignment="bottom")
    what = "your list" if is_list else "the genes that the table lists now"
    left.text_input(
        "Keep as a set",
        key=_NAME,
        max_chars=60,
        placeholder="Name, for example: beta cells",
        help=f"Keeps {what} ({len(genes):,}) with the workspace. A set of the same name is "
        "replaced.",
    )
    right.button(
        "Keep",
        key="genes_keep_set",
        on_click=kept,
        disabled=not genes,
        width="stretch",
    )


def _files(genes: Sequence[str], changed: Callable[[], None]) -> None:
    def uploaded() -> None:
        file = st.session_state[_FILE]
        if file is not None:
            _with_word(lambda: _set_list(_file_names(file.getvalue()), changed))

    st.file_uploader(
        "From a file",
        type=["csv", "tsv", "txt"],
        key=_FILE,
        on_change=uploaded,
        max_upload_size=1,
        help="A table with one gene a row, in its first column.",
    )
    st.download_button(
        f"Download {len(genes):,} genes (CSV)",
        lambda: names_table(genes).encode(),
        "genes.csv",
        "text/csv",
        key="genes_download_list",
        on_click="ignore",
        icon=":material/download:",
        disabled=not genes,
    )


def _file_names(content: bytes) -> list[str]:
    try:
        return table_names(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(
            "this file is not text",
            expected="a CSV file with one gene a row, in UTF-8",
            remedy="Save it as CSV and try again",
        ) from error


def _with_word(act: Callable[[], None]) -> None:
    try:
        act()
    except VeloviError as error:
        st.session_state[_SAID] = str(error), ":material/error:"


def say_pending() -> None:
    """Say what came of the reader's last press: a callback has no place on the page to do so."""
    said = st.session_state.pop(_SAID, None)
    if said is not None:
        st.toast(escape_markdown(said[0]), icon=said[1])
