"""The one way into an .h5ad file, for the check and for the run: h5py and NumPy only.

Nothing in a file is believed. Before anything is read, what the file declares is compared with
what it stores; whatever cannot be true is refused in a sentence. The layouts of every anndata
version since 0.6 are read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from velovi.data import Problem
from velovi.data.columns import (
    Column,
    Matrix,
    categorical_column,
    clean_values,
    column_of,
    damaged_part,
    native,
    plain_values,
    shape_text,
    stored_array,
)
from velovi.data.hdf5_limits import COPY_AGAIN, Node, require_stored
from velovi.data.storable import clean_text, renamed, storable_names
from velovi.errors import DataError

_KNOWN = {
    "": 0.0,
    "array": 0.2,
    "csr_matrix": 0.1,
    "csc_matrix": 0.1,
    "dataframe": 0.2,
    "dict": 0.1,
    "categorical": 0.2,
    "string": 0.2,
    "string-array": 0.2,
    "numeric-scalar": 0.2,
    "nullable-integer": 0.1,
    "nullable-boolean": 0.1,
    "nullable-string-array": 0.1,
    "rec-array": 0.2,
    "awkward-array": 0.1,
    "null": 0.1,
    "anndata": 0.1,
    "raw": 0.1,
}
"""Encodings of anndata and the newest version of each that this package knows."""

CONVERTED = "velovi_source"
"""Where ``uns`` of a converted file says, as JSON, what it was read from, with notes."""
Table = Literal["obs", "var"]


@contextmanager
def as_data_error(path: Path, *, expected: str = "an AnnData file (.h5ad)") -> Iterator[None]:
    """Turn whatever goes wrong inside with a file's contents into a :class:`DataError`."""
    try:
        yield
    except DataError as error:
        if error.where is None:
            error.where = path.name
        raise
    except MemoryError as error:
        raise DataError(
            "the file cannot be opened",
            where=path.name,
            expected=expected,
            found="a file too large for memory, or one that declares more than it holds",
            remedy="Use a larger machine, or a part of the cells",
        ) from error
    except Exception as error:
        text = next(iter(clean_text(error).strip().splitlines()), type(error).__name__)
        raise DataError(
            "the file cannot be opened",
            where=path.name,
            expected=expected,
            found=f"a file whose contents are damaged or incomplete ({text[:200]})",
            remedy=COPY_AGAIN,
        ) from error


@dataclass
class H5adFile:
    """A file that is open, with what is wrong in its lesser parts.

    Parameters
    ----------
    file
        The open HDF5 file.

    Attributes
    ----------
    problems
        Parts that were left out or kept under another name; each once.
    """

    file: h5py.File
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Say what the file was made of, when it was of another format."""
        try:
            node = self.file[f"uns/{CONVERTED}"]
            require_stored(node)
            told = json.loads(clean_text(node[()]))
            self.note(" ".join([f"Read from {told['title']}.", *told["notes"]]))
        except (KeyError, ValueError, TypeError, OSError, AttributeError, DataError):
            return

    def note(self, what: str, remedy: str = "") -> None:
        """Say once that something was left out or kept in another way."""
        problem = Problem("note", what, remedy)
        if problem not in self.problems:
            self.problems.append(problem)

    @cached_property
    def obs_names(self) -> list[str]:
        """Names of the cells."""
        return self._index("obs")

    @cached_property
    def var_names(self) -> list[str]:
        """Names of the genes."""
        return self._index("var")

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return len(self.obs_names), len(self.var_names)

    def _index(self, table: Table) -> list[str]:
        node = _member(self.file, table)
        if isinstance(node, h5py.Dataset):  # anndata < 0.7: a compound array, names in field one
            if not node.dtype.names or node.ndim != 1:
                raise damaged_part(f"the table of {_ROWS[table]} ({table})", "it has no names")
            require_stored(node)
            return [clean_text(item) for item in node.fields(node.dtype.names[0])[:].tolist()]
        column = self._decode(table, _member(node, self._index_key(table)))
        if column.categories is not None:
            names = np.append(column.categories.astype(object), "")
            return [clean_text(name) for name in names[column.values].tolist()]
        return [clean_text(value) for value in column.values.tolist()]

    def _index_key(self, table: Table) -> str:
        return clean_text(self.file[table].attrs.get("_index", "_index"))

    def index_name(self, table: Table) -> str | None:
        """How the names of the rows are called; None when they have no name of their own."""
        node = self.file[table]
        key = node.dtype.names[0] if isinstance(node, h5py.Dataset) else self._index_key(table)
        return None if key in ("_index", "index") else clean_text(key)

    @cached_property
    def columns(self) -> dict[Table, dict[str, str]]:
        """For each table, the columns: the name to store each under, and its name in the file.

        A column whose name cannot be stored is kept under the nearest one that can.
        """
        tables: tuple[Table, Table] = ("obs", "var")
        return {table: self._storable_columns(table) for table in tables}

    def _storable_columns(self, table: Table) -> dict[str, str]:
        node = self.file[table]
        if isinstance(node, h5py.Dataset):
            names = [clean_text(item) for item in (node.dtype.names or ())[1:]]
        elif "column-order" in node.attrs:
            names = [clean_text(item) for item in np.ravel(node.attrs["column-order"])]
        else:
            names = [
                clean_text(item) for item in node if clean_text(item) != self._index_key(table)
            ]
        names = list(dict.fromkeys(names))
        stored = dict(zip(storable_names(names), names, strict=True))
        self._note_renamed(f"column of the {_ROWS[table]}", stored)
        if self.index_name(table) in stored.values():
            name = self.index_name(table)
            self.note(
                f"The names of the {_ROWS[table]} were called '{name}' like a column of "
                "theirs; the column keeps that name."
            )
        return stored

    def _note_renamed(self, what: str, stored: dict[str, str]) -> None:
        for name, given in renamed(stored).items():
            self.note(f"The {what} '{given}' is kept as '{name}', because no store holds its name.")

    def column(self, table: Table, name: str) -> Column | None:
        """One column by the name it has in the file; None, with a note, when it is unreadable."""
        try:
            return self._read_column(table, name)
        except (MemoryError, Exception) as error:  # noqa: BLE001 - h5py raises nearly every kind
            self.note(f"The column '{name}' of the {_ROWS[table]} was left out: {_reason(error)}.")
            return None

    def _read_column(self, table: Table, name: str) -> Column:
        node = self.file[table]
        n_rows = self.shape[0 if table == "obs" else 1]
        if isinstance(node, h5py.Dataset):
            found = self._compound_column(node, name)
        else:
            found = self._decode(table, _member(node, name))
        if len(found.values) != n_rows:
            raise DataError(f"it has {len(found.values):,} values for {n_rows:,} {_ROWS[table]}")
        return found

    def _compound_column(self, node: h5py.Dataset, name: str) -> Column:
        require_stored(node)
        values = node.fields(name)[:]
        categories = self.file.get(f"uns/{name}_categories")
        if isinstance(categories, h5py.Dataset) and values.dtype.kind in "iu":
            return categorical_column(values, plain_values(categories)[0])
        return column_of(*clean_values(values))

    def _decode(self, table: Table, node: Node) -> Column:
        """A column from its dataset or group, of any version."""
        _require_known(node)
        if isinstance(node, h5py.Group) and "codes" in node:
            ordered = bool(np.any(node.attrs.get("ordered", False)))
            codes, categories = _member(node, "codes"), _member(node, "categories")
            return categorical_column(
                stored_array(codes)[:], self._values(table, categories), ordered
            )
        if isinstance(node, h5py.Group) and {"values", "mask"} <= set(node):
            values = self._values(table, node["values"])
            missing = np.asarray(stored_array(node["mask"])[:], dtype=bool)
            if missing.shape != values.shape:
                raise DataError("its mask does not fit its values")
            return column_of(values, missing)
        if isinstance(node, h5py.Group):
            raise DataError("it is not a column of numbers, texts or categories")
        if "categories" in node.attrs:  # anndata 0.7: a reference to a dataset beside it
            return categorical_column(
                stored_array(node)[:],
                plain_values(self.file[node.attrs["categories"]])[0],
                bool(np.any(self.file[node.attrs["categories"]].attrs.get("ordered", False))),
            )
        return column_of(*plain_values(node))

    def _values(self, table: Table, node: Node) -> np.ndarray:
        column = self._decode(table, node)
        if column.categories is None:
            return column.values
        return np.append(column.categories.astype(object), "")[column.values]

    def matrix(self, path: str) -> Matrix:
        """A matrix by its place in the file.

        Raises
        ------
        DataError
            It is not there, or no matrix of numbers that can be read.
        """
        name = f"layer '{path.removeprefix('layers/')}'" if path.startswith("layers/") else path
        node = _member(self.file, path)
        _require_known(node)
        if isinstance(node, h5py.Dataset):
            found = Matrix(name, stored_array(node), "dense", tuple(node.shape))
        else:
            found = Matrix(name, node, _layout(node, name), _declared_shape(node, name))
            for part in ("data", "indices", "indptr"):
                if not isinstance(node.get(part), h5py.Dataset) or node[part].ndim != 1:
                    raise damaged_part(name, f"its {part} are missing")
                stored_array(node[part])
            if node["data"].shape != node["indices"].shape:
                raise damaged_part(name, "it has not as many indices as values")
        if found.values.dtype.kind not in "biuf":
            raise DataError(f"{name} holds {found.values.dtype}, not numbers")
        return found

    def paths(self, group: str) -> list[str]:
        """Places of the matrices below a group, where a name with "/" makes a group of its own."""
        top = self.file.get(group)
        if not isinstance(top, h5py.Group):
            return []
        return [path.removeprefix(f"{group}/") for path in _leaves(top, group)]

    @cached_property
    def embeddings(self) -> dict[str, tuple[str, int]]:
        """What ``obsm`` holds of numbers: the name to store it under, its place, its columns."""
        found: dict[str, int] = {}
        for name in self._obsm_names():
            try:
                n_columns = self._embedding_columns(name)
            except (MemoryError, Exception) as error:  # noqa: BLE001 - as for columns
                self.note(f"'{clean_text(name)}' of obsm was left out: {_reason(error)}.")
                continue
            found[name] = n_columns
        stored = dict(zip(storable_names(map(clean_text, found)), found, strict=True))
        self._note_renamed("embedding", {name: clean_text(item) for name, item in stored.items()})
        return {name: (path, found[path]) for name, path in stored.items()}

    def _obsm_names(self) -> list[str]:
        node = self.file.get("obsm")
        if isinstance(node, h5py.Dataset):  # anndata < 0.7: one compound array
            return list(node.dtype.names or ())
        return self.paths("obsm")

    def _embedding_columns(self, name: str) -> int:
        values = self._embedding_source(name)
        if isinstance(values, list):
            return len(values)
        shape = values.shape if isinstance(values, h5py.Dataset) else (self.shape[0], *values)
        if len(shape) != 2 or shape[0] != self.shape[0]:
            raise DataError(
                f"it is {shape_text(shape)}, not a table with a row for each of "
                f"{self.shape[0]:,} cells"
            )
        return int(shape[1])

    def _embedding_source(self, name: str) -> h5py.Dataset | tuple[int, ...] | list[str]:
        """A dataset, the shape of a compound field, or the numeric columns of a table."""
        obsm = self.file["obsm"]
        if isinstance(obsm, h5py.Dataset):
            if obsm.shape[:1] != self.shape[:1]:
                raise DataError("it has not as many rows as there are cells")
            kind = obsm.dtype[name]
            if kind.base.kind not in "biuf":
                raise DataError("it holds no numbers")
            return tuple(kind.shape)
        node = _member(obsm, name)
        _require_known(node)
        if isinstance(node, h5py.Dataset):
            if node.dtype.kind not in "biuf":
                raise DataError(f"it holds {node.dtype}, not numbers")
            return stored_array(node)
        if _encoding(node)[0] == "dataframe" or "column-order" in node.attrs:
            return [clean_text(item) for item in np.ravel(node.attrs.get("column-order", []))]
        raise DataError("it is not a table of numbers")

    def embedding(self, name: str) -> np.ndarray | None:
        """The numbers of one of :attr:`embeddings` (cells, columns); None, with a note, if none."""
        path = self.embeddings[name][0]
        try:
            return self._read_embedding(path)
        except (MemoryError, Exception) as error:  # noqa: BLE001 - as for columns
            self.note(f"'{name}' of obsm was left out: {_reason(error)}.")
            return None

    def _read_embedding(self, path: str) -> np.ndarray:
        source = self._embedding_source(path)
        obsm = self.file["obsm"]
        if isinstance(source, tuple):
            require_stored(obsm)
            return native(obsm.fields(path)[:]).reshape(self.shape[0], -1)
        if isinstance(source, h5py.Dataset):
            values = native(source[()])
            return values.astype(np.float32) if values.dtype.kind == "b" else values
        columns = [self._decode("obs", _member(obsm[path], item)) for item in source]
        if not all(
            column.kind == "numeric" or column.values.dtype.kind == "b" for column in columns
        ):
            raise DataError("its columns are not all numbers")
        table = np.full((self.shape[0], len(columns)), np.nan)
        for place, column in enumerate(columns):
            table[~column.missing, place] = column.values[~column.missing]
        return table

    def colors(self, column: str) -> np.ndarray | dict[str, Any] | None:
        """What ``uns`` holds as the colours of a column, as it is in the file; None when none."""
        key = f"uns/{column}_colors"
        try:
            node = self.file.get(key)
            if isinstance(node, h5py.Group):
                return {clean_text(item): plain_values(node[item])[0].ravel() for item in node}
            return None if node is None else plain_values(node)[0]
        except (MemoryError, Exception) as error:  # noqa: BLE001 - as for columns
            self.note(f"The colours of '{column}' were left out: {_reason(error)}.")
            return None


_ROWS: dict[str, str] = {"obs": "cells", "var": "genes"}


def _leaves(group: h5py.Group, path: str, depth: int = 0) -> Iterator[str]:
    for name in group:
        if isinstance(name, bytes):
            continue  # no name that anybody could choose
        here = f"{path}/{name}"
        try:
            node = group[name]
        except (OSError, KeyError, RuntimeError, ValueError):
            yield here  # told about when it is looked at
            continue
        if isinstance(node, h5py.Datatype):
            continue
        if (
            isinstance(node, h5py.Group)
            and not node.attrs.keys()
            and depth < 8
            and not ({"data", "indices", "indptr"} & set(node))
        ):
            yield from _leaves(node, here, depth + 1)
        else:
            yield here


def _member(group: h5py.Group, name: str) -> Node:
    try:
        node = group[name]
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        raise DataError(f"'{name}' is missing or damaged", remedy=COPY_AGAIN) from error
    if not isinstance(node, h5py.Dataset | h5py.Group):
        raise DataError(f"'{name}' is no data")
    return node


def _encoding(node: Node) -> tuple[str, str]:
    kind, version = node.attrs.get("encoding-type", ""), node.attrs.get("encoding-version", "")
    return tuple(
        clean_text(item) if isinstance(item, str | bytes) else "" for item in (kind, version)
    )  # type: ignore[return-value]


def _require_known(node: Node) -> None:
    """Raise DataError when a part is written in a way that only a later anndata knows."""
    kind, version = _encoding(node)
    try:
        newer = kind not in _KNOWN or float(".".join(version.split(".")[:2]) or 0) > _KNOWN[kind]
    except ValueError:
        newer = False
    if newer:
        raise DataError(
            f"it is written in the encoding '{kind}' {version}, which belongs to a later anndata",
            remedy="Write the file again with an older anndata, or use a newer version of this "
            "program",
        )


def _layout(node: h5py.Group, name: str) -> Literal["csr", "csc"]:
    stated = _encoding(node)[0] or clean_text(node.attrs.get("h5sparse_format", ""))
    if not ({"data", "indices", "indptr"} & set(node)) or stated[:3] not in ("csr", "csc", ""):
        raise DataError(f"{name} is no matrix", remedy=COPY_AGAIN)
    return "csc" if stated.startswith("csc") else "csr"


def _declared_shape(node: h5py.Group, name: str) -> tuple[int, ...]:
    stored = np.ravel(node.attrs.get("shape", node.attrs.get("h5sparse_shape", ())))
    try:
        shape = tuple(int(side) for side in stored)
    except (ValueError, OverflowError, TypeError):
        shape = ()
    if len(shape) != 2 or min(shape) < 0 or max(shape) > 2**40:
        raise damaged_part(name, "it does not say how many cells and genes it has")
    return shape


def _reason(error: BaseException) -> str:
    if isinstance(error, DataError):
        return error.what.rstrip(".")
    if isinstance(error, MemoryError):
        return "it is too large for memory"
    text = next(iter(clean_text(error).strip().splitlines()), "")
    return f"it cannot be read ({text[:160] or type(error).__name__})"


def open_h5ad(path: Path, use: Callable[[H5adFile], Any]) -> Any:
    """Open a file and hand it on; whatever is wrong with it comes out as a DataError."""
    with as_data_error(path), h5py.File(path, "r") as file:
        return use(H5adFile(file))
