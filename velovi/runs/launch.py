"""The queue of runs: a few at a time on this machine, first come first served.

A run waits as soon as its folder is there (:meth:`~velovi.runs.workspace.Workspace.create_run`).
One function starts what waits: :meth:`LocalLauncher.start_waiting_runs`. Nothing is remembered
here. The pages Train and Runs call it whenever they are drawn, the buttons that make a run call it,
and so does a worker that has just finished; under a lock it does what the run folders say.
"""

from __future__ import annotations

import fcntl
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from velovi.errors import StoreError
from velovi.runs.files import told_as_store_error
from velovi.runs.folder import RunFolder, RunState, discard
from velovi.runs.jobs import reap
from velovi.runs.workspace import Workspace, number_from_environment

TERMINATE_AFTER = 15.0
KILL_AFTER = 30.0


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

    def start_waiting_runs(self, finished: RunFolder | None = None) -> None:
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
                    escalate_cancel(run)
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
                    run.start()
                    busy += 1

    def stop(self, run: RunFolder) -> None:
        """End training now and keep the model."""
        run.request_stop()

    def cancel(self, run: RunFolder) -> None:
        """End the run and discard what it made; a queued run ends at once."""
        run.request_cancel()
        self.start_waiting_runs()

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


def escalate_cancel(run: RunFolder) -> None:
    """Climb the ladder when a worker does not hear the flag: SIGTERM, then SIGKILL."""
    owner, age = run.owner(), run.cancel_age()
    if owner is not None and owner[0].alive() and age >= TERMINATE_AFTER:
        owner[0].signal(signal.SIGKILL if age >= KILL_AFTER else signal.SIGTERM)
