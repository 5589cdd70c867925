"""One run's folder: the only channel between the process that works and those that watch.

The folder is the truth. :func:`run_state` maps what lies in it to one word, so any tab, after any
refresh or restart, sees the same.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil

from velovi.config import RunOptions
from velovi.errors import StoreError

SPEC_VERSION = 1
# A worker on another machine cannot be looked up by process id; only its heartbeat tells.
REMOTE_HEARTBEAT_LIMIT = 120.0


SCALERS_NAME = "scalers.csv"
SCRATCH_NAME = "scratch"  # matrices in files while a run works


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
        """From ``spec.json``; runs from before there were presets had the reference schedule."""
        options = dict(values["options"])
        options["train"] = {"preset": "reference", **options.get("train", {})}
        return cls(**{**values, "options": RunOptions.from_dict(options)})


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

    @property
    def fraction(self) -> float:
        """Share of the present stage that is done, 0 to 1."""
        return min(1.0, self.step / self.of) if self.of else 0.0


@dataclass(frozen=True)
class Owner:
    """Which process works on a run."""

    pid: int
    process_start: float
    host: str

    @classmethod
    def of_process(cls, pid: int) -> Owner:
        """The owner record of a process on this machine."""
        try:
            started = psutil.Process(pid).create_time()
        except psutil.Error:
            started = 0.0
        return cls(pid, started, socket.gethostname())

    def alive(self) -> bool | None:
        """Whether the process lives; None when it is on another machine."""
        if self.host != socket.gethostname():
            return None
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.process_start) < 2.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.Error:
            return True


@dataclass(frozen=True)
class FolderFacts:
    """What :func:`run_state` looks at."""

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
        return RunState.CANCELLED if facts.cancel else RunState.QUEUED
    alive = facts.worker_alive
    if alive is None:
        silence = min(facts.heartbeat_age, facts.launch_age)
        alive = silence < REMOTE_HEARTBEAT_LIMIT
    if not alive:
        return RunState.CANCELLED if facts.cancel else RunState.LOST
    if facts.cancel:
        return RunState.CANCELLING
    return RunState.STOPPING if facts.stop else RunState.RUNNING


class RunFolder:
    """Reads and writes one run's folder; every write is atomic."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

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
    def scalers_path(self) -> Path:
        """Minima and maxima of the data that the saved model was trained on, beside it."""
        return self.model_path / SCALERS_NAME

    @property
    def cells_path(self) -> Path:
        """Names of the only cells to use, one a line; absent when all are."""
        return self.path / "cells.txt"

    @property
    def log_path(self) -> Path:
        """What went wrong, in full."""
        return self.path / "log.txt"

    def only_cells(self) -> list[str] | None:
        """Names of the only cells to use; None when all are."""
        try:
            return self.cells_path.read_text().splitlines()
        except FileNotFoundError:
            return None

    def spec(self) -> RunSpec:
        """What was asked for.

        Raises
        ------
        StoreError
            When the folder is gone or its specification cannot be read.
        """
        try:
            return RunSpec.from_dict(read_json(self.path / "spec.json"))
        except (OSError, ValueError, TypeError, KeyError) as error:
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
        """The worker's last word; an empty one before it has spoken."""
        try:
            values = read_json(self.path / "progress.json")
            return Progress(**{k: v for k, v in values.items() if k in Progress.__annotations__})
        except (OSError, ValueError, TypeError):
            return Progress()

    def write_progress(self, progress: Progress) -> None:
        """Replace ``progress.json``."""
        write_json(self.path / "progress.json", asdict(progress))

    def owner(self) -> tuple[Owner, float] | None:
        """Who was launched to do the work, and when; None while it waits in the queue."""
        try:
            values = read_json(self.path / "launched.json")
            return Owner(values["pid"], values["process_start"], values["host"]), values["at"]
        except (OSError, ValueError, KeyError):
            return None

    def write_owner(self, owner: Owner) -> None:
        """Note that a worker has been launched."""
        write_json(self.path / "launched.json", {**asdict(owner), "at": time.time()})

    def history(self) -> list[dict[str, float]]:
        """One record for each finished epoch; a half-written last line is left out."""
        return list(_json_lines(self.path / "history.jsonl"))

    def append_history(self, record: dict[str, float]) -> None:
        """Add one epoch's record."""
        with (self.path / "history.jsonl").open("a") as stream:
            stream.write(json.dumps(record) + "\n")

    def request_stop(self) -> None:
        """Ask the worker to end training now and keep the model."""
        (self.path / "stop").touch()

    def request_cancel(self) -> None:
        """Ask the worker to end and discard what it has."""
        (self.path / "cancel").touch()

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
        progress, launched, now = self.progress(), self.owner(), time.time()
        return FolderFacts(
            outcome=progress.outcome,
            has_result=self.result_path.exists(),
            launched=launched is not None,
            launch_age=now - launched[1] if launched else 0.0,
            worker_alive=launched[0].alive() if launched else None,
            heartbeat_age=now - progress.heartbeat,
            stop=self.stop_requested,
            cancel=self.cancel_requested,
        )

    def state(self) -> RunState:
        """Where the run stands now."""
        return run_state(self.facts())

    def size(self) -> int:
        """Bytes on disk; files that vanish while a worker works count nothing."""
        return sum(_bytes(one) for one in self.path.rglob("*"))

    def result_shape(self) -> tuple[int, int] | None:
        """Cells and genes of the finished result, without opening it; None when there is none."""
        try:
            cells, genes = read_json(self.result_path / "layers" / "Ms" / "zarr.json")["shape"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return int(cells), int(genes)

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
    for name in ("model", "result.zarr", ".result.zarr.part", SCRATCH_NAME):
        shutil.rmtree(folder.path / name, ignore_errors=True)


def read_json(path: Path) -> Any:
    """Parse one JSON file."""
    return json.loads(path.read_text())


def write_json(path: Path, value: Any) -> None:
    """Write JSON beside the target, then rename: a reader sees the old file or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    beside.write_text(json.dumps(value, indent=1))
    beside.replace(path)


def _bytes(path: Path) -> int:
    try:
        found = path.stat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _json_lines(path: Path) -> Iterator[dict[str, float]]:
    try:
        text = path.read_text()
    except OSError:
        return
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return
