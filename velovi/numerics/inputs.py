"""Checks of arrays and matrices of cells that callers give."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy import sparse

from velovi.errors import DataError


def as_matrix(
    values: ArrayLike,
    name: str,
    *,
    shape: tuple[int | None, int | None] = (None, None),
    dtype: DTypeLike = np.float32,
    order: Literal["C", "K"] = "C",
) -> NDArray[Any]:
    """A finite two-dimensional array.

    Parameters
    ----------
    values
        What the caller was given; sparse matrices are made dense.
    name
        Name of the argument, for the message.
    shape
        Expected number of rows and columns; None allows any.
    dtype
        Number type of the result.
    order
        C: rows lie together; K: as they come, so that a large matrix need not be copied.

    Raises
    ------
    DataError
        Not two-dimensional, of another shape, or not finite.
    """
    dense = values.toarray() if sparse.issparse(values) else values  # type: ignore[union-attr]
    array = np.asarray(dense, dtype=dtype, order=order)
    wanted = [
        array.shape[axis] if n is None and array.ndim == 2 else n for axis, n in enumerate(shape)
    ]
    if array.ndim != 2 or list(array.shape) != wanted:
        raise DataError(
            "the shape is wrong",
            where=name,
            expected=" x ".join("any" if n is None else str(n) for n in shape),
            found=" x ".join(map(str, array.shape)) or "a single number",
            remedy="Give one row for each cell, in the same order everywhere",
        )
    # the sum is finite exactly when no entry is NaN or infinite, and needs no array of booleans;
    # only a suspicious sum (which may also be an overflow) is looked into
    if not np.isfinite(array.sum(dtype=np.float64)) and not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise DataError(
            "there are values that are not finite",
            where=name,
            expected="finite numbers",
            found=f"{bad} of {array.size} values NaN or infinite",
            remedy="Drop the genes or cells that hold them",
        )
    return array


def as_square(values: Any, name: str, cells: int | None = None) -> sparse.csr_matrix:
    """A finite csr matrix of cells x cells with sorted, unique entries; never the caller's own.

    Raises
    ------
    DataError
        Not sparse, not square, of another size, or not finite.
    """
    if not sparse.issparse(values):
        raise DataError(
            "must be a scipy sparse matrix",
            where=name,
            found=type(values).__name__,
            remedy="Give adata.obsp['distances'] or another csr matrix",
        )
    size = values.shape[0] if cells is None else cells
    if values.shape != (size, size):
        raise DataError(
            "the shape is wrong",
            where=name,
            expected=f"{size} x {size} (cells x cells)",
            found=" x ".join(map(str, values.shape)),
            remedy="Compute the neighbour graph on exactly these cells",
        )
    matrix = sparse.csr_matrix(values)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    if not np.isfinite(matrix.data).all():
        raise DataError(
            "there are entries that are not finite",
            where=name,
            remedy="Compute the neighbour graph anew",
        )
    return matrix


def as_labels(labels: ArrayLike, cells: int) -> NDArray[Any]:
    """One label a cell, as a plain array.

    Raises
    ------
    DataError
        Another number of labels than of cells.
    """
    array = np.asarray(labels)
    if array.shape != (cells,):
        raise DataError(
            "there must be one label a cell",
            where="labels",
            expected=f"{cells} labels",
            found=" x ".join(map(str, array.shape)),
        )
    return array
