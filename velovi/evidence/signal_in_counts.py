"""How much of velocity the counts of a file hold, beside the same cells without velocity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp

from velovi.config import PreprocessOptions
from velovi.evidence.nulls import count_split
from velovi.evidence.reliability import Reliability, residual_reliability
from velovi.preprocessing import preprocess, size_factors

if TYPE_CHECKING:
    from anndata import AnnData

MOST_CELLS = 10_000
"""More cells are sampled: what is asked does not depend on their number."""
NULL_PERCENTILE = 95.0
CLEAR, SOME = 0.35, 0.12
"""Shares of genes above the null's 95th percentile, .05 by chance; see `docs/evidence.md`."""
ENOUGH_CELLS, ENOUGH_GENES = 300, 30
"""With fewer, too little can be told from chance to call its absence a finding."""

Strength = Literal["clear", "some", "none", "cannot tell"]


@dataclass(frozen=True)
class VelocitySignal:
    """What the counts say of velocity before any model has seen them.

    Attributes
    ----------
    genes
        Row for each gene that was looked at: ``reliability`` over all cells and
        ``reliability_within`` groups (correlations), ``null`` and ``null_within`` (the same of the
        count-split null), ``null_percentile`` (share of genes of the null, 0 to 100, that lie
        below it inside groups).
    n_cells
        Cells that were looked at, at most `MOST_CELLS`.
    n_cells_within
        Those of them with neighbours of both halves in their own group.
    unspliced_share
        Share of unspliced counts in all counts by group, 0 to 1; of all cells without groups.
    label_column
        The column of obs that holds the groups; None without.
    """

    genes: pd.DataFrame
    n_cells: int
    n_cells_within: int
    unspliced_share: pd.Series
    label_column: str | None

    @property
    def share_above_null(self) -> float:
        """Share of genes above the null's 95th percentile inside groups; 0.05 by chance."""
        return self._share("reliability_within", "null_within")

    @property
    def share_above_null_overall(self) -> float:
        """The same over all cells, where what groups differ in counts as well."""
        return self._share("reliability", "null")

    def _share(self, column: str, null: str) -> float:
        found, chance = (self.genes[name].dropna().to_numpy() for name in (column, null))
        if not len(found) or not len(chance):
            return float("nan")
        return float((found > np.percentile(chance, NULL_PERCENTILE)).mean())

    @property
    def strength(self) -> Strength:
        """How clearly the unspliced counts hold more than the spliced ones say."""
        share = self.share_above_null
        if np.isfinite(share) and share >= CLEAR:
            return "clear"
        if self.n_cells_within < ENOUGH_CELLS or self.n_genes < ENOUGH_GENES:
            return "cannot tell"
        return "some" if share >= SOME else "none"

    @property
    def n_genes(self) -> int:
        """Genes with a number inside groups."""
        return int(self.genes["reliability_within"].notna().sum())

    @property
    def sentence(self) -> str:
        """What it means, for a reader who knows cells and not statistics."""
        found = (
            f"{100 * self.share_above_null:.0f} % of {self.n_genes:,} genes repeat their unspliced "
            "surplus from cell to cell more than 95 % of genes do in the same cells without "
            "velocity (5 % by chance)"
        )
        return {
            "clear": f"{found}: the unspliced counts hold what velocity needs.",
            "some": f"{found}: there is some of what velocity needs, in some genes; expect weak "
            "directions.",
            "none": f"{found}: no more than chance would give. Arrows drawn from these counts "
            "would be made by the method.",
            "cannot tell": f"Only {self.n_cells_within:,} cells and {self.n_genes:,} genes could "
            f"be compared inside groups; with fewer than {ENOUGH_CELLS} cells or {ENOUGH_GENES} "
            "genes a signal cannot be told from chance.",
        }[self.strength]

    def to_dict(self) -> dict[str, Any]:
        """What a page shows of it, as JSON can hold it: see `velovi.runs.velocity_signal`."""
        shares = {
            "share_above_null": self.share_above_null,
            "share_above_null_overall": self.share_above_null_overall,
        }
        return {
            "strength": self.strength,
            "sentence": self.sentence,
            **{name: share if np.isfinite(share) else None for name, share in shares.items()},
            "n_cells": self.n_cells,
            "n_cells_within": self.n_cells_within,
            "n_genes": self.n_genes,
            **{
                name: np.sort(self.genes[name].dropna().to_numpy()).round(4).tolist()
                for name in ("reliability_within", "null_within")
            },
        }


def velocity_signal(
    adata: AnnData,
    options: PreprocessOptions | None = None,
    *,
    label_column: str | None = None,
    n_halvings: int = 2,
    seed: int = 0,
) -> VelocitySignal:
    """Look for velocity in counts, without a model, beside the file's own count-split null.

    Parameters
    ----------
    adata
        Spliced and unspliced counts in two layers, (cells, genes).
    options
        How genes and neighbours are chosen; genes are not filtered by their steady-state line.
    label_column
        Groups of cells in obs; without, all cells are one group.
    n_halvings
        See :func:`residual_reliability`.
    seed
        Of the sample of cells, the null and the halves.

    Returns
    -------
    VelocitySignal

    Raises
    ------
    DataError
        The counts cannot be used; see :func:`velovi.preprocess`.

    Examples
    --------
    >>> from velovi import simulate
    >>> from velovi.evidence import velocity_signal
    >>> found = velocity_signal(simulate(400, 60, seed=1), label_column="clusters")
    >>> found.strength
    'clear'
    """
    options = options or PreprocessOptions()
    options = replace(
        options, filter_on_r2=False, compute_umap=False, neighbor_search="exact", seed=seed
    )
    if adata.n_obs > MOST_CELLS:
        chosen = np.random.default_rng(seed).choice(adata.n_obs, MOST_CELLS, replace=False)
        adata = adata[np.sort(chosen)]
    layers = (options.spliced_layer, options.unspliced_layer)
    counts = [sp.csr_matrix(adata.layers[name]) for name in layers]
    prepared = preprocess(adata, options).adata
    kept = [prepared.layers[name] for name in ("spliced", "unspliced")]
    codes = _codes(prepared, label_column)

    def reliability(layers: Sequence[sp.csr_matrix], sizes: Sequence[np.ndarray]) -> Reliability:
        spliced, unspliced = (sp.diags(f) @ layer for f, layer in zip(sizes, layers, strict=True))
        return residual_reliability(
            spliced,
            unspliced,
            prepared.obsp["connectivities"],
            labels=codes,
            n_halvings=n_halvings,
            seed=seed,
        )

    found = reliability(kept, [size_factors(layer) for layer in counts])
    split = count_split(*kept, seed=seed)
    null = reliability(split, [size_factors(counts[0])] * 2)
    chance = np.sort(null.within[np.isfinite(null.within)])
    below = np.searchsorted(chance, found.within) / max(len(chance), 1)
    genes = pd.DataFrame(
        {
            "reliability": found.overall,
            "reliability_within": found.within,
            "null": null.overall,
            "null_within": null.within,
            "null_percentile": np.where(np.isfinite(found.within), 100 * below, np.nan),
        },
        index=prepared.var_names,
    )
    return VelocitySignal(
        genes,
        prepared.n_obs,
        found.n_cells,
        _shares(counts, codes, prepared, label_column),
        label_column,
    )


def _codes(adata: AnnData, label_column: str | None) -> np.ndarray | None:
    if label_column is None:
        return None
    return pd.Categorical(adata.obs[label_column]).codes.astype(np.int64)


def _shares(
    counts: list[sp.csr_matrix],
    codes: np.ndarray | None,
    adata: AnnData,
    label_column: str | None,
) -> pd.Series:
    spliced, unspliced = (np.asarray(layer.sum(axis=1)).ravel() for layer in counts)
    groups = (
        pd.Series("all cells", index=range(len(spliced)))
        if codes is None
        else pd.Series(pd.Categorical(adata.obs[label_column]))
    )
    table = pd.DataFrame({"unspliced": unspliced, "all": spliced + unspliced})
    sums = table.groupby(groups, observed=True).sum()
    return sums["unspliced"] / sums["all"].where(sums["all"] > 0)
