"""From a file on disk to an AnnData, with a plain answer for every file that cannot be read."""

from __future__ import annotations

import json
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from velovi.data import guess_layers
from velovi.data.check import REMEDY, probe_file
from velovi.data.columns import Column, shape_text
from velovi.data.formats.convert import as_h5ad
from velovi.data.h5ad import H5adFile, Table, open_h5ad
from velovi.data.hdf5_limits import require_stored_below
from velovi.data.storable import clean_text, renamed, storable_name
from velovi.data.unreadable import unreadable_reason
from velovi.data.validate import missing_layer
from velovi.errors import DataError

if TYPE_CHECKING:
    from anndata import AnnData


READING = "velovi_reading"
"""Where ``uns`` says how a file was read: ``notes``, and ``names`` that differ from the file's."""


def read(path: Path | str, *, layers: tuple[str, str] | None = None) -> AnnData:
    """Read a file of spliced and unspliced counts.

    Parameters
    ----------
    path
        The file or folder: AnnData (h5ad, zarr), loom, MuData, or what STARsolo, alevin-fry and
        kb-python write; also inside zip, tar and gzip. What it holds says how it is read.
    layers
        Read only these two layers, and of the rest only what a run uses: X, the tables of cells
        and genes, embeddings and colours. Everything that can be read when left out.

    Returns
    -------
    AnnData
        In memory, as stored, (cells, genes). ``uns["velovi_reading"]`` has ``notes`` on parts that
        were left out or kept under another name, and ``names`` (JSON) of the latter.

    Raises
    ------
    DataError
        The file is missing, of another kind, or damaged.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "cells.h5ad"
    >>> from velovi import simulate
    >>> simulate(40, 10).write_h5ad(path)
    >>> read(path).shape
    (40, 10)
    """
    with as_h5ad(Path(path), trusted=layers is not None) as h5ad:
        return _read_h5ad(h5ad, layers)


def _read_h5ad(path: Path, layers: tuple[str, str] | None) -> AnnData:
    _require_readable(path)
    if layers is None and (trouble := probe_file(path)) is not None:
        # what a run reads has been checked; a file that comes from anywhere has not
        raise DataError(
            "the file cannot be opened",
            where=path.name,
            expected="an AnnData file (.h5ad)",
            found=trouble.rstrip("."),
            remedy=REMEDY,
        )
    return open_h5ad(path, lambda file: _assemble(file, layers))


def read_h5ad_here(path: Path) -> AnnData:
    """All of an h5ad, read in this process, which a damaged file may end."""
    _require_readable(path)
    return open_h5ad(path, lambda file: _assemble(file, None))


def _require_readable(path: Path) -> None:
    reason = unreadable_reason(path)
    if reason is not None:
        found, remedy = reason
        raise DataError(
            "the file cannot be opened",
            where=path.name,
            expected="an AnnData file (.h5ad)",
            found=found,
            remedy=remedy,
        )


def look_at_everything(path: Path) -> None:
    """Read all of a file but the numbers of its matrices; what is wrong with it does not matter."""
    if unreadable_reason(path) is not None:
        return
    with suppress(DataError):
        open_h5ad(path, _touch)


def _touch(file: H5adFile) -> None:
    tables: tuple[Table, Table] = ("obs", "var")
    for table in tables:
        for given in file.columns[table].values():
            file.column(table, given)
            file.colors(given)
    for name in file.embeddings:
        file.embedding(name)
    for path in ["X", *(f"layers/{name}" for name in file.paths("layers"))]:
        with suppress(DataError):
            file.matrix(path)
    for part in ("uns", "obsp", "varm", "varp"):
        if isinstance(file.file.get(part), h5py.Group):
            with suppress(DataError):
                require_stored_below(file.file[part])


def _assemble(file: H5adFile, layers: tuple[str, str] | None) -> AnnData:
    import pandas as pd
    from anndata import AnnData

    names = {"obs": file.obs_names, "var": file.var_names}
    tables = {}
    for table, rows in names.items():
        columns = {
            stored: column
            for stored, given in file.columns[table].items()  # type: ignore[index]
            if (column := file.column(table, given)) is not None  # type: ignore[arg-type]
        }
        frame = pd.DataFrame(
            {name: _series(item, rows, table) for name, item in columns.items()},
            index=pd.Index(rows, dtype=object),
        )
        called = file.index_name(table)  # type: ignore[arg-type]
        known = called is None or called in frame.columns
        frame.index.name = None if known else storable_name(str(called), frame.columns)
        tables[table] = frame
    with warnings.catch_warnings(action="ignore"):  # names that repeat are told about elsewhere
        adata = AnnData(_read_x(file), obs=tables["obs"], var=tables["var"])
    chosen = _chosen_layers(file, layers)
    needed = layers or guess_layers(chosen)
    for name in chosen:
        try:
            matrix = file.matrix(f"layers/{name}")
            if matrix.shape != file.shape:
                raise DataError(
                    f"it is {shape_text(matrix.shape)}, but the tables list "
                    f"{shape_text(file.shape)}"
                )
            adata.layers[name] = matrix.read()
        except DataError as error:
            if name in needed:
                raise
            file.note(f"Layer '{name}' was left out: {error.what}.")
    for name in file.embeddings:
        values = file.embedding(name)
        if values is not None:
            adata.obsm[name] = values
    for stored, given in file.columns["obs"].items():
        colors = file.colors(given)
        if colors is not None:
            adata.uns[f"{stored}_colors"] = colors
    if layers is None:
        _read_rest(file, adata)
    adata.uns[READING] = {
        "notes": np.array([problem.what for problem in file.problems], dtype=object),
        "names": json.dumps(_renamed(file)),
    }
    return adata


def _renamed(file: H5adFile) -> dict[str, dict[str, str]]:
    """``{stored: name in the file}`` of what is stored under another name, by its place."""
    return {
        "obs": renamed(file.columns["obs"]),
        "var": renamed(file.columns["var"]),
        "obsm": renamed({name: path for name, (path, _) in file.embeddings.items()}),
    }


def _series(column: Column, index: list[str], table: str) -> Any:
    import pandas as pd

    if column.categories is not None:
        # what repeats among the categories is one category
        names, place = np.unique(column.categories.astype(object).astype(str), return_inverse=True)
        if len(names) < len(column.categories):
            codes = np.append(place, -1)[column.values]
            return pd.Categorical.from_codes(codes, pd.Index(names, dtype=object))
        categories = pd.Index(column.categories)
        return pd.Categorical.from_codes(column.values, categories, ordered=column.ordered)
    if column.kind == "text":
        values = column.values.copy()
        if table == "obs":
            values[column.missing] = np.nan
        return pd.Series(values, index=index, dtype=object).array
    if column.missing.any() and column.values.dtype.kind != "f":
        if column.values.dtype.kind == "b":
            return pd.arrays.BooleanArray(column.values.copy(), column.missing.copy())
        return pd.arrays.IntegerArray(column.values.copy(), column.missing.copy())
    return column.values


def _read_x(file: H5adFile) -> Any:
    if "X" not in file.file:
        return None
    try:
        matrix = file.matrix("X")
        if matrix.shape != file.shape:
            raise DataError(
                f"X is {shape_text(matrix.shape)}, but the tables list {shape_text(file.shape)}"
            )
        return matrix.read()
    except DataError as error:
        file.note(f"X of the file was left out: {error.what}.")
    except (OSError, RuntimeError, ValueError, KeyError):
        file.note("X of the file was left out: it is damaged.")
    return None


def _chosen_layers(file: H5adFile, layers: tuple[str, str] | None) -> list[str]:
    there = file.paths("layers")
    if layers is None:
        return there
    for name in layers:
        if name not in there:
            raise missing_layer(name, there)
    return list(dict.fromkeys(layers))


def _read_rest(file: H5adFile, adata: AnnData) -> None:
    """What no run uses, for those who read the file in a notebook."""
    from anndata.io import read_elem

    for part in ("uns", "obsp", "varm", "varp"):
        group = file.file.get(part)
        if not isinstance(group, h5py.Group):
            continue
        target = getattr(adata, part)
        for name in group:
            if name in target:
                continue
            try:
                require_stored_below(group[name])
                with warnings.catch_warnings(action="ignore"):
                    target[clean_text(name)] = read_elem(group[name])
            except Exception as error:  # noqa: BLE001 - nobody asked for this part
                why = next(iter(clean_text(error).strip().splitlines()), type(error).__name__)
                file.note(f"'{clean_text(name)}' of {part} was left out: {why[:160]}.")
