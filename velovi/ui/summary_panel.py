"""Key figures of a result, and what can be downloaded."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np
import streamlit as st

from velovi.ui.cached_result import ResultView

log = logging.getLogger(__name__)
_SAFE_CSV = (
    " Names that a spreadsheet would take for a formula (they begin with =, +, - or @) have an "
    "apostrophe in front; the h5ad has them as they are."
)


def median(view: ResultView, column: str) -> float | None:
    """Median of a cell's number over the cells that have it; None when nobody does."""
    return _median(view.path, view.changed, column, view)


@st.cache_data(show_spinner=False, max_entries=100)
def _median(path: str, changed: float, column: str, _view: ResultView) -> float | None:
    if column not in _view.store.obs:
        return None
    values = _view.store.obs[column].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else None


def key_figures(view: ResultView) -> None:
    """Four numbers that say what the result rests on."""
    confidence, angle = median(view, "velocity_confidence"), median(view, "direction_angle")
    cells, genes, sure, unsure = st.columns(4)
    cells.metric("Cells", f"{view.store.n_cells:,}", help="Cells that the model was trained on.")
    genes.metric(
        "Genes in the model",
        f"{len(view.store.genes):,}",
        help="Genes whose spliced and unspliced counts carry a velocity signal. The Genes page "
        "says why the others were left out.",
    )
    sure.metric(
        "Velocity confidence",
        "–" if confidence is None else f"{confidence:.2f}",
        help="Median over cells. How well a cell's velocity agrees with its neighbours' "
        "(correlation): 1 is full agreement, 0 is none. It says that directions are smooth, not "
        "that they are right.",
    )
    unsure.metric(
        "Typical angle, sample to mean",
        "–" if angle is None else f"{angle:.0f}°",
        help="Median over cells. Samples of the model's posterior point in different directions: "
        "this is the typical angle between one sample and the mean of all; 0° is one clear "
        "direction, 90° is none. It is 40 to 50° on most data, also on cells without any velocity: "
        "it says how unsure the model is, not whether there is a signal.",
    )


def downloads(view: ResultView) -> None:
    """Tables and the whole result; each is made when it is asked for."""
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in view.name)[:60] or "result"
    with st.container(horizontal=True):
        st.download_button(
            "Cells (CSV)",
            lambda: _csv(view, "cell_table"),
            f"{name}_cells.csv",
            "text/csv",
            on_click="ignore",
            icon=":material/table:",
            key="download_cells",
            help="One row a cell: your annotations and the model's numbers." + _SAFE_CSV,
        )
        st.download_button(
            "Genes (CSV)",
            lambda: _csv(view, "gene_table"),
            f"{name}_genes.csv",
            "text/csv",
            on_click="ignore",
            icon=":material/table:",
            key="download_genes",
            help="One row a gene: rates, switch time, quality, or why it was left out." + _SAFE_CSV,
        )
        st.download_button(
            "Whole result (h5ad)",
            lambda: result_bytes(view),
            f"{name}_velovi.h5ad",
            "application/octet-stream",
            on_click="ignore",
            icon=":material/download:",
            key="download_result",
            help="Opens in Scanpy, scVelo and CellRank. Large results take a moment to prepare.",
        )


def _csv(view: ResultView, table: str) -> bytes:
    from velovi.runs import export
    from velovi.runs.tables import csv_bytes

    make = {"cell_table": export.cell_table, "gene_table": export.gene_table}[table]
    return csv_bytes(make(view.store))


def result_bytes(view: ResultView) -> bytes:
    """The result as the bytes of an h5ad file."""
    from velovi.runs.export import export_h5ad

    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "result.h5ad"
            export_h5ad(Path(view.path), path)
            return path.read_bytes()
    except Exception:
        # the browser shows a failed download; the reason is for the log
        log.exception("Export of %s failed", view.run_id)
        raise
