"""A workspace that the first version wrote opens with everything that was in it.

``fixtures/earlier_workspace.zip`` holds a file of 60 simulated cells and 14 genes, a finished run,
a failed one, a time from a chosen root and a named set of cells, as version 0.1.0 of 25 November
2026 left them.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import anndata
import numpy as np
import pytest

from velovi import VELOVI
from velovi.runs.cell_sets import CellSets
from velovi.runs.custom_root_time import custom_root_time, delete_time, times
from velovi.runs.export import export_h5ad
from velovi.runs.folder import RunFolder, RunState
from velovi.runs.results import ResultStore
from velovi.runs.worker import work
from velovi.runs.workspace import Workspace

FIXTURE = Path(__file__).parent / "fixtures" / "earlier_workspace.zip"
WRITTEN_IN = "/earlier"  # paths in the run's specifications begin so


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr("velovi.runs.workspace.DEMO_FOLDER", tmp_path / "no-demo")
    root = tmp_path / "workspace"
    with zipfile.ZipFile(FIXTURE) as archive:
        archive.extractall(root)
    for spec in root.glob("runs/*/spec.json"):
        spec.write_text(spec.read_text().replace(WRITTEN_IN, str(root)))
    return Workspace(root)


def run_named(workspace: Workspace, name: str) -> RunFolder:
    (run,) = [run for run in workspace.runs() if run.spec().name == name]
    return run


def test_runs_files_sets_and_times_are_there(earlier):
    (dataset,) = earlier.datasets()
    assert dataset.summary().n_cells == 60
    done, failed = run_named(earlier, "An earlier run"), run_named(earlier, "A failed run")
    assert (done.state(), failed.state()) == (RunState.DONE, RunState.FAILED)
    assert not earlier.unreadable_runs()
    assert len(done.history()) == 3
    sets = CellSets(earlier, done.run_id, 60)
    assert sets.load("seven cells").sum() == 7
    folder = earlier.of_run("times", done.run_id)
    (time,) = times(folder)
    assert (time.state, time.n_root_cells) == ("done", 3)
    assert custom_root_time(folder, time.time_id, n_cells=60).max() <= 1
    delete_time(folder, time.time_id)
    assert times(folder) == []


def test_the_result_opens_and_is_exported(earlier, tmp_path):
    run = run_named(earlier, "An earlier run")
    store = ResultStore(run.result_path)
    gene = store.genes[0]
    assert np.isfinite(store.gene("velocity", gene)).all()
    path = tmp_path / "result.h5ad"
    export_h5ad(store.path, path)
    exported = anndata.read_h5ad(path)
    np.testing.assert_array_equal(
        exported[:, gene].layers["velocity"].ravel(), store.gene("velocity", gene)
    )


def test_its_model_is_applied_on_the_scale_of_its_training(earlier):
    run = run_named(earlier, "An earlier run")
    model = VELOVI.load_untrusted(str(run.model_path), adata=False, accelerator="cpu")
    assert model.training_scale.notna().all(axis=None)
    spec = run.spec().to_dict()
    options = {**spec["options"], "train": {**spec["options"]["train"]}}
    options["train"]["saved_model"] = str(run.model_path)
    again = earlier.run_again(run, type(run.spec().options).from_dict(options), name="Applied")
    assert work(again) == "done", again.log_path.read_text()
    first, second = ResultStore(run.result_path), ResultStore(again.result_path)
    assert first.genes == second.genes
    np.testing.assert_allclose(
        first.gene("Ms", first.genes[0]), second.gene("Ms", first.genes[0]), atol=1e-5
    )
    signal = json.loads(second.details["velocity_signal"])
    assert second.warnings == [signal["sentence"]]  # so few cells cannot tell; nothing else
