"""Genes: which genes say so."""

import streamlit as st

from velovi.ui.explore import demo_banner, need_result
from velovi.ui.gene_choice import dropped_view, gene_select, table_picker
from velovi.ui.gene_panel import (
    collect_gene,
    gene_numbers,
    portrait_panel,
    small_maps,
    state_maps,
)
from velovi.ui.router import page

TABLE_HEIGHT = 560


def body() -> None:
    st.title("Which genes say so")
    demo_banner()
    view = need_result()
    if view is None:
        return
    if not view.store.genes:
        st.info("No gene is in this model.")
        return
    table, portrait = st.columns([1, 2.7], gap="large")
    with table:
        gene = gene_select(view, key="genes_gene")
        which = st.segmented_control(
            "Table of genes", ["In the model", "Left out"], default="In the model",
            required=True, key="genes_table_kind", width="stretch",
            help="Click a row to look at the gene; click a heading to sort.",
        )  # fmt: skip
        if which == "In the model":
            table_picker(view, height=TABLE_HEIGHT)
        else:
            dropped_view(view, height=TABLE_HEIGHT)
    with portrait:
        gene_numbers(view, gene)
        data = collect_gene(view, gene)
        portrait_panel(data)
    small_maps(view, gene)
    state_maps(view, gene)
    st.download_button(
        "This gene's cells (CSV)", lambda: data.to_frame().to_csv(index=False).encode(),
        f"{gene}.csv", "text/csv", on_click="ignore", icon=":material/table:",
    )  # fmt: skip


page(body)
