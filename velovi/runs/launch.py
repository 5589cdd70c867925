"""Starts workers: detached processes on this machine, a few at a time, first come first served.

Nothing is remembered here. Whoever looks (a page, or a worker that has just finished) moves the
queue on, under a lock, from what the run folders say.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from velovi.errors import StoreError
from velovi.runs.files import remove, told_as_store_error
from velovi.runs.folder import RunFolder, RunState, WorkerProcess, discard
from velovi.runs.workspace import Workspace, number_from_environment

TERMINATE_AFTER = 15.0
KILL_AFTER = 30.0
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]
# only so that ended children are collected; what runs is known from the folders
_children: list[subprocess.Popen[bytes]] = []


class LocalLauncher:
    """Runs workers on this machine.

    Parameters
    ----------
    workspace
        Whose runs to start.
    limit
        How many may work at once; ``VELOVI_RUNS_AT_ONCE`` or 1 when left out.
    """

    def __init__(self, workspace: Workspace, limit: int | None = None) -> None:
        self.workspace = workspace
        self.limit = limit or _limit_from_environment()

    def submit(self, run: RunFolder) -> None:
        """Start the run, or leave it in the queue when others are busy."""
        self.advance()

    def advance(self, finished: RunFolder | None = None) -> None:
        """Start queued runs while there is room, and press on with old cancellations.

        Parameters
        ----------
        finished
            A run whose worker calls this just before it ends, and which takes no room any more.

        Raises
        ------
        StoreError
            The workspace cannot be written to, so that nothing can be started.
        """
        with self._locked(wait=finished is not None) as got_it:
            if not got_it:
                return  # somebody else is moving the queue
            reap()
            runs = self.workspace.runs(with_demo=False)
            states = {run.run_id: run.state() for run in runs}
            busy = 0
            for run in runs:
                state = states[run.run_id]
                if state is RunState.CANCELLING:
                    press_cancel(run)
                elif state is RunState.CANCELLED and run.leaves_work():
                    discard(run)  # its worker was killed before it could tidy up
                elif state is RunState.LOST:
                    _tidy_lost(run)
                working = state.active and state is not RunState.QUEUED
                busy += working and (finished is None or run.run_id != finished.run_id)
            for run in reversed(runs):  # the oldest first
                if busy >= self.limit:
                    break
                if states[run.run_id] is RunState.QUEUED and _readable(run):
                    start_worker(run)
                    busy += 1

    def stop(self, run: RunFolder) -> None:
        """End training now and keep the model."""
        run.request_stop()

    def cancel(self, run: RunFolder) -> None:
        """End the run and discard what it made; a queued run ends at once."""
        run.request_cancel()
        self.advance()

    @contextmanager
    def _locked(self, *, wait: bool) -> Iterator[bool]:
        # a page looks again in a second; a worker that ends has this one chance
        path = self.workspace.root / ".queue.lock"
        with told_as_store_error(path):
            stream = path.open("a")
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except OSError:
                yield False
                return
            yield True


def _tidy_lost(run: RunFolder) -> None:
    """Remove what a killed worker was writing, and say so in the run's log."""
    left = run.tidy()
    if left:
        with suppress(OSError), run.log_path.open("a") as stream:
            stream.write(
                "The process that worked on this run was interrupted; what it had left half "
                f"written was removed: {', '.join(left)}.\n"
            )


def _readable(run: RunFolder) -> bool:
    """Whether the run says what is to be done; another one stays where it is, for all to see."""
    try:
        run.spec()
    except StoreError:
        return False
    return True


def _limit_from_environment() -> int:
    return number_from_environment("VELOVI_RUNS_AT_ONCE", 1)


def start_worker(run: RunFolder) -> int:
    """Start a detached worker for one run and return its process id.

    The note that a worker was asked for is written before there is one, so that whatever happens
    in between, the next look at the folder knows of it.

    Raises
    ------
    StoreError
        The note cannot be written or the process cannot be started; then none is.
    """
    run.write_owner(WorkerProcess(0, 0.0, socket.gethostname()))
    try:
        owner = start_detached("velovi.runs.worker", run.path, run.log_path)
    except BaseException:
        remove(run.path / "launched.json")
        raise
    # until this is written, and if it never is, the worker's lock and progress speak for it
    with suppress(StoreError):
        run.write_owner(owner)
    return owner.pid


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


def press_cancel(run: RunFolder) -> None:
    """Climb the ladder when a worker does not hear the flag: SIGTERM, then SIGKILL."""
    launched, age = run.owner(), run.cancel_age()
    if launched is None or not launched[0].alive() or age < TERMINATE_AFTER:
        return
    how = signal.SIGKILL if age >= KILL_AFTER else signal.SIGTERM
    try:
        group = os.getpgid(launched[0].pid)
        if group != os.getpgrp():  # a run at work in this process ends by its flag
            os.killpg(group, how)
    except (ProcessLookupError, PermissionError):
        return


def reap() -> None:
    """Collect processes of this one that have ended, so that none lingers as a zombie."""
    _children[:] = [child for child in _children if child.poll() is None]
