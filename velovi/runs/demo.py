"""The demo run that comes with the app: simulated cells with known truth, trained for real."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from velovi.config import (
    DynamicsOptions,
    PosteriorOptions,
    PreprocessOptions,
    RunOptions,
    TrainOptions,
)
from velovi.runs.folder import RunFolder, RunSpec
from velovi.runs.workspace import DEMO_RUN_ID, versions

DEMO_CELLS, DEMO_GENES, DEMO_SEED = 1600, 60, 7
MOST_BYTES = 8 * 2**20
NAME = "Demo: simulated differentiation"


def demo_options() -> RunOptions:
    """The defaults, with a smaller velocity graph so that the run is small enough to ship."""
    return RunOptions(
        preprocess=PreprocessOptions(seed=DEMO_SEED),
        train=TrainOptions(seed=DEMO_SEED),
        posterior=PosteriorOptions(seed=DEMO_SEED),
        dynamics=DynamicsOptions(recurse_neighbors=1),
    )


def make_demo(out: Path) -> int:
    """Simulate, train and put the finished run at ``out``; returns an exit status."""
    from velovi.data.simulate import simulate
    from velovi.runs.worker import work

    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "demo.h5ad"
        simulate(DEMO_CELLS, DEMO_GENES, seed=DEMO_SEED).write_h5ad(source)
        run = RunFolder(Path(scratch) / DEMO_RUN_ID)
        run.path.mkdir()
        run.write_spec(
            RunSpec(DEMO_RUN_ID, NAME, "", str(source), demo_options(), time.time(), versions())
        )
        if work(run) != "done":
            shutil.copy(run.log_path, out.with_suffix(".log"))
            return 1
        _tidy(run)
        if run.size() > MOST_BYTES:
            raise ValueError(f"the demo is {run.size()} bytes, more than {MOST_BYTES}")
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(run.path, out)
    return 0


def _tidy(run: RunFolder) -> None:
    """What ships names no folder or process of the machine that made it."""
    from dataclasses import replace

    run.write_spec(replace(run.spec(), source="velovi.simulate", created=0.0))
    run.write_progress(
        replace(run.progress(), pid=0, process_start=0.0, host="", started=0.0, heartbeat=0.0)
    )
    for name in ("launched.json", "log.txt", ".lock"):
        (run.path / name).unlink(missing_ok=True)
