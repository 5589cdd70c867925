"""The Map page's parts: what to colour by, how it looks, and the picture to take away."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from velovi.keys import CELL_COLUMNS, GENE_LAYERS
from velovi.plotting.embedding import EmbeddingData, StreamlineSet, embedding_data
from velovi.plotting.support import STRENGTHS, fade_streams
from velovi.ui.cached_result import ResultView
from velovi.ui.cell_map import MapLook, default_size
from velovi.ui.cell_sets import set_coloring, set_mask, set_names
from velovi.ui.coloring import ColorBy, resolve_color
from velovi.ui.evidence_panel import verdict_of
from velovi.ui.formatting import distinct_labels
from velovi.ui.gene_list import gene_select
from velovi.ui.labels import cell_column_title, embedding_name
from velovi.ui.panels import PERSIST
from velovi.ui.url_state import set_url_param, url_param

ALL_CELLS = "All cells"
_PICTURE_CELLS = 200_000
POINTS_PER_PIXEL = 0.5  # a map is some 700 pixels wide on the page, and 340 points on paper


def color_controls(view: ResultView, name: str, default: str = "") -> ColorBy:
    """Widgets that choose what the colour of one map means.

    Parameters
    ----------
    view
        The result.
    name
        Of the choice in the address: ``"color"`` or ``"color2"``. Its values are ``obs:`` and an
        annotation, ``layer:`` and a quantity of the chosen gene, or ``set:`` and a set of cells.
    default
        What to begin with.
    """
    columns, sets = annotation_columns(view), set_names(view)
    layers = [layer for layer in GENE_LAYERS if layer in view.store.layers and view.store.genes]
    first = {"obs": columns, "layer": layers, "set": sets}
    known = {f"{kind}:{item}" for kind, names in first.items() for item in names}
    fallback = default if default in known else next(iter([f"obs:{c}" for c in columns]), "")
    kind, _, what = url_param(name, known, fallback, what="colour").partition(":")
    kinds = {"obs": "Cells", "layer": "Gene", "set": "Set"}
    offered = [item for item in kinds if first[item]]
    if not offered:
        return ColorBy()
    _kind_control(name, kinds, offered, kind, first)
    if kind == "layer":
        gene = gene_select(view, key=f"map_{name}_gene")
        layer = _choice(
            name, "Quantity", "layer", layers, what, lambda value: GENE_LAYERS[value][0]
        )
        return ColorBy(gene=gene, layer=layer)
    if kind == "set":
        return set_coloring(view, _choice(name, "Set of cells", "set", sets, what, str))
    column = _choice(
        name, "Annotation", "obs", columns, what, lambda value: cell_column_title(value)[0]
    )
    return ColorBy(column=column)


def _kind_control(
    name: str, kinds: dict[str, str], offered: list[str], kind: str, first: dict[str, list[str]]
) -> None:
    key = f"map_{name}_kind"
    st.session_state[key] = kind

    def changed() -> None:
        chosen = st.session_state[key]
        set_url_param(name, f"{chosen}:{first[chosen][0]}")

    st.segmented_control(
        "Colour by" if name == "color" else "Second map: colour by",
        offered,
        format_func=lambda option: kinds[option],
        required=True,
        key=key,
        on_change=changed,
        width="stretch",
    )


def _choice(name: str, label: str, kind: str, options: list[str], what: str, form: Any) -> str:
    key = f"map_{name}_{kind}"
    st.session_state[key] = what
    return st.selectbox(
        label,
        options,
        key=key,
        format_func=distinct_labels({option: form(option) for option in options}),
        on_change=lambda: set_url_param(name, f"{kind}:{st.session_state[key]}"),
        help="Groups of cells first, then the model's numbers of each cell, then the file's."
        if kind == "obs"
        else None,
    )


def annotation_columns(view: ResultView) -> list[str]:
    """Groups first, then the model's own numbers, the file's, and further measures of ours."""
    numbers = view.store.numeric_columns
    ours = [name for name in CELL_COLUMNS if name in numbers]
    more = [name for name in ours if name.startswith("directional_")]
    first = [name for name in ours if name not in more]
    files = [name for name in numbers if name not in ours]
    return view.store.label_columns + first + files + more


def second_map(view: ResultView) -> ColorBy | None:
    """A switch for a second map beside the first, and its colour."""
    on = url_param("maps", ("1", "2"), "1") == "2"
    st.session_state["map_second"] = on
    st.toggle(
        "Two maps",
        key="map_second",
        on_change=lambda: set_url_param("maps", "2" if st.session_state["map_second"] else None),
        help="Both move together and share the selection.",
    )
    if not on:
        return None
    return color_controls(view, "color2", "obs:latent_time")


def look_controls(view: ResultView) -> MapLook:
    """Widgets that choose how the maps look."""
    embedding = _embedding(view)
    streams = _overlay(view, embedding)
    with st.expander("Appearance", icon=":material/tune:"):
        names = st.toggle("Group names on the map", value=True, key="map_names", **PERSIST)
        size = st.slider(
            "Point size",
            0.5,
            12.0,
            default_size(view.store.n_cells),
            0.5,
            key="map_size",
            **PERSIST,
        )
        opacity = st.slider("Point opacity", 0.1, 1.0, 0.8, 0.05, key="map_opacity", **PERSIST)
        clip = st.slider(
            "Colour range (percentiles)",
            0.0,
            100.0,
            (1.0, 99.0),
            0.5,
            key="map_clip",
            help="Values beyond these percentiles take the end colours, so that a few extreme "
            "cells do not wash out the rest.",
            **PERSIST,
        )
    only = _shown_cells(view)
    return MapLook(
        embedding,
        size,
        opacity,
        names,
        clip,
        streams,
        only=None if only == ALL_CELLS else set_mask(view, only),
        only_name="" if only == ALL_CELLS else only,
    )


def _embedding(view: ResultView) -> str:
    embeddings = view.store.embeddings
    chosen = url_param("embedding", embeddings, embeddings[0], what="embedding")
    if len(embeddings) > 1:
        st.session_state["map_embedding"] = chosen
        st.selectbox(
            "Embedding",
            embeddings,
            key="map_embedding",
            format_func=distinct_labels(
                {embedding: embedding_name(embedding) for embedding in embeddings}
            ),
            on_change=lambda: set_url_param("embedding", st.session_state["map_embedding"]),
            help="The two-dimensional picture of the cells.",
        )
    return chosen


def _overlay(view: ResultView, embedding: str) -> StreamlineSet:
    kinds = {"lines": "Lines", "arrows": "Arrows", "none": "Off"}
    st.session_state["map_velocity"] = url_param(
        "velocity", kinds, "lines", what="velocity overlay"
    )
    kind = st.segmented_control(
        "Velocity",
        list(kinds),
        format_func=lambda option: kinds[option],
        required=True,
        key="map_velocity",
        width="stretch",
        on_change=lambda: set_url_param("velocity", st.session_state["map_velocity"]),
        help="Lines follow the average velocity of the cells below them; arrows show it at evenly "
        "spaced places, longer where cells change faster.",
    )
    if kind == "none":
        return StreamlineSet()
    mode = _arrows_of(view, embedding)
    density = st.slider(
        "Density",
        0.3,
        2.0,
        1.0,
        0.1,
        key="map_density",
        help="More show finer turns; fewer are calmer.",
        **PERSIST,
    )
    if kind == "lines":
        return _faded(view, embedding, view.streams(embedding, density, mode))
    length = st.slider(
        "Arrow length",
        0.4,
        3.0,
        1.0,
        0.1,
        key="map_length",
        help="1: the fastest tenth of the arrows is as long as arrows are apart.",
        **PERSIST,
    )
    return _faded(view, embedding, view.arrows(embedding, density, length, mode))


def _arrows_of(view: ResultView, embedding: str) -> str:
    """Whose arrows are drawn: veloVI's, or those of a mode of the steady-state model."""
    found = view.evidence
    modes = view.store.steady_state_modes
    if found is None or not modes or found.embedding != embedding:
        return ""
    titles = {"": "veloVI", **{mode: f"Steady state, {mode}" for mode in modes}}
    return str(
        st.selectbox(
            "Arrows of",
            list(titles),
            format_func=lambda mode: titles[mode],
            key="map_arrows_of",
            help="The steady-state model fits no curve: what unspliced counts are above a line is "
            "velocity. Where it says the same as veloVI, the method is not why.",
            **PERSIST,
        )
    )


def _faded(view: ResultView, embedding: str, streams: StreamlineSet) -> StreamlineSet:
    """Lines as strongly as the evidence supports them, unless the reader wants all."""
    found, summary = verdict_of(view), view.evidence
    if found is None or summary is None:
        return streams
    every = st.toggle(
        "All arrows alike",
        key="map_all_arrows",
        help="By default arrows are faded over groups whose velocities are weakly supported or "
        "cannot be judged, and left out over those without evidence.",
        **PERSIST,
    )
    if every or not streams.lines:
        return streams
    own = dict(zip(found.groups.index, found.groups["support"], strict=True))
    if summary.label_column is None:
        strength = np.full(view.store.n_cells, STRENGTHS[found.support])
    else:
        labels = pd.Categorical(view.store.obs[summary.label_column])
        levels = [STRENGTHS[own.get(str(name), found.support)] for name in labels.categories]
        # cells without a label are judged as the run
        strength = np.array([*levels, STRENGTHS[found.support]])[labels.codes]
    faded = fade_streams(streams, view.store.embedding(embedding), strength)
    if not faded.lines:
        st.caption("Nothing supports arrows here, so none are drawn.")
    return faded


def _shown_cells(view: ResultView) -> str:
    sets = set_names(view)
    if not sets:
        return ALL_CELLS
    return st.selectbox(
        "Show",
        [ALL_CELLS, *sets],
        key="map_only",
        help="Show only the cells of one of your sets.",
        **PERSIST,
    )


def picture_data(view: ResultView, coloring: ColorBy, look: MapLook) -> EmbeddingData:
    """A map's numbers, for its files."""
    store = view.store
    positions = store.embedding(look.embedding)
    if look.only is not None:
        positions = np.where(look.only[:, None], positions, np.float32(np.nan))
    shown = resolve_color(view, coloring)
    values = shown.values
    if shown.labels is None and values is None:
        values = np.full(store.n_cells, np.nan, dtype=np.float32)
    return embedding_data(
        positions,
        store.obs.index,
        labels=shown.labels,
        colors=shown.colors,
        values=values,
        title=f"{shown.gene}: {shown.name}" if shown.gene else shown.name,
        scale=shown.scale,
        clip=look.clip,
        bounds=shown.bounds,
        strata=view.group_codes(),
        streams=look.streams,
        limit=_PICTURE_CELLS,
    )


def picture_look(look: MapLook) -> dict[str, Any]:
    """How the same map is drawn on paper."""
    return {
        "size": look.size * POINTS_PER_PIXEL,
        "alpha": look.opacity,
        "legend_loc": "on data" if look.names else "none",
    }


def reading(look: MapLook) -> str:
    """A sentence on how to read the map."""
    flow = "Lines and arrows show where cells are heading. " if look.streams.lines else ""
    return (
        f"{flow}Drag to move, turn the wheel to zoom; draw around cells with the lasso to select "
        "them on all pages."
    )
