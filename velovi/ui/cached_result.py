"""A finished run, opened once and read one column at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from velovi.plotting.arrows import grid_arrows, stream_arrows
from velovi.plotting.embedding import StreamlineSet
from velovi.plotting.gene import own_time
from velovi.runs.evidence_summary import EvidenceSummary, kept_rate_recovery
from velovi.runs.folder import RunFolder
from velovi.runs.results import ResultStore, verify_result
from velovi.ui.cache import ByteLRU

COLUMN_CACHE_BYTES = 200 * 2**20  # bytes: four genes of a million cells with all their layers


@st.cache_resource(show_spinner=False, max_entries=6)
def _store(path: str, changed: float) -> ResultStore:
    verify_result(Path(path), quick=True)
    return ResultStore(Path(path))


@st.cache_resource(show_spinner=False)
def _columns() -> ByteLRU:
    return ByteLRU(COLUMN_CACHE_BYTES)


def _grid(path: str, changed: float, embedding: str, mode: str) -> dict[str, np.ndarray]:
    store = _store(path, changed)
    return store.steady_state_grid(mode) if mode else store.grid(embedding)


@st.cache_resource(show_spinner=False, max_entries=40)
def _streams(path: str, changed: float, embedding: str, density: float, mode: str) -> StreamlineSet:
    grid = _grid(path, changed, embedding, mode)
    return stream_arrows(grid["x"], grid["y"], grid["u"], grid["v"], density=density)


@st.cache_resource(show_spinner=False, max_entries=40)
def _arrows(
    path: str, changed: float, embedding: str, density: float, length: float, mode: str
) -> StreamlineSet:
    grid = _grid(path, changed, embedding, mode)
    return grid_arrows(grid["x"], grid["y"], grid["u"], grid["v"], density=density, length=length)


@st.cache_resource(show_spinner=False, max_entries=6)
def _evidence(path: str, changed: float) -> EvidenceSummary | None:
    store = _store(path, changed)
    found = EvidenceSummary.from_details(store.details)
    if found is not None and found.label_column not in (None, *store.obs.columns):
        return None  # damaged: its groups are gone
    return found


@dataclass(frozen=True)
class ResultView:
    """A result and its cached columns; keyed by path and time of change, never by arrays."""

    run_id: str
    name: str
    path: str
    changed: float

    @property
    def store(self) -> ResultStore:
        """The result store, opened once for all readers."""
        return _store(self.path, self.changed)

    @property
    def evidence(self) -> EvidenceSummary | None:
        """What the run found out about its own velocities; None for results of before."""
        return _evidence(self.path, self.changed)

    @property
    def rate_recovery(self) -> pd.DataFrame | None:
        """Which rates are found again in cells simulated from the fit; None when not checked."""
        return kept_rate_recovery(self.store.details)

    @property
    def null(self) -> ResultView | None:
        """The run on the same cells without velocity; None when it is not there."""
        path = Path(self.path).parent / "null" / "result.zarr"
        marker = path / "zarr.json"
        if not marker.exists():
            return None
        return ResultView(f"{self.run_id}-null", self.name, str(path), marker.stat().st_mtime)

    def gene(self, layer: str, gene: str) -> np.ndarray:
        """One layer's column for one gene (cells,); read-only."""
        key = self.path, self.changed, layer, gene
        return _columns().get(key, lambda: self.store.gene(layer, gene))

    def gene_if_there(self, layer: str, gene: str) -> np.ndarray | None:
        """The same, or None when the result has no such layer."""
        return self.gene(layer, gene) if layer in self.store.layers else None

    def gene_time(self, gene: str) -> np.ndarray:
        """A gene's latent time (cells,); NaN in cells in which it is at rest and has none."""
        return own_time(self.gene("fit_t", gene), self.gene_if_there("p_repression_steady", gene))

    def streams(self, embedding: str, density: float, mode: str = "") -> StreamlineSet:
        """Lines of the velocity field; none when the result has no field for this embedding.

        ``mode`` names one of the steady-state model in place of veloVI's.
        """
        try:
            return _streams(self.path, self.changed, embedding, density, mode)
        except KeyError:
            return StreamlineSet()

    def arrows(
        self, embedding: str, density: float, length: float, mode: str = ""
    ) -> StreamlineSet:
        """Arrows of the velocity field on a grid; none without a field for this embedding."""
        try:
            return _arrows(self.path, self.changed, embedding, density, length, mode)
        except KeyError:
            return StreamlineSet()

    def labels(self, column: str | None = None) -> pd.Series | None:
        """A categorical annotation, the main one when left out; None when there is none."""
        columns = self.store.label_columns
        column = column or (columns[0] if columns else None)
        return None if column is None else self.store.labels(column)

    def colors(self, column: str) -> dict[str, str] | None:
        """The file's own colours as text-to-text, when they are colours a page can draw."""
        found = self.store.colors(column)
        if not found or not all(item.startswith("#") and len(item) >= 7 for item in found.values()):
            return None
        return {str(name): color[:7] for name, color in found.items()}

    def group_codes(self) -> np.ndarray | None:
        """Codes of the main annotation (cells,), for sampling."""
        labels = self.labels()
        return None if labels is None else labels.cat.codes.to_numpy()


def open_result(run: RunFolder, run_id: str) -> ResultView:
    """Open a finished run."""
    marker = run.result_path / "zarr.json"
    changed = marker.stat().st_mtime if marker.exists() else 0.0
    view = ResultView(run_id, run.spec().name, str(run.result_path), changed)
    _ = view.store
    return view
