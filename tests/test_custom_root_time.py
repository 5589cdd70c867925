"""Shared time from chosen roots: asked for here, worked out elsewhere, told through a folder."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import anndata
import numpy as np
import pytest
import zarr
from anndata.io import read_elem
from scipy import sparse

from velovi import dynamics
from velovi.errors import OptionError, StoreError
from velovi.runs import custom_root_time as module
from velovi.runs.custom_root_time import (
    MOST_AT_ONCE,
    RootTimeFolder,
    custom_root_time,
    delete_time,
    request_time,
    times,
    work,
)
from velovi.runs.jobs import WorkerProcess
from velovi.runs.results import write_result
from velovi.runs.workspace import DEMO_FOLDER

N = 60
PATIENCE = 120.0


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parts of a result that a time needs, of cells along a line that forks."""
    path = tmp_path_factory.mktemp("run") / "result.zarr"
    rng = np.random.default_rng(0)
    along = np.sort(rng.random(N))
    fork = np.where(along > 0.5, along - 0.5, 0.0) * rng.choice([-1, 1], N)
    expression = np.stack([along, fork, along**2, 0.3 * fork + along], axis=1)
    velocity = np.stack([np.ones(N), np.sign(fork), 2 * along, 1 + 0.3 * np.sign(fork)], axis=1)
    away = np.linalg.norm(expression[:, None] - expression[None], axis=2)
    near = np.argsort(away, axis=1)[:, 1:9]
    rows = np.repeat(np.arange(N), 8)
    knn = sparse.csr_matrix((away[rows, near.ravel()], (rows, near.ravel())), shape=(N, N))
    graph = dynamics.velocity_graph(velocity, expression, knn, threads=1)
    knn.data = np.exp(-knn.data)
    gene_time = 20 * np.clip(along[:, None] + 0.05 * rng.normal(size=(N, 4)), 0, 1)
    adata = anndata.AnnData(
        expression.astype(np.float32),
        layers={"fit_t": gene_time.astype(np.float32)},
        obsp={"connectivities": knn},
        uns={"velocity_graph": graph.positive, "velocity_graph_neg": graph.negative},
    )
    return written(adata, path)


def written(adata: anndata.AnnData, path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    with warnings.catch_warnings():
        # zarr says that its consolidated metadata may change; that is not what is tested here
        warnings.simplefilter("ignore")
        write_result(adata, path)
    return path


def directly(path: Path, root: list[int]) -> np.ndarray:
    parts = zarr.open_group(path, mode="r")
    graph = dynamics.VelocityGraph(
        read_elem(parts["uns/velocity_graph"]), read_elem(parts["uns/velocity_graph_neg"])
    )
    return dynamics.shared_latent_time(
        read_elem(parts["layers/fit_t"]),
        dynamics.transition_matrix(graph),
        read_elem(parts["obsp/connectivities"]),
        root=np.array(root),
    ).time


def wait(folder: Path, time_id: str):
    """The time once nobody works on it any more."""
    for _ in range(int(PATIENCE / 0.2)):
        (found,) = [item for item in times(folder) if item.time_id == time_id]
        if found.state != "working":
            return found
        time.sleep(0.2)
    pytest.fail(f"still working after {PATIENCE} s")


def asked(folder: Path, **request) -> Path:
    """A request's folder as it lies before its process has said anything."""
    folder.mkdir(parents=True)
    usual = {"name": "n", "result": "nowhere", "root": [0], "created": time.time()}
    (folder / "request.json").write_text(json.dumps({**usual, **request}))
    return folder


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RootTimeFolder, "start", lambda job: 0)


def test_a_process_of_its_own_gives_the_time_of_a_direct_call(result, tmp_path):
    folder = tmp_path / "workspace" / "times" / "run"
    time_id = request_time(result, folder, "  from the end ", np.array([N - 1, N - 2, N - 1]))
    assert [item.state for item in times(folder)] == ["working"]
    found = wait(folder, time_id)
    assert (found.state, found.name, found.n_root_cells) == ("done", "from the end", 2)
    made = custom_root_time(folder, time_id, n_cells=N)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, directly(result, [N - 2, N - 1]))
    assert made[N - 1] < 0.1
    assert (folder / time_id / "log.txt").read_text() == ""


def test_other_roots_give_other_times(result, tmp_path, no_process):
    made = {}
    for first, cells in (("start", [0]), ("end", [N - 1])):
        time_id = request_time(result, tmp_path, first, cells)
        assert work(tmp_path / time_id)
        made[first] = custom_root_time(tmp_path, time_id)
    assert np.corrcoef(made["start"], made["end"])[0, 1] < 0
    assert [item.name for item in times(tmp_path)] == ["start", "end"]
    assert {item.state for item in times(tmp_path)} == {"done"}


def test_only_a_few_times_are_worked_out_at_once(result, tmp_path, no_process):
    asked_for = [request_time(result, tmp_path, "a", [0]) for _ in range(MOST_AT_ONCE)]
    with pytest.raises(StoreError, match="at once"):
        request_time(result, tmp_path, "b", [0])
    assert work(tmp_path / asked_for[0])
    request_time(result, tmp_path, "b", [0])


@pytest.mark.parametrize("root", [[], [-1], [N], [0.5], [[0, 1]]])
def test_roots_that_make_no_sense_are_refused(result, tmp_path, root):
    with pytest.raises(OptionError, match="root") as caught:
        request_time(result, tmp_path / "times", "a", np.array(root))
    assert caught.value.expected
    assert not (tmp_path / "times").exists()


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\0b"])
def test_names_have_1_to_60_characters(result, tmp_path, name):
    with pytest.raises(OptionError, match="1 to 60"):
        request_time(result, tmp_path, name, [0])


def test_a_result_that_is_not_there(tmp_path):
    with pytest.raises(StoreError, match="no result"):
        request_time(tmp_path / "run" / "result.zarr", tmp_path, "a", [0])


@pytest.mark.parametrize("root", [[], [N + 5]])
def test_what_fails_in_the_process_is_told_in_words(result, tmp_path, root):
    folder = asked(tmp_path / "one", result=str(result), root=root)
    code = [sys.executable, "-m", "velovi.runs.custom_root_time", str(folder)]
    assert subprocess.run(code, check=False, timeout=PATIENCE).returncode == 1
    (found,) = times(tmp_path)
    assert found.state == "failed"
    assert found.error["where"] == "root"
    assert found.error["what"]
    with pytest.raises(StoreError, match="failed"):
        custom_root_time(tmp_path, "one")


def test_a_part_that_is_missing_is_named(tmp_path):
    bare = anndata.AnnData(np.zeros((3, 2)), layers={"fit_t": np.zeros((3, 2))})
    path = written(bare, tmp_path / "run" / "result.zarr")
    folder = asked(tmp_path / "times" / "one", result=str(path))
    assert not work(folder)
    (found,) = times(tmp_path / "times")
    assert found.error["expected"] == "uns/velocity_graph"
    assert found.error["remedy"]


def test_an_unexpected_failure_has_its_log(result, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "time_from_root", lambda *_: 1 / 0)
    assert not work(asked(tmp_path / "one", result=str(result)))
    assert "ZeroDivisionError" in times(tmp_path)[0].error["found"]
    assert "Traceback" in capsys.readouterr().err


def test_a_process_that_is_killed_is_lost(result, tmp_path, monkeypatch):
    idle = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    def start(job: RootTimeFolder) -> int:
        job.write_owner(WorkerProcess.of_process(idle.pid))
        return idle.pid

    monkeypatch.setattr(RootTimeFolder, "start", start)
    time_id = request_time(result, tmp_path, "a", [0])
    assert times(tmp_path)[0].state == "working"
    os.kill(idle.pid, signal.SIGKILL)
    idle.wait()
    assert wait(tmp_path, time_id).state == "lost"


def test_a_request_without_a_process_is_lost_after_a_while(tmp_path):
    asked(tmp_path / "new")
    asked(tmp_path / "old", created=time.time() - 60)
    assert [item.state for item in times(tmp_path)] == ["working", "lost"]


def test_a_process_of_another_machine_is_given_up_late(tmp_path):
    for name, age in (("new", 60.0), ("old", 2 * module.REMOTE_LIMIT)):
        folder = asked(tmp_path / name, created=time.time() - age)
        RootTimeFolder(folder).write_owner(WorkerProcess(1, 0.0, "elsewhere"))
    assert [item.state for item in times(tmp_path)] == ["working", "lost"]


def test_deleting_ends_the_work(result, tmp_path):
    time_id = request_time(result, tmp_path, "a", [0])
    owner, _ = RootTimeFolder(tmp_path / time_id).owner()
    delete_time(tmp_path, time_id)
    for _ in range(50):
        if not owner.alive():
            break
        time.sleep(0.1)
    assert not owner.alive()
    assert times(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    delete_time(tmp_path, time_id)


def test_a_place_that_cannot_be_written_is_told(result, tmp_path):
    (tmp_path / "times").write_text("a file, so that no folder can be made here")
    with pytest.raises(StoreError, match=r"cannot be kept.*VELOVI_WORKSPACE"):
        request_time(result, tmp_path / "times" / "run", "a", [0])


def test_nothing_is_written_into_the_demo(result):
    with pytest.raises(StoreError, match=re.escape("<workspace>/times/demo")):
        request_time(result, DEMO_FOLDER / "times", "a", [0])
    assert not (DEMO_FOLDER / "times").exists()


@pytest.mark.parametrize("time_id", ["..", "a/b", "", "x" * 90])
def test_ids_are_plain_names(tmp_path, time_id):
    for use in (custom_root_time, delete_time):
        with pytest.raises(StoreError, match="id of a time"):
            use(tmp_path, time_id)


def test_a_time_of_another_result(result, tmp_path, no_process):
    time_id = request_time(result, tmp_path, "a", [0])
    with pytest.raises(StoreError, match="not there"):
        custom_root_time(tmp_path, time_id)
    assert work(tmp_path / time_id)
    with pytest.raises(StoreError, match=f"{N} cells"):
        custom_root_time(tmp_path, time_id, n_cells=N + 1)


def test_no_times_yet(tmp_path):
    assert times(tmp_path / "nothing") == []


@pytest.mark.skipif(not (DEMO_FOLDER / "result.zarr").exists(), reason="no demo in the package")
def test_the_demo_from_its_own_roots(tmp_path, no_process):
    path = DEMO_FOLDER / "result.zarr"
    obs = read_elem(zarr.open_group(path, mode="r")["obs"])
    roots = np.flatnonzero(obs["true_time"] <= obs["true_time"].quantile(0.01))
    time_id = request_time(path, tmp_path / "times" / "demo", "start", roots)
    assert work(tmp_path / "times" / "demo" / time_id)
    made = custom_root_time(tmp_path / "times" / "demo", time_id, n_cells=len(obs))
    assert np.corrcoef(made, obs["true_time"])[0, 1] > 0.8
