"""What a worker says while it works, and how it hears that it should stop."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from velovi.errors import Cancelled, StoreError, VeloviError
from velovi.runs.folder import Progress, RunFolder
from velovi.runs.jobs import WorkerProcess

HEARTBEAT_SECONDS = 2.0
STEP_SECONDS = 0.2  # between two steps that are written; each write waits for the disk


class Stage(NamedTuple):
    """A stage of a run.

    Attributes
    ----------
    title
        What it is called in a list.
    message
        What the run does while it is at it.
    """

    title: str
    message: str


STAGES = {
    "read": Stage("Read file", "Reading the file"),
    "preprocess": Stage("Prepare counts", "Preparing genes and neighbours"),
    "train": Stage("Train model", "Training the model"),
    "posterior": Stage("Ask the model", "Asking the model about every cell"),
    "dynamics": Stage("Map directions", "Working out directions and time"),
    "evidence": Stage("Weigh evidence", "Comparing with the same cells without velocity"),
    "write": Stage("Save", "Writing the result"),
}
"""The stages of a run, in their order."""


class Reporter:
    """Writes a run's progress; a thread of its own keeps the heartbeat going.

    Parameters
    ----------
    folder
        The run.

    Attributes
    ----------
    notes
        Sentences for the user that go into the result.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self._written = 0.0
        owner = WorkerProcess.of_process(os.getpid())
        self._now = Progress(
            started=time.time(),
            pid=owner.pid,
            process_start=owner.process_start,
            host=owner.host,
        )
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Reporter:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        self._thread.join()

    def stage(self, name: str, *, of: int = 0, message: str = "") -> None:
        """Begin a stage of :data:`STAGES`; raises :class:`Cancelled` when that was asked for."""
        self.check()
        self._write(stage=name, step=0, of=of, message=message or STAGES[name].message, eta=None)

    def step(self, step: int, *, message: str | None = None, eta: float | None = None) -> None:
        """Move on within the stage; raises :class:`Cancelled` when that was asked for."""
        self.check()
        with self._lock:
            message = self._now.message if message is None else message
        self._write(step=step, message=message, eta=eta, soon=True)

    def note_device(self, device: str) -> None:
        """Say on which hardware the model trains."""
        self._write(device=device)

    def finish(self, outcome: str, error: VeloviError | None = None, message: str = "") -> None:
        """Say how it ended: ``"done"``, ``"failed"`` or ``"cancelled"``."""
        self._write(
            outcome=outcome, message=message, eta=None, error=error.to_dict() if error else None
        )

    def check(self) -> None:
        """Raise :class:`Cancelled` when the user asked for that."""
        if self.folder.cancel_requested:
            raise Cancelled("the run was cancelled")

    def _write(self, *, soon: bool = False, **changes: Any) -> None:
        """Tell the folder; a step that follows close upon the last waits for the next one."""
        with self._lock:
            self._now = replace(self._now, heartbeat=time.time(), **changes)
            now = time.monotonic()
            if not soon:
                self.folder.write_progress(self._now)
            elif now - self._written < STEP_SECONDS:
                return
            else:
                # a run is not given up because nobody can hear how far it has come
                with suppress(StoreError):
                    self.folder.write_progress(self._now)
            self._written = now

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            # a full disk may have room again at the next beat; the work itself says what failed
            with suppress(StoreError):
                self._write()
