"""The States and rates page's parts: states by group, genes by state, rates against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from velovi.keys import RATES, STATE_TITLES
from velovi.plotting.rates import (
    StateShares,
    rate_figure,
    rate_pair,
    shares_by_gene,
    shares_by_group,
    state_shares_figure,
)
from velovi.ui.cached_result import ResultView
from velovi.ui.cell_map import cell_map
from velovi.ui.coloring import ColorBy
from velovi.ui.download_figure import download_figure
from velovi.ui.errors import escape_markdown
from velovi.ui.gene_list import best_genes, current_gene, gene_select
from velovi.ui.panels import (
    PERSIST,
    cells_key,
    chosen_cells,
    figure_header,
    in_group,
    label_choice,
    maps_header,
    state_key,
)
from velovi.ui.run_state import choose_gene
from velovi.ui.selection import selected
from velovi.ui.theme import current_theme, draw

_PAIRS = (("fit_alpha", "fit_beta"), ("fit_beta", "fit_gamma"), ("fit_alpha", "fit_gamma"))
_MOST_GENES = (20, 40, 80)
_HELP = (
    "The model gives each cell, for each gene, four probabilities: the gene is being switched on "
    "(induction), is on and no longer rising, is being switched off (repression), or is off and "
    "no longer falling. They add up to 1."
)


def known_states(view: ResultView) -> list[str]:
    """States whose probabilities the result holds."""
    return [name for name in STATE_TITLES if f"p_{name}" in view.store.layers]


def gene_states(view: ResultView) -> None:
    """A gene's states by group and on the map."""
    states = known_states(view)
    left, right = st.columns([1, 1.5], gap="large")
    with left:
        gene = gene_select(view, key="states_gene")
        labels = label_choice(view, "states_groups")
        only = chosen_cells(view)
        columns = {name: view.gene(f"p_{name}", gene) for name in states}
        data = shares_by_group(gene, columns, labels, only=only)
        if len(data.rows):
            chosen = " among the selected cells" if only is not None else ""
            _shares(
                f"States of {escape_markdown(gene)} by group",
                _HELP,
                data,
                key="states_by_group",
                note=f"Mean probability in each group{chosen}.",
            )
        else:
            st.info(f"No cell has state probabilities of {escape_markdown(gene)}.")
    with right:
        maps = [ColorBy(gene=gene, layer=f"p_{name}") for name in states]
        if view.store.embeddings:
            maps_header(view, "The same on the map", _HELP, f"{gene} states", maps, key="states")
        cell_map(view, maps, key="states", height=230, columns=2)


@st.cache_data(show_spinner="Reading states …", max_entries=20)
def _by_gene(
    path: str,
    changed: float,
    genes: tuple[str, ...],
    states: tuple[str, ...],
    marker: int,
    _view: ResultView,
    _cells: np.ndarray | None,
) -> StateShares:
    def mean(state: str, gene: str) -> float:
        values = _view.gene(f"p_{state}", gene)
        values = values if _cells is None else values[_cells]
        values = values[np.isfinite(values)]
        return float(values.mean()) if values.size else float("nan")

    means = {state: {gene: mean(state, gene) for gene in genes} for state in states}
    n_cells = _view.store.n_cells if _cells is None else int(_cells.sum())
    return shares_by_gene(genes, means, n_cells)


def genes_by_state(view: ResultView) -> None:
    """Genes grouped by the state that they are in, in some cells."""
    states = known_states(view)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        cells, said = _some_cells(view)
        most = st.segmented_control(
            "Genes",
            _MOST_GENES,
            default=_MOST_GENES[0],
            required=True,
            key="states_most",
            help="So many of the genes that the fit explains best.",
            **PERSIST,
        )
    genes = tuple(best_genes(view, int(most)))
    data = _by_gene(view.path, view.changed, genes, tuple(states), cells_key(cells), view, cells)
    if not len(data.rows):
        st.info("No gene has state probabilities in these cells.")
        return
    _shares(
        f"What genes do in {said}",
        "Genes that are most likely in the same state stand together, the surest first. " + _HELP,
        data,
        key="genes_by_state",
        note=f"Mean probabilities over {data.counts[0]:,} cells.",
    )


def _shares(title: str, help_text: str, data: StateShares, *, key: str, note: str) -> None:
    """Stacked bars under a key that a narrow page can break into lines."""
    theme = current_theme()
    figure_header(title, help_text, key, lambda: data, key=key)
    state_key(data.states)
    draw(state_shares_figure(data, theme), key, alt=title)
    st.caption(note)


def _some_cells(view: ResultView) -> tuple[np.ndarray | None, str]:
    labels, mask = view.labels(), selected(view)
    groups = [] if labels is None else [str(category) for category in labels.cat.categories]
    special = (["The selected cells"] if mask is not None else []) + ["All cells"]
    choice = st.selectbox(
        "Cells",
        special + groups,
        key=f"states_cells_{mask is not None}",
        help="A group of cells, or those that you selected on a map.",
    )
    if choice == "The selected cells" and mask is not None:
        return mask, f"the {int(mask.sum()):,} selected cells"
    if labels is not None and choice in groups:
        inside = in_group(labels, choice)
        if inside.any():
            return inside, escape_markdown(choice)
    return None, "all cells"


def rate_panels(view: ResultView) -> None:
    """Rates of the genes against each other; a click opens a gene."""
    st.markdown(
        "**Rates of the genes**",
        help="Each point is a gene. Rates are per unit of scaled time, in which the slowest gene "
        "needs 20 units for its course; axes are logarithmic. A gene far from the others turns "
        "over much faster or slower. Click a gene to choose it.",
    )
    found = view.rate_recovery
    if found is None:
        st.caption(
            "Fitted rates, not identified: on simulated cells their ranks hardly follow those of "
            "the true rates (Spearman 0.0 to 0.25). Read them for which genes the fit treats "
            "alike, not for how fast a gene turns over."
        )
    else:
        known = [RATES.get(str(name), str(name)) for name in found.index[found["identified"]]]
        told = f"identified are: {', '.join(known)}" if known else "none is identified"
        st.caption(
            f"Of the fitted rates {told} (page Evidence says how that was found out). Read the "
            "others for which genes the fit treats alike, not for how fast a gene turns over."
        )
    gene = current_gene(view) if view.store.genes else ""
    for slot, (x, y) in zip(st.columns(len(_PAIRS), gap="medium"), _PAIRS, strict=True):
        with slot:
            _rates(view, x, y, gene)


def _rates(view: ResultView, x: str, y: str, gene: str) -> None:
    data = rate_pair(view.store.var, x, y)
    if not len(data.genes):
        st.caption(f"{RATES[x]} and {RATES[y].lower()} are not in this result.")
        return
    key = f"rates_{x}_{y}"

    def clicked() -> None:
        event: Any = st.session_state[key]
        points = event["selection"]["points"]
        if points and points[0]["curve_number"] == 0:
            choose_gene(str(data.genes[points[0]["point_index"]]))

    st.plotly_chart(
        rate_figure(data, current_theme(), gene=gene),
        theme=None,
        width="stretch",
        key=key,
        on_select=clicked,
        selection_mode="points",
        config={"displayModeBar": False},
        alt=f"{RATES[x]} against {RATES[y]}",
    )
    download_figure(key, lambda: data, key=key, gene=gene)
