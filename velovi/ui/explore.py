"""What the exploring pages begin with: an open result, or a word on what to do instead."""

from __future__ import annotations

import streamlit as st

from velovi.runs.folder import RunState
from velovi.runs.known_directions import KnownDirections
from velovi.ui.cached_result import ResultView, open_result
from velovi.ui.convergence import training_convergence
from velovi.ui.download_figure import set_figure_note
from velovi.ui.errors import escape_markdown
from velovi.ui.run_state import RunEntry
from velovi.ui.services import get_workspace


def current_choice() -> RunEntry | None:
    """The run picked in the sidebar."""
    return st.session_state.get("choice")


def need_result() -> ResultView | None:
    """Open the chosen run and say what stands against it, or what to do when there is none."""
    choice = current_choice()
    if choice is None:
        _empty(
            "Nothing to explore yet",
            "Bring a file with spliced and unspliced counts, train a model on it, and come back "
            "here to see where the cells go.",
            "pages/data.py",
            "Bring a file",
        )
        return None
    if choice.state != RunState.DONE:
        _not_ready(choice)
        return None
    view = open_result(choice.run, choice.run_id)
    _warnings(choice, view)
    _tell_figures(view)
    return view


def _tell_figures(view: ResultView) -> None:
    """Have the verdict at hand for figures that are saved."""
    evidence = view.evidence
    if evidence is None:
        set_figure_note("")
        return
    known = KnownDirections(get_workspace(), view.run_id).load()
    support = evidence.verdict(known).support
    set_figure_note(f"RNA velocities of this run: {support} (verdict of veloVI Explorer).")


def _warnings(choice: RunEntry, view: ResultView) -> None:
    """Say what stands against a result.

    Warnings about its file, training that broke off, and what contradicts itself.
    """
    verdict = training_convergence(choice.run)
    evidence = view.evidence
    # what the counts say is the first reason of the verdict, which stands beside the title
    judged = "" if evidence is None or not evidence.signal else evidence.signal.get("sentence")
    told = [escape_markdown(item) for item in view.store.warnings if item != judged]
    if verdict is not None and not verdict.settled:
        told.append(verdict.sentence)
    if told:
        text = told[0] if len(told) == 1 else "\n".join(f"- {item}" for item in told)
        st.warning(text, icon=":material/flag:")
    for item in evidence.contradictions if evidence else ():
        st.error(escape_markdown(item), icon=":material/error:")


def demo_banner() -> None:
    """One friendly line that says that the data are simulated."""
    choice = current_choice()
    if choice is None or not choice.is_demo:
        return
    with st.container(horizontal=True, vertical_alignment="center", border=True, key="demo_banner"):
        st.markdown(
            ":material/science: **This is simulated demo data:** cells of a made-up tissue, so "
            "that you can look around."
        )
        st.page_link("pages/data.py", label="Load your own file", icon=":material/upload_file:")


def _not_ready(choice: RunEntry) -> None:
    if choice.state.active:
        title, text = "This run is still at work", "Its map appears here when it is done."
    else:
        title = "This run has no result"
        how = {RunState.FAILED: "It failed", RunState.CANCELLED: "It was cancelled"}
        said = how.get(choice.state, "Its worker ended without a word")
        text = f"{said}. The Train page says more and can start it again."
    _empty(title, text, "pages/train.py", "Go to the run", {"run": choice.run_id})


def _empty(
    title: str, text: str, target: str, label: str, query: dict[str, str] | None = None
) -> None:
    with st.container(border=True, key="empty_state"):
        st.subheader(title)
        st.write(text)
        st.page_link(target, label=label, icon=":material/arrow_forward:", query_params=query)
