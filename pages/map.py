"""Map: where cells go."""

import streamlit as st

from velovi.ui.explore import demo_banner, need_result, training_note
from velovi.ui.map_panel import color_controls, look_controls, map_data, show_map
from velovi.ui.router import page
from velovi.ui.summary_panel import downloads, key_figures


def body() -> None:
    st.title("Where cells go")
    demo_banner()
    view = need_result()
    if view is None:
        return
    training_note()
    if view.store.embeddings:
        picture, controls = st.columns([3.3, 1], gap="medium")
        with controls:
            coloring = color_controls(view)
            look = look_controls(view)
        with picture:
            data, note = map_data(view, coloring, look)
            show_map(view, data, look, note)
    else:
        st.info(
            "This result has no two-dimensional embedding. Train again with **Compute UMAP** on "
            "to see a map; the Genes page works as it is."
        )
    key_figures(view)
    downloads(view)


page(body)
