"""One gene in all its pictures: numbers, phase portrait, course over time, maps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from velovi.keys import GENE_LAYERS, STATE_TITLES
from velovi.plotting.gene import GeneData, course_chart, gene_data_from_layers, phase_chart
from velovi.plotting.selection import points_in_polygon
from velovi.plotting.states import StateCourse, state_course_chart, state_course_data
from velovi.ui.cached_result import ResultView
from velovi.ui.cell_map import cell_map
from velovi.ui.chart import draw_chart
from velovi.ui.coloring import ColorBy
from velovi.ui.errors import escape_markdown
from velovi.ui.gene_list import COLUMNS, RATE_OF_COLUMN, gene_tables
from velovi.ui.panels import figure_header, maps_header, state_key
from velovi.ui.selection import Outline, merge, select, selected
from velovi.ui.theme import color_key, current_theme

_PORTRAIT_HEIGHT, _TIME_HEIGHT = 620, 180
_TIME_NOTE = (
    "The same cells along this gene's own latent time, from 0 to 20. Line: the fitted course, "
    "first on, then off, in the colours of the phase portrait, dotted where no cells lie; shade: "
    "the range that holds 95 % of the posterior. Grey cells: the gene is off there and has no time "
    "of its own. Drag along the time to look closer, double-click to see all."
)
_MOST_CELLS = 8_000  # drawn at once, and few enough for the eye
_NUMBERS = ("fit_explained", "fit_likelihood", "fit_beta", "half_life", "fit_t_")


def gene_numbers(view: ResultView, gene: str) -> None:
    """The gene's key numbers, each with its explanation."""
    row = gene_tables(view)[0].loc[gene]
    numbers = dict(zip(row.index, row.to_numpy(dtype=float), strict=True))
    present = [name for name in _NUMBERS if name in numbers]
    if not present:
        return
    for slot, name in zip(st.columns(len(present)), present, strict=True):
        column = COLUMNS[name]
        number = numbers[name]
        value = column.form % number if np.isfinite(number) else "–"
        if name in RATE_OF_COLUMN and view.rate_recovery is not None:
            value = _rank_with_interval(number, view.rate_recovery, RATE_OF_COLUMN[name])
        slot.metric(column.label, value, help=column.note)


def _rank_with_interval(rank: float, recovery: pd.DataFrame, rate: str) -> str:
    """A rank with the interval in which nine of ten genes are found again, if that is known."""
    if rate not in recovery.index or not np.isfinite(rank):
        return "–"
    if not recovery.loc[rate, "identified"]:
        return "unknown"
    error = float(recovery["rank_error"].astype(float)[rate])
    return f"{rank:.0f} ({max(0.0, rank - error):.0f} to {min(100.0, rank + error):.0f})"


def collect_gene(view: ResultView, gene: str) -> GeneData:
    """Read what the figures of one gene need; a layer that is missing is left out."""
    labels = view.labels()
    return gene_data_from_layers(
        gene,
        view.store.obs.index,
        lambda layer: view.gene_if_there(layer, gene),
        view.store.var.iloc[view.store.genes.index(gene)],
        labels=labels,
        colors=None if labels is None else view.colors(str(labels.name)),
        selected=selected(view),
        limit=_MOST_CELLS,
    )


def portrait_panel(view: ResultView, gene: str) -> None:
    """Phase portrait beside spliced, unspliced and the states over the gene's own time."""
    if not {"Ms", "Mu"} <= set(view.store.layers):
        no_portrait()
        return
    data = collect_gene(view, gene)
    if not len(data.cells):
        st.info(f"No cell has both a spliced and an unspliced value of {escape_markdown(gene)}.")
        return
    color_key({name: data.colors[name] for name in data.labels.categories})
    left, right = st.columns([1.2, 1], gap="medium")
    with left:
        _portrait(view, data)
    with right:
        _over_time(view, data)


def no_portrait() -> None:
    """Say why there is no phase portrait, and the way on."""
    st.info(
        "This result holds no smoothed spliced and unspliced RNA (layers Ms and Mu), so there is "
        "no phase portrait to draw. A new training run writes them."
    )
    st.page_link("pages/train.py", label="Go to training", icon=":material/arrow_forward:")


def _portrait(view: ResultView, data: GeneData) -> None:
    figure_header(
        "Phase portrait",
        "Each point is a cell. Genes being switched on lie above the steady-state line, genes "
        "being switched off below it; the fit runs from one to the other, dotted where "
        "no cells lie. Draw around cells to select them on all pages: Shift adds them to the "
        "selection, Alt takes away.",
        f"{data.gene} phase portrait",
        lambda: data,
        key="genes_portrait",
        drawn_as="phase_portrait",
    )
    draw_chart(
        phase_chart(data, current_theme(), height=_PORTRAIT_HEIGHT),
        "phase_portrait",
        gene=data.gene,
        alt=f"Phase portrait of {data.gene}",
        on_outline=lambda outline: apply_outline(view, data.gene, outline),
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        said = f"{data.caption[:1].upper()}{data.caption[1:]}."
        if data.selected is None:
            said += " Draw around cells to select them on all pages."
        st.caption(said, width="content")
        if data.selected is not None:
            st.button(
                "Clear",
                key="genes_clear_selection",
                type="tertiary",
                icon=":material/close:",
                on_click=select,
                args=(view, None),
                help="Select no cells.",
            )


def apply_outline(view: ResultView, gene: str, outline: Outline) -> None:
    """Select all cells of the run, drawn or not, inside an outline in a phase portrait."""
    spliced, unspliced = view.gene("Ms", gene), view.gene("Mu", gene)
    merge(view, points_in_polygon(spliced, unspliced, outline.x, outline.y), outline.how)


def _over_time(view: ResultView, data: GeneData) -> None:
    theme = current_theme()
    if data.time is None:
        st.info("This result has no latent time for each gene.")
        return
    for what in ("spliced", "unspliced"):
        figure_header(
            f"{what.capitalize()} RNA",
            _TIME_NOTE,
            f"{data.gene} {what} over time",
            lambda: data,
            key=f"genes_{what}",
            drawn_as=f"{what}_time",
            what=what,
        )
        chart = course_chart(data, theme, what=what, height=_TIME_HEIGHT)
        draw_chart(chart, f"{what}_time", gene=data.gene, alt=f"{what} over latent time")
    course = collect_states(view, data.gene)
    if course is not None:
        _state_course(course)


def _state_course(course: StateCourse) -> None:
    theme = current_theme()
    figure_header(
        "State of the gene",
        "How likely cells at this time of the gene are to be switching it on, holding it on, "
        "switching it off, or holding it off: the mean of cells in bins that hold equally many.",
        f"{course.gene} states over time",
        lambda: course,
        key="genes_state_course",
        drawn_as="state_time",
    )
    state_key(course.probabilities)
    chart = state_course_chart(course, theme, height=_TIME_HEIGHT)
    draw_chart(chart, "state_time", gene=course.gene, alt="States of the gene over latent time")


def collect_states(view: ResultView, gene: str) -> StateCourse | None:
    """The states over the gene's time; None when the result lacks either."""
    time = view.gene_if_there("fit_t", gene)
    columns = {name: view.gene_if_there(f"p_{name}", gene) for name in STATE_TITLES}
    known = {name: values for name, values in columns.items() if values is not None}
    return state_course_data(gene, time, known) if known and time is not None else None


def gene_maps(view: ResultView, gene: str) -> None:
    """Expression, velocity and states of the gene on the embedding, in linked maps."""
    if not view.store.embeddings:
        st.info("This result has no two-dimensional embedding to draw the gene on.")
        return
    for title, layers, key, height in (
        ("Expression and velocity on the map", ("Ms", "velocity"), "genes_expression", 340),
        ("State on the map", [f"p_{name}" for name in STATE_TITLES], "genes_states", 260),
    ):
        shown = [name for name in layers if name in view.store.layers]
        if not shown or (key == "genes_states" and not _wants_states()):
            continue
        colorings = [ColorBy(gene=gene, layer=item) for item in shown]
        maps_header(
            view,
            title,
            "\n\n".join(f"{GENE_LAYERS[layer][0]}: {GENE_LAYERS[layer][2]}" for layer in shown),
            f"{gene} {title}",
            colorings,
            key=key,
        )
        cell_map(view, colorings, key=key, height=height)


def _wants_states() -> bool:
    """Whether the reader wants the four maps of states, which take a browser a moment to draw."""
    return st.toggle(
        "States on the map",
        key="genes_states_wanted",
        persist_state="session",
        help="Four more maps: how likely each cell is in each state of the gene.",
    )
