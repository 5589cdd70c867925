"""How a run's training ended, in words: an answer is only as good as the fit."""

from __future__ import annotations

from dataclasses import dataclass

from velovi.errors import StoreError
from velovi.runs.folder import RunFolder
from velovi.runs.results import ResultStore
from velovi.schedule import FAST_EPOCHS


@dataclass(frozen=True)
class Convergence:
    """Whether training ended because there was nothing more to gain, and a sentence."""

    settled: bool
    sentence: str


def run_warnings(run: RunFolder) -> list[str]:
    """What stands against a finished run, as its notes say; none when it cannot be opened."""
    try:
        return ResultStore(run.result_path).warnings
    except StoreError:
        return []


def training_convergence(run: RunFolder) -> Convergence | None:
    """Say how training ended; None when the folder does not tell."""
    try:
        options = run.spec().options.train
    except StoreError:
        return None
    if options.saved_model:
        return Convergence(True, "A trained model was applied to these cells; nothing was trained.")
    epochs = len(run.history())
    most = options.most_epochs
    if not epochs:
        return None
    if run.stop_requested:
        return Convergence(
            False,
            f"Training was stopped by hand after {epochs:,} of at most {most:,} epochs. The fit "
            "may not have settled: directions and uncertainties are provisional.",
        )
    if options.preset == "fast" and epochs not in range(options.max_epochs, FAST_EPOCHS):
        return Convergence(True, f"Training went through its schedule of {epochs:,} epochs.")
    if epochs >= most:
        return Convergence(
            False,
            f"Training used all of its {epochs:,} epochs and may not have settled. Train again "
            "with more before you trust directions and uncertainties.",
        )
    return Convergence(True, f"Training settled after {epochs:,} epochs.")
