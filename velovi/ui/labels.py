"""Titles and explanations of what is in a result and of what a run is made of."""

from __future__ import annotations

from velovi.keys import CELL_COLUMNS
from velovi.runs.folder import RunState

RUN_STATES: dict[RunState, tuple[str, str, str]] = {
    RunState.QUEUED: ("waiting", "gray", ":material/schedule:"),
    RunState.RUNNING: ("running", "blue", ":material/autorenew:"),
    RunState.STOPPING: ("finishing", "violet", ":material/flag:"),
    RunState.CANCELLING: ("cancelling", "orange", ":material/cancel:"),
    RunState.DONE: ("done", "green", ":material/check_circle:"),
    RunState.FAILED: ("failed", "red", ":material/error:"),
    RunState.CANCELLED: ("cancelled", "gray", ":material/cancel:"),
    RunState.LOST: ("lost", "red", ":material/help:"),
}


def cell_column_title(column: str) -> tuple[str, str]:
    """Name and explanation of a column of the cells."""
    return CELL_COLUMNS.get(column, (column, ""))


def embedding_name(key: str) -> str:
    """``X_umap`` as people say it."""
    known = {"X_umap": "UMAP", "X_tsne": "t-SNE", "X_pca": "PCA"}
    return known.get(key, key.removeprefix("X_"))


def device_name(device: str) -> str:
    """What a model trained on; torch's name for it in words."""
    known = {"cpu": "Processor", "cuda": "Graphics card", "mps": "Apple graphics"}
    return known.get(device.split(":")[0], device)
