"""The chosen gene, or the phase portraits of several side by side."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from velovi.plotting.fitted_curve import FittedCurve, fitted_curve
from velovi.plotting.gene import gene_rates
from velovi.plotting.gene_grid import MOST_PANELS, GeneGridData, gene_grid_data, gene_grid_figure
from velovi.runs.gene_sets import near_names
from velovi.ui.cached_result import ResultView
from velovi.ui.cell_sets import selection_panel
from velovi.ui.errors import escape_markdown, show_errors
from velovi.ui.gene_detail import (
    gene_maps,
    gene_numbers,
    no_portrait,
    portrait_panel,
)
from velovi.ui.gene_list import (
    GENE_FRAGMENT,
    LIST_FRAGMENT,
    ONE,
    SEVERAL,
    SHOWN,
    gene_listing,
    gene_select,
    gene_tables,
    left_out_reasons,
    listen_for_opened_row,
    open_gene,
)
from velovi.ui.panels import PERSIST, figure_header
from velovi.ui.run_state import wanted_gene
from velovi.ui.selection import selected
from velovi.ui.theme import color_key, current_theme
from velovi.ui.url_state import copy_link, last_choice


@st.fragment(key=GENE_FRAGMENT)
def genes_section(view: ResultView, place: DeltaGenerator) -> None:
    """Everything about the chosen gene: numbers and portrait in ``place``, maps below it.

    The selection stands here too, because cells are selected in what is drawn here.
    """
    with show_errors():
        with place:
            missing_gene_note(view)
            with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
                st.session_state.setdefault(SHOWN, ONE)
                st.segmented_control(
                    "Show",
                    [ONE, SEVERAL],
                    required=True,
                    key=SHOWN,
                    help="One gene in all its pictures, or the phase portraits of the genes that "
                    "the table lists, side by side.",
                    **PERSIST,
                )
                several = st.session_state[SHOWN] == SEVERAL
                most = _how_many() if several else 0
                gene = gene_select(
                    view, key="genes_gene", tell=False, parts=(GENE_FRAGMENT, LIST_FRAGMENT)
                )
                copy_link(key="genes", run=view.run_id, gene=gene)
            if several:
                grid_panel(view, most)
            else:
                gene_numbers(view, gene)
                portrait_panel(view, gene)
        if not several:
            gene_maps(view, gene)
        selection_panel(view)
        listen_for_opened_row(view, gene)


def missing_gene_note(view: ResultView) -> None:
    """A sentence when the gene of a link, or of the run before, is not in this model."""
    wanted = wanted_gene()
    genes = view.store.genes
    if wanted is None or wanted in genes:
        return
    reasons = left_out_reasons(view)
    name = escape_markdown(str(wanted)[:60])
    # a gene that comes from a run looked at before is no surprise
    tell = st.warning if last_choice("gene") is None else st.caption
    if wanted in reasons:
        why = f": {escape_markdown(reasons[wanted])}" if reasons[wanted] else ""
        tell(f"**{name}** is in the file, but not in this model{why}.")
    else:
        tell(f"**{name}** is not among the genes of this file.")
    near = near_names(str(wanted)[:60], genes)
    if near:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption("Near names:", width="content")
            for gene in near:
                st.button(
                    escape_markdown(gene),
                    key=f"near_{gene}",
                    type="tertiary",
                    on_click=open_gene,
                    args=(gene, GENE_FRAGMENT, LIST_FRAGMENT),
                )


def _how_many() -> int:
    st.session_state.setdefault("genes_grid_size", 12)
    return int(
        st.segmented_control(
            "How many",
            [6, 12, MOST_PANELS],
            required=True,
            key="genes_grid_size",
            help="The first genes of the table on the left: search, filter or paste a list there "
            "to choose others.",
            **PERSIST,
        )
    )


def grid_panel(view: ResultView, most: int) -> None:
    """Phase portraits of the first genes that the table lists, side by side."""
    listed = gene_listing(view).genes
    if not {"Ms", "Mu"} <= set(view.store.layers):
        no_portrait()
        return
    if not listed:
        st.info("No gene in the model fits your search, filter or list. Widen them on the left.")
        return
    genes = listed[:most]
    data = collect_grid(view, genes)
    color_key({name: data.colors[name] for name in data.labels.categories})
    figure_header(
        f"Phase portraits of {len(genes):,} of {len(listed):,} listed genes",
        "Unspliced (upwards) against spliced RNA (to the right), each gene on its own scale, with "
        "its fitted course. The number is the share of the gene's variation that the fit explains.",
        "phase portraits",
        lambda: data,
        key="genes_grid_figure",
    )
    _grid(data)


def _grid(data: GeneGridData) -> None:
    key = "genes_grid"

    def clicked() -> None:
        points = st.session_state[key]["selection"]["points"]
        if points and points[0]["curve_number"] < len(data.panels):
            open_gene(data.panels[points[0]["curve_number"]].gene, GENE_FRAGMENT, LIST_FRAGMENT)

    columns = 3 if len(data.panels) <= 6 else 4
    figure = gene_grid_figure(data, current_theme(), columns=columns)
    st.plotly_chart(
        figure,
        theme=None,
        width="stretch",
        key=key,
        on_select=clicked,
        selection_mode="points",
        config={"displayModeBar": False},
        alt="Phase portraits of several genes",
    )
    said = data.caption
    st.caption(
        f"Upwards: unspliced, to the right: spliced. {said[:1].upper()}{said[1:]} in each. Click a "
        "portrait to open the gene."
    )


def collect_grid(view: ResultView, genes: list[str]) -> GeneGridData:
    """Read what the grid needs."""
    labels, table = view.labels(), gene_tables(view)[0]
    quality = next((name for name in ("fit_explained", "velocity_r2") if name in table), None)
    explained = {} if quality is None else {item: float(table[quality][item]) for item in genes}
    curves = {gene: _curve(view, gene) for gene in genes}
    return gene_grid_data(
        view.store.obs.index,
        {gene: (view.gene("Ms", gene), view.gene("Mu", gene)) for gene in genes},
        labels=labels,
        colors=None if labels is None else view.colors(str(labels.name)),
        curves=curves,
        explained=explained,
        selected=selected(view),
    )


def _curve(view: ResultView, gene: str) -> FittedCurve | None:
    row = view.store.var.iloc[view.store.genes.index(gene)]
    curve, time = fitted_curve(*gene_rates(row), points=60), view.gene_if_there("fit_t", gene)
    if curve is None or time is None:
        return curve
    resting = view.gene_if_there("p_repression_steady", gene)
    return curve.with_cells(time, None if resting is None else 1 - resting)
