"""Uncertainty: how sure is the model of each cell's direction?"""

import streamlit as st

from velovi.ui.cell_sets import linked_selection, selection_panel
from velovi.ui.explore import demo_banner, need_result
from velovi.ui.panels import chosen_cells
from velovi.ui.router import page
from velovi.ui.signal_panel import signal_of_result
from velovi.ui.uncertainty_panel import (
    MEANING,
    beside,
    by_group,
    columns_of,
    measure_choice,
    measures,
    uncertainty_maps,
)
from velovi.ui.url_state import copy_link


def body() -> None:
    st.title("How sure the directions are")
    demo_banner()
    view = need_result()
    if view is None:
        return
    signal_of_result(view)
    names = measures(view)
    if not names:
        st.info(
            "This result holds no uncertainty of direction. Train again with *Samples for "
            "directional uncertainty* above 0."
        )
        st.page_link("pages/train.py", label="Go to training", icon=":material/arrow_forward:")
        return
    st.caption(
        "The posterior gives many velocities for each cell. Where they disagree, the arrow on the "
        "map is a guess. Read the maps for where that is, and the figures below for whom and why."
    )
    linked_selection(view)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        measure = measure_choice(names)
        copy_link(key="uncertainty", run=view.run_id)
    found = columns_of(view, measure)
    uncertainty_maps(view, measure, found)
    with st.expander("What high uncertainty means, and what to do", icon=":material/help:"):
        st.markdown(MEANING)
    only = chosen_cells(view)
    by_group(view, measure, found, only)
    beside(view, measure, found, only)
    selection_panel(view)


page(body)
