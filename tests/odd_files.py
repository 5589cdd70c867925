"""Files that users bring and that once lost their runs, each made from small simulated cells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd

from velovi.data.simulate import simulate

N_CELLS, N_GENES = 90, 24
TEXT = h5py.string_dtype()


def cells(n_cells: int = N_CELLS) -> anndata.AnnData:
    """Cells with groups and a map."""
    adata = simulate(n_cells, N_GENES, seed=1, keep_truth=False)
    rng = np.random.default_rng(0)
    adata.obsm["X_umap"] = rng.normal(size=(n_cells, 2)).astype(np.float32)
    return adata


def rename_index(path: Path, name: str) -> None:
    """Give the cells' names a name that later versions of anndata refuse to write."""
    with h5py.File(path, "a") as file:
        file["obs"].move(file["obs"].attrs["_index"], name)
        file["obs"].attrs["_index"] = name


def add_column(path: Path, table: str, name: str, values: np.ndarray | None = None) -> None:
    """Add a column under a name that anndata itself refuses to write."""
    with h5py.File(path, "a") as file:
        group = file[table]
        index = group.attrs["_index"]
        names = group[index]
        n = len(names["values"]) if isinstance(names, h5py.Group) else len(names)
        if name == index:
            group.move(index, "features")
            group.attrs["_index"] = "features"
        group[name] = np.arange(n) * 1.0 if values is None else values
        kind = "array" if group[name].dtype.kind == "f" else "string-array"
        group[name].attrs.update({"encoding-type": kind, "encoding-version": "0.2.0"})
        order = [*group.attrs["column-order"], name]
        group.attrs["column-order"] = np.array(order, dtype=object)


def old_layout(path: Path) -> None:
    """The layout of anndata 0.6: compound obs, var and obsm, h5sparse layers."""
    adata = cells()
    n, g = adata.shape
    obs = np.zeros(n, dtype=[("index", "S10"), ("clusters", "i1")])
    obs["index"], obs["clusters"] = [f"c{place}".encode() for place in range(n)], np.arange(n) % 3
    var = np.zeros(g, dtype=[("index", "S10"), ("n", "f4")])
    var["index"] = [f"g{place}".encode() for place in range(g)]
    maps = np.zeros(n, dtype=[("X_umap", "f4", (2,)), ("X_pca", "f4", (5,))])
    maps["X_umap"] = adata.obsm["X_umap"]
    with h5py.File(path, "w") as file:
        file["obs"], file["var"], file["obsm"] = obs, var, maps
        file["uns/clusters_categories"] = np.array(["A", "B", "C"], dtype=TEXT)
        for name in ("X", "layers/spliced", "layers/unspliced"):
            matrix = adata.layers[name.rpartition("/")[2]] if "/" in name else adata.X
            group = file.create_group(name)
            group.attrs["h5sparse_format"] = "csr"
            group.attrs["h5sparse_shape"] = np.array(adata.shape)
            for part in ("data", "indices", "indptr"):
                group[part] = getattr(matrix, part)


def with_layer_values(path: Path, kind: str) -> None:
    """Sparse layers whose numbers are of another kind or byte order."""
    cells().write_h5ad(path)
    with h5py.File(path, "a") as file:
        for name in ("spliced", "unspliced"):
            group = file[f"layers/{name}"]
            values = group["data"][:]
            del group["data"]
            group["data"] = values.astype(kind)


def write(change: Callable[[anndata.AnnData], Any]) -> Callable[[Path], None]:
    """A maker of files from a change of the cells."""

    def make(path: Path) -> None:
        adata = cells()
        change(adata)
        adata.write_h5ad(path)

    return make


def then(change: Callable[[Path], Any]) -> Callable[[Path], None]:
    """A maker of files from a change of the file."""

    def make(path: Path) -> None:
        cells().write_h5ad(path)
        change(path)

    return make


def _index_is_column(adata: anndata.AnnData) -> None:
    adata.obs["barcode"] = adata.obs_names
    adata.obs.index.name = "barcode"


def _slash_in_layers(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.create_group("layers/norm")
        file.copy("layers/spliced", "layers/norm/log")


def _put(name: str, values: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with h5py.File(path, "a") as file:
            file[name] = values

    return change


def _later_encoding(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["obs/clusters"].attrs["encoding-type"] = "better-categorical"


SOUND: dict[str, Callable[[Path], None]] = {
    "index name is a column": write(_index_is_column),
    "_index in obs": then(lambda path: add_column(path, "obs", "_index")),
    "_index in var": then(lambda path: add_column(path, "var", "_index")),
    "__categories in obs": then(lambda path: add_column(path, "obs", "__categories")),
    "zarr.json in obs": then(lambda path: add_column(path, "obs", "zarr.json")),
    "dots in obs": then(lambda path: add_column(path, "obs", "..")),
    "slash in obs": then(lambda path: add_column(path, "obs", "cell/type")),
    "slash in var": then(lambda path: add_column(path, "var", "gene/type")),
    "slash in obsm": then(_put("obsm/X/umap", np.ones((N_CELLS, 2)))),
    "slash in layers": then(_slash_in_layers),
    "long name": then(lambda path: add_column(path, "obs", "n" * 300)),
    "names differ by case": write(
        lambda adata: adata.obs.update({}) or adata.obs.insert(0, "CLUSTERS", 1.0)
    ),
    "maps differ by case": write(
        lambda adata: adata.obsm.__setitem__("X_UMAP", -adata.obsm["X_umap"])
    ),
    "old layout": old_layout,
    "named datatype": then(_put("__DATA_TYPES__/Enum_Boolean", np.dtype("i1"))),
    "named datatype in layers": then(_put("layers/kind", np.dtype("i1"))),
    "float16": lambda path: with_layer_values(path, "<f2"),
    "big-endian float": lambda path: with_layer_values(path, ">f4"),
    "big-endian whole numbers": lambda path: with_layer_values(path, ">i4"),
    "later encoding of a column": then(_later_encoding),
    "index called like a column of ours": write(
        lambda adata: (
            setattr(adata.obs.index, "name", "latent_time")
            or setattr(adata.var.index, "name", "velocity_gamma")
        )
    ),
    "slash in the index's name": then(lambda path: rename_index(path, "cell/id")),
    "self in obs": write(lambda adata: adata.obs.__setitem__("self", 1.0)),
    "blank before a name of ours": then(lambda path: add_column(path, "obs", " latent_time")),
    "nullable columns": write(
        lambda adata: (
            adata.obs.insert(0, "n", pd.array([1, None] * 45, dtype="Int64"))
            or adata.obs.insert(0, "b", pd.array([True, None] * 45, dtype="boolean"))
        )
    ),
    "frame with a flag": write(
        lambda adata: adata.obsm.__setitem__(
            "frame", pd.DataFrame({"a": 1.0, "b": True}, index=adata.obs_names)
        )
    ),
    "broken uns": then(_put("uns/strange", h5py.Empty("f4"))),
    "text in obsm": then(_put("obsm/names", np.array([b"x"] * N_CELLS))),
    "three columns of a map": write(
        lambda adata: adata.obsm.__setitem__("X_umap", np.ones((N_CELLS, 3)) + np.eye(N_CELLS, 3))
    ),
    "frame as map": write(
        lambda adata: adata.obsm.__setitem__(
            "X_umap", pd.DataFrame(adata.obsm["X_umap"], index=adata.obs_names, columns=["a", "b"])
        )
    ),
}
"""Files that are sound: each is checked ready, read, stored and given back."""


def _index_out_of_range(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["layers/spliced/indices"][3] = 4000


def _negative_index(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["layers/unspliced/indices"][3] = -1


def _pointers(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["layers/spliced/indptr"][2] = 10**6


def _replace(name: str, **how: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with h5py.File(path, "a") as file:
            attributes = dict(file[name].attrs)
            del file[name]
            file.create_dataset(name, **how)
            file[name].attrs.update(attributes)

    return change


def _later_layer(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["layers/spliced"].attrs["encoding-type"] = "blocked_matrix"


DAMAGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "index out of range": (then(_index_out_of_range), "4,000"),
    "negative index": (then(_negative_index), "-1"),
    "row pointers": (then(_pointers), "pointers"),
    "a billion cells": (
        then(_replace("obs/_index", shape=(10**9,), dtype=TEXT, chunks=(10**6,))),
        "declares",
    ),
    "wide texts": (
        then(_replace("obs/_index", shape=(10**7,), dtype="S1000", chunks=(10**4,))),
        "declares",
    ),
    "a bomb in a layer": (
        then(_replace("layers/spliced/data", shape=(3 * 10**8,), dtype="f4", chunks=(10**6,))),
        "declares",
    ),
    "later encoding of a layer": (then(_later_layer), "later anndata"),
    "texts as counts": (
        then(_replace("layers/spliced/data", data=np.array([b"x"] * 5))),
        "",
    ),
}
"""Files that must be refused in a sentence, and a word of it."""
