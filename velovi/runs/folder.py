"""One run's folder: the only channel between the process that works and those that watch.

The folder is the truth. :func:`run_state` maps what lies in it to one word, so any tab, after any
refresh or restart, sees the same.
"""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from velovi.config import RunOptions
from velovi.errors import StoreError
from velovi.runs.files import (
    leftovers,
    number,
    read_json_object,
    remove,
    text,
    told_as_store_error,
    write_bytes,
    write_json,
)
from velovi.runs.jobs import JobFolder, WorkerProcess

SPEC_VERSION = 1
# A worker on another machine cannot be looked up by process id; only its heartbeat tells.
REMOTE_HEARTBEAT_LIMIT = 120.0

SCRATCH_NAME = "scratch"  # matrices in files while a run works
MODEL_PART = ".model.part"
_BAD_SPEC = (
    *(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError),
    ArithmeticError,
)


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    STOPPING = "stopping"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def active(self) -> bool:
        """Whether a worker is, or will be, busy with it."""
        return self in (self.QUEUED, self.RUNNING, self.STOPPING, self.CANCELLING)


@dataclass(frozen=True)
class RunSpec:
    """All that is needed to do the run again."""

    run_id: str
    name: str
    dataset_id: str
    source: str
    options: RunOptions
    created: float
    versions: dict[str, str] = field(default_factory=dict)
    spec_version: int = SPEC_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain values for ``spec.json``."""
        values = {**self.__dict__}
        values["options"] = self.options.to_dict()
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunSpec:
        """From ``spec.json``; early runs had the reference schedule and no null.

        Raises
        ------
        ValueError, TypeError, KeyError, AttributeError
            It is no specification.
        """
        options = dict(values["options"])
        options["train"] = {"preset": "reference", **options.get("train", {})}
        options.setdefault("evidence", {"null_run": False})
        spec = cls(**{**values, "options": RunOptions.from_dict(options)})
        for name in ("run_id", "name", "dataset_id", "source"):
            if text(getattr(spec, name), "\0") != getattr(spec, name):
                raise ValueError(f"{name} is no text")
        if number(spec.created, -1.0) < 0:
            raise ValueError("created is no moment")
        if not isinstance(spec.versions, Mapping):
            raise ValueError("versions is no table")
        return cls(
            **{
                **spec.__dict__,
                "versions": {str(name): str(version) for name, version in spec.versions.items()},
            }
        )


@dataclass(frozen=True)
class Progress:
    """The worker's last word, from ``progress.json``.

    ``step`` of ``of`` counts within ``stage``; ``eta`` is seconds left for the whole run, if
    known; ``outcome`` is empty until the run has ended.
    """

    stage: str = ""
    step: int = 0
    of: int = 0
    message: str = ""
    eta: float | None = None
    heartbeat: float = 0.0
    started: float = 0.0
    pid: int = 0
    process_start: float = 0.0
    host: str = ""
    device: str = ""
    outcome: str = ""
    error: dict[str, str | None] | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Progress:
        """From ``progress.json``; what is not of its kind is as if it had not been said."""
        error = values.get("error")
        if isinstance(error, Mapping):
            error = {str(name): text(item) or None for name, item in error.items()}
            error = {name: error.get(name) for name in StoreError("").to_dict()}
        return cls(
            stage=text(values.get("stage")),
            step=int(number(values.get("step"))),
            of=int(number(values.get("of"))),
            message=text(values.get("message")),
            eta=None if values.get("eta") is None else number(values.get("eta"), 0.0),
            heartbeat=number(values.get("heartbeat")),
            started=number(values.get("started")),
            pid=int(number(values.get("pid"))),
            process_start=number(values.get("process_start")),
            host=text(values.get("host")),
            device=text(values.get("device")),
            outcome=text(values.get("outcome")),
            error=error if isinstance(error, dict) else None,
        )

    @property
    def owner(self) -> WorkerProcess | None:
        """The process that wrote this; None when it does not say."""
        return WorkerProcess(self.pid, self.process_start, self.host) if self.pid > 0 else None

    @property
    def fraction(self) -> float:
        """Share of the present stage that is done, 0 to 1."""
        return min(1.0, max(0.0, self.step / self.of)) if self.of > 0 else 0.0


@dataclass(frozen=True)
class FolderFacts:
    """What :func:`run_state` looks at.

    ``launched`` is whether a worker has been asked for, ``worker_alive`` whether it lives, None
    when only its heartbeat can tell.
    """

    outcome: str
    has_result: bool
    launched: bool
    launch_age: float
    worker_alive: bool | None
    heartbeat_age: float
    stop: bool
    cancel: bool


def run_state(facts: FolderFacts) -> RunState:
    """Map a folder's facts to the run's state.

    The order matters: an outcome that the worker wrote beats everything; then whether anybody
    works; only then what the user asked for, which a dead worker can no longer do.
    """
    if facts.outcome == "done":
        return RunState.DONE if facts.has_result else RunState.LOST
    if facts.outcome in ("failed", "cancelled"):
        return RunState(facts.outcome)
    if not facts.launched:
        if facts.has_result:
            return RunState.DONE
        return RunState.CANCELLED if facts.cancel else RunState.QUEUED
    alive = facts.worker_alive
    if alive is None:
        silence = min(facts.heartbeat_age, facts.launch_age)
        alive = silence < REMOTE_HEARTBEAT_LIMIT
    if not alive:
        if facts.has_result:
            return RunState.DONE  # a result appears whole; only its worker's last word is missing
        return RunState.CANCELLED if facts.cancel else RunState.LOST
    if facts.cancel:
        return RunState.CANCELLING
    return RunState.STOPPING if facts.stop else RunState.RUNNING


_CACHED_SPECS = 5_000
# of each folder: the values of its file, and the specification that was made of them
_specs: dict[str, tuple[dict[str, Any], RunSpec]] = {}


class RunFolder(JobFolder):
    """One run's folder; files are replaced as a whole, history and log are added to."""

    module = "velovi.runs.worker"

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def result_path(self) -> Path:
        """The finished result store; exists only when it is complete."""
        return self.path / "result.zarr"

    @property
    def model_path(self) -> Path:
        """The saved model's folder."""
        return self.path / "model"

    @property
    def cells_path(self) -> Path:
        """Names of the only cells to use, one a line; absent when all are."""
        return self.path / "cells.txt"

    @property
    def null_path(self) -> Path:
        """The run on the same cells without velocity, a run's folder of its own."""
        return self.path / "null"

    @property
    def rate_check_path(self) -> Path:
        """The model fitted to cells simulated from the run's fit, while it is being trained."""
        return self.path / "rates"

    @property
    def checkpoint_path(self) -> Path:
        """A training that was interrupted, to go on from."""
        return self.path / "checkpoint.pt"

    def only_cells(self) -> list[str] | None:
        """Names of the only cells to use; None when all are.

        Raises
        ------
        StoreError
            The list is there and cannot be read.
        """
        try:
            # names may hold other signs that end lines
            return self.cells_path.read_bytes().decode().removesuffix("\n").split("\n")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(
                "the list of this run's cells cannot be read",
                where=self.run_id,
                found=str(error),
                remedy="Delete the run, and select its cells again in the run they came from",
            ) from error

    def spec(self) -> RunSpec:
        """What was asked for.

        Raises
        ------
        StoreError
            When the folder is gone or its specification cannot be read.
        """
        key = str(self.path)
        try:
            values = read_json_object(self.path / "spec.json")
            known = _specs.get(key)
            if known is None or known[0] is not values:  # the file has changed
                if len(_specs) >= _CACHED_SPECS:
                    _specs.clear()
                known = _specs[key] = values, RunSpec.from_dict(values)
            return known[1]
        except _BAD_SPEC as error:
            raise StoreError(
                "this run's specification cannot be read",
                where=self.run_id,
                found=str(error),
                remedy="The run may have been deleted, or written by another version",
            ) from error

    def write_spec(self, spec: RunSpec) -> None:
        """Create or replace ``spec.json``."""
        write_json(self.path / "spec.json", spec.to_dict())

    def progress(self) -> Progress:
        """The worker's last word; an empty one before it has spoken or when it is damaged."""
        try:
            return Progress.from_dict(read_json_object(self.path / "progress.json"))
        except (OSError, ValueError):
            return Progress()

    def write_progress(self, progress: Progress) -> None:
        """Replace ``progress.json``."""
        write_json(self.path / "progress.json", asdict(progress))

    def owner(self) -> tuple[WorkerProcess, float] | None:
        """Who works or worked here, and since when; None when nothing in the folder says so.

        A note that cannot be read, or that was written before there was a process, gives way to
        what the process said of itself in ``progress.json``.
        """
        noted = super().owner()
        if noted is not None and noted[0].pid > 0:
            return noted
        progress = self.progress()
        return noted if progress.owner is None else (progress.owner, progress.started)

    def history(self) -> list[dict[str, float]]:
        """One record for each finished epoch; lines that say nothing of an epoch are left out."""
        return list(_epoch_records(self.path / "history.jsonl"))

    def append_history(self, record: dict[str, float]) -> None:
        """Add one epoch's record."""
        path = self.path / "history.jsonl"
        with told_as_store_error(path), path.open("ab") as stream:
            stream.write((json.dumps(record) + "\n").encode())

    def cut_history(self, epochs: int) -> None:
        """Forget the records of epochs after this one, which training does again."""
        kept = [item for item in self.history() if item["epoch"] <= epochs]
        lines = "".join(json.dumps(item) + "\n" for item in kept)
        write_bytes(self.path / "history.jsonl", lines.encode())

    def request_stop(self) -> None:
        """Ask the worker to end training now and keep the model."""
        self._raise_flag("stop")

    def request_cancel(self) -> None:
        """Ask the worker to end and discard what it has."""
        self._raise_flag("cancel")

    def _raise_flag(self, name: str) -> None:
        with told_as_store_error(self.path / name):
            (self.path / name).touch()

    @property
    def stop_requested(self) -> bool:
        """Whether the user asked to finish early."""
        return (self.path / "stop").exists()

    @property
    def cancel_requested(self) -> bool:
        """Whether the user asked to end and discard."""
        return (self.path / "cancel").exists()

    def cancel_age(self) -> float:
        """Seconds since the user asked to cancel; 0 if they have not."""
        try:
            return max(0.0, time.time() - (self.path / "cancel").stat().st_mtime)
        except OSError:
            return 0.0

    def facts(self) -> FolderFacts:
        """Look at the folder once."""
        progress, now = self.progress(), time.time()
        if progress.outcome:  # the worker's last word beats everything else
            return FolderFacts(
                progress.outcome, self.result_path.exists(), True, 0.0, False, 0.0, False, False
            )
        worker = self.worker()
        return FolderFacts(
            outcome="",
            has_result=self.result_path.exists(),
            launched=worker.launched,
            launch_age=worker.age,
            worker_alive=worker.alive,
            heartbeat_age=now - progress.heartbeat,
            stop=self.stop_requested,
            cancel=self.cancel_requested,
        )

    def state(self) -> RunState:
        """Where the run stands now."""
        return run_state(self.facts())

    def size(self) -> int:
        """Bytes on disk; files that vanish while a worker works count nothing."""
        return sum(_bytes(path) for path in self.path.rglob("*"))

    def result_shape(self) -> tuple[int, int] | None:
        """Cells and genes of the finished result, without opening it; None when there is none."""
        try:
            shape = read_json_object(self.result_path / "layers" / "Ms" / "zarr.json")["shape"]
            cells, genes = (int(number(side, -1)) for side in shape)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return (cells, genes) if cells >= 0 and genes >= 0 else None

    def keep_support(self, support: str) -> None:
        """Keep the verdict's word beside the result, where a list of runs finds it quickly."""
        write_json(self.path / "verdict.json", {"support": support})

    def support(self) -> str:
        """That word; empty when nobody judged."""
        try:
            return text(read_json_object(self.path / "verdict.json").get("support"))
        except (OSError, ValueError):
            return ""

    @property
    def can_go_on(self) -> bool:
        """Whether an interrupted run has a checkpoint or a saved model to go on from."""
        return self.checkpoint_path.is_file() or (self.model_path / "model.pt").is_file()

    def reopen(self) -> None:
        """Put an interrupted run back into the queue; it goes on from what it has kept."""
        self.forget_owner()
        for name in ("progress.json", "stop", "cancel"):
            remove(self.path / name)

    def leaves_work(self) -> bool:
        """Whether something of what a run made is still here."""
        made = (
            *(self.model_path, self.result_path, self.checkpoint_path, self.null_path),
            *(self.rate_check_path, self.path / SCRATCH_NAME),
        )
        return any(path.exists() for path in made) or bool(leftovers(self.path))

    def tidy(self) -> list[str]:
        """Remove what a killed worker left behind; returns what that was.

        Only for a run that nobody works on.
        """
        doomed = leftovers(self.path)
        if (self.path / SCRATCH_NAME).exists():
            doomed.append(self.path / SCRATCH_NAME)
        for path in doomed:
            remove(path)
        return sorted(path.name for path in doomed)

    def log_tail(self, most: int) -> str | None:
        """The log's last ``most`` bytes as text; None when there is no log."""
        try:
            with self.log_path.open("rb") as stream:
                stream.seek(max(0, self.log_path.stat().st_size - most))
                return stream.read().decode(errors="replace")
        except OSError:
            return None


def discard(folder: RunFolder) -> None:
    """Remove what a cancelled run made; its specification and log stay."""
    for path in (
        *(folder.model_path, folder.result_path, folder.checkpoint_path),
        *(folder.null_path, folder.rate_check_path),
    ):
        remove(path)
    folder.tidy()


def _bytes(path: Path) -> int:
    try:
        found = path.stat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _epoch_records(path: Path) -> Iterator[dict[str, float]]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(record, dict) or number(record.get("epoch"), -1.0) < 0:
            continue
        # a loss that is not a number is left out of its epoch; the pages draw a gap
        yield {
            str(name): number(value)
            for name, value in record.items()
            if number(value, -1.0) == number(value, 0.0)
        }
