"""Whether counts hold velocity, beside the same cells without any; on Data and with a result."""

from __future__ import annotations

import json
import math

import pandas as pd
import streamlit as st

from velovi.plotting.null_comparison import NullComparison, null_comparison_figure
from velovi.runs.velocity_signal import SignalSummary
from velovi.ui.cached_result import ResultView
from velovi.ui.errors import escape_markdown
from velovi.ui.panels import figure_panel

_WORDS = {
    "clear": "clear",
    "some": "some",
    "none": "none beyond chance",
    "cannot tell": "too few cells to tell",
}
_SIGNAL = {
    "clear": (st.success, ":material/check_circle:"),
    "some": (st.info, ":material/info:"),
    "none": (st.warning, ":material/flag:"),
    "cannot tell": (st.warning, ":material/help:"),
}


def signal_panel(found: SignalSummary, *, judged: bool = False) -> None:
    """The sentence, two numbers beside those of the null, and all genes in a picture.

    Where a verdict has been ``judged`` beside it, which says the sentence and has a row for each
    group, both are left out.
    """
    if not judged:
        show, icon = _SIGNAL.get(found.strength, _SIGNAL["cannot tell"])
        show(escape_markdown(found.sentence), icon=icon)
    numbers, picture = st.columns([1, 2.4], gap="large")
    with numbers:
        for title, share, meaning in (
            (
                "Above chance, in groups",
                found.share_above_null,
                "Genes whose unspliced surplus repeats itself between neighbouring cells of one "
                "group more than in 95 % of the genes of the same cells without velocity.",
            ),
            (
                "… in all cells",
                found.share_above_null_overall,
                "The same over all cells. Groups that merely differ in their unspliced share count "
                "here as well, which is no velocity.",
            ),
        ):
            value = f"{100 * share:.0f} %" if math.isfinite(share) else "–"
            st.metric(title, value, "5 % without velocity", "off", delta_arrow="off", help=meaning)
    if not len(found.reliability_within) or not len(found.null_within):
        return
    data = NullComparison(
        "agreement of neighbouring cells inside groups (correlation)",
        found.reliability_within,
        found.null_within,
    )
    with picture:
        figure_panel(
            "Unspliced surplus of each gene",
            "Cells are divided in two halves at random. What the unspliced counts have beyond "
            "their steady-state line, around a cell in one half, is compared with the other half. "
            "Grey: spliced counts of the same cells split at random in two, which have no velocity "
            "by construction. Right of the dotted line lie 5 % of its genes.",
            lambda theme: null_comparison_figure(data, theme),
            data,
            key="velocity_signal",
        )
    if not judged:
        _groups(found)


def _groups(found: SignalSummary) -> None:
    """The groups by themselves, the clearest first."""
    if not found.groups:
        return
    rows = sorted(found.groups, key=lambda row: -row.share_above_null)
    table = pd.DataFrame(
        {
            "Group": [row.group for row in rows],
            "Cells compared": [row.n_cells for row in rows],
            "Genes above chance": [100 * row.share_above_null for row in rows],
            "Signal": [_WORDS.get(row.strength, row.strength) for row in rows],
        }
    )
    st.markdown(
        "**Group by group**",
        help="Each group of enough cells by itself, with a null of its own. Arrows inside a group "
        "without signal rest on the groups around it, or on nothing.",
    )
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        key="signal_groups",
        column_config={
            "Genes above chance": st.column_config.NumberColumn(
                format="%.0f %%", help="5 % without velocity."
            )
        },
    )


def signal_of_result(view: ResultView, *, judged: bool = False) -> None:
    """The same for the counts of a run; a sentence for results of before."""
    try:
        found = SignalSummary.from_dict(json.loads(view.store.details["velocity_signal"]))
    except (KeyError, ValueError, TypeError):
        st.caption(
            "This run did not look for velocity in its counts. Train again, or open its file on "
            "Data."
        )
        return
    signal_panel(found, judged=judged)
