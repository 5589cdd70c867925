"""What a run says about how far its answer can be trusted, beside the posterior's own spread."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from velovi.config import RunOptions
from velovi.data import usual_labels
from velovi.numerics.out_of_core import Allocator, in_memory
from velovi.runs.estimate import CELLS_FOR_SCORES

if TYPE_CHECKING:
    from anndata import AnnData

    from velovi.model.api import VELOVI

SUFFIX = "_extrinsic"
EXTRINSIC_COLUMNS = tuple(
    f"directional_{name}{SUFFIX}"
    for name in (
        "variance",
        "difference",
        "cosine_sim_variance",
        "cosine_sim_difference",
        "cosine_sim_mean",
    )
)
_FEWEST_OF_A_LABEL = 10


def add_extrinsic(
    adata: AnnData, model: VELOVI, options: RunOptions, allocate: Allocator = in_memory
) -> None:
    """Add ``directional_*_extrinsic`` to ``adata.obs``, float32.

    Parameters
    ----------
    adata
        The result, with the model's layers and the neighbour graph.
    model
        The trained model.
    options
        Say how many samples; none are drawn for 0.
    allocate
        Gives the matrix of cosines; see :class:`velovi.numerics.out_of_core.MatrixAllocator`.
    """
    n_samples = options.posterior.extrinsic_samples
    if not n_samples:
        return
    statistics, _ = model.get_extrinsic_uncertainty(
        adata=adata,
        n_samples=n_samples,
        seed=options.posterior.seed,
        max_neighbors=options.dynamics.extrinsic_neighbors(adata.n_obs),
        allocate=allocate,
    )
    for name in statistics:
        adata.obs[f"{name}{SUFFIX}"] = statistics[name].to_numpy(dtype=np.float32)


def add_permutation_scores(adata: AnnData, model: VELOVI, options: RunOptions) -> None:
    """Add ``permutation_score`` to ``adata.var``, a gene's largest over groups of cells.

    Nothing is added without a column of groups; groups of fewer than ten cells are left out. Of
    more than 20,000 cells some are drawn.

    Parameters
    ----------
    adata, model, options
        As in :func:`add_extrinsic`.
    """
    column = group_column(adata.obs)
    if column is None:
        return
    rng = np.random.default_rng(options.posterior.seed)
    cells = np.arange(adata.n_obs)
    if len(cells) > CELLS_FOR_SCORES:
        cells = np.sort(rng.permutation(cells)[:CELLS_FOR_SCORES])
    groups = adata.obs[column].astype(str).iloc[cells]
    large = groups.map(groups.value_counts()) >= _FEWEST_OF_A_LABEL
    cells = cells[large.to_numpy()]
    if not len(cells):
        return
    part = adata[cells].copy()
    part.obs[column] = pd.Categorical(part.obs[column].astype(str))
    with warnings.catch_warnings():
        # a score that cannot be worked out is NaN, which the pages show as a dash
        warnings.simplefilter("ignore", UserWarning)
        scores, _ = model.get_permutation_scores(column, part, seed=options.posterior.seed)
    adata.var["permutation_score"] = (
        scores.max(axis=1).reindex(adata.var_names).to_numpy(dtype=np.float32)
    )


def group_column(obs: pd.DataFrame) -> str | None:
    """The annotation that holds the cells' groups, by its usual names."""
    usual = usual_labels(obs.select_dtypes("category"))
    return next((name for name in usual if len(obs[name].unique()) > 1), None)
