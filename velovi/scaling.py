"""Smoothed layers scaled to [0, 1], and the line that tells which genes have a signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from velovi.data import Preprocessed
from velovi.data.clean import dense, unique_names
from velovi.data.validate import validate
from velovi.errors import DataError, first_named
from velovi.keys import SCALERS
from velovi.numerics.out_of_core import gene_blocks, release_pages

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

MIN_R2, MIN_GAMMA = 0.01, 0.01
_CONSTANT = 1e-5
_FALLBACK_PERCENTILE = 80
_FEWEST = 2


def min_max(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (cells, genes) scaled to [0, 1] per gene, with the minima and maxima (genes,)."""
    low, high = values.min(axis=0), values.max(axis=0)
    # rounding makes a constant gene vary in its last digit; blown up to [0, 1] it would look alive
    varies = high - low > _CONSTANT * np.abs(high)
    span = np.where(varies, high - low, 1)
    return np.where(varies, (values - low) / span, 0).astype(np.float32), low, high


class TrainedModel(Protocol):
    """What :func:`velovi.preprocess` asks of a model whose scale is wanted."""

    @property
    def training_scale(self) -> pd.DataFrame:
        """:data:`~velovi.keys.SCALERS` of each gene, NaN where nobody knows."""


def require_scale(scale: pd.DataFrame) -> None:
    """Raise DataError unless a table is :attr:`TrainedModel.training_scale`."""
    missing = [name for name in SCALERS if name not in scale.columns]
    if missing or not scale.index.is_unique:
        raise DataError(
            "this is no training scale",
            where="scale_of",
            expected="a trained model, or a table with a row for each gene and the columns "
            + ", ".join(SCALERS),
            found=f"no {', '.join(missing)}" if missing else "genes that occur more than once",
            remedy="Give the model, or model.training_scale",
        )


def require_genes(adata: AnnData, genes: Sequence[str] | pd.Index) -> None:
    """Raise DataError when genes of a trained model are not in the data."""
    there = unique_names(adata.var_names)
    missing = [gene for gene in genes if gene not in there]
    if not missing:
        return
    capitals = {name.casefold() for name in there}
    otherwise = sum(gene.casefold() in capitals for gene in missing)
    remedy = "Use cells of the same species whose genes are named in the same way"
    if otherwise:
        remedy = f"{otherwise} of them are there with other capitals: name the genes as the model"
    raise DataError(
        "genes of the trained model are not in this file",
        where="saved_model",
        expected=f"all {len(genes):,} genes of the model",
        found=f"{len(missing):,} missing: {first_named(missing)}",
        remedy=remedy,
    )


def match_training_scale(prepared: Preprocessed, scale: pd.DataFrame) -> Preprocessed:
    """The same cells with a trained model's genes, on the scale of its training if that is known.

    Parameters
    ----------
    prepared
        Cells on their own scale; their matrices may be written to.
    scale
        :attr:`TrainedModel.training_scale`.
    """
    chosen = _subset_genes(prepared, scale.index)
    values = scale[list(SCALERS)].to_numpy(dtype=float)
    if np.isfinite(values).all() and (values[:, [1, 3]] >= values[:, [0, 2]]).all():
        rescale_like(chosen.adata, scale)
        return chosen
    note = (
        "WARNING: the trained model does not say how its data was scaled, so these cells were "
        "scaled by their own range. Times and velocities fit only if these cells cover the same "
        "range of expression."
    )
    return replace(chosen, report=replace(chosen.report, notes=(*chosen.report.notes, note)))


def _subset_genes(prepared: Preprocessed, genes: pd.Index) -> Preprocessed:
    """The same cells with these genes only, and the others' reason in the report."""
    table = prepared.report.genes.copy()
    lost = table["kept"] & ~table.index.isin(genes)
    table.loc[lost, "reason"] = "not among the trained model's genes"
    table.loc[lost, "kept"] = False
    kept = table.index[table["kept"]]
    report = replace(prepared.report, genes=table, n_genes_kept=len(kept))
    adata = prepared.adata
    chosen = adata[:, kept].copy() if lost.any() else adata
    return replace(prepared, adata=chosen, report=report)


def rescale_like(adata: AnnData, scalers: pd.DataFrame) -> None:
    """Put ``Ms`` and ``Mu`` on the scale of other data, such as a model was trained on, in place.

    Parameters
    ----------
    adata
        Prepared data; var holds its own minima and maxima as ``ms_min``, ``ms_max``, ``mu_min``
        and ``mu_max``.
    scalers
        Those of the other data, by gene.
    """
    theirs = scalers.loc[adata.var_names]
    for layer, name in (("Ms", "ms"), ("Mu", "mu")):
        low, high = (adata.var[f"{name}_{end}"].to_numpy(float) for end in ("min", "max"))
        new_low, new_high = (theirs[f"{name}_{end}"].to_numpy(float) for end in ("min", "max"))
        span = np.where(new_high > new_low, new_high - new_low, 1)
        values = adata.layers[layer]
        # some genes at a time: a matrix of a million cells has no room for a copy
        for block in gene_blocks(*values.shape):
            smooth = dense(values[:, block]) * (high - low)[block] + low[block]
            values[:, block] = np.maximum((smooth - new_low[block]) / span[block], 0)
        release_pages(values)
    adata.var[list(SCALERS)] = theirs[list(SCALERS)].to_numpy()


def steady_state_line(spliced: np.ndarray, unspliced: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and R2 of ``unspliced = gamma * spliced``, fitted on the most expressing cells.

    Parameters
    ----------
    spliced, unspliced
        Smoothed expression, (cells, genes).

    Returns
    -------
    tuple of numpy.ndarray
        ``gamma`` and ``r2``, each (genes,); R2 is over all cells and 0 where unspliced is constant.
    """
    s, u = spliced.astype(np.float64), unspliced.astype(np.float64)
    level = s / np.maximum(s.max(axis=0), 1e-3) + u / np.maximum(u.max(axis=0), 1e-3)
    extreme = level >= np.percentile(level, 95, axis=0)
    top, square = (extreme * s * u).sum(axis=0), (extreme * s * s).sum(axis=0)
    gamma = np.divide(top, square, out=np.zeros_like(top), where=square > 0)
    residual = ((u - gamma * s) ** 2).sum(axis=0)
    spread = ((u - u.mean(axis=0)) ** 2).sum(axis=0)
    r2 = np.zeros_like(spread)
    np.divide(spread - residual, spread, out=r2, where=spread > 0)
    return gamma, r2


@dataclass(frozen=True)
class SignalFilter:
    """Which genes follow their steady-state line well enough.

    Attributes
    ----------
    keep
        (genes,) bool.
    limit
        R2 that a gene had to pass.
    n_strict
        How many genes pass the usual limits; fewer than two make the filter fall back to the best
        fifth by R2.
    """

    keep: np.ndarray
    limit: float
    n_strict: int

    @property
    def fallback(self) -> bool:
        """Whether the usual limits left too few genes and were relaxed."""
        return self.n_strict < _FEWEST


def filter_signal(gamma: np.ndarray, r2: np.ndarray, seen: np.ndarray) -> SignalFilter:
    """Keep genes with ``gamma`` and ``r2`` above 0.01, or the best fifth when hardly any has them.

    Parameters
    ----------
    gamma, r2
        From :func:`steady_state_line`, (genes,).
    seen
        (genes,) bool, whether a gene has both spliced and unspliced counts.
    """
    strict = seen & (gamma > MIN_GAMMA) & (r2 > MIN_R2)
    n_strict = int(strict.sum())
    if n_strict >= _FEWEST:
        return SignalFilter(strict, MIN_R2, n_strict)
    limit = float(np.percentile(r2, _FALLBACK_PERCENTILE))
    return SignalFilter(seen & (r2 > limit), limit, n_strict)


def preprocess_data(
    adata: AnnData,
    spliced_layer: str | None = "Ms",
    unspliced_layer: str | None = "Mu",
    min_max_scale: bool = True,
    filter_on_r2: bool = True,
) -> AnnData:
    """Scale smoothed layers and keep genes with a signal, as the first ``velovi`` package did.

    It starts from smoothed layers, such as ``scvelo.pp.moments`` writes. :func:`velovi.preprocess`
    starts from counts and reports what it dropped and why.

    Parameters
    ----------
    adata
        Data with smoothed spliced and unspliced abundance, (cells, genes). It is not changed.
    spliced_layer, unspliced_layer
        Names of the layers; None stands for ``Ms`` and ``Mu``.
    min_max_scale
        Scale both layers to [0, 1] per gene.
    filter_on_r2
        Keep genes whose steady-state line has a slope and an R2 above 0.01; when fewer than two
        have, the best fifth by R2.

    Returns
    -------
    AnnData
        A copy with the genes kept; var ``velocity_gamma`` and ``velocity_r2`` when filtered.

    Raises
    ------
    DataError
        A layer is missing or holds values that are no abundances, or no gene is left.

    Examples
    --------
    >>> from velovi import VELOVI
    >>> adata = preprocess_data(adata)
    >>> VELOVI.setup_anndata(adata, spliced_layer="Ms", unspliced_layer="Mu")
    """
    names = (spliced_layer or "Ms", unspliced_layer or "Mu")
    validate(adata, *names, smoothed=True)
    spliced, unspliced = (dense(adata.layers[name]) for name in names)
    if min_max_scale:
        spliced, unspliced = min_max(spliced)[0], min_max(unspliced)[0]
    result = adata.copy()
    for name, values in zip(names, (spliced, unspliced), strict=True):
        result.layers[name] = values
    if not filter_on_r2:
        return result
    gamma, r2 = steady_state_line(spliced, unspliced)
    result.var["velocity_gamma"], result.var["velocity_r2"] = gamma, r2
    seen = (spliced.max(axis=0) > 0) & (unspliced.max(axis=0) > 0)
    keep = filter_signal(gamma, r2, seen).keep
    if not keep.any():
        raise DataError(
            "no gene has a velocity signal",
            where="adata",
            expected="genes whose unspliced abundance follows the spliced",
            found=f"none of {adata.n_vars}",
            remedy="Check the layers, or set filter_on_r2=False",
        )
    return result[:, keep].copy()
