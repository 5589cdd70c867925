"""Which cells, genes and samples a posterior method was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

from velovi.errors import OptionError, UnknownNameError
from velovi.model.initial import dense
from velovi.model.module import SPLICED_KEY, UNSPLICED_KEY

DEFAULT_BATCH_SIZE = 512
_NAMED = 10


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
    adata: AnnData,
    indices: Sequence[int] | np.ndarray | None = None,
    gene_list: Sequence[str] | None = None,
    n_samples_overall: int | None = None,
) -> Selection:
    """Resolve the arguments that posterior methods share.

    Parameters
    ----------
    adata
        The data.
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
        A gene is not in the data; the first ten are named.
    """
    cells = _cells(indices, adata.n_obs)
    if n_samples_overall is not None:
        if n_samples_overall < 1:
            raise OptionError(
                "at least one sample is needed",
                where="n_samples_overall",
                found=str(n_samples_overall),
            )
        cells = np.random.choice(cells, n_samples_overall)  # noqa: NPY002 - scvi's seed sets it
    genes = None if gene_list is None else _genes(gene_list, adata.var_names)
    names = adata.var_names if genes is None else adata.var_names[genes]
    return Selection(cells, genes, adata.obs_names[cells], names)


def _cells(indices: Sequence[int] | np.ndarray | None, n_cells: int) -> np.ndarray:
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
            )
        chosen = np.flatnonzero(chosen)
    if chosen.size == 0:
        raise OptionError("no cell was asked for", where="indices", expected="at least one cell")
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
        )
    return np.where(chosen < 0, chosen + n_cells, chosen)


def _genes(gene_list: Sequence[str], known: pd.Index) -> np.ndarray:
    if isinstance(gene_list, str):
        gene_list = [gene_list]
    wanted = pd.Index(list(gene_list))
    if len(wanted) == 0:
        raise OptionError("no gene was asked for", where="gene_list", expected="at least one gene")
    positions = known.get_indexer(wanted)
    missing = wanted[positions < 0]
    if len(missing):
        shown = ", ".join(map(str, missing[:_NAMED]))
        rest = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise UnknownNameError(
            "these genes are not in the model",
            where="gene_list",
            found=shown + rest,
            remedy="model.adata.var_names lists the genes that are",
        )
    return positions


def check_samples(n_samples: int) -> None:
    """Raise :class:`OptionError` unless at least one sample was asked for."""
    if n_samples < 1:
        raise OptionError("at least one sample is needed", where="n_samples", found=str(n_samples))


def check_choice(where: str, value: str, choices: Sequence[str]) -> None:
    """Raise :class:`OptionError` unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise OptionError(
            f"{value!r} is not a choice", where=where, expected="one of " + ", ".join(choices)
        )


@dataclass(frozen=True)
class MatrixPair:
    """Spliced and unspliced abundance of all cells, dense or sparse, ``(cells, genes)``."""

    spliced: np.ndarray
    unspliced: np.ndarray

    def minibatches(
        self, cells: np.ndarray, batch_size: int | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """Dense float32 minibatches of the given cells, in order."""
        size = batch_size or DEFAULT_BATCH_SIZE
        for start in range(0, len(cells), size):
            rows = cells[start : start + size]
            yield {
                SPLICED_KEY: _tensor(self.spliced[rows]),
                UNSPLICED_KEY: _tensor(self.unspliced[rows]),
            }


def _tensor(matrix: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(dense(matrix), dtype=np.float32))
