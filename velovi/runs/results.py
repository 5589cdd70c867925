"""The result store: a standard AnnData in zarr, laid out so that one gene reads in milliseconds.

Layers are chunked by gene (all cells, few genes) inside larger shards, so a run of any size is a
few dozen files. The store opens with ``anndata.read_zarr`` in any notebook.
"""

from __future__ import annotations

import shutil
import warnings
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import zarr

from velovi.errors import StoreError, UnknownNameError

if TYPE_CHECKING:
    from anndata import AnnData

RESULT_VERSION = 1
CHUNK_VALUES = 2**18  # 1 MB of float32: what one look at a gene has to read and unpack
SHARD_VALUES = 2**25
MOST_CATEGORIES = 120  # more cannot be told apart, and drawing them takes seconds


def velocity_key(embedding: str) -> str:
    """Where the velocity projected on an embedding lies: ``velocity_umap`` for ``X_umap``."""
    return "velocity_" + embedding.removeprefix("X_")


def genes_per_chunk(n_cells: int, n_genes: int) -> int:
    """How many genes share a chunk, for a layer of this size."""
    return int(np.clip(CHUNK_VALUES // max(n_cells, 1), 1, max(n_genes, 1)))


def write_result(adata: AnnData, path: Path) -> None:
    """Write a result store beside its place, then rename it there.

    Parameters
    ----------
    adata
        The annotated result; dense layers are chunked by gene.
    path
        Final place of the store.
    """
    import anndata
    from zarr.codecs import BloscCodec

    beside = path.with_name(f".{path.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    per_chunk = genes_per_chunk(adata.n_obs, adata.n_vars)
    per_shard = per_chunk * max(1, SHARD_VALUES // max(1, per_chunk * adata.n_obs))

    def write(writer: Any, group: Any, key: str, elem: Any, dataset_kwargs: Any, **_: Any) -> None:
        options = dict(dataset_kwargs)
        # some versions of anndata give the whole key, others what is left of it in this group
        whole = f"{group.path}/{key}".strip("/")
        if whole.startswith("layers/") and isinstance(elem, np.ndarray) and elem.size:
            chunks = (elem.shape[0], min(per_chunk, elem.shape[1]))
            shard_genes = min(per_shard, -(-elem.shape[1] // chunks[1]) * chunks[1])
            options = {
                "chunks": chunks,
                "shards": (elem.shape[0], shard_genes),
                "compressors": BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
            }
        writer(group, key, elem, dataset_kwargs=options)

    with anndata.settings.override(zarr_write_format=3, auto_shard_zarr_v3=False):
        group = zarr.open_group(beside, mode="w", zarr_format=3)
        anndata.experimental.write_dispatched(group, "/", adata, callback=write)
        with warnings.catch_warnings():
            # zarr-python reads it, and that is who reads this; other readers do without
            warnings.filterwarnings("ignore", message="Consolidated metadata")
            zarr.consolidate_metadata(beside, zarr_format=3)
    shutil.rmtree(path, ignore_errors=True)
    beside.rename(path)


class ResultStore:
    """Reads a finished run, one column at a time.

    Parameters
    ----------
    path
        The ``result.zarr`` of a run.

    Raises
    ------
    StoreError
        When there is no store, or one of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        try:
            self._group = zarr.open_group(self.path, mode="r")
            found = int(self._read("uns/velovi/result_version"))
        except (OSError, KeyError, ValueError) as error:
            raise StoreError(
                "there is no readable result here",
                where=str(self.path.parent.name),
                found="a damaged store" if self.path.exists() else "no such folder",
                remedy="Train again, or choose another run",
            ) from error
        if found != RESULT_VERSION:
            raise StoreError(
                "this result was written by another version",
                where=self.path.parent.name,
                expected=f"version {RESULT_VERSION}",
                found=f"version {found}",
                remedy="Train again with this version",
            )

    def _read(self, key: str) -> Any:
        from anndata.io import read_elem

        return read_elem(self._group[key])

    @cached_property
    def obs(self) -> pd.DataFrame:
        """Annotations of the cells (cells, columns)."""
        return self._read("obs")

    @cached_property
    def var(self) -> pd.DataFrame:
        """Rates and quality of the genes in the model (genes, columns)."""
        return self._read("var")

    @cached_property
    def details(self) -> dict[str, Any]:
        """``uns["velovi"]``: specification, versions, history, notes."""
        return self._read("uns/velovi")

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.obs)

    @property
    def genes(self) -> list[str]:
        """Names of the genes in the model."""
        return list(self.var.index)

    @cached_property
    def all_genes(self) -> pd.DataFrame:
        """Every gene of the file: whether kept, and why not (genes of the file, columns)."""
        return self.details["genes"]

    @cached_property
    def layers(self) -> list[str]:
        """Names of the dense cell-by-gene layers, those that :meth:`gene` reads."""
        layers = self._group["layers"]
        return sorted(name for name in layers if isinstance(layers[name], zarr.Array))

    @cached_property
    def embeddings(self) -> list[str]:
        """Names of the embeddings with at least two dimensions, velocity ones left out."""
        known = set(self._group["obsm"])
        names = [name for name in known if velocity_key(name) in known]
        return sorted(names, key=lambda name: (name != "X_umap", name != "X_tsne", name))

    @cached_property
    def label_columns(self) -> list[str]:
        """Categorical annotations of few enough kinds, those with a usual cluster name first."""
        from velovi.data import usual_labels

        names = [
            str(column)
            for column in self.obs
            if isinstance(self.obs[column].dtype, pd.CategoricalDtype)
            and len(self.obs[column].cat.categories) <= MOST_CATEGORIES
        ]
        first = usual_labels(names)
        return first + [name for name in names if name not in first]

    @cached_property
    def numeric_columns(self) -> list[str]:
        """Numeric annotations of the cells."""
        return [
            str(column)
            for column in self.obs
            if pd.api.types.is_numeric_dtype(self.obs[column].dtype)
        ]

    def gene(self, layer: str, gene: str) -> np.ndarray:
        """One layer's column for one gene.

        Returns
        -------
        float32 array (cells,)

        Raises
        ------
        UnknownNameError
            When the gene or the layer is not in the result.
        """
        if layer not in self.layers:
            raise UnknownNameError(
                f"there is no layer {layer!r}", where="layer", expected=", ".join(self.layers)
            )
        try:
            column = self.var.index.get_loc(gene)
        except KeyError:
            raise UnknownNameError(
                f"there is no gene {gene!r} in this run",
                where="gene",
                remedy="The table of genes says which were dropped, and why",
            ) from None
        return np.asarray(self._group["layers"][layer][:, column])

    def layer(self, name: str) -> np.ndarray:
        """A whole layer (cells, genes); as large as the run."""
        return np.asarray(self._group["layers"][name][:])

    def embedding(self, name: str) -> np.ndarray:
        """First two dimensions of an embedding, float32 (cells, 2)."""
        self._need_embedding(name)
        return np.asarray(self._group["obsm"][name][:, :2], dtype=np.float32)

    def embedded_velocity(self, name: str) -> np.ndarray:
        """Velocity projected on an embedding, float32 (cells, 2)."""
        self._need_embedding(name)
        return np.asarray(self._group["obsm"][velocity_key(name)][:, :2], dtype=np.float32)

    def grid(self, name: str) -> dict[str, np.ndarray]:
        """The velocity field on a grid: ``x`` (nx,), ``y`` (ny,), ``u``, ``v``, ``mass`` (ny, nx).

        Cells of the grid that hold no data are NaN in ``u`` and ``v``.
        """
        self._need_embedding(name)
        return self._read(f"uns/velovi/grids/{name}")

    def colors(self, label: str) -> dict[str, str] | None:
        """The file's own colour for each category of a label, if it brought them."""
        key = f"{label}_colors"
        categories = list(self.obs[label].cat.categories)
        if key not in self._group["uns"]:
            return None
        colors = [str(color) for color in np.atleast_1d(self._read(f"uns/{key}"))]
        if len(colors) != len(categories):
            return None
        return dict(zip(categories, colors, strict=True))

    def _need_embedding(self, name: str) -> None:
        if name not in self.embeddings:
            raise UnknownNameError(
                f"there is no embedding {name!r}",
                where="embedding",
                expected=", ".join(self.embeddings) or "none in this run",
            )
