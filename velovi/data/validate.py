"""What layers of counts have to be, stated once for the check of a file, the run and the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from velovi.data import MIN_CELLS
from velovi.errors import DataError

if TYPE_CHECKING:
    import scipy.sparse as sp
    from anndata import AnnData


_ROW_BLOCK = 1024


MAKE_LAYERS = (
    "Count spliced and unspliced RNA from the raw reads with velocyto, STARsolo (--soloFeatures "
    "Gene Velocyto), alevin-fry or kb (kallisto bustools), and put both counts into layers."
)


SMOOTH_LAYERS = "Smooth counts with velovi.preprocess or scvelo.pp.moments, which write Ms and Mu"


def validate(
    adata: AnnData, spliced_layer: str, unspliced_layer: str, *, smoothed: bool = False
) -> None:
    """Check that both layers hold finite numbers that are not negative.

    Parameters
    ----------
    adata
        The data.
    spliced_layer, unspliced_layer
        Names of the layers.
    smoothed
        Whether they are to hold smoothed abundance rather than counts, for the words of an error.

    Raises
    ------
    DataError
        A layer is missing or has unusable values, or there are no cells or no genes.
    """
    for kind, count in (("cells", adata.n_obs), ("genes", adata.n_vars)):
        if count == 0:
            raise DataError(
                f"there are no {kind}",
                expected="cells and genes",
                found=f"{adata.n_obs} cells and {adata.n_vars} genes",
                remedy="Check how the file was made or subset",
            )
    if spliced_layer == unspliced_layer:
        raise DataError(
            "spliced and unspliced counts cannot come from the same layer",
            where=f"layer {spliced_layer!r}",
            remedy="Choose two different layers",
        )
    for name in (spliced_layer, unspliced_layer):
        if name not in adata.layers:
            raise missing_layer(name, adata.layers, smoothed=smoothed)
        _check_values(name, adata.layers[name], smoothed)


def missing_layer(name: str, there: Iterable[str], *, smoothed: bool = False) -> DataError:
    """The error for a layer that is not among those that are there."""
    return DataError(
        "the layer is missing",
        where=f"layer {name!r}",
        expected="one layer of spliced and one of unspliced "
        + ("abundance" if smoothed else "counts"),
        found=", ".join(map(repr, filter(None, there))) or "no layers",
        remedy="Choose another layer. If there is none: "
        + (SMOOTH_LAYERS if smoothed else MAKE_LAYERS),
    )


def require_cells(n_cells: int) -> None:
    """Raise DataError when there are fewer cells than neighbourhoods need."""
    if n_cells < MIN_CELLS:
        raise DataError(
            "there are too few cells for RNA velocity",
            where="cells",
            expected=f"at least {MIN_CELLS}",
            found=str(n_cells),
            remedy="Use a file with more cells",
        )


def _check_values(name: str, matrix: Any, smoothed: bool) -> None:
    """Raise DataError when values of the (cells, genes) matrix are NaN, infinite or negative."""
    import scipy.sparse as sp

    numeric = getattr(matrix, "dtype", np.dtype(object)).kind in "biuf"
    if not numeric or not (sp.issparse(matrix) or isinstance(matrix, np.ndarray)):
        raise DataError(
            "the layer is not a matrix of numbers in memory",
            where=f"layer {name!r}",
            expected="a NumPy array or SciPy sparse matrix of numbers",
            found=f"{type(matrix).__name__} of {getattr(matrix, 'dtype', 'unknown type')}",
            remedy="Load the data into memory and store counts in the layer",
        )
    if all_finite_nonnegative(matrix):
        return
    wrong: dict[str, Callable[[Any], Any]] = {
        "missing (NaN)": np.isnan,
        "infinite": np.isinf,
        "negative": lambda x: x < 0,
    }
    counts = dict.fromkeys(wrong, 0)
    cells: set[int] = set()
    genes: set[int] = set()
    for rows, columns, values in _blocks(matrix):
        for kind, test in wrong.items():
            bad = test(values)
            if bad.any():
                counts[kind] += int(bad.sum())
                cells.update(rows[bad].tolist())
                genes.update(columns[bad].tolist())
    if cells:
        found = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
        raise DataError(
            "the layer has values that cannot be " + ("abundances" if smoothed else "counts"),
            where=f"layer {name!r}",
            expected="finite numbers, 0 or more",
            found=f"{found} values in {len(cells):,} cells and {len(genes):,} genes",
            remedy=SMOOTH_LAYERS
            if smoothed
            else "Use the counts as the quantifier wrote them, not scaled or corrected values",
        )


def all_finite_nonnegative(matrix: Any) -> bool:
    """Whether all values are finite and not negative, seen without copying anything."""
    values = matrix if isinstance(matrix, np.ndarray) else getattr(matrix, "data", None)
    if not isinstance(values, np.ndarray) or values.dtype == object:
        return False  # another kind of sparse matrix: look closely
    # a missing number is its own smallest and compares as false
    return values.size == 0 or bool(values.min() >= 0 and np.isfinite(values.max()))


def _blocks(matrix: Any) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Cells, genes and values of the stored entries, some cells at a time."""
    kind = getattr(matrix, "format", "dense")
    if kind not in ("csr", "csc", "dense"):
        matrix = matrix.tocsr()
    along_genes = kind == "csc"
    n = matrix.shape[1] if along_genes else matrix.shape[0]
    for start in range(0, n, _ROW_BLOCK):
        block = slice(start, start + _ROW_BLOCK)
        part = matrix[:, block] if along_genes else matrix[block]
        if kind != "dense":
            part = part.tocoo()
            rows, columns, values = part.row, part.col, part.data
        else:
            rows, columns = np.nonzero(part)
            values = part[rows, columns]
        yield (rows, columns + start, values) if along_genes else (rows + start, columns, values)


def has_integer_values(matrix: sp.csr_matrix) -> bool:
    """Whether every stored value is a finite whole number."""
    return bool(
        np.isfinite(matrix.data).all() and np.array_equal(matrix.data, np.rint(matrix.data))
    )
