"""A second, smaller model that a run trains beside its own, to know what its numbers are worth."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from velovi.config import NULL_EPOCHS, EvidenceOptions
from velovi.errors import Cancelled
from velovi.runs.files import remove
from velovi.runs.folder import RunFolder, RunSpec
from velovi.runs.jobs import failure
from velovi.runs.progress import Reporter

_SAMPLES, _DIRECTIONAL, _EXTRINSIC = 10, 25, 5
# shares of the second model's time, so that one bar tells of all of it
_PARTS = {"train": (10, 75), "posterior": (75, 90), "dynamics": (90, 100)}


class SecondModelStopped(Exception):
    """The run was asked to stop, and its second model is left out."""


class SecondModelReporter(Reporter):
    """Tells a run's reporter how far its second model is, as one stage.

    Parameters
    ----------
    folder
        Of the second model.
    outer
        Reporter of the run.
    message
        What is done with it, for the reader who waits.
    """

    def __init__(self, folder: RunFolder, outer: Reporter, message: str) -> None:
        super().__init__(folder)
        self._outer, self._message = outer, message
        self._stage, self._of = "train", 1

    def stage(self, name: str, *, of: int = 0, message: str = "") -> None:
        """Begin a part of its work."""
        self._stage, self._of = name, max(of, 1)
        self._tell(0.0, None)

    def step(self, step: int, *, message: str | None = None, eta: float | None = None) -> None:
        """Move on within the part."""
        self._tell(min(1.0, step / self._of), eta)

    def note_device(self, device: str) -> None:
        """The device is the run's, which has said so."""

    def check(self) -> None:
        """Raise :class:`Cancelled` or :class:`SecondModelStopped` when the run was asked to end."""
        self._outer.check()
        if self._outer.folder.stop_requested:
            raise SecondModelStopped

    def _tell(self, share: float, eta: float | None) -> None:
        self.check()
        first, last = _PARTS.get(self._stage, (0, 10))
        self._outer.step(int(first + share * (last - first)), message=self._message, eta=eta)


def second_spec(spec: RunSpec, run_id: str, name: str, n_cells: int) -> RunSpec:
    """The specification of a second model: as that of the run, with fewer epochs and samples."""
    options = spec.options
    epochs = options.train.schedule(n_cells).max_epochs
    smaller = replace(
        options,
        preprocess=replace(options.preprocess, genes_to_keep=()),
        train=replace(options.train, max_epochs=max(1, round(NULL_EPOCHS * epochs))),
        posterior=replace(
            options.posterior,
            n_samples=min(options.posterior.n_samples, _SAMPLES),
            directional_samples=min(options.posterior.directional_samples, _DIRECTIONAL),
            extrinsic_samples=min(options.posterior.extrinsic_samples, _EXTRINSIC),
        ),
        evidence=EvidenceOptions(null_run=False, seed=options.evidence.seed),
    )
    return replace(spec, run_id=run_id, name=f"{spec.name} ({name})", options=smaller)


def train_beside(
    work: Callable[[RunFolder, SecondModelReporter], None],
    path: Path,
    folder: RunFolder,
    reporter: Reporter,
    *,
    what: str,
    message: str,
) -> str:
    """Train and ask a second model; one that cannot be made costs the run nothing but a sentence.

    Parameters
    ----------
    work
        Does so in its folder.
    path
        Of its folder; taken away when it fails.
    folder, reporter
        Of the run.
    what, message
        What is left out when it fails, and what the reader sees while it goes on.

    Returns
    -------
    Why there is none; empty when there is one.
    """
    second = RunFolder(path)
    if path.exists():
        remove(path)
        return f"{what} was left out, because it was interrupted before."
    try:
        path.mkdir()
        work(second, SecondModelReporter(second, reporter, message))
    except SecondModelStopped:
        remove(path)
        return f"{what} was left out, because the run was asked to stop."
    except Cancelled:
        raise
    except Exception as error:  # noqa: BLE001 - the run has its answer, and keeps it
        told = failure(error, path).to_dict()["what"]
        with suppress(OSError), folder.log_path.open("a", encoding="utf-8") as stream:
            stream.write(traceback.format_exc())
        remove(path)
        return f"{what} was left out: {told}."
    remove(second.checkpoint_path)
    return ""
