"""How much of velocity the counts of a file hold, beside the same cells without velocity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from velovi.config import PreprocessOptions
from velovi.errors import UnknownNameError
from velovi.evidence.nulls import count_split
from velovi.evidence.reliability import Reliability, residual_reliability
from velovi.evidence.strength import (
    ENOUGH_CELLS,
    ENOUGH_GENES,
    FEWEST_IN_GROUP,
    Strength,
    strength_of,
)
from velovi.preprocessing import choose_genes, size_factors

if TYPE_CHECKING:
    from anndata import AnnData

MOST_CELLS = 5_000
"""More cells are sampled: what is asked does not depend on their number."""
NULL_PERCENTILE = 95.0
_MANY_CELLS, _MOSTLY_WHOLE = 3_000, 0.5


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
    groups
        Row for each group of at least `FEWEST_IN_GROUP` cells, by itself: ``n_cells`` that were
        compared, ``share_above_null`` (0 to 1) and ``strength``; empty without groups.
    n_cells
        Cells that were looked at, at most `MOST_CELLS`.
    n_cells_within
        Those of them with neighbours of both halves in their own group.
    whole_numbers
        Share of the stored values that are whole, 0 to 1: averaged values repeat themselves
        between neighbours whatever they are of.
    unspliced_share
        Share of unspliced counts in all counts by group, 0 to 1; of all cells without groups.
    label_column
        The column of obs that holds the groups; None without.
    """

    genes: pd.DataFrame
    groups: pd.DataFrame
    n_cells: int
    n_cells_within: int
    whole_numbers: float
    unspliced_share: pd.Series
    label_column: str | None

    @property
    def share_above_null(self) -> float:
        """Share of genes above the null's 95th percentile inside groups; 0.05 by chance."""
        return _share_above(self.genes["reliability_within"], self.genes["null_within"])

    @property
    def share_above_null_overall(self) -> float:
        """The same over all cells, where what groups differ in counts as well."""
        return _share_above(self.genes["reliability"], self.genes["null"])

    @property
    def strength(self) -> Strength:
        """How clearly the unspliced counts hold more than the spliced ones say."""
        if not self.counted:
            return "cannot tell"
        return strength_of(self.share_above_null, self.n_cells_within, self.n_genes)

    @property
    def counted(self) -> bool:
        """Whether most values are whole, as counts are; some counters leave fractions."""
        return self.whole_numbers >= _MOSTLY_WHOLE

    @property
    def n_genes(self) -> int:
        """Genes with a number inside groups."""
        return int(self.genes["reliability_within"].notna().sum())

    @property
    def sentence(self) -> str:
        """What it means, for a reader who knows cells and not statistics."""
        if not self.counted:
            return (
                "Most values of the two layers are no whole numbers. Averaged or corrected values "
                "repeat themselves between neighbouring cells, with velocity or without: give the "
                "counts to have them looked into."
            )
        found = (
            f"{100 * self.share_above_null:.0f} % of {self.n_genes:,} genes repeat their unspliced "
            "surplus from cell to cell more than 95 % of genes do in the same cells without "
            "velocity (5 % by chance)"
        )
        return {
            "clear": f"{found}: the unspliced counts hold what velocity needs. Which way the "
            "arrows should point this does not say.",
            "some": f"{found}: some genes hold what velocity needs. Expect weak directions; which "
            "way they should point this does not say.",
            "none": f"{found}: no more than chance would give. Arrows drawn from these counts "
            "would be made by the method.",
            "cannot tell": f"Only {self.n_cells_within:,} cells and {self.n_genes:,} genes could "
            f"be compared inside groups; with fewer than {ENOUGH_CELLS} cells or {ENOUGH_GENES} "
            "genes a signal cannot be told from chance.",
        }[self.strength]

    def to_dict(self) -> dict[str, Any]:
        """What a page shows of it, as JSON can hold it: see `velovi.runs.velocity_signal`."""

        def known(share: float) -> float | None:
            return round(share, 4) if np.isfinite(share) else None

        return {
            "strength": self.strength,
            "counted": self.counted,
            "sentence": self.sentence,
            "share_above_null": known(self.share_above_null),
            "share_above_null_overall": known(self.share_above_null_overall),
            "n_cells": self.n_cells,
            "n_cells_within": self.n_cells_within,
            "n_genes": self.n_genes,
            "groups": [
                {
                    "group": str(name),
                    "n_cells": int(row["n_cells"]),
                    "share_above_null": known(float(row["share_above_null"])),
                    "strength": str(row["strength"]),
                }
                for name, row in self.groups.iterrows()
            ],
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
    n_halvings: int = 0,
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
        See :func:`residual_reliability`; 0 takes two, and one of many cells, whose number makes
        up for it.
    seed
        Of the sample of cells, the null and the halves.

    Returns
    -------
    VelocitySignal

    Raises
    ------
    DataError
        The counts cannot be used; see :func:`velovi.preprocess`.
    UnknownNameError
        There is no such column.

    Examples
    --------
    >>> from velovi import simulate
    >>> from velovi.evidence import velocity_signal
    >>> found = velocity_signal(simulate(400, 60, seed=1), label_column="clusters")
    >>> found.strength
    'clear'
    """
    if label_column is not None and label_column not in adata.obs:
        raise UnknownNameError(
            f"there is no annotation {label_column!r} of the cells",
            where="label_column",
            expected=", ".join(map(str, adata.obs.columns[:10])) or "none, which is one group",
        )
    options = options or PreprocessOptions()
    options = replace(options, neighbor_search="exact", seed=seed)
    if adata.n_obs > MOST_CELLS:
        chosen = np.random.default_rng(seed).choice(adata.n_obs, MOST_CELLS, replace=False)
        adata = adata[np.sort(chosen)]
    if adata.isbacked:
        adata = adata.to_memory()
    prepared = choose_genes(adata, options)
    layers = (options.spliced_layer, options.unspliced_layer)
    counts = [sp.csr_matrix(adata.layers[name]) for name in layers]
    kept = [prepared.layers[name] for name in ("spliced", "unspliced")]
    codes = _codes(prepared, label_column)

    neighbors = prepared.obsp["connectivities"]
    data = _normalised(kept, [size_factors(layer) for layer in counts])
    null = _normalised(count_split(*kept, seed=seed), [size_factors(counts[0])] * 2)

    halvings = n_halvings or (2 if prepared.n_obs <= _MANY_CELLS else 1)
    found, chance = (
        residual_reliability(*layers, neighbors, labels=codes, n_halvings=halvings, seed=seed)
        for layers in (data, null)
    )
    sorted_null = np.sort(chance.within[np.isfinite(chance.within)])
    below = np.searchsorted(sorted_null, found.within) / max(len(sorted_null), 1)
    genes = pd.DataFrame(
        {
            "reliability": found.overall,
            "reliability_within": found.within,
            "null": chance.overall,
            "null_within": chance.within,
            "null_percentile": np.where(np.isfinite(found.within), 100 * below, np.nan),
        },
        index=prepared.var_names,
    )
    return VelocitySignal(
        genes,
        _groups(prepared, label_column, found, chance),
        prepared.n_obs,
        int(found.n_cells.sum()),
        _whole_numbers(counts),
        _shares(counts, codes, prepared, label_column),
        label_column,
    )


def _groups(
    adata: AnnData, label_column: str | None, found: Reliability, null: Reliability
) -> pd.DataFrame:
    rows: dict[str, tuple[int, float, Strength]] = {}
    names = () if label_column is None else pd.Categorical(adata.obs[label_column]).categories
    for name, n_cells, own, chance in zip(
        names, found.n_cells, found.by_group, null.by_group, strict=False
    ):
        if n_cells >= FEWEST_IN_GROUP:
            share, n_genes = _share_above(own, chance), int(np.isfinite(own).sum())
            rows[str(name)] = (int(n_cells), share, strength_of(share, int(n_cells), n_genes))
    columns = ["n_cells", "share_above_null", "strength"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _share_above(found: np.ndarray | pd.Series, null: np.ndarray | pd.Series) -> float:
    known, chance = (np.asarray(x, dtype=float) for x in (found, null))
    known, chance = known[np.isfinite(known)], chance[np.isfinite(chance)]
    if not len(known) or not len(chance):
        return float("nan")
    return float((known > np.percentile(chance, NULL_PERCENTILE)).mean())


def _normalised(
    layers: Sequence[sp.csr_matrix], sizes: Sequence[np.ndarray]
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    spliced, unspliced = (
        sp.csr_matrix(sp.diags(f) @ layer) for f, layer in zip(sizes, layers, strict=True)
    )
    return spliced, unspliced


def _whole_numbers(layers: Sequence[sp.csr_matrix]) -> float:
    whole = [int((layer.data == np.rint(layer.data)).sum()) for layer in layers]
    return sum(whole) / max(sum(layer.data.size for layer in layers), 1)


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
