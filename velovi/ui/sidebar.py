"""The sidebar: name of the app and the run that all pages show."""

from __future__ import annotations

import streamlit as st

from velovi.plotting.theme import FONT
from velovi.runs.folder import RunState
from velovi.ui.errors import escape_markdown
from velovi.ui.formatting import distinct_labels, format_time
from velovi.ui.labels import RUN_STATES
from velovi.ui.navigation import MARK, SVG, mark
from velovi.ui.run_state import RunEntry, all_runs, choose_run, chosen_run
from velovi.ui.services import get_workspace
from velovi.ui.theme import current_theme


def show_logo() -> None:
    """The wordmark, drawn in the colour of the page's text."""
    ink = current_theme().ink
    text = (
        f'<text x="44" y="28" font-family="{FONT.replace(chr(39), "")}" font-size="20" '
        f'fill="{ink}" font-weight="650">veloVI <tspan font-weight="350">Explorer</tspan></text>'
    )
    wide = f'{SVG} viewBox="0 0 250 40" width="250" height="40">{MARK}{text}</svg>'
    st.logo(wide, size="large", icon_image=mark())


def run_label(choice: RunEntry) -> str:
    """A run's name, and its state unless it is simply there to be looked at."""
    if choice.is_demo:
        return "Demo (simulated data)"
    if choice.state is RunState.DONE:
        return choice.name
    return f"{choice.name} · {RUN_STATES[choice.state][0]}"


def run_picker(*, prefer_active: bool = False) -> RunEntry | None:
    """Let the reader choose the run that all pages show."""
    runs = all_runs(get_workspace())
    choice = chosen_run(runs, prefer_active=prefer_active)
    if st.session_state.pop("missing_run", None):
        st.warning(
            "The run of this address is not here any more, perhaps deleted"
            + (f"; this is **{escape_markdown(choice.name)}**." if choice else "."),
            icon=":material/link_off:",
        )
    with st.sidebar:
        if choice is None:
            st.caption("No runs yet. Bring a file on the **Data** page to begin.")
            return None
        # a widget keeps its own value: set it, so that links and buttons move it as well
        st.session_state["run_picker"] = choice.run_id
        st.selectbox(
            "Run",
            [run.run_id for run in runs],
            key="run_picker",
            format_func=distinct_labels(
                {run.run_id: run_label(run) for run in runs},
                {run.run_id: format_time(run.created) for run in runs},
            ),
            help="All pages show this run. The newest is first; the demo is last.",
            on_change=lambda: choose_run(st.session_state["run_picker"]),
        )
        text, color, icon = RUN_STATES[choice.state]
        if not choice.is_demo:
            st.badge(text, icon=icon, color=color)  # type: ignore[arg-type]
    return choice
