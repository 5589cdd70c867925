"""Map: where cells go."""

import streamlit as st

from velovi.ui.cell_map import cell_map
from velovi.ui.cell_sets import linked_selection, selection_panel
from velovi.ui.download_figure import download_figure
from velovi.ui.evidence_panel import title_with_verdict, verdict_line
from velovi.ui.explore import demo_banner, need_result
from velovi.ui.map_panel import (
    color_controls,
    look_controls,
    picture_data,
    picture_look,
    reading,
    second_map,
)
from velovi.ui.router import page
from velovi.ui.summary_panel import downloads, key_figures
from velovi.ui.url_state import copy_link


def body() -> None:
    beside = title_with_verdict("Where cells go")
    demo_banner()
    view = need_result()
    if view is None:
        return
    verdict_line(view, beside)
    if view.store.embeddings:
        linked_selection(view)
        maps, controls = st.columns([3.3, 1], gap="medium")
        with controls:
            first, second = color_controls(view, "color"), second_map(view)
            look = look_controls(view)
        shown = [first] if second is None else [first, second]
        with maps:
            height, tall = (480, 60) if second is None else (380, 46)
            cell_map(view, shown, key="map", height=height, tall=tall, look=look)
            st.caption(reading(look))
            with st.container(horizontal=True):
                download_figure(
                    "map",
                    lambda: picture_data(view, first, look),
                    key="map",
                    drawn_as="map",
                    **picture_look(look),
                )
                copy_link(key="map", run=view.run_id)
        selection_panel(view)
    else:
        st.info(
            "This result has no two-dimensional embedding. Train again with **Compute UMAP** on "
            "to see a map; the Genes page works as it is."
        )
    key_figures(view)
    downloads(view)


page(body)
