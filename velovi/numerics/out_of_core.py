"""Where large matrices live: in memory while they fit a budget, in files beyond it.

A matrix in a file is an ordinary numpy array whose pages the system reads and writes when somebody
looks at them, and takes from memory when room is needed.
"""

from __future__ import annotations

import logging
import mmap
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil

log = logging.getLogger("velovi")

By = Literal["cells", "genes"]
Allocator = Callable[[str, tuple[int, int], By], np.ndarray]
_BLOCK_VALUES = 2**24
_SHARE_OF_FREE = 0.5  # what a budget of 0 stands for
_BYTES = 4
_ROWS_OF_A_PAGE = 1024  # cells of one gene
_ROWS_TOGETHER, _MOST_WAITING = 4 * _ROWS_OF_A_PAGE, 2**25  # rows and bytes before they are written


def in_memory(name: str, shape: tuple[int, int], by: By = "cells") -> np.ndarray:
    """An uninitialised float32 matrix in memory; see :meth:`MatrixAllocator.empty`."""
    return np.empty(shape, dtype=np.float32, order="C" if by == "cells" else "F")


class MatrixAllocator:
    """Gives out matrices and keeps count of them; as a context it removes their files at the end.

    Parameters
    ----------
    folder
        Where files go; made when the first is needed.
    budget_gb
        Gigabytes of matrices to hold in memory; 0 takes half of what is free now.
    """

    def __init__(self, folder: Path, budget_gb: float = 0.0) -> None:
        self._folder = folder
        free = psutil.virtual_memory().available
        self.budget = int(budget_gb * 2**30) if budget_gb else int(_SHARE_OF_FREE * free)
        self.used = 0
        self.files: list[str] = []

    def __enter__(self) -> MatrixAllocator:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def empty(self, name: str, shape: tuple[int, int], by: By = "cells") -> np.ndarray:
        """An uninitialised float32 matrix.

        Parameters
        ----------
        name
            Names the file, if it becomes one.
        shape
            ``(cells, genes)``.
        by
            What lies together: a cell's genes, or a gene's cells.
        """
        size = _BYTES * shape[0] * shape[1]
        if self.used + size <= self.budget:
            self.used += size
            return in_memory(name, shape, by)
        self._folder.mkdir(parents=True, exist_ok=True)
        self.files.append(name)
        log.info("%s (%.1f GB) is kept in a file: the budget is used up", name, size / 2**30)
        mapped = np.memmap(
            self._folder / f"{name}.f32",
            dtype=np.float32,
            mode="w+",
            shape=shape,
            order="C" if by == "cells" else "F",
        )
        return mapped.view(np.ndarray)  # anndata writes plain arrays only


def release_pages(matrix: np.ndarray) -> None:
    """Take the pages of a matrix in a file out of this process; its content stays as it is."""
    mapped = mapped_file(matrix)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def mapped_file(matrix: np.ndarray) -> mmap.mmap | None:
    """The file that a matrix lies in; None when it is in memory."""
    at: Any = matrix
    while isinstance(at, np.ndarray):
        at = at.base
    return at if isinstance(at, mmap.mmap) else None


class RowWriter:
    """Fills a matrix with rows, from the first to the last.

    In a file where a gene's cells lie together, a row touches a page of every gene. Rows are
    collected until they fill some pages of each, so that every page is written once; a batch at a
    time, each was read from the disk again, and that took twice as long as working out the rows.

    Parameters
    ----------
    matrix
        From :meth:`MatrixAllocator.empty`.
    """

    def __init__(self, matrix: np.ndarray) -> None:
        self._matrix = matrix
        self._mapped = mapped_file(matrix)
        self._written = self._held = 0
        self._waiting: np.ndarray | None = None
        if self._mapped is not None:
            room = _MOST_WAITING // (_BYTES * max(1, matrix.shape[1]))
            together = max(_ROWS_OF_A_PAGE, min(_ROWS_TOGETHER, room))
            together -= together % _ROWS_OF_A_PAGE
            self._waiting = np.empty((together, matrix.shape[1]), dtype=np.float32)
            self._advise("MADV_RANDOM")  # or the system reads what is about to be overwritten

    def add(self, rows: np.ndarray) -> None:
        """Write the next rows (rows, genes)."""
        if self._waiting is None:
            self._write(rows)
            return
        while len(rows):
            room = len(self._waiting) - self._held
            taken, rows = rows[:room], rows[room:]
            self._waiting[self._held : self._held + len(taken)] = taken
            self._held += len(taken)
            if self._held == len(self._waiting):
                self._flush()

    def close(self) -> None:
        """Write what is still waiting."""
        self._flush()
        self._waiting = None
        self._advise("MADV_NORMAL")

    def _flush(self) -> None:
        if self._waiting is not None:
            self._write(self._waiting[: self._held])
            self._held = 0
            release_pages(self._matrix)

    def _write(self, rows: np.ndarray) -> None:
        self._matrix[self._written : self._written + len(rows)] = rows
        self._written += len(rows)

    def _advise(self, how: str) -> None:
        if self._mapped is not None and hasattr(mmap, how):
            self._mapped.madvise(getattr(mmap, how))


def row_blocks(n_cells: int, n_genes: int) -> Iterator[slice]:
    """Cells, few enough at a time for some copies of their rows to be small."""
    return gene_blocks(n_genes, n_cells)


def gene_blocks(n_cells: int, n_genes: int) -> Iterator[slice]:
    """Genes, few enough at a time for some copies of their columns to be small."""
    size = max(1, _BLOCK_VALUES // max(n_cells, 1))
    for start in range(0, n_genes, size):
        yield slice(start, min(start + size, n_genes))
