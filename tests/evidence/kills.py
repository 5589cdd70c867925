"""Kills at random moments: is anything lost, wrongly done or damaged?

``python -m tests.evidence.kills worker|server|both [--trials 25] [--seed 0]``, or ``two`` for two
workers that are started at once in one folder.

Each trial makes a workspace with one short run, kills what it is about at a random moment, lets a
new server look, goes on where the run was lost, and opens the result in the end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from velovi.config import RunOptions
from velovi.data.simulate import simulate
from velovi.runs.files import FolderLock
from velovi.runs.folder import RunFolder, RunState
from velovi.runs.results import ResultStore, verify_result
from velovi.runs.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 60
_SERVER = """
import sys, time
from velovi.runs.launch import LocalLauncher
from velovi.runs.workspace import Workspace
launcher = LocalLauncher(Workspace(sys.argv[1]))
while True:
    launcher.start_waiting_runs()
    time.sleep(0.05)
"""


def make_run(root: Path, source: Path, epochs: int = EPOCHS) -> tuple[Workspace, RunFolder]:
    """A workspace with one run that takes some seconds."""
    workspace = Workspace(root)
    options = RunOptions.from_dict(
        {
            "preprocess": {"compute_umap": False, "n_neighbors": 15, "n_pcs": 10},
            "model": {"n_hidden": 32},
            "train": {"max_epochs": epochs, "threads": 1},
            "posterior": {"n_samples": 3, "directional_samples": 3, "extrinsic_samples": 0},
        }
    )
    return workspace, workspace.create_run(workspace.add_dataset(source, "cells"), options)


def start_server(root: Path) -> subprocess.Popen[bytes]:
    """What looks at the workspace again and again, as a page does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(root)],
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill_worker(run: RunFolder) -> bool:
    """SIGKILL the worker's group, if there is one."""
    owner = run.owner()
    if owner is None or owner[0].pid <= 0 or not owner[0].alive():
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(owner[0].pid, signal.SIGKILL)
    return True


def wait_for(run: RunFolder, states: set[RunState], seconds: float) -> RunState:
    """The run's state once it is one of these, or after so many seconds."""
    until = time.monotonic() + seconds
    while (state := run.state()) not in states and time.monotonic() < until:
        time.sleep(0.1)
    return state


_IN_TRAINING = 0.6  # of the kills, at a random epoch; the others at a random moment
_TO_THE_END = 8  # of the trials with two workers
ENDED = {RunState.DONE, RunState.LOST, RunState.FAILED, RunState.CANCELLED}


def trial(what: str, source: Path, chance: random.Random, longest: float) -> dict[str, Any]:
    """One trial."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _, run = make_run(root, source)
        server = start_server(root)
        began = time.monotonic()
        if chance.random() < _IN_TRAINING:
            wanted = chance.randint(1, EPOCHS - 5)
            while len(run.history()) < wanted and run.state() not in ENDED:
                time.sleep(0.02)
        else:
            time.sleep(chance.uniform(0.0, longest))
        moment = time.monotonic() - began
        stage = run.progress().stage or "start"
        epochs = len(run.history())
        if what in ("server", "both"):
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        if what in ("worker", "both"):
            kill_worker(run)
        if what in ("server", "both"):
            server = start_server(root)
        state = wait_for(run, ENDED, 180)
        found = {"what": what, "after": round(moment, 2), "stage": stage, "then": str(state)}
        kept = run.can_go_on
        if state is RunState.LOST:
            before = epochs
            run.reopen()
            state = wait_for(run, ENDED, 180)
            history = [int(item["epoch"]) for item in run.history()]
            found.update(
                checkpoint=kept,
                lost_after_epochs=before,
                epochs_once=history == list(range(1, len(history) + 1)),
                went_on=any("went on from" in note for note in _notes(run)),
            )
        found.update(
            end=str(state), whole=_whole(run), one_worker=not FolderLock.held(run.lock_path)
        )
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        kill_worker(run)
        return found


def _notes(run: RunFolder) -> list[str]:
    try:
        return [str(note) for note in ResultStore(run.result_path).details["notes"]]
    except OSError:
        return []


def _whole(run: RunFolder) -> bool:
    try:
        store = ResultStore(run.result_path)
        verify_result(run.result_path)
        return store.layer("velocity").shape == (store.n_cells, len(store.genes))
    except OSError:
        return False


def two_workers(source: Path, *, to_the_end: bool) -> dict[str, Any]:
    """Two workers started at once in one folder: one works, the other leaves.

    The one that works is cancelled once the other has left, unless it is to come to its end.
    """
    with tempfile.TemporaryDirectory() as folder:
        _, run = make_run(Path(folder), source, epochs=5)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "velovi.runs.worker", str(run.path)]
        workers = [
            subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) for _ in range(2)
        ]
        while all(worker.poll() is None for worker in workers):
            time.sleep(0.05)
        left = [worker.poll() for worker in workers if worker.poll() is not None]
        if not to_the_end:
            still = [worker for worker in workers if worker.poll() is None]
            found = {"left": left, "still": len(still), "state": str(run.state())}
            run.request_cancel()
            for worker in still:
                os.kill(worker.pid, signal.SIGKILL)
                worker.wait()
            return {**found, "good": left == [3] and len(still) == 1}
        codes = sorted(worker.wait() for worker in workers)
        history = [int(item["epoch"]) for item in run.history()]
        once = history == list(range(1, len(history) + 1))
        whole = _whole(run)
        good = codes == [0, 3] and once and whole
        return {"codes": codes, "epochs_once": once, "whole": whole, "good": good}


def main() -> int:
    """Do the trials and print a line for each and the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("worker", "server", "both", "two"))
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=20.0, help="latest moment of a kill")
    given = parser.parse_args()
    chance = random.Random(given.seed)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "cells.h5ad"
        simulate(300, 40, seed=0).write_h5ad(source)
        for number in range(given.trials):
            if given.what == "two":
                found = two_workers(source, to_the_end=number < _TO_THE_END)
                good = bool(found["good"])
            else:
                found = trial(given.what, source, chance, given.longest)
                good = found["end"] == "done" and bool(found["whole"])
                counts[f"then {found['then']}"] += 1
                if found["then"] == "lost":
                    counts["lost with a checkpoint"] += bool(found["checkpoint"])
                    counts["went on"] += bool(found["went_on"])
                    good = good and bool(found["epochs_once"])
                    good = good and found["went_on"] == found["checkpoint"]
            counts["good" if good else "BAD"] += 1
            print(json.dumps(found), flush=True)
    print(json.dumps(counts))
    return 1 if counts["BAD"] else 0


if __name__ == "__main__":
    sys.exit(main())
