"""States and rates: which genes are switched on or off, where, and how fast do they turn over?"""

import streamlit as st

from velovi.ui.cell_sets import linked_selection, selection_panel
from velovi.ui.evidence_panel import title_with_verdict, verdict_line
from velovi.ui.explore import demo_banner, need_result
from velovi.ui.router import page
from velovi.ui.states_panel import gene_states, genes_by_state, known_states, rate_panels
from velovi.ui.url_state import copy_link


def body() -> None:
    beside = title_with_verdict("What genes are doing")
    demo_banner()
    view = need_result()
    if view is None:
        return
    verdict_line(view, beside)
    if not view.store.genes:
        st.info("No gene is in this model.")
        return
    said, link = st.columns([8, 1], vertical_alignment="center")
    said.caption(
        "Which genes are being switched on or off, in which cells, and how fast their RNA is "
        "made, spliced and lost. Read the bars for what most cells of a group do."
    )
    with link:
        copy_link(key="states", run=view.run_id)
    linked_selection(view)
    if known_states(view):
        gene_states(view)
        genes_by_state(view)
    else:
        st.info("This result holds no state probabilities. A new training run works them out.")
    rate_panels(view)
    selection_panel(view)


page(body)
