"""Which cells, genes and samples a posterior method was asked for, and the cells themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from velovi.data.clean import dense
from velovi.errors import OptionError, UnknownNameError, first_named
from velovi.model.module import SPLICED_KEY, UNSPLICED_KEY

DEFAULT_BATCH_SIZE = 512
Indices: TypeAlias = Sequence[int] | np.ndarray | None
Genes: TypeAlias = Iterable[str] | None


@dataclass(frozen=True)
class CellData:
    """Cells as the model sees them.

    Attributes
    ----------
    spliced, unspliced
        Abundance ``(cells, columns)``, dense or sparse, as the user's AnnData holds it.
    columns
        Position of each of the model's genes among the columns; None when they are the columns.
    cell_names, gene_names
        Names of the cells, and of the genes in the model's order.
    """

    spliced: Any
    unspliced: Any
    columns: np.ndarray | None
    cell_names: pd.Index
    gene_names: pd.Index

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.cell_names)

    def dense(self, kind: str, cells: np.ndarray | slice = slice(None)) -> np.ndarray:
        """``"spliced"`` or ``"unspliced"`` abundance of some cells, ``(cells, genes)``."""
        values = dense(getattr(self, kind)[cells])
        return values if self.columns is None else values[:, self.columns]

    def minibatches(
        self, cells: np.ndarray | None = None, batch_size: int | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """Dense float32 minibatches of the given cells, in order; all cells when left out."""
        cells = np.arange(self.n_cells) if cells is None else cells
        size = check_positive(
            "batch_size", DEFAULT_BATCH_SIZE if batch_size is None else batch_size
        )
        for start in range(0, len(cells), size):
            rows = cells[start : start + size]
            yield {
                SPLICED_KEY: _tensor(self.dense("spliced", rows)),
                UNSPLICED_KEY: _tensor(self.dense("unspliced", rows)),
            }


@dataclass(frozen=True)
class Selection:
    """Resolved cells and genes.

    Attributes
    ----------
    cells
        Positions in the data, in the order asked for; a cell may come twice.
    genes
        Positions of the genes, in the order asked for; None for all.
    cell_names, gene_names
        Their names.
    """

    cells: np.ndarray
    genes: np.ndarray | None
    cell_names: pd.Index
    gene_names: pd.Index

    def pick_genes(self, matrix: np.ndarray) -> np.ndarray:
        """The chosen genes of a ``(cells, genes)`` matrix."""
        return matrix if self.genes is None else matrix[:, self.genes]


def select(
    data: CellData,
    indices: Indices = None,
    gene_list: Genes = None,
    n_samples_overall: int | None = None,
) -> Selection:
    """Resolve the arguments that posterior methods share.

    Parameters
    ----------
    data
        The cells to choose from.
    indices
        Positions of cells, or a mask over all cells.
    gene_list
        Names of genes.
    n_samples_overall
        Draw this many of the cells, with replacement.

    Raises
    ------
    OptionError
        No cell or no gene is left, a position is out of range or the mask has another length.
    UnknownNameError
        A gene is not in the model; the first ten are named.
    """
    cells = resolve_cells(indices, data.n_cells)
    if n_samples_overall is not None:
        check_positive("n_samples_overall", n_samples_overall)
        cells = np.random.choice(cells, n_samples_overall)  # noqa: NPY002 - scvi's seed sets it
    genes = None if gene_list is None else _genes(gene_list, data.gene_names)
    names = data.gene_names if genes is None else data.gene_names[genes]
    return Selection(cells, genes, data.cell_names[cells], names)


def resolve_cells(indices: Indices, n_cells: int) -> np.ndarray:
    """Positions of the cells asked for, all not negative; see :func:`select`."""
    if indices is None:
        return np.arange(n_cells)
    chosen = np.asarray(indices)
    if chosen.dtype == bool:
        if chosen.shape != (n_cells,):
            raise OptionError(
                "the mask does not fit the data",
                where="indices",
                expected=f"{n_cells} values, one for each cell",
                found=str(chosen.size),
                remedy="Make the mask from the same AnnData",
            )
        chosen = np.flatnonzero(chosen)
    if chosen.size == 0:
        raise OptionError(
            "no cell was asked for",
            where="indices",
            expected="at least one cell",
            found="none",
            remedy="Leave indices out for all cells",
        )
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
        raise OptionError(
            "these are not positions of cells",
            where="indices",
            expected="whole numbers or a mask",
            found=f"{chosen.ndim}-dimensional {chosen.dtype}",
            remedy="Turn names into positions with adata.obs_names.get_indexer(names)",
        )
    if chosen.min() < -n_cells or chosen.max() >= n_cells:
        raise OptionError(
            "a position is out of range",
            where="indices",
            expected=f"0 to {n_cells - 1}",
            found=f"{chosen.min()} to {chosen.max()}",
            remedy="Count positions in the AnnData that is asked about",
        )
    return np.where(chosen < 0, chosen + n_cells, chosen)


def _genes(gene_list: Iterable[str], known: pd.Index) -> np.ndarray:
    if isinstance(gene_list, str):
        gene_list = [gene_list]
    wanted = pd.Index(list(gene_list))
    if len(wanted) == 0:
        raise OptionError(
            "no gene was asked for",
            where="gene_list",
            expected="at least one gene",
            found="none",
            remedy="Leave gene_list out for all genes",
        )
    positions = known.get_indexer(wanted)
    missing = wanted[positions < 0]
    if len(missing):
        raise UnknownNameError(
            "these genes are not in the model",
            where="gene_list",
            expected="names such as " + ", ".join(map(str, known[:3])),
            found=first_named(missing),
            remedy="model.get_var_names() lists the genes that are",
        )
    return positions


def check_positive(where: str, value: int) -> int:
    """The value, or :class:`OptionError` when it is not a whole number of at least one."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise OptionError(
            "at least one is needed",
            where=where,
            expected="a whole number, 1 or more",
            found=repr(value),
            remedy=f"Set {where} to 1 or more",
        )
    return int(value)


def _tensor(matrix: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(matrix, dtype=np.float32))
