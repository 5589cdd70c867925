"""The look for velocity in the counts of a file, before anything is trained on it.

The web process asks and reads; ``python -m velovi.runs.velocity_signal FOLDER`` works, because it
needs neighbours and compiled libraries. The folder lies beside the file, in its dataset::

    <dataset>/velocity_signal/
      request.json    the layers and the column of groups
      launched.json   who works on it; .lock is held by it
      log.txt         what went wrong, in full
      signal.json     what was found; or
      error.json      the parts of an error
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from velovi.runs.files import (
    number,
    read_json_object,
    remove,
    text,
    told_as_store_error,
    write_json,
)
from velovi.runs.jobs import STARTING_LIMIT, JobFolder, reap

MOST_CELLS_UNASKED = 100_000
"""Files of more cells, which take long to read, are looked into only when the reader asks."""

State = Literal["none", "working", "done", "failed"]


class SignalFolder(JobFolder):
    """Where the look into one file is asked for, worked on and kept."""

    module = "velovi.runs.velocity_signal"


@dataclass(frozen=True)
class GroupSignal:
    """The same for one group of cells by itself: its name, and what was found in it."""

    group: str
    n_cells: int
    share_above_null: float
    strength: str


@dataclass(frozen=True)
class SignalSummary:
    """What :func:`velovi.evidence.velocity_signal` found, as far as a page shows it.

    Attributes
    ----------
    strength, sentence
        See :class:`velovi.evidence.VelocitySignal`.
    share_above_null, share_above_null_overall
        Shares of genes, 0 to 1; NaN where nothing could be compared.
    n_cells, n_cells_within, n_genes
        What was compared.
    reliability_within, null_within
        Correlations of genes, each ascending, (genes,).
    groups
        Groups of enough cells to be looked at by themselves.
    """

    strength: str
    sentence: str
    share_above_null: float
    share_above_null_overall: float
    n_cells: int
    n_cells_within: int
    n_genes: int
    reliability_within: np.ndarray
    null_within: np.ndarray
    groups: tuple[GroupSignal, ...] = ()

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Self:
        """From :meth:`velovi.evidence.VelocitySignal.to_dict`.

        Raises
        ------
        ValueError, KeyError, TypeError
            It is damaged.
        """
        return cls(
            strength=text(kept["strength"]),
            sentence=text(kept["sentence"]),
            share_above_null=_share(kept["share_above_null"]),
            share_above_null_overall=_share(kept["share_above_null_overall"]),
            n_cells=int(number(kept["n_cells"])),
            n_cells_within=int(number(kept["n_cells_within"])),
            n_genes=int(number(kept["n_genes"])),
            reliability_within=np.asarray(kept["reliability_within"], dtype=float),
            null_within=np.asarray(kept["null_within"], dtype=float),
            groups=tuple(
                GroupSignal(
                    text(group["group"]),
                    int(number(group["n_cells"])),
                    _share(group["share_above_null"]),
                    text(group["strength"]),
                )
                for group in kept.get("groups", ())
            ),
        )


SignalState = tuple[State, SignalSummary | None, Mapping[str, Any] | None]
"""How far a look has come, what it found, and the parts of its error."""


def folder_of(dataset: Path) -> SignalFolder:
    """The folder of a dataset's look, which may not be there yet."""
    return SignalFolder(Path(dataset) / "velocity_signal")


def request_signal(
    dataset: Path, layers: tuple[str, str], label_column: str | None
) -> SignalFolder:
    """Start to look for velocity in a file, in a process of its own.

    Parameters
    ----------
    dataset
        Folder with ``source.h5ad``.
    layers
        Names of the layers of spliced and unspliced counts.
    label_column
        Groups of cells; None when there are none.

    Raises
    ------
    StoreError
        Nothing can be written there.
    """
    folder = folder_of(dataset)
    with told_as_store_error(folder.path):
        folder.path.mkdir(exist_ok=True)
    remove(folder.error_path)
    request = {"layers": list(layers), "label_column": label_column, "created": time.time()}
    write_json(folder.path / "request.json", request)
    folder.start()
    return folder


def forget_signal(dataset: Path) -> None:
    """Remove the look into a file, and end the process that works on it."""
    folder = folder_of(dataset)
    folder.kill()
    shutil.rmtree(folder.path, ignore_errors=True)
    reap()


def stop_signal(dataset: Path) -> None:
    """End the look into a file; it is kept as one that was stopped, so that none begins anew."""
    folder = folder_of(dataset)
    folder.kill()
    stopped = {"what": "looking for velocity in this file was stopped"}
    write_json(folder.error_path, stopped)
    reap()


def signal_state(dataset: Path) -> SignalState:
    """How far the look into a file has come, what it found, and the parts of its error."""
    reap()
    folder = folder_of(dataset)
    try:
        asked = number(read_json_object(folder.path / "request.json").get("created"))
    except (OSError, ValueError):
        return "none", None, None
    # the process first: if it ends after this look, its result is there at the next one
    worker = folder.worker()
    working = bool(worker.alive) if worker.launched else time.time() - asked < STARTING_LIMIT
    found = _summary(folder.path)
    if found is not None:
        return "done", found, None
    error = folder.error()
    if error is not None:
        return "failed", None, error
    if working:
        return "working", None, None
    return "failed", None, {"what": "looking for velocity in this file ended without a word"}


def _summary(folder: Path) -> SignalSummary | None:
    try:
        return SignalSummary.from_dict(read_json_object(folder / "signal.json"))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _share(kept: object) -> float:
    return float(kept) if isinstance(kept, (int, float)) else float("nan")


def work(folder: Path) -> bool:
    """Look into the file of one folder; whether it went well. A failure is told in the folder.

    Raises
    ------
    StoreError
        Another process works on it.
    """

    def look() -> None:
        request = read_json_object(folder / "request.json")
        write_json(folder / "signal.json", _look(folder.parent / "source.h5ad", request))

    return SignalFolder(folder).attempt(look)


def _look(source: Path, request: dict[str, Any]) -> dict[str, Any]:
    from velovi.config import PreprocessOptions
    from velovi.data.read import read
    from velovi.evidence import velocity_signal

    spliced, unspliced = (text(name) for name in request["layers"])
    adata = read(source, layers=(spliced, unspliced))
    column = request.get("label_column")
    found = velocity_signal(
        adata,
        PreprocessOptions(spliced_layer=spliced, unspliced_layer=unspliced),
        label_column=column if column in adata.obs else None,
    )
    return found.to_dict()


def main() -> int:
    """Entry point of the process."""
    return 0 if work(Path(sys.argv[1])) else 1


if __name__ == "__main__":
    sys.exit(main())
