"""The Map page's parts: what to colour by, how it looks, and the map itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from velovi.figures.embedding import EmbeddingData, Streams, embedding_data, embedding_figure
from velovi.ui.gene_choice import gene_select
from velovi.ui.theme import current_theme, draw
from velovi.ui.view import ResultView
from velovi.ui.words import GENE_LAYERS, cell_number, embedding_name

KEEP: dict[str, Any] = {"persist_state": "session"}


@dataclass(frozen=True)
class Look:
    """How the map is drawn."""

    embedding: str
    size: float
    opacity: float
    density: float
    streams: bool
    names: bool
    clip: tuple[float, float]


@dataclass(frozen=True)
class Coloring:
    """What the colour of a cell means: an annotation, or a layer of a gene."""

    column: str | None = None
    gene: str | None = None
    layer: str | None = None


def color_controls(view: ResultView) -> Coloring:
    """Widgets that choose what the colour means."""
    kind = st.segmented_control(
        "Colour by", ["Annotation", "Gene"], default="Annotation", required=True,
        key="map_kind", width="stretch", **KEEP,
    )  # fmt: skip
    if kind == "Gene":
        gene = gene_select(view, key="map_gene")
        layers = [name for name in GENE_LAYERS if name in view.store.layers]
        layer = st.selectbox(
            "Quantity", layers, key="map_layer",
            format_func=lambda name: GENE_LAYERS[name][0],
            help="What to show of this gene.", **KEEP,
        )  # fmt: skip
        return Coloring(gene=gene, layer=layer)
    columns = annotation_columns(view)
    if not columns:
        return Coloring()
    column = st.selectbox(
        "Annotation", columns, key="map_column",
        format_func=lambda name: cell_number(name)[0],
        help="Clusters and other groups first, then numbers of each cell.", **KEEP,
    )  # fmt: skip
    return Coloring(column=column)


def annotation_columns(view: ResultView) -> list[str]:
    """Groups first, then the model's own numbers, then the file's."""
    from velovi.ui.words import CELL_NUMBERS

    numbers = view.store.numeric_columns
    ours = [name for name in CELL_NUMBERS if name in numbers]
    return view.store.label_columns + ours + [name for name in numbers if name not in ours]


def look_controls(view: ResultView) -> Look:
    """Widgets that choose how it looks."""
    embeddings = view.store.embeddings
    embedding = embeddings[0]
    if len(embeddings) > 1:
        embedding = st.selectbox(
            "Embedding", embeddings, key="map_embedding", format_func=embedding_name,
            help="The two-dimensional picture of the cells.", **KEEP,
        )  # fmt: skip
    streams = st.toggle(
        "Streamlines", value=True, key="map_streams",
        help="Lines that follow the average velocity of the cells below them.", **KEEP,
    )  # fmt: skip
    density = st.slider(
        "Line density", 0.3, 2.0, 1.0, 0.1, key="map_density", disabled=not streams,
        help="More lines show finer turns; fewer are calmer.", **KEEP,
    )  # fmt: skip
    with st.expander("Appearance", icon=":material/tune:"):
        names = st.toggle("Group names on the map", value=True, key="map_names", **KEEP)
        size = st.slider(
            "Point size", 1.0, 12.0, default_size(view.store.n_cells), 0.5, key="map_size", **KEEP
        )
        opacity = st.slider("Point opacity", 0.1, 1.0, 0.75, 0.05, key="map_opacity", **KEEP)
        clip = st.slider(
            "Colour range (percentiles)", 0.0, 100.0, (1.0, 99.0), 0.5, key="map_clip",
            help="Values beyond these percentiles take the end colours, so that a few extreme "
            "cells do not wash out the rest.", **KEEP,
        )  # fmt: skip
    return Look(embedding, size, opacity, density, streams, names, clip)


def default_size(n_cells: int) -> float:
    """Smaller points for more cells."""
    return float(np.clip(round(2 * 320 / max(n_cells, 1) ** 0.5) / 2, 2.5, 9.0))


def map_data(view: ResultView, coloring: Coloring, look: Look) -> tuple[EmbeddingData, str]:
    """The map's numbers, and a sentence that explains the colour."""
    store, strata = view.store, view.strata()
    positions = store.embedding(look.embedding)
    streams = view.streams(look.embedding, look.density) if look.streams else Streams()
    title, note, extra = _meaning(view, coloring)
    data = embedding_data(
        positions, store.obs.index, title=title, clip=look.clip, strata=strata, streams=streams,
        **extra,
    )  # fmt: skip
    return data, note


def _meaning(view: ResultView, coloring: Coloring) -> tuple[str, str, dict[str, Any]]:
    if coloring.gene and coloring.layer:
        name, scale, note = GENE_LAYERS[coloring.layer]
        values = view.gene(coloring.layer, coloring.gene)
        return f"{coloring.gene}<br>{name}", note, {"values": values, "scale": scale}
    if coloring.column is None:
        return "cells", "", {"values": np.full(view.store.n_cells, np.nan, np.float32)}
    name, note = cell_number(coloring.column)
    if coloring.column in view.store.label_columns:
        column = view.store.obs[coloring.column]
        return name, note, {"labels": column, "colors": view.colors(coloring.column)}
    values = view.store.obs[coloring.column].to_numpy(dtype=np.float32, na_value=np.nan)
    scale = "time" if coloring.column == "latent_time" else "abundance"
    return _short(name), note, {"values": values, "scale": scale}


def _short(name: str) -> str:
    return name.replace(" (", "<br>(")


def show_map(view: ResultView, data: EmbeddingData, look: Look, note: str) -> None:
    """Draw the map with its caption."""
    figure = embedding_figure(
        data, current_theme(), size=look.size, opacity=look.opacity, names=look.names, height=590
    )
    draw(figure, "velocity_map", alt=f"Cells on {embedding_name(look.embedding)} with velocity")
    flow = "Lines show where cells are heading. " if data.streams.lines else ""
    st.caption(f"{data.caption}. {flow}{note}".replace("showing", "Showing"))
