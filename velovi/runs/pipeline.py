"""The whole way from a file to a result store, one stage after the other.

Every stage takes its options and what the one before it made, and gives something new.
"""

from __future__ import annotations

import gc
import json
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from velovi import dynamics
from velovi.config import (
    ALL_NEIGHBOURS_UP_TO,
    NEIGHBOURS_BEYOND,
    ModelOptions,
    RunOptions,
    TrainOptions,
)
from velovi.data import MOST_GROUPS, DatasetSummary, Preprocessed
from velovi.data.clean import unique_names
from velovi.data.embeddings import has_place, is_map
from velovi.data.inspect import inspect_file
from velovi.data.read import read
from velovi.errors import DataError, StoreError, first_named
from velovi.keys import SCALERS
from velovi.numerics.out_of_core import MatrixAllocator, release_pages
from velovi.preprocessing import preprocess
from velovi.runs.diagnostics import add_extrinsic, add_permutation_scores
from velovi.runs.evidence import add_signal, look_for_velocity
from velovi.runs.files import remove, told_as_store_error
from velovi.runs.folder import MODEL_PART, SCRATCH_NAME, RunFolder, RunSpec
from velovi.runs.progress import Reporter
from velovi.runs.rehearsal import check_storable
from velovi.runs.results import RESULT_VERSION, WARNING, velocity_keys, write_result
from velovi.runs.user_columns import keep_user_columns, stored_names
from velovi.runs.workspace import Dataset
from velovi.scaling import require_genes

if TYPE_CHECKING:
    from anndata import AnnData

    from velovi.evidence import VelocitySignal
    from velovi.model.api import VELOVI
    from velovi.model.summary import PosteriorSummary

_SEEDED = ("preprocess", "train", "posterior", "dynamics")
# rough cost of what follows training, in epochs, for the estimate of the time left
_EPOCHS_AFTER = 12.0
_COMPILING = (
    "Preparing the fast loops: the first run on a machine spends a minute or two here, and the "
    "bar stands still meanwhile"
)
_AFTER_TRAINING = "The run was interrupted after training and went on from the model it had kept."
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
        prepared, signal = prepare(spec, folder, reporter, matrices)
        model = fit(prepared, spec, folder, reporter)
        summary = summarise(model, prepared.adata, spec, reporter, matrices)
        result = assemble(prepared, summary, model, spec, folder.history(), matrices)
        del summary
        reporter.step(0, message="How sure directions are among the measured cells")
        add_extrinsic(result, model, spec.options, matrices.empty)
        reporter.step(0, message="Which genes need their cells' order")
        add_permutation_scores(result, model, spec.options)
        add_dynamics(result, spec, reporter)
        add_signal(result, signal)
        reporter.stage("write")
        add_notes(result, reporter.notes)
        write_result(result, folder.result_path)


def prepare(
    spec: RunSpec, folder: RunFolder, reporter: Reporter, matrices: MatrixAllocator
) -> tuple[Preprocessed, VelocitySignal | None]:
    """The prepared cells of a run, once it is known that all the rest can be done with them.

    Beside them stands what the counts say of velocity before any model has seen them.
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
    prepared = preprocess(
        counts,
        wanted,
        progress=lambda message, share: reporter.step(int(100 * share), message=message),
        allocate=matrices.empty,
        scale_of=scale,
    )
    del counts
    gc.collect()  # AnnData objects refer to themselves, so their matrices wait for this
    _quiet()
    reporter.notes += check_storable(prepared.adata, folder.path)
    return prepared, signal


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


def fit(prepared: Preprocessed, spec: RunSpec, folder: RunFolder, reporter: Reporter) -> VELOVI:
    """A model trained on the prepared cells, or a saved one, kept in the run's folder."""
    options, adata = spec.options, prepared.adata
    if (folder.model_path / "model.pt").is_file():
        reporter.notes.append(_AFTER_TRAINING)
        return open_model(str(folder.model_path), adata, options.train, reporter)
    if options.train.saved_model:
        model = open_model(options.train.saved_model, adata, options.train, reporter)
        keep_history(model, folder)
    else:
        model = train(adata, options.model, options.train, folder, reporter)
    require_finite(model)
    beside = folder.path / MODEL_PART
    remove(beside)
    with told_as_store_error(folder.model_path):
        model.save(str(beside), overwrite=True)
        remove(folder.model_path)
        beside.rename(folder.model_path)
    remove(folder.checkpoint_path)
    return model


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


def train(
    adata: AnnData,
    model_options: ModelOptions,
    options: TrainOptions,
    folder: RunFolder,
    reporter: Reporter,
) -> VELOVI:
    """Train a model on ``Ms`` and ``Mu``, writing ``history.jsonl`` as it goes."""
    schedule = options.schedule(adata.n_obs)
    epochs = schedule.max_epochs
    reporter.stage("train", of=epochs, message="Loading the training software")
    import scvi

    from velovi.model.api import VELOVI
    from velovi.model.training import Checkpoints, EpochReporter, set_threads, usable_checkpoint

    set_threads(options.threads)
    scvi.settings.seed = options.seed
    VELOVI.setup_anndata(adata, spliced_layer="Ms", unspliced_layer="Mu")
    model = VELOVI(adata, **model_options.to_dict())
    done = usable_checkpoint(folder.checkpoint_path, model.module)
    reporter.step(done, message=_COMPILING)
    if done:
        reporter.notes.append(
            f"Training was interrupted and went on from epoch {done}, which had been kept."
        )
    folder.cut_history(done)
    before = next(
        (item["seconds"] for item in reversed(folder.history()) if "seconds" in item), 0.0
    )

    def on_epoch(record: dict[str, float]) -> None:
        epoch, seconds = int(record["epoch"]), record["seconds"]
        # a run is not given up because an epoch cannot be noted
        with suppress(StoreError):
            folder.append_history({**record, "seconds": round(before + seconds, 3)})
        remaining = epochs - epoch + _EPOCHS_AFTER
        left = seconds / max(1, epoch - done) * remaining
        reporter.step(epoch, message="Training the model", eta=left)

    callback = EpochReporter(on_epoch, lambda: folder.stop_requested, reporter.check)
    model.train(
        **schedule.arguments(),
        weight_decay=options.weight_decay,
        accelerator=options.accelerator,
        train_size=options.train_size,
        callbacks=[callback, Checkpoints(folder.checkpoint_path)],
        ckpt_path=str(folder.checkpoint_path) if done else None,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(folder.path),
    )
    reporter.note_device(str(model.device))
    return model


def require_finite(model: VELOVI) -> None:
    """Raise DataError when a model's weights are not numbers, of which nothing can come."""
    import torch

    bad = [
        name
        for name, values in model.module.state_dict().items()
        if values.is_floating_point() and not torch.isfinite(values).all()
    ]
    if bad:
        raise DataError(
            "the model's weights are not numbers",
            where="model",
            found=f"NaN or infinite values in {first_named(bad)}",
            remedy="Train again with a lower learning rate, or use another saved model",
        )


def open_model(saved: str, adata: AnnData, options: TrainOptions, reporter: Reporter) -> VELOVI:
    """A saved model with this data."""
    reporter.stage("train", of=1, message="Opening the trained model")
    from velovi.model.api import VELOVI

    model = VELOVI.load_untrusted(saved, adata=adata, accelerator=options.accelerator)
    reporter.note_device(str(model.device))
    require_finite(model)
    return model


def keep_history(model: VELOVI, folder: RunFolder) -> None:
    """Write what a saved model remembers of its training as ``history.jsonl``."""
    history = model.history or {}
    curves = {
        name: np.asarray(history[name], dtype=float).ravel()
        for name in ("elbo_train", "elbo_validation")
        if name in history
    }
    folder.cut_history(0)
    for number, values in enumerate(zip(*curves.values(), strict=False), start=1):
        record = {"epoch": float(number), "seconds": 0.0, **dict(zip(curves, values, strict=True))}
        folder.append_history({name: float(value) for name, value in record.items()})


def summarise(
    model: VELOVI, adata: AnnData, spec: RunSpec, reporter: Reporter, matrices: MatrixAllocator
) -> PosteriorSummary:
    """Posterior means and deviations of every cell and gene."""
    from velovi.model.training import set_threads

    options = spec.options.posterior
    reporter.stage("posterior", of=adata.n_obs)
    set_threads(spec.options.train.threads)  # other cores may be free than when training began
    return model.get_posterior_summary(
        options.n_samples,
        options.seed,
        adata=adata,
        gene_list=list(adata.var_names),
        quantiles=(),
        directional_samples=options.directional_samples,
        batch_size=options.batch_size,
        on_batch=reporter.step,
        allocate=matrices.empty,
    )


def assemble(
    prepared: Preprocessed,
    summary: PosteriorSummary,
    model: VELOVI,
    spec: RunSpec,
    history: list[dict[str, float]],
    matrices: MatrixAllocator,
) -> AnnData:
    """The result so far as an AnnData with scVelo's keys; see ``VELOVI.to_scvelo``.

    It takes over the matrices of ``prepared`` and of ``summary``, which are not copied.
    """
    adata = _with_the_same_matrices(prepared.adata)
    names = stored_names(adata)
    notes = list(prepared.report.notes)
    if adata.n_obs > ALL_NEIGHBOURS_UP_TO and not spec.options.dynamics.max_neighbors:
        notes.append(
            f"The velocity graph compares each cell with {NEIGHBOURS_BEYOND} cells of its "
            "neighbourhood, drawn at random, because there are so many cells."
        )
    for column in adata.obs.select_dtypes("category"):
        n_groups = len(adata.obs[column].cat.categories)
        if MOST_GROUPS < n_groups <= adata.n_obs / 2:
            notes.append(
                f"'{column}' has {n_groups:,} groups; the {MOST_GROUPS - 1} largest are shown by "
                "themselves and the others together."
            )
    if matrices.files:
        notes.append(
            "Matrices were kept in files while the run worked, because together they are larger "
            f"than the {matrices.budget / 2**30:.1f} GB that were to be used: "
            + ", ".join(matrices.files)
            + "."
        )
    model.add_results(adata, summary, in_place=True)
    report = prepared.report
    adata.uns["velovi"] = {
        "result_version": RESULT_VERSION,
        "spec": json.dumps(_without_folders(spec)),
        "versions": dict(spec.versions),
        "history": pd.DataFrame(history),
        "genes": report.genes,
        "notes": np.array(notes, dtype=object),
        "names": json.dumps(names),
        "unspliced_fraction": report.unspliced_fraction,
        "n_train_cells": len(model.train_indices),
        "device": str(model.device),
        "scalers": adata.var[list(SCALERS)].copy(),
        "seeds": {name: getattr(spec.options, name).seed for name in _SEEDED},
    }
    return adata


def _with_the_same_matrices(adata: AnnData) -> AnnData:
    """Another AnnData over the same matrices, with annotations of its own."""
    from anndata import AnnData

    parts = {name: dict(getattr(adata, name)) for name in ("layers", "obsm", "obsp", "varm")}
    uns = {key: value for key, value in adata.uns.items() if not key.startswith("_scvi")}
    return AnnData(adata.X, obs=adata.obs.copy(), var=adata.var.copy(), uns=uns, **parts)


def _without_folders(spec: RunSpec) -> dict[str, Any]:
    """A result may be passed on: it names files, not the machine's folders."""
    told = spec.to_dict()
    told["source"] = Path(spec.source).name
    told["options"]["train"]["saved_model"] = Path(spec.options.train.saved_model).name
    return told


def add_notes(adata: AnnData, notes: list[str]) -> None:
    """Add sentences to those that the result has for the user."""
    kept = adata.uns["velovi"]["notes"]
    adata.uns["velovi"]["notes"] = np.array([*kept, *notes], dtype=object)


def add_dynamics(adata: AnnData, spec: RunSpec, reporter: Reporter) -> None:
    """Add the velocity graph, projections, shared time and confidence to the result."""
    options = spec.options.dynamics
    embeddings = [name for name in adata.obsm if is_map(name, adata.obsm[name])]
    reporter.stage("dynamics", of=4 + len(embeddings))
    # rows of cells side by side: the layer itself has columns of genes
    velocity = np.ascontiguousarray(adata.layers["velocity"])
    release_pages(adata.layers["velocity"])
    expression = adata.layers["Ms"]
    distances = adata.obsp["distances"]
    graph = dynamics.velocity_graph(
        velocity,
        expression,
        distances,
        recurse_neighbors=options.recurse_neighbors,
        max_neighbors=options.most_neighbors(adata.n_obs),
        seed=options.seed,
    )
    adata.uns["velocity_graph"], adata.uns["velocity_graph_neg"] = graph.positive, graph.negative
    reporter.step(1)
    adata.obs["velocity_length"] = dynamics.velocity_length(velocity)
    adata.obs["velocity_confidence"] = dynamics.velocity_confidence(velocity, distances)
    adata.obs["velocity_self_transition"] = graph.self_transition
    del velocity
    reporter.step(2)
    transition = dynamics.transition_matrix(graph)
    shared = dynamics.shared_latent_time(
        adata.layers["fit_t"], transition, adata.obsp["connectivities"], seed=options.seed
    )
    adata.obs["latent_time"] = shared.time
    adata.obs["root_cells"], adata.obs["end_points"] = shared.root_cells, shared.end_points
    reporter.step(3)
    grids: dict[str, Any] = {}
    keys = velocity_keys(embeddings)
    adata.uns["velovi"]["velocity_keys"] = json.dumps(keys)
    for number, name in enumerate(embeddings):
        places = adata.obsm[name]
        vectors = project_placed(transition, places)
        adata.obsm[keys[name]] = vectors
        placed = has_place(places)
        field = dynamics.grid_field(places[placed, :2], vectors[placed, :2])
        grids[name] = {key: getattr(field, key) for key in ("x", "y", "u", "v", "mass")}
        reporter.step(4 + number)
    adata.uns["velovi"]["grids"] = grids


def project_placed(transition: sparse.csr_matrix, places: np.ndarray) -> np.ndarray:
    """Velocities on a map, float32 (cells, columns); NaN for cells that have no place there.

    Cells with a place go to others with a place; columns beyond two with gaps are left out.
    """
    if np.isfinite(places).all():
        return dynamics.project(transition, places)
    placed = has_place(places)
    columns = [at for at in range(places.shape[1]) if np.isfinite(places[placed, at]).all()]
    part = sparse.csr_matrix(transition[placed][:, placed])
    total = np.asarray(part.sum(axis=1)).ravel()
    part = sparse.csr_matrix(sparse.diags(1 / np.where(total != 0, total, 1)) @ part)
    vectors = np.full((len(places), len(columns)), np.nan, dtype=np.float32)
    vectors[placed] = dynamics.project(part, places[placed][:, columns])
    return vectors
