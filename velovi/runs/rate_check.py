"""Rates that could be found again if the fit of a run were the truth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from velovi.config import NULL_CELLS
from velovi.evidence import counts_of_fit, rate_recovery
from velovi.evidence.rates import recovery_to_dict
from velovi.numerics.out_of_core import MatrixAllocator
from velovi.preprocessing import preprocess
from velovi.runs.files import remove
from velovi.runs.folder import SCRATCH_NAME, RunFolder
from velovi.runs.progress import Reporter
from velovi.runs.second_model import SecondModelReporter, second_spec, train_beside
from velovi.runs.training import require_finite, train

if TYPE_CHECKING:
    from anndata import AnnData

    from velovi.model.api import VELOVI

_LAYERS = (("spliced", "fit_s", "ms"), ("unspliced", "fit_u", "mu"))


def add_rate_recovery(
    result: AnnData,
    model: VELOVI,
    size_factors: Mapping[str, np.ndarray],
    folder: RunFolder,
    reporter: Reporter,
) -> str:
    """Fit cells that are simulated from a result, and keep which rates are found again.

    The table of :func:`velovi.evidence.rate_recovery` is kept in ``uns["velovi"]["rates"]``.

    Parameters
    ----------
    result, model
        Of the run.
    size_factors
        What counts were multiplied by, (cells,), by layer.
    folder, reporter
        Of the run.

    Returns
    -------
    Why it was left out, for the reader of the result; empty when it was not.
    """
    if folder.spec().options.train.saved_model:
        return "Which rates can be known was not checked, because no model was trained in this run."
    path = folder.rate_check_path

    def work(second: RunFolder, inner: SecondModelReporter) -> None:
        counts = simulated_cells(result, size_factors, folder.spec().options.evidence.seed)
        spec = second_spec(folder.spec(), second.run_id, "rates", counts.n_obs)
        kept = replace(
            spec.options.preprocess,
            spliced_layer="spliced",
            unspliced_layer="unspliced",
            min_shared_counts=0,
            n_top_genes=max(counts.n_vars, 2),
            filter_on_r2=False,
            compute_umap=False,
        )
        with MatrixAllocator(second.path / SCRATCH_NAME, spec.options.train.memory_gb) as matrices:
            cells = preprocess(counts, kept, allocate=matrices.empty).adata
            second_model = train(cells, spec.options.model, spec.options.train, second, inner)
            require_finite(second_model)
            recovered = fitted_rates(second_model, list(cells.var_names))
        table = rate_recovery(fitted_rates(model, list(result.var_names)), recovered)
        result.uns["velovi"]["rates"] = json.dumps(recovery_to_dict(table))

    why = train_beside(
        work,
        path,
        folder,
        reporter,
        what="The check of the rates",
        message="Looking for the rates of cells simulated from the fit",
    )
    remove(path)
    return why


def fitted_rates(model: VELOVI, genes: list[str]) -> pd.DataFrame:
    """Rates and switch times of a model on its own axis of time, (genes, rates)."""
    found = model.get_rates()
    columns = {f"fit_{name}": found[name] for name in ("alpha", "beta", "gamma")}
    columns["fit_t_"] = model.module.get_switch_time().detach().cpu().numpy()
    return pd.DataFrame(columns, index=genes)


def simulated_cells(result: AnnData, size_factors: Mapping[str, np.ndarray], seed: int) -> AnnData:
    """Counts that follow the fit exactly, of at most as many cells as a null has."""
    from anndata import AnnData

    rng = np.random.default_rng(seed)
    rows = np.arange(result.n_obs)
    if result.n_obs > NULL_CELLS:
        rows = np.sort(rng.choice(result.n_obs, NULL_CELLS, replace=False))
    layers = {}
    for number, (layer, fit, range_) in enumerate(_LAYERS):
        factors = size_factors.get(layer)
        layers[layer] = counts_of_fit(
            np.asarray(result.layers[fit][rows], dtype=float),
            result.var[f"{range_}_min"].to_numpy(dtype=float),
            result.var[f"{range_}_max"].to_numpy(dtype=float),
            None if factors is None else np.asarray(factors)[rows],
            seed=seed + number,
        )
    return AnnData(
        layers["spliced"].copy(),
        obs=pd.DataFrame(index=result.obs_names[rows]),
        var=result.var[[]].copy(),
        layers=layers,
    )
