"""Damage, full disks, two workers and kills: nothing is lost, and only what is damaged suffers."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from velovi.config import RunOptions
from velovi.data.simulate import simulate
from velovi.errors import OptionError, StoreError
from velovi.runs import files, jobs
from velovi.runs.cell_sets import CellSets
from velovi.runs.export import export_h5ad
from velovi.runs.files import FolderLock, read_json, write_bytes, write_json
from velovi.runs.folder import Progress, RunFolder, RunState
from velovi.runs.jobs import WorkerProcess
from velovi.runs.launch import LocalLauncher
from velovi.runs.pipeline import run_pipeline
from velovi.runs.progress import Reporter
from velovi.runs.results import (
    MANIFEST_NAME,
    ResultStore,
    has_manifest,
    verify_result,
    write_manifest,
    write_result,
)
from velovi.runs.worker import work
from velovi.runs.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
DAMAGE: dict[str, bytes] = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[1, 2]",
    "a number": b"3.5",
    "a text": b'"x"',
    "an empty object": b"{}",
    "half": b'{"name": "x", "cre',
    "not UTF-8": b'{"name": "\xff\xfe", "run_id": "\xff"}',
    "deep": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deep list": b"[" * 100_000,
    "wrong types": json.dumps(
        {
            **{key: [1] for key in Progress.__annotations__},
            **{"pid": "x", "at": {}, "host": 3, "process_start": None, "name": 5, "created": "x"},
            **{"options": [], "run_id": {}, "versions": 3, "n_cells": "many", "problems": [7]},
        }
    ).encode(),
    "numbers that are none": b'{"heartbeat": NaN, "pid": 1e400, "created": Infinity}',
    "a huge number": b'{"pid": ' + b"9" * 4000 + b', "at": ' + b"9" * 400 + b"}",
    "binary": bytes(range(256)) * 20,
}
FILES = ("progress.json", "launched.json", "spec.json", "history.jsonl", "cells.txt")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "cells.h5ad"
    adata = simulate(60, 12, seed=2, keep_truth=False)
    # without a map every run would compute a UMAP, which compiles for many seconds
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    adata.write_h5ad(path)
    return path


def quick_options(**train: object) -> RunOptions:
    return RunOptions.from_dict(
        {
            "preprocess": {
                "min_shared_counts": 1,
                "n_neighbors": 10,
                "n_pcs": 5,
                "compute_umap": False,
            },
            "model": {"n_hidden": 16, "n_latent": 3},
            "train": {"max_epochs": 3, "threads": 1, **train},
            "posterior": {"n_samples": 2, "directional_samples": 2, "extrinsic_samples": 0},
            "evidence": {"null_run": False},
        }
    )


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def run(workspace, source) -> RunFolder:
    return workspace.create_run(workspace.add_dataset(source, "cells"), quick_options())


def damage(path: Path, how: bytes | None) -> None:
    if how is None:  # a folder in a file's place
        path.unlink(missing_ok=True)
        path.mkdir()
    else:
        path.write_bytes(how)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", [*DAMAGE, "a folder"])
def test_damage_of_one_run_is_said_of_that_run_only(workspace, run, source, name, how):
    other = workspace.create_run(workspace.dataset(run.spec().dataset_id), quick_options())
    damage(run.path / name, DAMAGE.get(how))
    assert isinstance(run.state(), RunState)
    assert isinstance(run.progress(), Progress)
    for record in run.history():
        assert record["epoch"] >= 0
    if name == "spec.json":
        assert [item.run_id for item in workspace.unreadable_runs()] == [run.run_id]
    assert other.state() is RunState.QUEUED
    assert other.spec().name == "cells (2)"
    assert {item.run_id for item in workspace.runs(with_demo=False)} == {run.run_id, other.run_id}
    if not run.state().active or name == "spec.json":
        workspace.delete_run(run.run_id)
        assert not run.path.exists()


@pytest.mark.parametrize("how", [*DAMAGE, "a folder"])
@pytest.mark.parametrize("name", ["dataset.json", "summary.json"])
def test_damage_of_one_file_is_said_of_that_file_only(workspace, source, name, how):
    good = workspace.add_dataset(source, "good")
    bad = workspace.add_dataset(source, "bad")
    damage(bad.path / name, DAMAGE.get(how))
    assert good in workspace.datasets()
    if name == "dataset.json":
        assert workspace.unreadable_datasets() == [bad]
        assert workspace.datasets() == [good]
        workspace.delete_dataset(bad.dataset_id)
        assert not bad.path.exists()
    else:
        # looked into again, unless it says validly that nothing is known
        assert bad.summary().n_cells == (0 if how == "an empty object" else 60)


@pytest.mark.parametrize("how", [*DAMAGE, "a folder"])
def test_a_finished_run_with_a_damaged_progress_file_is_done(run, how):
    run.write_owner(WorkerProcess(2**22, 1.0, "here"))
    run.result_path.mkdir()
    run.request_cancel()
    damage(run.path / "progress.json", DAMAGE.get(how))
    assert run.state() is not RunState.QUEUED
    run.write_owner(WorkerProcess.of_process(dead_process()))
    assert run.state() is RunState.DONE


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


# Two workers --------------------------------------------------------------------------------------


def test_a_worker_takes_the_folder_before_it_does_anything(run):
    lock = FolderLock(run.lock_path)
    assert lock.acquire()
    assert run.state() is RunState.RUNNING
    before = sorted(path.name for path in run.path.iterdir())
    with pytest.raises(StoreError, match="another process"):
        work(run)
    assert sorted(path.name for path in run.path.iterdir()) == before
    lock.release()
    assert run.state() is RunState.QUEUED


def test_a_run_that_has_ended_is_not_done_again(run):
    run.write_progress(Progress(outcome="failed"))
    with pytest.raises(StoreError, match="ended already"):
        work(run)


def test_the_note_is_there_before_the_process(run, monkeypatch):
    seen = []

    def start(module, folder, log):
        seen.append(run.state())
        raise RuntimeError("the server was killed here")

    monkeypatch.setattr(jobs, "start_detached", start)
    with pytest.raises(RuntimeError):
        run.start()
    assert seen == [RunState.RUNNING]
    assert run.state() is RunState.QUEUED  # nothing was started


def test_a_start_that_never_came_waits_again(run):
    run.write_owner(WorkerProcess(0, 0.0, "here"))
    assert run.state() is RunState.RUNNING
    note = read_json(run.path / "launched.json")
    write_json(run.path / "launched.json", {**note, "at": time.time() - 60})
    assert run.state() is RunState.QUEUED


@pytest.mark.parametrize("how", DAMAGE)
def test_the_process_in_the_progress_stands_in_for_a_damaged_note(run, how):
    owner = WorkerProcess.of_process(os.getpid())
    run.write_progress(Progress(pid=owner.pid, process_start=owner.process_start, host=owner.host))
    damage(run.path / "launched.json", DAMAGE[how])
    assert run.state() is RunState.RUNNING
    run.write_progress(Progress(pid=dead_process(), process_start=1.0, host=owner.host))
    assert run.state() is RunState.LOST


@pytest.mark.slow
def test_of_two_workers_started_at_once_one_works(run):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "velovi.runs.worker", str(run.path)]
    workers = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert sorted(worker.wait() for worker in workers) == [0, 3]
    assert run.state() is RunState.DONE
    assert [item["epoch"] for item in run.history()] == [1, 2, 3]
    verify_result(run.result_path)


# Full and read-only disks -------------------------------------------------------------------------


@pytest.fixture
def full_disk(monkeypatch) -> Callable[[], None]:
    """From the call on, nothing reaches the disk."""

    def fill() -> None:
        def no_room(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(files.os, "fsync", no_room)

    return fill


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path, full_disk):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    full_disk()
    with pytest.raises(StoreError, match="disk of the workspace is full"):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["a.json"]


def test_every_action_on_a_full_disk_says_so_and_deleting_works(
    workspace, run, source, full_disk, tmp_path
):
    sets = CellSets(workspace, run.run_id, 60)
    cells = np.arange(60) < 9
    sets.save("mine", cells)
    before = sorted(path for path in workspace.root.rglob("*"))
    full_disk()
    dataset = workspace.datasets()[0]
    for action in (
        lambda: sets.save("mine", ~cells),
        lambda: sets.save("yours", ~cells),
        lambda: workspace.add_dataset(source, "again"),
        lambda: workspace.create_run(dataset, quick_options()),
        lambda: workspace.rename_run(run.run_id, "other"),
        lambda: LocalLauncher(workspace).start_waiting_runs(),
    ):
        with pytest.raises(StoreError, match="full"):
            action()
    after = [path for path in workspace.root.rglob("*") if path.name != ".queue.lock"]
    assert sorted(after) == before  # no temporary files, and no note of a worker
    np.testing.assert_array_equal(sets.load("mine"), cells)
    assert run.state() is RunState.QUEUED
    (run.path / "cancel").touch()  # as an empty file, which needs no room
    workspace.delete_run(run.run_id)
    workspace.delete_dataset(dataset.dataset_id)
    assert workspace.runs(with_demo=False) == []


def test_a_workspace_that_cannot_be_made_gets_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Workspace(tmp_path / "file" / "workspace")


# Checkpoints --------------------------------------------------------------------------------------


class _KilledError(BaseException):
    """Stands for the end of the process."""


def killed_after(run: RunFolder, epochs: int, monkeypatch) -> None:
    append = RunFolder.append_history

    def note(folder: RunFolder, record: dict[str, float]) -> None:
        append(folder, record)
        if record["epoch"] > epochs:
            raise _KilledError

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "append_history", note)
        with Reporter(run) as reporter, pytest.raises(_KilledError):
            run_pipeline(run, reporter)


@pytest.mark.parametrize("preset", ["fast", "reference"])
def test_an_interrupted_training_goes_on_from_its_checkpoint(
    workspace, source, monkeypatch, preset
):
    monkeypatch.setattr("velovi.model.training._TIMES_A_CHECKPOINT", 0.0)
    dataset = workspace.add_dataset(source, "cells")
    options = quick_options(max_epochs=6, preset=preset)
    whole = workspace.create_run(dataset, options)
    assert work(whole) == "done"
    run = workspace.create_run(dataset, options)
    killed_after(run, 3, monkeypatch)
    (run.path / "scratch").mkdir(exist_ok=True)
    (run.path / ".result.zarr.part").mkdir()
    assert run.can_go_on
    run.reopen()
    assert run.state() is RunState.QUEUED
    assert work(run) == "done"
    assert [item["epoch"] for item in run.history()] == [1, 2, 3, 4, 5, 6]
    notes = " ".join(ResultStore(run.result_path).details["notes"])
    assert "went on from epoch 3" in notes
    assert ".result.zarr.part" in notes
    assert not run.checkpoint_path.exists()
    ends = [item.history()[-1]["elbo_train"] for item in (whole, run)]
    starts = [whole.history()[0]["elbo_train"], whole.history()[2]["elbo_train"]]
    assert abs(ends[0] - ends[1]) < 0.2 * (starts[0] - ends[0])  # not from the beginning
    assert max(ends) < starts[1]


def test_a_run_that_was_interrupted_after_training_does_not_train_again(run, monkeypatch):
    def killed(*_, **__):
        raise _KilledError

    with monkeypatch.context() as patch:
        patch.setattr("velovi.runs.answers.summarise", killed)
        with Reporter(run) as reporter, pytest.raises(_KilledError):
            run_pipeline(run, reporter)
    assert run.can_go_on
    monkeypatch.setattr("velovi.runs.training.train", killed)
    run.reopen()
    assert work(run) == "done"
    assert len(run.history()) == 3
    assert "interrupted after training" in " ".join(ResultStore(run.result_path).details["notes"])


def test_a_damaged_checkpoint_is_not_used(run, monkeypatch):
    monkeypatch.setattr("velovi.model.training._TIMES_A_CHECKPOINT", 0.0)
    killed_after(run, 1, monkeypatch)
    run.checkpoint_path.write_bytes(b"no checkpoint")
    run.reopen()
    assert work(run) == "done"
    assert [item["epoch"] for item in run.history()] == [1, 2, 3]


@pytest.mark.slow
def test_a_killed_worker_leaves_a_run_that_goes_on(workspace, source):
    options = quick_options(max_epochs=40)
    run = workspace.create_run(workspace.add_dataset(source, "cells"), options)
    launcher = LocalLauncher(workspace)
    launcher.start_waiting_runs()
    until = time.monotonic() + 120
    while not run.checkpoint_path.exists() and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(run.owner()[0].pid, signal.SIGKILL)
    while run.state() is not RunState.LOST and time.monotonic() < until:
        launcher.start_waiting_runs()
    assert run.can_go_on
    run.reopen()
    launcher.start_waiting_runs()
    while run.state().active and time.monotonic() < until:
        time.sleep(0.05)
    assert run.state() is RunState.DONE
    assert [item["epoch"] for item in run.history()] == list(range(1, 41))


# Results ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result(tmp_path_factory, source) -> Path:
    workspace = Workspace(tmp_path_factory.mktemp("results"))
    run = workspace.create_run(workspace.add_dataset(source, "cells"), quick_options())
    assert work(run) == "done"
    return run.path


@pytest.fixture
def copy(result, tmp_path) -> Path:
    import shutil

    return Path(shutil.copytree(result, tmp_path / "run")) / "result.zarr"


def chunk_of(store: Path, layer: str = "velocity") -> Path:
    return next(path for path in (store / "layers" / layer / "c").rglob("*") if path.is_file())


def test_a_result_that_is_whole_verifies(copy):
    shares: list[float] = []
    verify_result(copy, progress=shares.append)
    assert shares[-1] == 1.0


@pytest.mark.parametrize("quick", [False, True])
def test_a_chunk_that_is_gone_or_cut_is_found(copy, quick, tmp_path):
    chunk = chunk_of(copy)
    content = chunk.read_bytes()
    chunk.write_bytes(content[:-5])
    with pytest.raises(StoreError, match="layers/velocity"):
        verify_result(copy, quick=quick)
    chunk.unlink()
    with pytest.raises(StoreError, match="damaged"):
        verify_result(copy, quick=quick)
    with pytest.raises(StoreError, match="damaged"):
        export_h5ad(copy, tmp_path / "out.h5ad")
    assert not (tmp_path / "out.h5ad").exists()
    assert not list(tmp_path.glob(".out*"))


def test_a_byte_that_changed_is_found_before_export(copy, tmp_path):
    chunk = chunk_of(copy)
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 0x40
    chunk.write_bytes(content)
    verify_result(copy, quick=True)
    with pytest.raises(StoreError, match="damaged"):
        export_h5ad(copy, tmp_path / "out.h5ad")


def test_what_codecs_say_of_damage_is_told_as_damage(copy):
    for path in (copy / "layers").rglob("c/**/*"):
        if path.is_file():
            path.write_bytes(os.urandom(path.stat().st_size))
    store = ResultStore(copy)
    with pytest.raises(StoreError, match="damaged"):
        store.gene("velocity", store.genes[0])


def test_a_result_from_before_checksums_opens(copy):
    copy.with_name(MANIFEST_NAME).unlink()
    assert not has_manifest(copy)
    verify_result(copy)
    write_manifest(copy)
    assert has_manifest(copy)


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_manifest_is_damage(copy, how):
    write_bytes(copy.with_name(MANIFEST_NAME), DAMAGE[how])
    if how == "an empty object":
        return
    with pytest.raises(StoreError, match="damaged"):
        verify_result(copy)


def test_a_result_is_never_half_there(tmp_path, monkeypatch):
    import anndata

    adata = anndata.AnnData(np.ones((4, 3), dtype=np.float32))
    adata.uns["velovi"] = {"result_version": 1}

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("velovi.runs.results.zarr.consolidate_metadata", full)
    with pytest.raises(OSError, match="No space"):
        write_result(adata, tmp_path / "result.zarr")
    assert not (tmp_path / "result.zarr").exists()


# Many runs ----------------------------------------------------------------------------------------


def test_the_last_of_many_runs_reads_no_more_files_than_the_first(workspace, source, monkeypatch):
    dataset = workspace.add_dataset(source, "cells")
    read: list[Path] = []
    real = files.read_json
    monkeypatch.setattr(files, "read_json", lambda path: read.append(path) or real(path))
    counts = []
    for _ in range(40):
        read.clear()
        workspace.create_run(dataset, quick_options())
        counts.append(len(read))
    assert max(counts) <= 2  # the run before, and the file's name
    read.clear()
    for run in workspace.runs(with_demo=False):
        run.spec(), run.state()
    assert len(read) <= 1


def test_only_so_many_runs_may_wait(workspace, source, monkeypatch):
    dataset = workspace.add_dataset(source, "cells")
    monkeypatch.setenv("VELOVI_RUNS_WAITING", "2")
    workspace.create_run(dataset, quick_options())
    workspace.require_room()
    workspace.create_run(dataset, quick_options())
    with pytest.raises(StoreError, match="no more runs may wait"):
        workspace.require_room()
    monkeypatch.setenv("VELOVI_RUNS_WAITING", "many")
    with pytest.raises(OptionError, match="not a number"):
        workspace.require_room()


def test_the_typical_angle_is_that_of_samples_that_all_stand_at_it():
    from velovi.runs.results import typical_angle

    angles = np.array([0.0, 41.0, 90.0, 120.0])
    found = typical_angle(np.cos(np.radians(angles)))
    np.testing.assert_allclose(found, angles, atol=1e-6)
    assert typical_angle(np.array([1.0000001]))[0] == 0.0
