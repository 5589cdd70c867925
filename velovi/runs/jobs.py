"""One protocol for whatever works in a process of its own: runs, and times from chosen roots.

A job is a folder. Who wants the work writes its request there and starts ``python -m <module>
FOLDER``; the process takes the folder's lock before it does anything, works, and leaves a result
or an error. Nobody keeps a list: the note of who was started (``launched.json``), the lock, and
what the process leaves say where the job stands, to any reader after any restart.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import psutil

from velovi.errors import StoreError, VeloviError
from velovi.runs.files import (
    FolderLock,
    number,
    read_json_object,
    remove,
    store_error,
    text,
    told_as_store_error,
    write_json,
)

STARTING_LIMIT = 30.0
"""Seconds in which a job may be without a process: the note is written before there is one."""

_LOCK_SECONDS, _LOCK_PAUSE = 3.0, 0.05
_OWNER_NAME = "launched.json"
_ERROR_PARTS = tuple(VeloviError("").to_dict())
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]
# only so that ended children are collected; what works is known from the folders
_children: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class WorkerProcess:
    """Which process works on a job; ``pid`` is 0 while it is being started."""

    pid: int
    process_start: float
    host: str

    @classmethod
    def of_process(cls, pid: int) -> WorkerProcess:
        """The record of a process on this machine."""
        try:
            started = psutil.Process(pid).create_time()
        except psutil.Error:
            started = 0.0
        return cls(pid, started, socket.gethostname())

    def alive(self) -> bool | None:
        """Whether the process lives; None when it is on another machine."""
        if self.pid <= 0:
            return False
        if self.host != socket.gethostname():
            return None
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.process_start) < 2.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, OverflowError, ValueError):
            return False
        except psutil.Error:
            return True

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and those that it started; nothing happens when it is gone.

        This process itself is spared: a job that is worked on in it ends by its own flag.
        """
        with suppress(ProcessLookupError, PermissionError):
            group = os.getpgid(self.pid)
            if group != os.getpgrp():
                os.killpg(group, number)


@dataclass(frozen=True)
class WorkerStatus:
    """What a job's folder says of the process that works there.

    Attributes
    ----------
    launched
        Whether a process has been asked for.
    age
        Seconds since then; 0 when nobody was.
    alive
        Whether it lives; None when it is on another machine.
    """

    launched: bool
    age: float
    alive: bool | None


class JobFolder:
    """A folder in which at most one process works.

    Parameters
    ----------
    path
        The folder.
    """

    module: ClassVar[str]
    """What ``python -m`` runs, with the folder as its only argument."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @property
    def log_path(self) -> Path:
        """What went wrong, in full."""
        return self.path / "log.txt"

    @property
    def lock_path(self) -> Path:
        """Locked by the process that works here, for as long as it lives."""
        return self.path / ".lock"

    @property
    def launched(self) -> bool:
        """Whether a process has been asked for; a damaged note says so as well."""
        return (self.path / _OWNER_NAME).exists()

    def owner(self) -> tuple[WorkerProcess, float] | None:
        """Who works or worked here, and since when; None when nothing in the folder says so."""
        try:
            values = read_json_object(self.path / _OWNER_NAME)
        except (OSError, ValueError):
            return None
        process = WorkerProcess(
            int(number(values.get("pid"))),
            number(values.get("process_start")),
            text(values.get("host")),
        )
        return process, number(values.get("at"))

    def write_owner(self, owner: WorkerProcess) -> None:
        """Note who has been started."""
        write_json(self.path / _OWNER_NAME, {**asdict(owner), "at": time.time()})

    def forget_owner(self) -> None:
        """Remove the note of who has been started."""
        remove(self.path / _OWNER_NAME)

    def worker(self) -> WorkerStatus:
        """What the folder says now of its process."""
        locked = FolderLock.held(self.lock_path)
        owner = self.owner()
        age = time.time() - owner[1] if owner else 0.0
        if locked or owner is None:
            return WorkerStatus(locked or self.launched, age, locked)
        if owner[0].pid == 0:  # asked for; if nobody comes, the job waits again after a while
            starting = age < STARTING_LIMIT
            return WorkerStatus(starting, age, starting)
        return WorkerStatus(True, age, owner[0].alive())

    def start(self) -> int:
        """Start the process, detached from this one, and return its process id.

        The note that a process was asked for is written before there is one, so that whatever
        happens in between, the next look at the folder knows of it.

        Raises
        ------
        StoreError
            The note cannot be written or the process cannot be started; then none is.
        """
        self.write_owner(WorkerProcess(0, 0.0, socket.gethostname()))
        try:
            process = start_detached(self.module, self.path, self.log_path)
        except BaseException:
            self.forget_owner()
            raise
        # until this is written, and if it never is, the worker's lock speaks for it
        with suppress(StoreError):
            self.write_owner(process)
        return process.pid

    def attempt(self, work: Callable[[], None]) -> bool:
        """Do the folder's work as its only worker; a failure is told in ``error.json``.

        Parameters
        ----------
        work
            Reads the request and leaves the result.

        Returns
        -------
        Whether it went well.

        Raises
        ------
        StoreError
            Another process works in this folder.
        """
        with self.sole_worker():
            try:
                work()
            except Exception as error:  # noqa: BLE001 - the last line of defence, told in full
                if not isinstance(error, VeloviError):
                    traceback.print_exc()
                write_json(self.error_path, failure(error, self.path).to_dict())
                return False
        return True

    @property
    def error_path(self) -> Path:
        """The parts of the error that ended the work."""
        return self.path / "error.json"

    def error(self) -> dict[str, str | None] | None:
        """The parts of the error as :meth:`VeloviError.to_dict` gives them; None without one."""
        if not self.error_path.exists():
            return None
        try:
            parts = read_json_object(self.error_path)
        except (OSError, ValueError):
            parts = {}
        told: dict[str, str | None] = {name: text(parts.get(name)) or None for name in _ERROR_PARTS}
        return told if told["what"] else {**told, "what": "it failed without saying why"}

    def kill(self) -> None:
        """End the process at once, if there is one."""
        owner = self.owner()
        if owner is not None and owner[0].alive():
            owner[0].signal(signal.SIGKILL)

    @contextmanager
    def sole_worker(self) -> Iterator[None]:
        """Hold the folder's lock, which is taken before anything in it is read or written.

        Raises
        ------
        StoreError
            Another process works in this folder.
        """
        lock, began = FolderLock(self.lock_path), time.monotonic()
        while not lock.acquire():
            # whoever looks at the folder holds its lock for a moment; another worker keeps it
            if time.monotonic() - began > _LOCK_SECONDS:
                raise StoreError("another process works here", where=self.path.name)
            time.sleep(_LOCK_PAUSE)
        try:
            # who started this process may not have been able to note it
            with suppress(StoreError):
                self.write_owner(WorkerProcess.of_process(os.getpid()))
            yield
        finally:
            lock.release()


def start_detached(module: str, folder: Path, log_path: Path) -> WorkerProcess:
    """Start ``python -m module folder`` in a session of its own; it outlives this process.

    Parameters
    ----------
    module
        What to run.
    folder
        Its only argument, and where it works.
    log_path
        Takes what it prints.

    Raises
    ------
    StoreError
        The log cannot be written.
    """
    reap()
    # a thread that waits should sleep: spinning ones starve everything else on a busy machine
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(_PACKAGE_PARENT), *filter(None, [environment.get("PYTHONPATH")])]
    )
    with told_as_store_error(log_path):
        log = log_path.open("ab")
    with log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment,
            cwd=folder,
        )
    _children.append(process)
    return WorkerProcess.of_process(process.pid)


def reap() -> None:
    """Collect processes of this one that have ended, so that none lingers as a zombie."""
    _children[:] = [child for child in _children if child.poll() is None]


def failure(error: Exception, folder: Path) -> VeloviError:
    """What a user is told of an error that ended a job.

    Parameters
    ----------
    error
        What was raised.
    folder
        Where the job worked, for what the system said of a file.

    Examples
    --------
    >>> failure(MemoryError(), Path("run")).what
    'the machine ran out of memory'
    """
    if isinstance(error, VeloviError):
        return error
    if isinstance(error, MemoryError):
        return VeloviError(
            "the machine ran out of memory",
            remedy="Keep fewer genes, use a part of the cells, wait until no other run is at "
            "work, or use a machine with more memory",
        )
    if isinstance(error, OSError) and error.errno is not None:  # the disk's own words
        return store_error(error, folder / (Path(str(error.filename or "")).name or "a file"))
    return VeloviError(
        "something unexpected went wrong",
        found=f"{type(error).__name__}: {str(error)[:300]}",
        remedy="The log has the details; please report them",
    )
