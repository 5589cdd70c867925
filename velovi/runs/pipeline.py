"""The whole way from a file to a result store, one stage after the other.

Every stage takes its options and what the one before it made, and gives something new.
"""

from __future__ import annotations

import gc
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from velovi import dynamics
from velovi.config import (
    ALL_NEIGHBOURS_UP_TO,
    NEIGHBOURS_BEYOND,
    ModelOptions,
    PreprocessOptions,
    RunOptions,
    TrainOptions,
)
from velovi.data import Preprocessed
from velovi.data.read import read, unique_names
from velovi.errors import DataError
from velovi.matrices import MatrixStore, let_go
from velovi.preprocessing import preprocess
from velovi.runs.assess import EXTRINSIC_COLUMNS, add_extrinsic, add_permutation_scores
from velovi.runs.folder import SCALERS_NAME, SCRATCH_NAME, RunFolder, RunSpec
from velovi.runs.progress import Reporter
from velovi.runs.results import RESULT_VERSION, velocity_key, write_result
from velovi.scaling import SCALERS, on_scale

if TYPE_CHECKING:
    from anndata import AnnData

    from velovi.model.api import VELOVI
    from velovi.model.summary import PosteriorSummary

_SEEDED = ("preprocess", "train", "posterior", "dynamics")
# annotations of the cells that a result writes
OUR_COLUMNS = frozenset(
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
        *EXTRINSIC_COLUMNS,
    )
)
# rough cost of what follows training, in epochs, for the estimate of the time left
_EPOCHS_AFTER = 12.0
_WARNINGS_NOT_FOR_USERS = ("lightning", "scvi", "torch", "anndata", "umap", "sklearn", "zarr")


def run_pipeline(folder: RunFolder, reporter: Reporter) -> None:
    """Do a run: read, preprocess, train, summarise, work out dynamics, write.

    Parameters
    ----------
    folder
        Holds ``spec.json``; receives history, model and result.
    reporter
        Hears of progress and is asked whether to go on.
    """
    spec = folder.spec()
    with MatrixStore(folder.path / SCRATCH_NAME, spec.options.train.memory_gb) as matrices:
        prepared, model = fit(spec, folder, reporter, matrices)
        model.save(str(folder.model_path), overwrite=True)
        prepared.adata.var[list(SCALERS)].to_csv(folder.scalers_path)
        summary = summarise(model, prepared.adata, spec, reporter, matrices)
        result = assemble(prepared, summary, model, spec, folder.history(), matrices)
        del summary
        reporter.step(0, message="How sure directions are among the measured cells")
        add_extrinsic(result, model, spec.options, matrices.empty)
        reporter.step(0, message="Which genes need their cells' order")
        add_permutation_scores(result, model, spec.options)
        add_dynamics(result, spec, reporter)
        reporter.stage("write")
        write_result(result, folder.result_path)


def fit(
    spec: RunSpec, folder: RunFolder, reporter: Reporter, matrices: MatrixStore
) -> tuple[Preprocessed, VELOVI]:
    """The prepared cells, and a model trained on them or opened."""
    options = spec.options
    reporter.stage("read")
    counts = these_cells(read(Path(spec.source)), folder.only_cells())
    reporter.stage("preprocess", of=100)
    wanted = for_saved_model(options)
    prepared = preprocess(
        counts,
        wanted,
        progress=lambda message, share: reporter.step(int(100 * share), message=message),
        allocate=matrices.empty,
    )
    del counts
    gc.collect()  # AnnData objects refer to themselves, so their matrices wait for this
    _quiet()
    if options.train.saved_model:
        prepared = as_the_model_saw(prepared, Path(options.train.saved_model), wanted.genes_to_keep)
        return prepared, apply_saved(prepared.adata, options.train, folder, reporter)
    return prepared, train(prepared.adata, options.model, options.train, folder, reporter)


def these_cells(counts: AnnData, names: list[str] | None) -> AnnData:
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


def for_saved_model(options: RunOptions) -> PreprocessOptions:
    """Preprocessing options; a saved model's genes are kept whatever the filters say."""
    if not options.train.saved_model:
        return options.preprocess
    from velovi.model.saved import read_saved

    genes = read_saved(options.train.saved_model, trusted=False).genes
    return replace(options.preprocess, genes_to_keep=tuple(genes.tolist()))


def as_the_model_saw(prepared: Preprocessed, saved: Path, genes: tuple[str, ...]) -> Preprocessed:
    """The same cells with a saved model's genes, on the scale of its training data if known."""
    chosen = only_genes(prepared, genes)
    scalers = saved / SCALERS_NAME
    if scalers.is_file():
        on_scale(chosen.adata, pd.read_csv(scalers, index_col=0))
        return chosen
    note = (
        "WARNING: the trained model does not say how its data was scaled, so these cells were "
        "scaled by their own range. Times and velocities fit only if these cells cover the same "
        "range of expression."
    )
    return replace(chosen, report=replace(chosen.report, notes=(*chosen.report.notes, note)))


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
    from velovi.model.training import EpochReporter, set_threads

    set_threads(options.threads)
    scvi.settings.seed = options.seed
    VELOVI.setup_anndata(adata, spliced_layer="Ms", unspliced_layer="Mu")
    model = VELOVI(adata, **model_options.to_dict())
    reporter.step(0, message="Training the model (the first time takes some seconds more)")

    def on_epoch(record: dict[str, float]) -> None:
        folder.append_history(record)
        epoch = int(record["epoch"])
        remaining = epochs - epoch + _EPOCHS_AFTER
        left = record["seconds"] / epoch * remaining
        reporter.step(epoch, message="Training the model", eta=left)

    callback = EpochReporter(on_epoch, lambda: folder.stop_requested, reporter.check)
    model.train(
        **schedule.arguments(),
        weight_decay=options.weight_decay,
        accelerator=options.accelerator,
        train_size=options.train_size,
        callbacks=[callback],
        check_val_every_n_epoch=1 if options.train_size < 1 else None,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(folder.path),
    )
    reporter.note_device(str(model.device))
    return model


def only_genes(prepared: Preprocessed, genes: tuple[str, ...]) -> Preprocessed:
    """The same cells with these genes only, and the others' reason in the report."""
    table = prepared.report.genes.copy()
    lost = table["kept"] & ~table.index.isin(genes)
    table.loc[lost, "reason"] = "not among the trained model's genes"
    table.loc[lost, "kept"] = False
    kept = table.index[table["kept"]]
    report = replace(prepared.report, genes=table, n_genes_kept=len(kept))
    adata = prepared.adata
    return Preprocessed(adata[:, kept].copy() if lost.any() else adata, report)


def apply_saved(
    adata: AnnData, options: TrainOptions, folder: RunFolder, reporter: Reporter
) -> VELOVI:
    """A saved model with this data, and the history of its training as ``history.jsonl``."""
    reporter.stage("train", of=1, message="Opening the trained model")
    from velovi.model.api import VELOVI

    model = VELOVI.load_untrusted(options.saved_model, adata=adata, accelerator=options.accelerator)
    history = model.history or {}
    curves = {
        name: np.asarray(history[name], dtype=float).ravel()
        for name in ("elbo_train", "elbo_validation")
        if name in history
    }
    for number, values in enumerate(zip(*curves.values(), strict=False), start=1):
        record = {"epoch": float(number), "seconds": 0.0, **dict(zip(curves, values, strict=True))}
        folder.append_history({name: float(value) for name, value in record.items()})
    reporter.note_device(str(model.device))
    return model


def summarise(
    model: VELOVI, adata: AnnData, spec: RunSpec, reporter: Reporter, matrices: MatrixStore
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
    matrices: MatrixStore,
) -> AnnData:
    """The result so far as an AnnData with scVelo's keys; see ``VELOVI.to_scvelo``.

    It takes over the matrices of ``prepared`` and of ``summary``, which are not copied.
    """
    adata = _with_the_same_matrices(prepared.adata)
    notes = [*prepared.report.notes, *_keep_users_columns(adata)]
    if adata.n_obs > ALL_NEIGHBOURS_UP_TO and not spec.options.dynamics.max_neighbors:
        notes.append(
            f"The velocity graph compares each cell with {NEIGHBOURS_BEYOND} cells of its "
            "neighbourhood, drawn at random, because there are so many cells."
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
        "unspliced_fraction": report.unspliced_fraction,
        "n_train_cells": len(model.train_indices),
        "device": str(model.device),
        "scalers": adata.var[["ms_min", "ms_max", "mu_min", "mu_max"]].copy(),
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


def _keep_users_columns(adata: AnnData) -> list[str]:
    """Rename annotations that the file brought under names of ours; returns a note for each."""
    notes = []
    for name in [str(one) for one in adata.obs if str(one) in OUR_COLUMNS]:
        kept = f"{name}_from_file"
        adata.obs[kept] = adata.obs.pop(name)
        notes.append(f"The file's own annotation {name!r} is kept as {kept!r}.")
    return notes


def add_dynamics(adata: AnnData, spec: RunSpec, reporter: Reporter) -> None:
    """Add the velocity graph, projections, shared time and confidence to the result."""
    options = spec.options.dynamics
    embeddings = [name for name in adata.obsm if _is_embedding(name, adata.obsm[name])]
    reporter.stage("dynamics", of=4 + len(embeddings))
    # rows of cells side by side: the layer itself has columns of genes
    velocity = np.ascontiguousarray(adata.layers["velocity"])
    let_go(adata.layers["velocity"])
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
    for number, name in enumerate(embeddings):
        vectors = dynamics.project(transition, adata.obsm[name])
        adata.obsm[velocity_key(name)] = vectors
        field = dynamics.grid_field(adata.obsm[name][:, :2], vectors[:, :2])
        grids[name] = {key: getattr(field, key) for key in ("x", "y", "u", "v", "mass")}
        reporter.step(4 + number)
    adata.uns["velovi"]["grids"] = grids


def _is_embedding(name: str, values: Any) -> bool:
    """Whether cells have places there; a projected velocity or one with gaps is no map."""
    return (
        not name.startswith("velocity_")
        and isinstance(values, np.ndarray)
        and values.ndim == 2
        and values.shape[1] >= 2
        and values.dtype.kind in "fiu"
        and bool(np.isfinite(values).all())
    )
