"""Columns and matrices as a file holds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import h5py
import numpy as np

from velovi.data import Kind
from velovi.data.hdf5_limits import COPY_AGAIN, Node, require_stored
from velovi.data.storable import clean_text
from velovi.errors import DataError

_NO_TEXT = frozenset({"", "nan"})  # how old versions of anndata wrote that there is none


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
                part = native(self.node[start : start + step])
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
            values = native(self.node["data"][start:stop])
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
            raise damaged_part(self.name, "its row pointers do not fit its values")
        return pointers

    def read(self) -> Any:
        """The whole matrix: a NumPy array, or a SciPy matrix of its layout."""
        if self.layout == "dense":
            return native(self.node[()])
        import scipy.sparse as sp

        pointers = self.pointers()
        n_minor = self.shape[0] if self.layout == "csc" else self.shape[1]
        indices = _checked_indices(self.node["indices"][:], n_minor, self.name)
        small = max(len(indices), n_minor) < 2**31
        indices, pointers = (
            item.astype(np.int32 if small else np.int64, copy=False) for item in (indices, pointers)
        )
        kind = sp.csc_matrix if self.layout == "csc" else sp.csr_matrix
        return kind((native(self.node["data"][:]), indices, pointers), shape=self.shape)


def _checked_indices(indices: np.ndarray, n_minor: int, name: str) -> np.ndarray:
    if indices.dtype.kind not in "iu":
        raise damaged_part(name, "its indices are no whole numbers")
    if len(indices) and (indices.min() < 0 or indices.max() >= n_minor):
        wrong = indices.max() if indices.max() >= n_minor else indices.min()
        raise damaged_part(
            name, f"it has a value at position {wrong:,}, outside of its {n_minor:,} places"
        )
    return indices.astype(np.int64, copy=False)


def native(values: np.ndarray) -> np.ndarray:
    """The same numbers in the machine's byte order, none of a precision that SciPy lacks."""
    if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
        return values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def damaged_part(name: str, found: str) -> DataError:
    """The error for a part that contradicts itself."""
    return DataError(f"{name} is damaged: {found}", remedy=COPY_AGAIN)


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape in words.

    Examples
    --------
    >>> shape_text((3696, 2000))
    '3,696 x 2,000'
    """
    return " x ".join(f"{side:,}" for side in shape) or "a single value"


def stored_array(node: Node) -> h5py.Dataset:
    """The node, if it is an array whose values are in the file; DataError otherwise."""
    if not isinstance(node, h5py.Dataset) or node.shape is None:
        raise DataError("it is no array")
    require_stored(node)
    return node


def plain_values(node: Node) -> tuple[np.ndarray, np.ndarray]:
    """Values of an array and which of them are missing."""
    return clean_values(stored_array(node)[()])


def clean_values(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Values that can be shown and stored, and which of them are missing."""
    values = np.atleast_1d(np.asarray(values))
    if values.dtype.kind in "OSU":
        texts = np.array([clean_text(value) for value in values.ravel().tolist()], dtype=object)
        texts = texts.reshape(values.shape)
        missing = np.array([text in _NO_TEXT for text in texts.ravel()], dtype=bool)
        return texts, missing.reshape(texts.shape)
    values = native(values)
    if values.dtype.kind == "f":
        return values, np.isnan(values)
    return values, np.zeros(values.shape, dtype=bool)


def column_of(values: np.ndarray, missing: np.ndarray) -> Column:
    """A column of plain values (rows,); DataError when they are neither numbers nor texts."""
    if values.ndim != 1:
        raise DataError(f"it is {shape_text(values.shape)}, not one value for each")
    kinds: dict[str, Kind] = {"O": "text", "b": "categorical"}
    kind = kinds.get(values.dtype.kind, "numeric")
    if kind == "numeric" and values.dtype.kind not in "iuf":
        raise DataError(f"it holds {values.dtype}, which is neither numbers nor texts")
    return Column(kind, values, missing)


def categorical_column(codes: np.ndarray, categories: np.ndarray, ordered: bool = False) -> Column:
    """A column of codes (rows,) into categories; DataError when one leads nowhere."""
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
