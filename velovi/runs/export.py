"""Results to take away: h5ad, written gene block by gene block, and tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import zarr

from velovi.runs.results import ResultStore, velocity_key

Progress = Callable[[float], None]


def export_h5ad(result_path: Path, out_path: Path, progress: Progress | None = None) -> Path:
    """Copy a result store into one h5ad file, its dense layers a few genes at a time.

    Parameters
    ----------
    result_path
        A run's ``result.zarr``.
    out_path
        The file to write; it appears when it is complete.
    progress
        Called with the share done, 0 to 1.
    """
    import anndata
    from anndata.io import read_elem, write_elem

    store = zarr.open_group(Path(result_path), mode="r")
    out_path.parent.mkdir(parents=True, exist_ok=True)
    beside = out_path.with_name(f".{out_path.name}.part")
    dense = [name for name in store["layers"] if isinstance(store[f"layers/{name}"], zarr.Array)]
    as_read = anndata.settings.override(allow_write_nullable_strings=True)
    with as_read, h5py.File(beside, "w") as out:
        out.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        for part in store:
            if part != "layers":
                write_elem(out, part, read_elem(store[part]))
        layers = out.create_group("layers")
        layers.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        for name in store["layers"]:
            if name not in dense:
                write_elem(layers, name, read_elem(store[f"layers/{name}"]))
        for number, name in enumerate(dense):
            _copy_dense(store[f"layers/{name}"], layers, name)
            if progress:
                progress((number + 1) / len(dense))
    beside.replace(out_path)
    return out_path


def _copy_dense(source: Any, target: h5py.Group, name: str) -> None:
    written = target.create_dataset(
        name,
        shape=source.shape,
        dtype=source.dtype,
        chunks=(min(source.shape[0], 4096), min(source.shape[1], source.chunks[1])),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
    )
    written.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    for start in range(0, source.shape[1], source.chunks[1]):
        columns = slice(start, start + source.chunks[1])
        written[:, columns] = np.asarray(source[:, columns])


def cell_table(store: ResultStore) -> pd.DataFrame:
    """Annotations of every cell, with every two-dimensional embedding's coordinates."""
    table = store.obs.copy()
    for name in store.embeddings:
        points, arrows = store.embedding(name), store.embedded_velocity(name)
        for axis in range(2):
            table[f"{name.removeprefix('X_')}_{axis + 1}"] = points[:, axis]
            table[f"{velocity_key(name)}_{axis + 1}"] = arrows[:, axis]
    return table.rename_axis("cell")


def gene_table(store: ResultStore) -> pd.DataFrame:
    """Every gene of the file: whether it was kept and why not, and what the model found."""
    genes = store.all_genes
    found = store.var.drop(columns=[c for c in store.var if c in genes])
    return genes.join(found).rename_axis("gene")
