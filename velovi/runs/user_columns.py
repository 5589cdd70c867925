"""What a file brought under names that a result writes: kept under other names, and said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from velovi.data.read import READING
from velovi.data.storable import storable_name
from velovi.evidence.numbers import STEADY_STATE
from velovi.keys import ANGLE_COLUMNS, SCALERS
from velovi.runs import evidence
from velovi.runs.diagnostics import EXTRINSIC_COLUMNS

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

RESERVED_CELL_COLUMNS = frozenset(
    (
        "latent_time",
        "velocity_length",
        "velocity_confidence",
        "velocity_self_transition",
        "root_cells",
        "end_points",
        "directional_variance",
        "directional_difference",
        "directional_cosine_sim_variance",
        "directional_cosine_sim_difference",
        "directional_cosine_sim_mean",
        "velocity_transition_entropy",
        *evidence.CELL_COLUMNS,
        *EXTRINSIC_COLUMNS,
        *ANGLE_COLUMNS,
    )
)
"""Annotations of the cells that a result writes."""

GENE_COLUMNS = frozenset(
    (
        *SCALERS,
        "velocity_gamma",
        "velocity_r2",
        "velocity_genes",
        "shared_counts",
        "permutation_score",
        "time_scaling",
        "velocity_coherence",
        *STEADY_STATE.values(),
        *evidence.GENE_COLUMNS,
        *(
            f"fit_{name}"
            for name in ("alpha", "beta", "gamma", "t_", "scaling", "likelihood", "explained")
        ),
    )
)
"""Annotations of the genes that a result writes."""

_PROJECTED = "velocity_"  # in obsm: velocities on a map, which a result writes for every map


def keep_user_columns(adata: AnnData) -> None:
    """Rename what the file brought under names of a result, in place, and note each.

    Parameters
    ----------
    adata
        As :func:`velovi.data.read.read` gives it. Its ``uns["velovi_reading"]`` receives a note
        for each part that is renamed.

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> cells = AnnData(np.ones((3, 2)))
    >>> cells.obs["latent_time"] = 1.0
    >>> keep_user_columns(cells)
    >>> list(cells.obs)
    ['latent_time_from_file']
    """
    notes = []
    of_cells = _free_names(adata.obs, RESERVED_CELL_COLUMNS)
    of_genes = _free_names(adata.var, GENE_COLUMNS)
    adata.obs = adata.obs.rename(columns=of_cells)
    adata.var = adata.var.rename(columns=of_genes)
    for name, kept in of_cells.items():
        if f"{name}_colors" in adata.uns:
            adata.uns[f"{kept}_colors"] = adata.uns.pop(f"{name}_colors")
    for kind, names in (("cells", of_cells), ("genes", of_genes)):
        notes += [
            f"The file's own annotation {name!r} of the {kind} is kept as {kept!r}."
            for name, kept in names.items()
        ]
    moved = {"obs": of_cells, "var": of_genes, "obsm": dict[str, str]()}
    for name in [name for name in adata.obsm if name.casefold().startswith(_PROJECTED)]:
        kept = storable_name(f"{name}_from_file", adata.obsm)
        adata.obsm[kept] = adata.obsm[name]
        del adata.obsm[name]
        notes.append(f"The file's own {name!r} of obsm is kept as {kept!r}.")
        moved["obsm"][name] = kept
    for table, ours in ((adata.obs, RESERVED_CELL_COLUMNS), (adata.var, GENE_COLUMNS)):
        if str(table.index.name).casefold() in ours:
            table.index.name = None
    reading = adata.uns.setdefault(READING, {"notes": np.array([], dtype=object), "names": "{}"})
    names = json.loads(str(reading["names"]))
    for place, renamed in moved.items():
        known = names.get(place, {})
        names[place] = {renamed.get(stored, stored): given for stored, given in known.items()}
    reading["names"] = json.dumps(names)
    reading["notes"] = np.array([*reading["notes"], *notes], dtype=object)


def _free_names(table: pd.DataFrame, ours: frozenset[str]) -> dict[str, str]:
    """New names for columns that would be overwritten, or that differ from ours by case only."""
    found: dict[str, str] = {}
    for name in map(str, table.columns):
        if name.casefold() in ours:
            found[name] = storable_name(f"{name}_from_file", [*table.columns, *found.values()])
    return found


def stored_names(adata: AnnData) -> dict[str, dict[str, str]]:
    """``{stored: name in the file}`` by place, taken out of ``uns`` of prepared data."""
    reading = adata.uns.pop(READING, None)
    names: dict[str, dict[str, str]] = json.loads(str(reading["names"])) if reading else {}
    return names
