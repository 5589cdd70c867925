"""Genes: which genes say so."""

import streamlit as st

from velovi.ui.evidence_panel import title_with_verdict, verdict_line
from velovi.ui.explore import demo_banner, need_result
from velovi.ui.gene_list import gene_list_section
from velovi.ui.genes_page import genes_section
from velovi.ui.router import page

TABLE_HEIGHT = 640


def body() -> None:
    beside = title_with_verdict("Which genes say so")
    demo_banner()
    view = need_result()
    if view is None:
        return
    verdict_line(view, beside)
    if not view.store.genes:
        st.info("No gene is in this model. The Train page says why genes were left out.")
        st.page_link("pages/train.py", label="Go to the run", icon=":material/arrow_forward:")
        return
    table, gene = st.columns([1, 2.5], gap="medium")
    with table:
        gene_list_section(view, height=TABLE_HEIGHT)
    genes_section(view, gene)


page(body)
