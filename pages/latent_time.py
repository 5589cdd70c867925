"""Time: when does each cell stand on the way?"""

import streamlit as st

from velovi.ui.cell_sets import linked_selection, selection_panel
from velovi.ui.evidence_panel import title_with_verdict, verdict_line
from velovi.ui.explore import demo_banner, need_result
from velovi.ui.panels import chosen_cells
from velovi.ui.router import page
from velovi.ui.time_panel import (
    agreement_panel,
    courses_panel,
    gene_time_panel,
    root_controls,
    time_by_group,
    time_choice,
    time_map,
)
from velovi.ui.url_state import copy_link


def body() -> None:
    beside = title_with_verdict("When cells get there")
    demo_banner()
    view = need_result()
    if view is None:
        return
    verdict_line(view, beside)
    st.caption(
        "Latent time puts all cells on one way from start (0) to end (1), by all genes together. "
        "Read the map for where it begins and ends, and the genes below for what happens when."
    )
    linked_selection(view)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = time_choice(view)
        root_controls(view)
        copy_link(key="time", run=view.run_id)
    if chosen is None:
        st.info("This result has no shared latent time. A new training run works it out.")
        st.page_link("pages/train.py", label="Go to training", icon=":material/arrow_forward:")
        return
    time_id, time = chosen
    time_map(view, time)
    only = chosen_cells(view)
    groups, agreement = st.columns([1.4, 1], gap="large")
    with groups:
        time_by_group(view, time_id, time, only)
    with agreement:
        agreement_panel(view, time_id, time)
    courses, gene = st.columns([1.4, 1], gap="large")
    with courses:
        courses_panel(view, time_id, time, only)
    with gene:
        gene_time_panel(view, time_id, time)
    selection_panel(view)


page(body)
