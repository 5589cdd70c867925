"""The result store: a standard AnnData in zarr, laid out so that one gene reads in milliseconds.

Layers are chunked by gene (all cells, few genes) inside larger shards, so a run of any size is a
few dozen files. The store opens with ``anndata.read_zarr`` in any notebook.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import zarr

from velovi.data.colors import GREY
from velovi.data.groups import merge_small_groups
from velovi.data.storable import storable_name
from velovi.errors import StoreError, UnknownNameError, VeloviError, first_named
from velovi.keys import ANGLE_COLUMNS
from velovi.runs.files import read_json_object, write_json

if TYPE_CHECKING:
    from anndata import AnnData

RESULT_VERSION = 1
CHUNK_VALUES = 2**18  # 1 MB of float32: what one look at a gene has to read and unpack
SHARD_VALUES = 2**25
_VERDICT = "velocity_support"  # groups of ours, which are no kinds of cells
_FEWEST_IN_A_GROUP = 2  # cells on average; columns of smaller groups name single cells
WARNING = "WARNING: "
"""How those notes of a result begin that stand on every page of it."""
MANIFEST_NAME = "result.checksums.json"
_PIECE = 2**22


def typical_angle(mean_cosine: np.ndarray) -> np.ndarray:
    """The angle, in degrees, whose cosine is the mean cosine of samples and their mean.

    Examples
    --------
    >>> typical_angle(np.array([1.0, 0.0])).tolist()
    [0.0, 90.0]
    """
    return np.degrees(np.arccos(np.clip(mean_cosine, -1.0, 1.0)))


def velocity_key(embedding: str) -> str:
    """Where the velocity projected on an embedding lies: ``velocity_umap`` for ``X_umap``."""
    return "velocity_" + embedding.removeprefix("X_")


def velocity_keys(embeddings: Iterable[str]) -> dict[str, str]:
    """The same for several embeddings, each with a key of its own.

    Examples
    --------
    >>> velocity_keys(["umap", "X_umap"])
    {'X_umap': 'velocity_umap', 'umap': 'velocity_umap_2'}
    """
    found: dict[str, str] = {}
    for name in sorted(embeddings, key=lambda name: (not name.startswith("X_"), name)):
        found[name] = storable_name(velocity_key(name), found.values())
    return found


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
    manifest = {str(name): _describe_file(beside / name) for name in _files(beside)}
    shutil.rmtree(path, ignore_errors=True)
    write_json(path.with_name(MANIFEST_NAME), manifest)
    beside.rename(path)


def _files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def _describe_file(path: Path) -> list[int | str]:
    """Size and checksum of a file."""
    checksum, size = hashlib.blake2b(digest_size=16), 0
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            checksum.update(piece)
            size += len(piece)
    return [size, checksum.hexdigest()]


def write_manifest(path: Path) -> None:
    """Write the checksums of a result that has none, as it is now."""
    manifest = {str(name): _describe_file(path / name) for name in _files(path)}
    write_json(path.with_name(MANIFEST_NAME), manifest)


def has_manifest(path: Path) -> bool:
    """Whether a result says what its files should be; those of early versions do not."""
    return path.with_name(MANIFEST_NAME).is_file()


def verify_result(
    path: Path, *, quick: bool = False, progress: Callable[[float], None] | None = None
) -> None:
    """Compare a result's files with the checksums that were kept when it was written.

    Parameters
    ----------
    path
        The ``result.zarr`` of a run.
    quick
        Compare sizes only, which finds files that are gone or cut short.
    progress
        Called with the share done, 0 to 1.

    Raises
    ------
    StoreError
        A file is gone, cut short or changed; the first ones are named. Nothing is raised for a
        result without checksums; see :func:`has_manifest`.
    """
    if not has_manifest(path):
        return
    try:
        manifest = read_json_object(path.with_name(MANIFEST_NAME))
        kept = {str(name): (int(size), str(sum_)) for name, (size, sum_) in manifest.items()}
    except (OSError, ValueError, TypeError) as error:
        raise damaged_result(path, "its list of checksums cannot be read") from error
    wrong = []
    for place, (name, (size, checksum)) in enumerate(kept.items()):
        try:
            good = (path / name).stat().st_size == size
            good = good and (quick or _describe_file(path / name)[1] == checksum)
        except OSError:
            good = False
        wrong += [] if good else [name]
        if progress:
            progress((place + 1) / len(kept))
    if wrong:
        raise damaged_result(path, f"{len(wrong)} of {len(kept)} files: {first_named(wrong)}")


def damaged_result(path: Path, found: str) -> StoreError:
    """The sentence for a result whose files are not what they were."""
    return StoreError(
        "the result on disk is damaged",
        where=path.parent.name,
        expected="the files as they were written",
        found=found,
        remedy="Bring the run's folder back from a copy, or start the run again; the numbers "
        "shown may be wrong",
    )


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
        except Exception as error:  # zarr's codecs raise nearly every kind for damaged files
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

        with self._told_as_damage():
            return read_elem(self._group[key])

    def _columns(self, key: str, columns: slice | int) -> np.ndarray:
        with self._told_as_damage():
            return np.asarray(self._group[key][:, columns])

    @contextmanager
    def _told_as_damage(self) -> Iterator[None]:
        """Tell what goes wrong while files are read as damage; a part that is not there is not."""
        try:
            yield
        except (VeloviError, KeyError, MemoryError):
            raise
        except Exception as error:  # zarr's codecs raise nearly every kind for damaged files
            found = f"{type(error).__name__}: {str(error)[:200]}"
            raise damaged_result(self.path, found) from error

    @cached_property
    def obs(self) -> pd.DataFrame:
        """Annotations of the cells (cells, columns), with the typical angles of directions."""
        found: pd.DataFrame = self._read("obs")
        for column, cosine in ANGLE_COLUMNS.items():
            if cosine in found and column not in found:
                found[column] = typical_angle(found[cosine].to_numpy(dtype=np.float32))
        return found

    @cached_property
    def var(self) -> pd.DataFrame:
        """Rates and quality of the genes in the model (genes, columns)."""
        return self._read("var")

    @cached_property
    def details(self) -> dict[str, Any]:
        """``uns["velovi"]``: specification, versions, history, notes."""
        return self._read("uns/velovi")

    @property
    def warnings(self) -> list[str]:
        """What stands against this result: those of its notes that are warnings."""
        notes = [str(note) for note in self.details.get("notes", ())]
        return [note.removeprefix(WARNING) for note in notes if note.startswith(WARNING)]

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
    def velocity_keys(self) -> dict[str, str]:
        """Where the velocity projected on each embedding lies in ``obsm``."""
        known = set(self._group["obsm"])
        if "velocity_keys" in self._group["uns/velovi"]:
            kept: dict[str, str] = json.loads(str(self._read("uns/velovi/velocity_keys")))
        else:  # a result of an early version
            kept = {name: velocity_key(name) for name in known}
        return {name: key for name, key in kept.items() if {name, key} <= known}

    @cached_property
    def embeddings(self) -> list[str]:
        """Names of the embeddings with at least two dimensions, velocity ones left out."""
        return sorted(
            self.velocity_keys, key=lambda name: (name != "X_umap", name != "X_tsne", name)
        )

    @cached_property
    def label_columns(self) -> list[str]:
        """Annotations that hold groups of cells: usual cluster names first, the verdict last."""
        from velovi.data import MOST_GROUPS, usual_labels

        names, many = [], []
        for column in self.obs:
            if isinstance(self.obs[column].dtype, pd.CategoricalDtype):
                n_groups = len(self.obs[column].cat.categories)
                if n_groups <= MOST_GROUPS:
                    names.append(str(column))
                elif n_groups * _FEWEST_IN_A_GROUP <= self.n_cells:
                    many.append(str(column))
        first = usual_labels(names)
        found = first + [name for name in (*names, *many) if name not in first]
        return sorted(found, key=lambda name: name == _VERDICT)

    def labels(self, column: str) -> pd.Series:
        """Groups of the cells, at most as many as can be told apart.

        Of more groups the largest stay by themselves and the others are one, "other groups".
        """
        return self._labels[column] if column in self._labels else self._merge(column)

    @cached_property
    def _labels(self) -> dict[str, pd.Series]:
        return {}

    def _merge(self, column: str) -> pd.Series:
        given = self.obs[column]
        codes, names = merge_small_groups(given.cat.codes.to_numpy(), list(given.cat.categories))
        if len(names) < len(given.cat.categories):
            merged = pd.Categorical.from_codes(codes, pd.Index([str(name) for name in names]))
            given = pd.Series(merged, index=given.index, name=column)
        self._labels[column] = given
        return given

    @cached_property
    def numeric_columns(self) -> list[str]:
        """Numeric annotations of the cells."""
        return [
            str(column)
            for column in self.obs
            if pd.api.types.is_numeric_dtype(self.obs[column].dtype)
        ]

    @cached_property
    def _gene_places(self) -> dict[str, int]:
        return {gene: place for place, gene in enumerate(self.var.index)}

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
            column = self._gene_places[gene]
        except KeyError:
            raise UnknownNameError(
                f"there is no gene {gene!r} in this run",
                where="gene",
                remedy="The table of genes says which were dropped, and why",
            ) from None
        return self._columns(f"layers/{layer}", column)

    def layer(self, name: str) -> np.ndarray:
        """A whole layer (cells, genes); as large as the run."""
        return self._columns(f"layers/{name}", slice(None))

    def embedding(self, name: str) -> np.ndarray:
        """First two dimensions of an embedding, float32 (cells, 2)."""
        self._need_embedding(name)
        return self._columns(f"obsm/{name}", slice(2)).astype(np.float32)

    def embedded_velocity(self, name: str) -> np.ndarray:
        """Velocity projected on an embedding, float32 (cells, 2)."""
        self._need_embedding(name)
        return self._columns(f"obsm/{self.velocity_keys[name]}", slice(2)).astype(np.float32)

    def grid(self, name: str) -> dict[str, np.ndarray]:
        """The velocity field on a grid: ``x`` (nx,), ``y`` (ny,), ``u``, ``v``, ``mass`` (ny, nx).

        Cells of the grid that hold no data are NaN in ``u`` and ``v``.
        """
        self._need_embedding(name)
        return self._read(f"uns/velovi/grids/{name}")

    def steady_state_grid(self, mode: str) -> dict[str, np.ndarray]:
        """The same of the steady-state model, on the embedding where arrows were compared.

        Raises
        ------
        KeyError
            The result has none.
        """
        return self._read(f"uns/velovi/steady_state_grids/{mode}")

    @cached_property
    def steady_state_modes(self) -> list[str]:
        """Modes of the steady-state model whose arrows the result holds."""
        kept = self._group["uns/velovi"]
        return sorted(kept["steady_state_grids"]) if "steady_state_grids" in kept else []

    def colors(self, label: str) -> dict[str, str] | None:
        """The file's own colour for each category of a label, if it brought them."""
        key = f"{label}_colors"
        categories = list(self.obs[label].cat.categories)
        if key not in self._group["uns"]:
            return None
        colors = [str(color) for color in np.atleast_1d(self._read(f"uns/{key}"))]
        if len(colors) != len(categories):
            return None
        by_name = dict(zip(categories, colors, strict=True))
        return {name: by_name.get(name, GREY) for name in self.labels(label).cat.categories}

    def _need_embedding(self, name: str) -> None:
        if name not in self.embeddings:
            raise UnknownNameError(
                f"there is no embedding {name!r}",
                where="embedding",
                expected=", ".join(self.embeddings) or "none in this run",
            )
