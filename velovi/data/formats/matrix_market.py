"""Matrix Market files as quantifiers write them: one or three values in a line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import scipy.sparse as sp

from velovi.data.formats.recognise import value_columns
from velovi.errors import DataError

_LINES = 4_000_000  # read at a time
_COPY = "Copy or download the folder again"


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a text file, compressed or not, whatever its name says."""
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    with (gzip.open if compressed else open)(path, "rt", encoding="utf-8-sig") as lines:
        yield lines


def read_names(path: Path, *, column: int = 0) -> list[str]:
    """A column of a table without a header, its columns separated by tabs.

    Raises
    ------
    DataError
        It is missing, or no text.
    """
    try:
        with open_text(path) as lines:
            rows = [line.rstrip("\r\n").split("\t") for line in lines]
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(
            "a table of names cannot be read", where=path.name, found=str(error), remedy=_COPY
        ) from error
    rows = [row for row in rows if row != [""]]
    return [row[min(column, len(row) - 1)] for row in rows]


def read_matrix_market(path: Path, n_values: int = 1) -> tuple[sp.csr_matrix, ...]:
    """Read the matrices that a Matrix Market file holds side by side.

    Parameters
    ----------
    path
        ``matrix coordinate`` of integers or numbers, compressed or not.
    n_values
        Values in each line: three in STARsolo's early ``matrix.mtx``.

    Returns
    -------
    float32 matrices of the file's own shape, without explicit zeros; places that repeat are summed.

    Raises
    ------
    DataError
        The file is missing, of another kind, truncated, or names places outside its shape.
    """
    import pandas as pd

    there = value_columns(path)
    if there not in (0, n_values):
        raise DataError(
            "a matrix has another number of values in each line",
            where=path.name,
            expected=str(n_values),
            found=str(there),
            remedy=_COPY,
        )
    try:
        with open_text(path) as lines:
            shape, n_entries = _header(path, lines)
            columns = ["row", "column", *(f"value{number}" for number in range(n_values))]
            kinds = {name: np.float64 if name.startswith("v") else np.int64 for name in columns}
            table = pd.concat(
                pd.read_csv(
                    lines,
                    sep=r"\s+",
                    header=None,
                    names=columns,
                    dtype=kinds,
                    comment="%",
                    engine="c",
                    index_col=False,
                    chunksize=_LINES,
                )
            )
    except DataError:
        raise
    except pd.errors.EmptyDataError:
        table = pd.DataFrame({name: np.empty(0, kinds[name]) for name in columns})
    except (OSError, EOFError, ValueError, zlib.error) as error:
        why = str(error).splitlines()[0][:160]
        raise DataError(
            "a matrix cannot be read", where=path.name, found=why, remedy=_COPY
        ) from error
    rows, places = table["row"].to_numpy() - 1, table["column"].to_numpy() - 1
    if table.isna().any(axis=None) or len(table) != n_entries:
        raise DataError(
            "a matrix is not whole",
            where=path.name,
            expected=f"{n_entries:,} entries",
            found=f"{len(table):,}",
            remedy=_COPY,
        )
    if n_entries and (
        min(rows.min(), places.min()) < 0 or rows.max() >= shape[0] or places.max() >= shape[1]
    ):
        raise DataError(
            "a matrix names places outside its own size",
            where=path.name,
            expected=f"rows to {shape[0]:,} and columns to {shape[1]:,}",
            found=f"{rows.max() + 1:,} and {places.max() + 1:,}",
            remedy=_COPY,
        )
    matrices = []
    for number in range(n_values):
        values = table[f"value{number}"].to_numpy(dtype=np.float32)
        matrix = sp.csr_matrix((values, (rows, places)), shape=shape, dtype=np.float32)
        matrix.eliminate_zeros()
        matrices.append(matrix)
    return tuple(matrices)


def _header(path: Path, lines: IO[str]) -> tuple[tuple[int, int], int]:
    first = lines.readline().split()
    if not first or not first[0].lower().startswith("%%matrixmarket") or "coordinate" not in first:
        raise DataError(
            "this is no sparse matrix in Matrix Market form",
            where=path.name,
            expected="a first line of %%MatrixMarket matrix coordinate",
            found=" ".join(first)[:80],
            remedy=_COPY,
        )
    if first[-1].lower() != "general" or "complex" in first or "pattern" in first:
        raise DataError(
            "this kind of Matrix Market file holds no counts",
            where=path.name,
            expected="general, of integers or real numbers",
            found=" ".join(first[2:]),
        )
    for line in lines:
        if line.startswith("%") or not line.strip():
            continue
        sizes = line.split()
        if len(sizes) != 3 or not all(size.isdigit() for size in sizes):
            break
        n_rows, n_columns, n_entries = map(int, sizes)
        return (n_rows, n_columns), n_entries
    raise DataError("a matrix has no line with its size", where=path.name, remedy=_COPY)


def cells_by_genes(
    matrix: sp.csr_matrix, n_cells: int, n_genes: int, *, where: str, genes_first: bool
) -> sp.csr_matrix:
    """Turn a matrix so that cells are its rows, by the numbers of names that stand beside it.

    Parameters
    ----------
    matrix
        As it was written.
    n_cells, n_genes
        Names in the tables beside it.
    where
        Named when they do not fit.
    genes_first
        How the writer usually puts it; decides when both ways fit.

    Raises
    ------
    DataError
        Neither way fits.
    """
    as_written, turned = (n_genes, n_cells), (n_cells, n_genes)
    if not genes_first:
        as_written, turned = turned, as_written
    if matrix.shape == as_written:
        return matrix.T.tocsr() if genes_first else matrix
    if matrix.shape == turned:
        return matrix if genes_first else matrix.T.tocsr()
    raise DataError(
        "a matrix and its names do not match",
        where=where,
        expected=f"{n_cells:,} cells and {n_genes:,} genes, as the tables beside it name",
        found=f"{matrix.shape[0]:,} x {matrix.shape[1]:,}",
        remedy="Take all files from the same folder of the same run",
    )
