"""What a run adds on how far its velocities may be believed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from velovi.errors import VeloviError
from velovi.runs.results import WARNING

if TYPE_CHECKING:
    from anndata import AnnData

    from velovi.config import PreprocessOptions
    from velovi.evidence import VelocitySignal

GENE_COLUMNS = ("reliability", "reliability_within", "reliability_percentile")
"""What :func:`add_signal` writes into ``var``."""


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
