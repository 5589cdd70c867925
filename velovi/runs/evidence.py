"""What a run adds on how far its velocities may be believed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from velovi.data.embeddings import has_place, is_map
from velovi.dynamics import grid_field
from velovi.errors import VeloviError
from velovi.evidence.flow import against_time, at_both_ends
from velovi.evidence.numbers import NUMBERS
from velovi.keys import SUPPORT_COLORS
from velovi.runs.diagnostics import group_column
from velovi.runs.evidence_summary import EvidenceSummary
from velovi.runs.results import WARNING, typical_angle

if TYPE_CHECKING:
    from anndata import AnnData

    from velovi.config import EvidenceOptions, PreprocessOptions
    from velovi.evidence import Evidence, VelocitySignal

GENE_COLUMNS = ("reliability", "reliability_within", "reliability_percentile")
"""What :func:`add_signal` writes into ``var``."""
CELL_COLUMNS = (
    *("gene_half_agreement", "agreement_deterministic", "agreement_stochastic"),
    *("velocity_support", "direction_error", "direction_error_upper"),
)
"""What :func:`add_evidence` writes into ``obs``."""


def look_for_velocity(
    counts: AnnData, options: PreprocessOptions, label_column: str | None
) -> tuple[VelocitySignal | None, list[str]]:
    """Look for velocity in the counts of a run, before it is trained.

    Parameters
    ----------
    counts
        As they were read, (cells, genes).
    options
        Those of the run.
    label_column
        Groups of cells; left out when the counts have no such column.

    Returns
    -------
    signal
        None when it could not be looked for.
    notes
        What a reader of the result has to know of it.
    """
    from velovi.evidence import velocity_signal

    column = label_column if label_column in counts.obs else None
    try:
        found = velocity_signal(counts, options, label_column=column, seed=options.seed)
    except VeloviError as error:  # a run does not fail for it; if it must, preparing will say so
        what = str(error.to_dict()["what"])
        return None, [f"Whether the counts hold velocity could not be looked for: {what}."]
    doubtful = found.strength in ("none", "cannot tell")
    return found, [f"{WARNING if doubtful else ''}{found.sentence}"]


def add_signal(adata: AnnData, signal: VelocitySignal | None) -> None:
    """Add what was found to a result: columns of ``var``, and ``velocity_signal`` among details."""
    if signal is None:
        return
    columns = ("reliability", "reliability_within", "null_percentile")
    genes = signal.genes.reindex(adata.var_names)
    for name, column in zip(GENE_COLUMNS, columns, strict=True):
        adata.var[name] = genes[column].to_numpy(dtype=float)
    adata.uns["velovi"]["velocity_signal"] = json.dumps(signal.to_dict())


_LEAST_PLACED = 0.5  # of the cells, for arrows to be compared on a map
_MOST_FITTED = 5_000  # cells; the slope of a gene needs no more


def add_steady_state(
    adata: AnnData, size_factors: Mapping[str, np.ndarray], *, sample_seed: int
) -> None:
    """Add the slopes of the steady-state model to ``var``; see `STEADY_STATE`.

    Parameters
    ----------
    adata
        Prepared cells: counts in ``spliced`` and ``unspliced``, and their neighbours.
    size_factors
        What counts are multiplied by, (cells,), by layer.
    sample_seed
        Of the cells that are fitted when there are very many.
    """
    from velovi.evidence import steady_state_gamma
    from velovi.evidence.numbers import STEADY_STATE

    near = sp.csr_matrix(adata.obsp["connectivities"])
    rows, fitted = np.arange(adata.n_obs), None
    if adata.n_obs > _MOST_FITTED:
        rng = np.random.default_rng(sample_seed)
        some = np.sort(rng.choice(adata.n_obs, _MOST_FITTED, replace=False))
        # their neighbours are averaged over as well, and no other cell is needed
        rows = np.union1d(some, near[some].indices)
        fitted = np.searchsorted(rows, some)

    def normalised(name: str) -> sp.csr_matrix:
        counts = sp.csr_matrix(adata.layers[name][rows])
        factors = size_factors.get(name)
        return counts if factors is None else sp.csr_matrix(sp.diags(factors[rows]) @ counts)

    spliced, unspliced = normalised("spliced"), normalised("unspliced")
    near = near[rows][:, rows]
    for mode, column in STEADY_STATE.items():
        adata.var[column] = steady_state_gamma(spliced, unspliced, near, mode=mode, cells=fitted)


def add_evidence(
    adata: AnnData,
    signal: VelocitySignal | None,
    options: EvidenceOptions,
    *,
    label_column: str | None = None,
) -> Evidence:
    """Judge the velocities of a result, and add what was found to it.

    Columns of ``obs``: ``gene_half_agreement``, ``agreement_deterministic``,
    ``agreement_stochastic`` and ``velocity_support``. Arrows of the steady-state model are
    ``velocity_deterministic`` and ``velocity_stochastic`` in ``obsm``, on the embedding that is
    named, with flow and verdict, in ``uns["velovi"]["evidence"]``.
    """
    from velovi.evidence import assess

    column = label_column or (None if signal is None else signal.label_column)
    if column not in adata.obs or not isinstance(adata.obs[column].dtype, pd.CategoricalDtype):
        column = group_column(adata.obs)
    found = assess(
        adata, signal, label_column=column, embedding=compared_on(adata), seed=options.seed
    )
    for name in found.cells:
        adata.obs[name] = found.cells[name]
    adata.uns["velocity_support_colors"] = np.array(list(SUPPORT_COLORS.values()), dtype=object)
    kept = adata.uns["velovi"]
    for mode, arrows in found.arrows.items():
        adata.obsm[f"velocity_{mode}"] = arrows
        places = np.asarray(adata.obsm[found.embedding])
        placed = np.isfinite(arrows).all(axis=1) & np.isfinite(places).all(axis=1)
        if places.shape[1] == arrows.shape[1] == 2 and placed.any():
            field = grid_field(places[placed], arrows[placed])
            kept.setdefault("steady_state_grids", {})[mode] = field.to_dict()
    kept["evidence"] = json.dumps(
        {
            "embedding": found.embedding,
            "label_column": column,
            "verdict": found.verdict.to_dict(),
            "flow": None if found.flow is None else found.flow.to_dict(),
            "contradictions": contradictions(adata, found, column),
            "numbers": numbers_of(adata),
        }
    )
    return found


def evidence_notes(adata: AnnData) -> list[str]:
    """The verdict in a sentence, each contradiction, and why there is no null."""
    kept = json.loads(adata.uns["velovi"]["evidence"])
    told = [f"Verdict on the velocities: {support_of(adata)}.", *kept["contradictions"]]
    return [*told, kept["why_no_null"]] if "why_no_null" in kept else told


def support_of(adata: AnnData) -> str:
    """The verdict's word on a result."""
    return str(json.loads(adata.uns["velovi"]["evidence"])["verdict"]["support"])


def label_column(adata: AnnData) -> str | None:
    """The groups by which a result was judged; None without."""
    found: str | None = json.loads(adata.uns["velovi"]["evidence"])["label_column"]
    return found


def keep_why_no_null(adata: AnnData, why: str) -> None:
    """Keep why a result has no null beside it; nothing when it has one."""
    if why:
        kept = json.loads(adata.uns["velovi"]["evidence"])
        adata.uns["velovi"]["evidence"] = json.dumps({**kept, "why_no_null": why})


def contradictions(adata: AnnData, found: Evidence, column: str | None) -> list[str]:
    """What does not go together in a result, in sentences for its reader."""
    if column is None or found.flow is None:
        return []
    from velovi.evidence.assessment import group_names

    labels = group_names(adata.obs[column])
    known = labels.notna().to_numpy()
    time, names = adata.obs["latent_time"].to_numpy()[known], labels[known].to_numpy()
    told = [
        f"Time runs against the arrows: {target} is earlier than {source}, from which arrows lead "
        "into it."
        for source, target in against_time(found.flow, time, names)
    ]
    told += [
        f"{early:,} cells of {name} stand at the start of time and {late:,} at its end: "
        "mislabelled, doublets, or a time that does not fit them?"
        for name, (early, late) in at_both_ends(time, names).items()
    ]
    told += [f"Arrows lead in a circle: {', '.join(groups)}." for groups in found.flow.loops]
    if found.flow.branching == "joins":
        told.append("Arrows run together from several groups: their direction may be reversed.")
    return told


def compared_on(adata: AnnData) -> str:
    """The embedding on which arrows are compared: the first map with two dimensions, or PCA."""
    maps = [name for name in adata.obsm if is_map(name, adata.obsm[name])]
    flat = [
        name
        for name in maps
        if adata.obsm[name].shape[1] == 2
        and name != "X_pca"
        and has_place(np.asarray(adata.obsm[name])).mean() >= _LEAST_PLACED
    ]
    return next(iter(sorted(flat, key=lambda name: (name != "X_umap", name != "X_tsne"))), "X_pca")


def numbers_of(adata: AnnData) -> dict[str, float | None]:
    """The numbers of a result that stand beside those of its null; None where one is missing."""
    genes = adata.uns["velovi"]["genes"]
    tested = genes["kept"] | genes["reason"].astype(str).str.contains("steady-state line")
    found: dict[str, float] = {
        "genes_kept": float(genes["kept"].sum()),
        "share_kept": float(genes["kept"].sum() / max(tested.sum(), 1)),
    }
    for name, number in NUMBERS.items():
        if number.column:
            table = adata.var if number.of_genes else adata.obs
            values = pd.Series(table[number.column]) if number.column in table else pd.Series()
            middle = number.summarise(values.to_numpy(dtype=float))
            found[name] = float(typical_angle(np.array(middle))) if number.angle else middle
    return {name: _finite(value) for name, value in found.items()}


def _finite(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None


def keep_null(adata: AnnData, null: AnnData) -> None:
    """Set the numbers of the null beside those of a result, and judge again with them."""
    details = adata.uns["velovi"]
    kept: dict[str, Any] = json.loads(details["evidence"])
    without: dict[str, Any] = json.loads(null.uns["velovi"]["evidence"])
    kept["null"] = {
        "n_cells": null.n_obs,
        "n_genes": null.n_vars,
        "numbers": without["numbers"],
        "flow": without["flow"],
    }
    details["evidence"] = json.dumps(kept)
    summary = EvidenceSummary.from_details(details)
    if summary is None:
        return
    found = summary.verdict()
    column = kept["label_column"]
    labels = np.zeros(adata.n_obs) if column is None else adata.obs[column].to_numpy()
    adata.obs["velocity_support"] = found.of_cells(labels)
    details["evidence"] = json.dumps({**kept, "verdict": found.to_dict()})
