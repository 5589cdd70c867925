"""The whole way from a file to a result store, one stage after the other.

Every stage takes its options and what the one before it made, and gives something new.
"""

from __future__ import annotations

import gc
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from velovi.config import RunOptions
from velovi.data import DatasetSummary, Preprocessed
from velovi.data.clean import unique_names
from velovi.data.inspect import inspect_file
from velovi.data.read import read
from velovi.errors import DataError
from velovi.numerics.out_of_core import MatrixAllocator
from velovi.preprocessing import preprocess
from velovi.runs.answers import ask
from velovi.runs.evidence import (
    add_evidence,
    add_signal,
    add_steady_state,
    evidence_notes,
    keep_why_no_null,
    label_column,
    look_for_velocity,
    support_of,
)
from velovi.runs.folder import SCRATCH_NAME, RunFolder, RunSpec
from velovi.runs.null_run import NullCells, add_null, draw_null
from velovi.runs.progress import Reporter
from velovi.runs.rate_check import add_rate_recovery
from velovi.runs.rehearsal import check_storable
from velovi.runs.results import WARNING, write_result
from velovi.runs.training import fit
from velovi.runs.user_columns import keep_user_columns
from velovi.runs.workspace import Dataset
from velovi.scaling import require_genes

if TYPE_CHECKING:
    from anndata import AnnData

    from velovi.evidence import VelocitySignal

_WARNINGS_NOT_FOR_USERS = ("lightning", "scvi", "torch", "anndata", "umap", "sklearn", "zarr")


def run_pipeline(folder: RunFolder, reporter: Reporter) -> None:
    """Do a run: read, preprocess, train, summarise, work out dynamics, write.

    A run that was interrupted goes on from its checkpoint, or from its saved model.

    Parameters
    ----------
    folder
        Holds ``spec.json``; receives history, model and result.
    reporter
        Hears of progress and is asked whether to go on.
    """
    spec = folder.spec()
    with MatrixAllocator(folder.path / SCRATCH_NAME, spec.options.train.memory_gb) as matrices:
        prepared, signal, null_cells = prepare(spec, folder, reporter, matrices)
        model = fit(prepared, spec, folder, reporter)
        result = ask(prepared, model, spec, folder, reporter, matrices)
        add_signal(result, signal)
        reporter.stage("evidence", of=100, message="Comparing arrows of halves of the genes")
        add_evidence(result, signal, spec.options.evidence)
        if spec.options.evidence.null_run:
            column = label_column(result)
            keep_why_no_null(result, add_null(result, null_cells, folder, reporter, column))
        if spec.options.evidence.rate_check:
            why = add_rate_recovery(result, model, prepared.size_factors, folder, reporter)
            reporter.notes += [why] if why else []
        reporter.stage("write")
        add_notes(result, [*reporter.notes, *evidence_notes(result)])
        folder.keep_support(support_of(result))
        write_result(result, folder.result_path)


def prepare(
    spec: RunSpec, folder: RunFolder, reporter: Reporter, matrices: MatrixAllocator
) -> tuple[Preprocessed, VelocitySignal | None, NullCells | None]:
    """The prepared cells of a run, once it is known that all the rest can be done with them.

    Beside them stand what the counts say of velocity before any model has seen them, and the
    cells of the null.
    """
    options = spec.options
    reporter.stage("read")
    _check_hardware(options)
    checked = check(Path(spec.source))
    reporter.notes += check_warnings(checked)
    wanted = options.preprocess
    scale = _training_scale(options.train.saved_model)
    layers = (wanted.spliced_layer, wanted.unspliced_layer)
    counts = subset_cells(read(Path(spec.source), layers=layers), folder.only_cells())
    keep_user_columns(counts)
    if scale is not None:
        require_genes(counts, scale.index)
    reporter.stage("preprocess", of=100, message="Looking for velocity in the counts")
    signal, notes = look_for_velocity(counts, wanted, checked.label_column)
    reporter.notes += notes
    null_cells = draw_null(counts, spec)
    prepared = preprocess(
        counts,
        wanted,
        progress=lambda message, share: reporter.step(int(100 * share), message=message),
        allocate=matrices.empty,
        scale_of=scale,
    )
    add_steady_state(prepared.adata, prepared.size_factors, sample_seed=spec.options.evidence.seed)
    del counts
    gc.collect()  # AnnData objects refer to themselves, so their matrices wait for this
    _quiet()
    reporter.notes += check_storable(prepared.adata, folder.path)
    return prepared, signal, null_cells


def check(source: Path) -> DatasetSummary:
    """What the check of a file says: as it is kept, or anew.

    Raises
    ------
    DataError
        It is no file that can be read.
    """
    kept = Dataset(source.parent).kept_summary() if source.name == "source.h5ad" else None
    summary = kept or inspect_file(source)
    if summary.errors and not summary.n_cells and not summary.given_up:
        problem = summary.errors[0]
        raise DataError(problem.what.rstrip("."), where=source.name, remedy=problem.remedy)
    return summary


def check_warnings(summary: DatasetSummary) -> list[str]:
    """What the check of a file warns of, as notes that stay with its results."""
    return [
        f"{WARNING}{problem.what} {problem.remedy}".strip()
        for problem in summary.problems
        if problem.level == "warning"
    ]


def _check_hardware(options: RunOptions) -> None:
    """Raise OptionError for hardware that is not there, before any work is done."""
    if options.train.accelerator in ("auto", "cpu"):
        return  # nothing has to be loaded to know
    from velovi.model.training import require_accelerator

    require_accelerator(options.train.accelerator)


def subset_cells(counts: AnnData, names: list[str] | None) -> AnnData:
    """The cells of these names, in the order of the file; all when None."""
    if names is None:
        return counts
    wanted = unique_names(counts.obs_names).isin(names)
    if not wanted.any():
        raise DataError(
            "none of the run's cells is in the file",
            expected=f"{len(names):,} cells, such as {names[0] if names else 'none'}",
            found=f"{counts.n_obs:,} other cells",
            remedy="Select cells in a run of this file, and train on those",
        )
    return counts[wanted].copy()


def _training_scale(saved_model: str) -> pd.DataFrame | None:
    """Genes and scale of a saved model; None when none is to be used.

    Raises
    ------
    StoreError
        There is no such model, or it is of another class or damaged.
    """
    if not saved_model:
        return None
    from velovi.model.checkpoint import read_saved

    return read_saved(saved_model, trusted=False).training_scale


def _quiet() -> None:
    """Libraries' advice to programmers is no help in a biologist's log."""
    for name in _WARNINGS_NOT_FOR_USERS:
        warnings.filterwarnings("ignore", module=rf"{name}(\.|$)")


def add_notes(adata: AnnData, notes: list[str]) -> None:
    """Add sentences to those that the result has for the user."""
    kept = adata.uns["velovi"]["notes"]
    adata.uns["velovi"]["notes"] = np.array([*kept, *notes], dtype=object)
