"""The one way into an .h5ad file, for the check and for the run: h5py and NumPy only.

Nothing in a file is believed. Before anything is read, what the file declares is compared with
what it stores; whatever cannot be true is refused in a sentence. The layouts of every anndata
version since 0.6 are read.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from velovi.data import Kind, Problem
from velovi.data.storable import clean_text, renamed, storable_names
from velovi.errors import DataError

COPY_AGAIN = "Copy or download the file again and compare its size with the original."
_MOST_OBJECTS = 200_000
_BELIEVED = 2**20  # bytes that a dataset may declare without storing any
_DESCRIPTOR = 16  # bytes of each entry whose text lies elsewhere
_PACKED = (None, "gzip")
_MOST_PACKED = 2000  # no compression of HDF5 packs better than about a thousand to one
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

_NO_TEXT = frozenset({"", "nan"})  # how old versions of anndata wrote that there is none
Node = Any
"""An ``h5py.Dataset`` or ``h5py.Group``; h5py has no types."""
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


@dataclass(frozen=True)
class Column:
    """One column of a table, decoded.

    Attributes
    ----------
    values
        Of each row (rows,); for a categorical column its codes, -1 where there is none.
    missing
        Which rows have no value, bool (rows,).
    categories
        What the codes stand for; None for other columns.
    ordered
        Whether the categories have an order.
    """

    kind: Kind
    values: np.ndarray
    missing: np.ndarray
    categories: np.ndarray | None = None
    ordered: bool = False

    def codes(self) -> tuple[np.ndarray, np.ndarray]:
        """Code of each row, -1 where it has no value, and what the codes stand for."""
        if self.categories is not None:
            return self.values, self.categories
        codes = np.full(len(self.values), -1)
        values, codes[~self.missing] = np.unique(self.values[~self.missing], return_inverse=True)
        return codes, values


@dataclass(frozen=True)
class Matrix:
    """A matrix of a file, described but not yet read."""

    name: str
    node: Node
    layout: Literal["dense", "csr", "csc"]
    shape: tuple[int, ...]

    @property
    def values(self) -> h5py.Dataset:
        """The dataset of its numbers."""
        return self.node if self.layout == "dense" else self.node["data"]

    def blocks(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Rows, columns and values of at most about ``size`` entries at a time."""
        if self.layout == "dense":
            step = max(1, size // max(self.shape[1], 1))
            for start in range(0, self.shape[0], step):
                part = _native(self.node[start : start + step])
                rows, columns = np.indices(part.shape, dtype=np.int64).reshape(2, -1)
                yield rows + start, columns, part.ravel()
            return
        pointers = self.pointers()
        n_minor = self.shape[0] if self.layout == "csc" else self.shape[1]
        n_values = self.node["data"].shape[0]
        for start in range(0, n_values, size):
            stop = min(start + size, n_values)
            counts = np.diff(np.clip(pointers, start, stop))
            major = np.repeat(np.arange(len(pointers) - 1), counts)
            minor = _checked_indices(self.node["indices"][start:stop], n_minor, self.name)
            values = _native(self.node["data"][start:stop])
            yield (minor, major, values) if self.layout == "csc" else (major, minor, values)

    def pointers(self) -> np.ndarray:
        """Where each row (or column) of a sparse matrix begins, int64."""
        n_major = self.shape[1] if self.layout == "csc" else self.shape[0]
        stored = self.node["indptr"][:]
        pointers = stored.astype(np.int64)
        if (
            stored.dtype.kind not in "iu"
            or len(pointers) != n_major + 1
            or pointers[0] != 0
            or pointers[-1] != self.node["data"].shape[0]
            or (np.diff(pointers) < 0).any()
        ):
            raise _damaged(self.name, "its row pointers do not fit its values")
        return pointers

    def read(self) -> Any:
        """The whole matrix: a NumPy array, or a SciPy matrix of its layout."""
        if self.layout == "dense":
            return _native(self.node[()])
        import scipy.sparse as sp

        pointers = self.pointers()
        n_minor = self.shape[0] if self.layout == "csc" else self.shape[1]
        indices = _checked_indices(self.node["indices"][:], n_minor, self.name)
        small = max(len(indices), n_minor) < 2**31
        indices, pointers = (
            item.astype(np.int32 if small else np.int64, copy=False) for item in (indices, pointers)
        )
        kind = sp.csc_matrix if self.layout == "csc" else sp.csr_matrix
        return kind((_native(self.node["data"][:]), indices, pointers), shape=self.shape)


def _checked_indices(indices: np.ndarray, n_minor: int, name: str) -> np.ndarray:
    if indices.dtype.kind not in "iu":
        raise _damaged(name, "its indices are no whole numbers")
    if len(indices) and (indices.min() < 0 or indices.max() >= n_minor):
        wrong = indices.max() if indices.max() >= n_minor else indices.min()
        raise _damaged(
            name, f"it has a value at position {wrong:,}, outside of its {n_minor:,} places"
        )
    return indices.astype(np.int64, copy=False)


def _native(values: np.ndarray) -> np.ndarray:
    """The same numbers in the machine's byte order, none of a precision that SciPy lacks."""
    if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
        return values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _damaged(name: str, found: str) -> DataError:
    return DataError(f"{name} is damaged: {found}", remedy=COPY_AGAIN)


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
                raise _damaged(f"the table of {_ROWS[table]} ({table})", "it has no names")
            _require_stored(node)
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
        _require_stored(node)
        values = node.fields(name)[:]
        categories = self.file.get(f"uns/{name}_categories")
        if isinstance(categories, h5py.Dataset) and values.dtype.kind in "iu":
            return _categorical(values, _plain(categories)[0])
        return _column_of(*_clean(values))

    def _decode(self, table: Table, node: Node) -> Column:
        """A column from its dataset or group, of any version."""
        _require_known(node)
        if isinstance(node, h5py.Group) and "codes" in node:
            ordered = bool(np.any(node.attrs.get("ordered", False)))
            codes, categories = _member(node, "codes"), _member(node, "categories")
            return _categorical(_stored(codes)[:], self._values(table, categories), ordered)
        if isinstance(node, h5py.Group) and {"values", "mask"} <= set(node):
            values = self._values(table, node["values"])
            missing = np.asarray(_stored(node["mask"])[:], dtype=bool)
            if missing.shape != values.shape:
                raise DataError("its mask does not fit its values")
            return _column_of(values, missing)
        if isinstance(node, h5py.Group):
            raise DataError("it is not a column of numbers, texts or categories")
        if "categories" in node.attrs:  # anndata 0.7: a reference to a dataset beside it
            return _categorical(
                _stored(node)[:],
                _plain(self.file[node.attrs["categories"]])[0],
                bool(np.any(self.file[node.attrs["categories"]].attrs.get("ordered", False))),
            )
        return _column_of(*_plain(node))

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
            found = Matrix(name, _stored(node), "dense", tuple(node.shape))
        else:
            found = Matrix(name, node, _layout(node, name), _declared_shape(node, name))
            for part in ("data", "indices", "indptr"):
                if not isinstance(node.get(part), h5py.Dataset) or node[part].ndim != 1:
                    raise _damaged(name, f"its {part} are missing")
                _stored(node[part])
            if node["data"].shape != node["indices"].shape:
                raise _damaged(name, "it has not as many indices as values")
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
                f"it is {by(shape)}, not a table with a row for each of {self.shape[0]:,} cells"
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
            return _stored(node)
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
            _require_stored(obsm)
            return _native(obsm.fields(path)[:]).reshape(self.shape[0], -1)
        if isinstance(source, h5py.Dataset):
            values = _native(source[()])
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
                return {clean_text(item): _plain(node[item])[0].ravel() for item in node}
            return None if node is None else _plain(node)[0]
        except (MemoryError, Exception) as error:  # noqa: BLE001 - as for columns
            self.note(f"The colours of '{column}' were left out: {_reason(error)}.")
            return None


_ROWS: dict[str, str] = {"obs": "cells", "var": "genes"}


def by(shape: tuple[int, ...]) -> str:
    """A shape in words.

    Examples
    --------
    >>> by((3696, 2000))
    '3,696 x 2,000'
    """
    return " x ".join(f"{side:,}" for side in shape) or "a single value"


def first_outside_link(file: h5py.File) -> str | None:
    """The first part of a file that is kept elsewhere; opening it could read any file here.

    Every object is looked at once, however many ways lead to it.

    Raises
    ------
    DataError
        The file has more parts than any file of cells.
    """
    seen: set[int] = set()
    waiting: list[tuple[h5py.Group, str]] = [(file, "")]
    while waiting:
        group, path = waiting.pop()
        for name in group:
            here = f"{path}/{clean_text(name)}"
            try:
                link = group.get(name, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    return here
                if isinstance(link, h5py.SoftLink):
                    continue  # leads to another place in the same file, looked at by itself
                node = group[name]
                address = int(h5py.h5o.get_info(node.id).addr)
            except (OSError, KeyError, RuntimeError, ValueError):
                continue  # a damaged part, which is told about if it is used
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > _MOST_OBJECTS:
                raise DataError(f"the file has more than {_MOST_OBJECTS:,} parts")
            if isinstance(node, h5py.Dataset):
                if node.external or node.is_virtual:
                    return here
            elif isinstance(node, h5py.Group):
                waiting.append((node, here))
    return None


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


def _require_stored(node: h5py.Dataset) -> None:
    """Raise DataError when a dataset declares far more than the file can hold."""
    if h5py.check_vlen_dtype(node.dtype) is not None or (
        (text := h5py.check_string_dtype(node.dtype)) is not None and text.length is None
    ):
        _require_texts_stored(node)
    size = int(node.size or 0)
    # a piece is read as a whole, however little of it is wanted
    piece = math.prod(map(int, node.chunks)) if node.chunks else 0
    declared = max(size, piece) * max(1, node.dtype.itemsize)
    if declared <= _BELIEVED:
        return
    stored = int(node.id.get_storage_size())
    if declared > _MOST_PACKED * stored:
        raise DataError(
            f"'{clean_text(node.name)}' declares {max(size, piece):,} values, but the file stores "
            f"only {stored:,} bytes of them",
            remedy=COPY_AGAIN,
        )


def _require_texts_stored(node: h5py.Dataset) -> None:
    """Raise DataError when texts declare more bytes than the file has.

    HDF5 believes the length of a text that lies elsewhere in the file and asks for as much memory.
    """
    holds = Path(node.file.filename).stat().st_size
    for descriptors in _text_descriptors(node):
        lengths = np.frombuffer(descriptors, dtype="<u4")[::4]
        longest = int(lengths.max(initial=0))
        if longest > holds or int(lengths.sum(dtype=np.int64)) > max(_BELIEVED, 4 * holds):
            raise DataError(
                f"'{clean_text(node.name)}' declares texts of {longest:,} bytes in a file of "
                f"{holds:,}",
                remedy=COPY_AGAIN,
            )


def _text_descriptors(node: h5py.Dataset) -> Iterator[bytes]:
    """Where a dataset's texts lie: 16 bytes for each, its length and a place in the heap.

    Nothing of a dataset that is stored in a way that nobody stores texts.
    """
    if node.file.userblock_size:
        return
    if node.chunks is None:
        start = node.id.get_offset()
        if start is not None:
            with Path(node.file.filename).open("rb") as file:
                file.seek(start)
                yield _whole_descriptors(file.read(_DESCRIPTOR * int(node.size)))
        return
    plain = node.compression is None
    if len(node.chunks) != 1 or node.shuffle or node.fletcher32 or node.compression not in _PACKED:
        return
    for first in range(0, int(node.size), node.chunks[0]):
        _, content = node.id.read_direct_chunk((first,))
        if not plain:
            content = zlib.decompressobj().decompress(content, _DESCRIPTOR * node.chunks[0])
        yield _whole_descriptors(content)


def _whole_descriptors(content: bytes) -> bytes:
    return content[: len(content) // _DESCRIPTOR * _DESCRIPTOR]


def require_stored_below(node: Node) -> None:
    """Raise DataError when anything below a part declares far more than the file can hold."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        part = waiting.pop()
        address = int(h5py.h5o.get_info(part.id).addr)
        if address in seen:
            # what is reached by two ways would be read twice, and by thirty pairs of ways for ever
            raise DataError("it holds the same part more than once")
        seen.add(address)
        if isinstance(part, h5py.Dataset):
            _require_stored(part)
        elif isinstance(part, h5py.Group):
            waiting += [part[name] for name in part]


def _stored(node: Node) -> h5py.Dataset:
    if not isinstance(node, h5py.Dataset) or node.shape is None:
        raise DataError("it is no array")
    _require_stored(node)
    return node


def _plain(node: Node) -> tuple[np.ndarray, np.ndarray]:
    """Values of an array and which of them are missing."""
    return _clean(_stored(node)[()])


def _clean(values: Any) -> tuple[np.ndarray, np.ndarray]:
    values = np.atleast_1d(np.asarray(values))
    if values.dtype.kind in "OSU":
        texts = np.array([clean_text(value) for value in values.ravel().tolist()], dtype=object)
        texts = texts.reshape(values.shape)
        missing = np.array([text in _NO_TEXT for text in texts.ravel()], dtype=bool)
        return texts, missing.reshape(texts.shape)
    values = _native(values)
    if values.dtype.kind == "f":
        return values, np.isnan(values)
    return values, np.zeros(values.shape, dtype=bool)


def _column_of(values: np.ndarray, missing: np.ndarray) -> Column:
    if values.ndim != 1:
        raise DataError(f"it is {by(values.shape)}, not one value for each")
    kinds: dict[str, Kind] = {"O": "text", "b": "categorical"}
    kind = kinds.get(values.dtype.kind, "numeric")
    if kind == "numeric" and values.dtype.kind not in "iuf":
        raise DataError(f"it holds {values.dtype}, which is neither numbers nor texts")
    return Column(kind, values, missing)


def _categorical(codes: np.ndarray, categories: np.ndarray, ordered: bool = False) -> Column:
    if codes.ndim != 1 or codes.dtype.kind not in "iu" or categories.ndim != 1:
        raise DataError("its codes are no whole numbers, or its categories no list")
    if len(codes) and (codes.min() < -1 or codes.max() >= len(categories)):
        raise DataError(
            f"it has codes from {codes.min():,} to {codes.max():,} for {len(categories):,} "
            "categories"
        )
    if categories.dtype.kind == "f" and np.isnan(categories).any():
        raise DataError("one of its categories is no value")
    codes = codes.astype(np.int64)
    return Column("categorical", codes, codes < 0, categories, ordered)


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
        raise _damaged(name, "it does not say how many cells and genes it has")
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
