"""Evidence: may these arrows be believed?"""

import streamlit as st

from velovi.ui.cell_sets import linked_selection, selection_panel
from velovi.ui.compare_panel import compare_panel
from velovi.ui.errors import show_errors
from velovi.ui.evidence_panel import (
    arrows_panel,
    error_panel,
    flow_panel,
    no_evidence_kept,
    null_map,
    numbers_panel,
    on_this_page,
    rates_panel,
    verdict_of,
    verdict_panel,
)
from velovi.ui.explore import demo_banner, need_result
from velovi.ui.panels import chosen_cells
from velovi.ui.router import page
from velovi.ui.signal_panel import signal_of_result
from velovi.ui.uncertainty_panel import uncertainty_panel
from velovi.ui.url_state import copy_link


def body() -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        st.title("May these arrows be believed?", width="content")
        link = st.container(width="content")
    demo_banner()
    view = need_result()
    if view is None:
        return
    with link:
        copy_link(key="evidence", run=view.run_id)
    linked_selection(view)
    summary, found = view.evidence, verdict_of(view)
    if summary is None or found is None:
        no_evidence_kept()
    else:
        verdict_panel(found)
        on_this_page()
    st.subheader("Is there velocity in these counts?", anchor="counts")
    signal_of_result(view, judged=summary is not None)
    if summary is not None:
        numbers_panel(summary)
        with show_errors():
            null_map(view)
        error_panel(view)
        arrows_panel(view)
        flow_panel(view, summary)
        rates_panel(view)
    uncertainty_panel(view, lambda: chosen_cells(view))
    compare_panel(view)
    selection_panel(view)


page(body)
