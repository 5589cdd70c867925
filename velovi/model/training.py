"""What training needs beside scvi-tools' runner: sound arguments and callbacks."""

from __future__ import annotations

import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from scvi.dataloaders import DataSplitter
from scvi.model._utils import get_max_epochs_heuristic
from scvi.module.base import BaseModuleClass, LossOutput
from scvi.train import TrainingPlan
from scvi.train._metrics import ElboMetric
from torch.optim.lr_scheduler import OneCycleLR

from velovi.errors import OptionError

log = logging.getLogger("velovi")

DEFAULT_LR = 1e-2
_LOOK_SECONDS = 0.3
_TIMES_A_CHECKPOINT = 100.0  # of what a checkpoint takes, between two of them
DEFAULT_WEIGHT_DECAY = 1e-2
# of the one-cycle schedule: share of steps in which the rate rises, and by what the largest rate
# is divided at the first step, and the first at the last
_RISING, _FIRST_RATE, _LAST_RATE = 0.2, 10.0, 100.0


class Plan(TrainingPlan):
    """scvi-tools' training plan, with one operation for all weights and a schedule for the rate.

    Parameters
    ----------
    module
        What is trained.
    one_cycle
        Raise the learning rate from a tenth of ``lr`` to ``lr`` over the first part of training
        and let it fall to nearly nothing at the end (Smith and Topin 2018), instead of keeping it.
    **kwargs
        Of scvi-tools' ``TrainingPlan``.
    """

    def __init__(self, module: BaseModuleClass, *, one_cycle: bool = False, **kwargs: Any) -> None:
        super().__init__(module, **kwargs)
        self.one_cycle = one_cycle
        self._first_batch = True

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Loss of a minibatch."""
        self._first_batch = batch_idx == 0
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        """Measure a minibatch of held-out cells."""
        self._first_batch = batch_idx == 0
        super().validation_step(batch, batch_idx)

    def compute_and_log_metrics(
        self, loss_output: LossOutput, metrics: dict[str, ElboMetric], mode: str
    ) -> None:
        """Take a minibatch into the epoch's means.

        Lightning asks a metric at the epoch's end and needs to hear of it once; telling it at
        every step costs more than a small step's arithmetic.
        """
        if self._first_batch or self.on_step or loss_output.extra_metrics:
            super().compute_and_log_metrics(loss_output, metrics, mode)
            return
        with torch.inference_mode():
            metrics[f"elbo_{mode}"].update(
                reconstruction_loss=loss_output.reconstruction_loss_sum,
                kl_local=loss_output.kl_local_sum,
                kl_global=loss_output.kl_global_sum,
                n_obs_minibatch=loss_output.n_obs_minibatch,
            )

    def _optimizer_creator_fn(
        self, optimizer_cls: type[torch.optim.Optimizer]
    ) -> Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]:
        return lambda parameters: optimizer_cls(  # type: ignore[call-arg]
            parameters, lr=self.lr, eps=self.eps, weight_decay=self.weight_decay, fused=True
        )

    def configure_optimizers(self) -> dict[str, Any]:
        """The optimiser, and the schedule of its learning rate if there is one."""
        config: dict[str, Any] = super().configure_optimizers()
        if self.one_cycle:
            steps = int(self.trainer.estimated_stepping_batches)
            # a rise that ends with the first step divides by its length of 0
            rising = 1.5 * _RISING if math.isclose(_RISING * steps, 1) else _RISING
            schedule = OneCycleLR(
                config["optimizer"],
                max_lr=self.lr,
                total_steps=steps,
                pct_start=rising,
                div_factor=_FIRST_RATE,
                final_div_factor=_LAST_RATE,
                cycle_momentum=False,
            )
            config["lr_scheduler"] = {"scheduler": schedule, "interval": "step"}
        return config


def plan_arguments(lr: float, weight_decay: float, given: dict[str, Any] | None) -> dict[str, Any]:
    """Arguments of the training plan.

    ``given`` may override the defaults of ``lr`` and ``weight_decay``, but not a value that the
    caller set.
    """
    arguments = {"optimizer": "AdamW", "lr": lr, "weight_decay": weight_decay, **(given or {})}
    if lr != DEFAULT_LR:
        arguments["lr"] = lr
    if weight_decay != DEFAULT_WEIGHT_DECAY:
        arguments["weight_decay"] = weight_decay
    return arguments


def epochs_or_heuristic(max_epochs: int | None, n_cells: int) -> int:
    """``max_epochs``, or ``min(round(20000 / n_cells * 400), 400)`` when None."""
    return max_epochs if max_epochs is not None else get_max_epochs_heuristic(n_cells)


def mend_last_batch(splitter: DataSplitter, batch_size: int) -> None:
    """Leave out a last training batch of one cell, for which batch statistics do not exist.

    Cells are shuffled every epoch, so each is left out equally often.
    """
    if splitter.n_train > batch_size and splitter.n_train % batch_size == 1:
        splitter.drop_last = True


def early_stopping_allowed(early_stopping: bool, splitter: DataSplitter) -> bool:
    """Early stopping needs held-out cells; say so and go on without when there are none."""
    if early_stopping and splitter.n_val == 0:
        warnings.warn(
            "early_stopping needs held-out cells, and train_size leaves none: training runs for "
            "max_epochs.",
            UserWarning,
            stacklevel=3,
        )
        return False
    return early_stopping


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def free_cores() -> int:
    """Cores that this process may use and that nobody keeps busy now, at least one."""
    busy = psutil.cpu_percent(interval=_LOOK_SECONDS) / 100 * (psutil.cpu_count() or 1)
    return max(1, round(usable_cores() - busy))


def set_threads(threads: int = 0) -> int:
    """Limit torch to the cores that are free.

    With more threads than free cores every small operation waits for a thread that is not
    running, which makes training several times slower.
    """
    chosen = threads or free_cores()
    torch.set_num_threads(chosen)
    return chosen


def require_accelerator(accelerator: str) -> None:
    """Look whether the hardware is there.

    Raises
    ------
    OptionError
        A graphics card is asked for where torch finds none.

    Examples
    --------
    >>> require_accelerator("cpu")
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    there["gpu"] = any(there.values())
    if there.get(str(accelerator), True):
        return
    raise OptionError(
        "there is no such graphics card here, or torch was installed without support for it",
        where="accelerator",
        expected="auto or cpu on this machine",
        found=repr(accelerator),
        remedy="Choose auto, which takes a graphics card when there is one",
    )


class Checkpoints(Callback):
    """Keeps a training that is under way in a file, from which another process can go on.

    A checkpoint is written after the first epoch, then as often as takes a hundredth of the time.

    Parameters
    ----------
    path
        The file; replaced as a whole, never half written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = 0.0
        self._random: torch.Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        """Where the random numbers stand, so that training goes on with the ones that follow."""
        return {"random": torch.get_rng_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember where the random numbers stood."""
        self._random = state_dict["random"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on with the random numbers that follow."""
        if self._random is not None:
            torch.set_rng_state(self._random.cpu())

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a checkpoint when it is time."""
        began = time.monotonic()
        if began < self._next or trainer.current_epoch + 1 >= (trainer.max_epochs or 0):
            return
        beside = self._path.with_name(f".{self._path.name}.part")
        try:
            trainer.save_checkpoint(beside)
            with beside.open("rb") as stream:
                os.fsync(stream.fileno())
            beside.replace(self._path)
        except (OSError, RuntimeError) as error:  # torch's own error for a full disk
            # training goes on; only an interruption would cost more than it has to
            log.warning("No checkpoint could be written: %s", error)
            beside.unlink(missing_ok=True)
        ended = time.monotonic()
        self._next = ended + _TIMES_A_CHECKPOINT * (ended - began)


def usable_checkpoint(path: Path, module: BaseModuleClass) -> int:
    """How many epochs a checkpoint holds of the training of such a module; 0 when it is no use.

    Nothing that the file brings is run.
    """
    if not path.is_file():
        return 0
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        shapes = {
            name.removeprefix("module."): item.shape for name, item in kept["state_dict"].items()
        }
        epochs = int(kept["epoch"]) + 1
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes of itself
        log.warning("The checkpoint cannot be used: %s", error)
        return 0
    return epochs if shapes == {k: v.shape for k, v in module.state_dict().items()} else 0


class EpochReporter(Callback):
    """Tells a watcher about every epoch and ends training when asked.

    Parameters
    ----------
    on_epoch
        Called with ``epoch`` (from 1), ``elbo_train``, ``elbo_validation`` and ``seconds`` since
        training began.
    should_stop
        Asked after every batch; when true, training ends and the model is kept.
    on_batch
        Called after every batch, before ``should_stop``; may raise to end everything.
    """

    def __init__(
        self,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
        on_batch: Callable[[], None] | None = None,
    ) -> None:
        self._on_epoch, self._should_stop, self._on_batch = on_epoch, should_stop, on_batch
        self._began = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Look whether somebody wants training to end."""
        if self._on_batch:
            self._on_batch()
        if self._should_stop and self._should_stop():
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the epoch's losses."""
        if not self._on_epoch:
            return
        record = {
            "epoch": float(trainer.current_epoch + 1),
            "seconds": round(time.monotonic() - self._began, 3),
        }
        for name in ("elbo_train", "elbo_validation"):
            if name in trainer.callback_metrics:
                record[name] = float(trainer.callback_metrics[name])
        self._on_epoch(record)
