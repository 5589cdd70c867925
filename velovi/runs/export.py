"""Results to take away: h5ad, written gene block by gene block, and tables."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import zarr

from velovi.data.storable import storable_name
from velovi.errors import StoreError, VeloviError
from velovi.runs.files import make_folder, remove, told_as_store_error
from velovi.runs.results import ResultStore, damaged_result, verify_result

Progress = Callable[[float], None]


def export_h5ad(result_path: Path, out_path: Path, progress: Progress | None = None) -> Path:
    """Copy a result store into one h5ad file, its dense layers a few genes at a time.

    Columns and embeddings that were stored under another name get the one of the user's file back.

    Parameters
    ----------
    result_path
        A run's ``result.zarr``.
    out_path
        The file to write; it appears when it is complete.
    progress
        Called with the share done, 0 to 1.

    Raises
    ------
    StoreError
        The result is damaged, or the file cannot be written.
    """
    verify_result(Path(result_path))
    if out_path.is_dir():
        raise StoreError(
            "the file cannot be written",
            where=str(out_path),
            expected="the name of a file",
            found="a folder",
            remedy="Give the file a name, such as result.h5ad",
        )
    make_folder(out_path.parent)
    beside = out_path.with_name(f".{out_path.name}.{os.getpid()}.part")
    try:
        with told_as_store_error(out_path):
            _write_h5ad(Path(result_path), beside, progress)
            beside.replace(out_path)
    except VeloviError:
        raise
    except (RuntimeError, ValueError) as error:  # zarr's and HDF5's own, for damaged files
        raise damaged_result(Path(result_path), f"{type(error).__name__}: {error}"[:300]) from error
    finally:
        remove(beside)
    return out_path


def _write_h5ad(result_path: Path, beside: Path, progress: Progress | None) -> None:
    import anndata
    from anndata.io import read_elem, write_elem

    store = zarr.open_group(result_path, mode="r")
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
        _give_names_back(out, store)


def _give_names_back(out: h5py.File, store: zarr.Group) -> None:
    """Call what was stored under another name as the user's file did, where anndata reads that."""
    if "names" not in store["uns/velovi"]:
        return
    names: dict[str, dict[str, str]] = json.loads(str(np.asarray(store["uns/velovi/names"])[()]))
    for table in ("obs", "var"):
        group = out[table]
        for stored, given in names.get(table, {}).items():
            if stored not in group:
                continue
            index = str(group.attrs["_index"])
            if given == index:  # the names of the rows make room
                free = storable_name("names", group)
                group.move(index, free)
                group.attrs["_index"] = free
            if given in group:
                continue
            group.move(stored, given)
            order = [str(attr) for attr in group.attrs["column-order"]]
            order[order.index(stored)] = given
            group.attrs["column-order"] = np.array(order, dtype=object)
            if f"{stored}_colors" in out["uns"] and "/" not in given:
                out["uns"].move(f"{stored}_colors", f"{given}_colors")
    for stored, given in names.get("obsm", {}).items():
        if stored in out["obsm"] and given not in out["obsm"] and "/" not in given:
            out["obsm"].move(stored, given)


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
            for values, title in (
                (points, name.removeprefix("X_")),
                (arrows, store.velocity_keys[name]),
            ):
                # the user's own column of such a name stays as it is
                table[storable_name(f"{title}_{axis + 1}", table.columns)] = values[:, axis]
    return table.rename_axis(storable_name("cell", table.columns))


def gene_table(store: ResultStore) -> pd.DataFrame:
    """Every gene of the file: whether it was kept and why not, and what the model found."""
    genes = store.all_genes
    found = store.var.drop(columns="shared_counts", errors="ignore")
    clash = {
        name: storable_name(f"{name}_from_file", [*genes, *found])
        for name in found
        if name in genes.columns
    }
    joined = genes.join(found.rename(columns=clash))
    return joined.rename_axis(storable_name("gene", joined.columns))
