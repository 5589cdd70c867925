"""A run's model: trained, gone on with, or opened."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from velovi.config import ModelOptions, TrainOptions
from velovi.data import Preprocessed
from velovi.errors import DataError, StoreError, first_named
from velovi.runs.files import remove, told_as_store_error
from velovi.runs.folder import MODEL_PART, RunFolder, RunSpec
from velovi.runs.progress import Reporter

if TYPE_CHECKING:
    from anndata import AnnData

    from velovi.model.api import VELOVI

# rough cost of what follows training, in epochs, for the estimate of the time left
_EPOCHS_AFTER = 12.0
_COMPILING = (
    "Preparing the fast loops: the first run on a machine spends a minute or two here, and the "
    "bar stands still meanwhile"
)
_AFTER_TRAINING = "The run was interrupted after training and went on from the model it had kept."


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
