"""The Genes page's parts: key numbers, phase portrait, course over time, small maps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from velovi.figures.embedding import embedding_data, embedding_figure
from velovi.figures.gene import GeneData, gene_data, phase_figure, time_figure
from velovi.figures.kinetics import fitted_curve
from velovi.figures.states import STATE_TITLES, state_data, state_figure
from velovi.ui.gene_choice import COLUMNS, gene_table
from velovi.ui.theme import color_key, current_theme, draw
from velovi.ui.view import ResultView
from velovi.ui.words import GENE_LAYERS


def collect_gene(view: ResultView, gene: str) -> GeneData:
    """Read what the figures of one gene need; a layer that is missing is left out."""
    row = view.store.var.iloc[view.store.genes.index(gene)]
    labels = view.labels()
    rates = [_number(row, name) for name in ("fit_alpha", "fit_beta", "fit_gamma", "fit_t_")]
    beta, gamma = rates[1], rates[2]
    fitted = {}
    for what, layer in (("spliced", "fit_s"), ("unspliced", "fit_u")):
        mean = view.gene_if_there(layer, gene)
        if mean is not None:
            fitted[what] = (mean, view.gene_if_there(f"{layer}_sd", gene))
    at_rest = view.gene_if_there("p_repression_steady", gene)
    return gene_data(
        gene,
        view.store.obs.index,
        view.gene("Ms", gene),
        view.gene("Mu", gene),
        labels=labels,
        colors=None if labels is None else view.colors(str(labels.name)),
        time=view.gene_if_there("fit_t", gene),
        fitted=fitted,
        weights=None if at_rest is None else 1 - at_rest,
        curve=fitted_curve(*rates),
        steady_slope=gamma / beta if beta > 0 else None,
    )


def _number(row: pd.Series, name: str) -> float:
    return float(row[name]) if name in row.index else float("nan")


def gene_numbers(view: ResultView, gene: str) -> None:
    """The gene's key numbers, each with its explanation."""
    row = gene_table(view.store.var).loc[gene]
    shown = ("fit_explained", "fit_likelihood", "fit_beta", "half_life", "fit_t_")
    present = [name for name in shown if name in row.index]
    if not present:
        return
    for slot, name in zip(st.columns(len(present)), present, strict=True):
        label, form, note = COLUMNS[name]
        value = form % row[name] if np.isfinite(row[name]) else "–"
        slot.metric(label, value, help=note)


def portrait_panel(data: GeneData) -> None:
    """Phase portrait beside spliced and unspliced over the gene's own time."""
    theme = current_theme()
    color_key({name: data.colors[name] for name in data.labels.categories})
    left, right = st.columns([1.25, 1], gap="medium")
    with left:
        st.markdown(
            "**Phase portrait**",
            help="Each point is a cell. Genes being switched on lie above the steady-state line, "
            "genes being switched off below it; the fit runs from one to the other.",
        )
        draw(phase_figure(data, theme, height=500), "phase_portrait", alt="Phase portrait")
    with right:
        if data.time is None:
            st.info("This result has no latent time for each gene.")
            return
        st.markdown(
            "**Over latent time**",
            help="The same cells along this gene's own time, from 0 to 20. Line: the fitted "
            "course, first on, then off, in the colours of the phase portrait; shade: the range "
            "that holds 95 % of the posterior. A cell in which the gene rests has no time of its "
            "own; it may stand anywhere along the bottom.",
        )
        for what in ("spliced", "unspliced"):
            figure = time_figure(data, theme, what=what, height=245)
            draw(figure, f"{what}_time", alt=f"{what} over latent time")


def small_maps(view: ResultView, gene: str) -> None:
    """Expression and velocity of the gene on the embedding."""
    if not view.store.embeddings:
        st.info("This result has no embedding to draw the gene on.")
        return
    embedding = view.store.embeddings[0]
    layers = [name for name in ("Ms", "velocity") if name in view.store.layers]
    for slot, layer in zip(st.columns(len(layers), gap="medium"), layers, strict=True):
        title, scale, note = GENE_LAYERS[layer]
        data = embedding_data(
            view.store.embedding(embedding), view.store.obs.index, title=title,
            values=view.gene(layer, gene), scale=scale, strata=view.strata(), limit=10_000,
        )  # fmt: skip
        with slot:
            st.markdown(f"**{title}**", help=note)
            figure = embedding_figure(data, current_theme(), size=3.5, height=310)
            draw(figure, f"gene_map_{layer}", alt=f"{title} of {gene}")


def state_maps(view: ResultView, gene: str) -> None:
    """Probability of the gene's four states, one small map each."""
    columns = {name: view.gene_if_there(f"p_{name}", gene) for name in STATE_TITLES}
    known = {name: values for name, values in columns.items() if values is not None}
    if not known or not view.store.embeddings:
        return
    data = state_data(
        gene, view.store.obs.index, view.store.embedding(view.store.embeddings[0]), known,
        strata=view.strata(),
    )  # fmt: skip
    st.markdown(
        "**State of the gene**",
        help="How likely each cell is to be switching the gene on, holding it on, switching it "
        "off, or holding it off.",
    )
    draw(state_figure(data, current_theme()), "state_maps", alt=f"States of {gene}")
    st.caption(f"{data.caption[:1].upper()}{data.caption[1:]} in each map.")
