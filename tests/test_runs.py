"""Run folders, the queue, the worker's life and death, the result store and exports."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pytest
import zarr

from velovi.config import (
    EvidenceOptions,
    ModelOptions,
    PosteriorOptions,
    PreprocessOptions,
    RunOptions,
    TrainOptions,
)
from velovi.data.simulate import simulate
from velovi.errors import Cancelled, DataError, OptionError, StoreError, UnknownNameError
from velovi.evidence.flow import GroupFlow
from velovi.evidence.numbers import NUMBERS
from velovi.runs import launch, results
from velovi.runs.evidence import look_for_velocity
from velovi.runs.export import cell_table, export_h5ad, gene_table
from velovi.runs.files import remove
from velovi.runs.folder import FolderFacts, RunFolder, RunSpec, RunState, run_state
from velovi.runs.jobs import WorkerProcess, reap
from velovi.runs.null_run import add_null, draw_null
from velovi.runs.progress import Reporter
from velovi.runs.results import ResultStore, genes_per_chunk
from velovi.runs.velocity_signal import SignalSummary
from velovi.runs.worker import work
from velovi.runs.workspace import Workspace

ALIVE = FolderFacts(
    outcome="",
    has_result=False,
    launched=True,
    launch_age=5.0,
    worker_alive=True,
    heartbeat_age=1.0,
    stop=False,
    cancel=False,
)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, RunState.RUNNING),
        ({"launched": False, "worker_alive": None}, RunState.QUEUED),
        ({"launched": False, "worker_alive": None, "cancel": True}, RunState.CANCELLED),
        ({"stop": True}, RunState.STOPPING),
        ({"cancel": True}, RunState.CANCELLING),
        ({"cancel": True, "stop": True}, RunState.CANCELLING),
        ({"worker_alive": False}, RunState.LOST),
        ({"worker_alive": False, "stop": True}, RunState.LOST),
        ({"worker_alive": False, "cancel": True}, RunState.CANCELLED),
        ({"outcome": "done", "has_result": True, "worker_alive": False}, RunState.DONE),
        ({"outcome": "done", "has_result": False}, RunState.LOST),
        ({"outcome": "failed", "cancel": True}, RunState.FAILED),
        ({"outcome": "cancelled"}, RunState.CANCELLED),
        ({"worker_alive": None, "heartbeat_age": 10.0}, RunState.RUNNING),
        ({"worker_alive": None, "heartbeat_age": 500.0, "launch_age": 500.0}, RunState.LOST),
    ],
)
def test_a_folder_has_one_state(changes, state):
    assert run_state(replace(ALIVE, **changes)) is state


def quick_options(max_epochs: int = 2) -> RunOptions:
    return RunOptions(
        preprocess=PreprocessOptions(compute_umap=False, n_neighbors=10, n_pcs=5),
        model=ModelOptions(n_hidden=16, n_latent=3),
        train=TrainOptions(preset="reference", max_epochs=max_epochs, threads=1),
        posterior=PosteriorOptions(n_samples=3, directional_samples=4),
        evidence=EvidenceOptions(null_run=False),
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "cells.h5ad"
    adata = simulate(150, 20, seed=1)
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(150, 2)).astype(np.float32)
    adata.write_h5ad(path)
    return path


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Workspace:
    monkeypatch.setattr("velovi.runs.workspace.DEMO_FOLDER", tmp_path / "no-demo")
    return Workspace(tmp_path / "workspace")


def wait_until(check, seconds: float = 120.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return
        reap()
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


@pytest.fixture(scope="module")
def finished(source, tmp_path_factory) -> RunFolder:
    """One real run, made by the command line."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    options = ["--max-epochs", "3", "--n-hidden", "16", "--n-neighbors", "10", "--n-pcs", "5"]
    command = [sys.executable, "-m", "velovi", "run", str(source), "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + RunFolder(out).log_path.read_text()
    assert "done in" in done.stdout
    return RunFolder(out)


def test_a_run_leaves_everything_that_is_promised(finished):
    assert finished.state() is RunState.DONE
    assert len(finished.history()) == 3
    assert {"epoch", "seconds", "elbo_train", "elbo_validation"} <= finished.history()[0].keys()
    assert finished.spec().options.train.max_epochs == 3
    assert finished.spec().versions["scvi-tools"]
    assert (finished.model_path / "model.pt").exists()
    assert not list(finished.path.glob("*.part"))
    assert finished.log_path.read_text().count("Traceback") == 0


def test_the_result_opens_as_an_anndata_with_the_promised_keys(finished):
    adata = anndata.read_zarr(finished.result_path)
    layers = "Ms Mu velocity velocity_u velocity_sd fit_t fit_s fit_u p_induction p_repression"
    assert set(layers.split()) <= set(adata.layers)
    assert {
        "fit_alpha",
        "fit_beta",
        "fit_gamma",
        "fit_t_",
        "fit_scaling",
        "fit_likelihood",
        "velocity_r2",
        "velocity_gamma",
    } <= set(adata.var)
    assert {"latent_time", "velocity_length", "velocity_confidence", "directional_variance"} <= set(
        adata.obs
    )
    assert {"X_umap", "velocity_umap", "velocity_pca"} <= set(adata.obsm)
    assert {"velocity_graph", "velocity_graph_neg", "velovi"} <= set(adata.uns)
    for name in layers.split():
        assert np.isfinite(adata.layers[name]).all(), name
    np.testing.assert_allclose(adata.layers["fit_t"].max(axis=0), 20, rtol=1e-5)
    assert json.loads(adata.uns["velovi"]["spec"])["options"]["train"]["max_epochs"] == 3


def test_a_run_keeps_its_evidence_beside_that_of_a_null(finished):
    store = ResultStore(finished.result_path)
    found = json.loads(store.details["evidence"])
    assert found["verdict"]["support"] == "cannot tell"  # 150 cells
    assert set(store.obs["velocity_support"]) == {"cannot tell"}
    assert set(found["numbers"]) == set(found["null"]["numbers"]) == set(NUMBERS)
    assert store.obs["gene_half_agreement"].between(-1, 1).all()
    middle = np.median(store.obs["gene_half_agreement"])
    assert found["numbers"]["gene_half_agreement"] == pytest.approx(middle, abs=1e-4)
    assert {"steady_state_gamma", "steady_state_gamma_stochastic"} <= set(store.var)
    flow = GroupFlow.from_dict(found["flow"])
    assert set(flow.labels) == set(store.obs["clusters"])
    null = ResultStore(RunFolder(finished.null_path).result_path)
    assert null.n_cells == 150
    assert len(RunFolder(finished.null_path).history()) == 1  # two fifths of 3 epochs
    np.testing.assert_allclose(null.embedding("X_umap"), store.embedding("X_umap"))
    assert not RunFolder(finished.null_path).checkpoint_path.exists()


def test_a_null_that_cannot_be_made_costs_the_run_a_sentence(finished, tmp_path):
    adata = anndata.read_zarr(finished.result_path)
    spec, source = finished.spec(), simulate(150, 20, seed=1)
    cells = draw_null(source, spec)
    assert (cells.rows == np.arange(150)).all()
    split = cells.counts.layers
    assert (split["spliced"] + split["unspliced"] != source.layers["spliced"]).nnz == 0
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.write_spec(spec)
    with Reporter(run) as reporter:

        def add(null_cells=cells):
            return add_null(adata, null_cells, run, reporter, "clusters")

        run.request_stop()
        assert "asked to stop" in add()
        assert not run.null_path.exists()
        (run.path / "stop").unlink()
        shutil.copytree(finished.null_path, run.null_path)  # killed when its null was whole
        before = json.loads(adata.uns["velovi"]["evidence"])["null"]
        assert add() == ""
        assert json.loads(adata.uns["velovi"]["evidence"])["null"] == before
        remove(run.null_path)
        run.null_path.mkdir()  # a worker was killed while at it
        assert "interrupted before" in add()
        assert not run.null_path.exists()
        assert "could not be split" in add(None)
        empty = replace(cells, counts=cells.counts[:, :0].copy())
        assert add(empty).startswith("The comparison with a null was left out: ")
        assert not run.null_path.exists()
        run.request_cancel()
        with pytest.raises(Cancelled):
            add()


def test_no_null_is_drawn_of_a_run_that_asks_for_none_or_trains_nothing(finished):
    source, spec = simulate(40, 10), finished.spec()
    off = replace(spec, options=replace(spec.options, evidence=EvidenceOptions(null_run=False)))
    assert draw_null(source, off) is None
    saved = replace(spec, options=replace(spec.options, train=TrainOptions(saved_model="there")))
    assert draw_null(source, saved) is None
    source.layers["spliced"] = -source.layers["spliced"]
    assert draw_null(source, spec) is None


def test_a_run_keeps_what_its_counts_say_of_velocity(finished):
    store = ResultStore(finished.result_path)
    found = SignalSummary.from_dict(json.loads(store.details["velocity_signal"]))
    assert found.n_cells == 150
    assert found.strength == "cannot tell"  # of 150 cells and 20 genes
    assert found.sentence in store.warnings
    genes = store.var
    assert genes["reliability_within"].notna().all()
    assert genes["reliability_percentile"].between(0, 100).all()


def test_counts_that_cannot_be_looked_into_do_not_end_a_run():
    few = simulate(12, 20, seed=0)
    found, notes = look_for_velocity(few, quick_options().preprocess, "clusters")
    assert found is None
    assert "could not be looked for" in notes[0]


def test_a_gene_is_read_without_reading_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "CHUNK_VALUES", 200)
    rng = np.random.default_rng(0)
    adata = anndata.AnnData(
        rng.normal(size=(100, 7)).astype(np.float32),
        layers={"Ms": rng.normal(size=(100, 7)).astype(np.float32)},
    )
    adata.uns["velovi"] = {"result_version": results.RESULT_VERSION}
    results.write_result(adata, tmp_path / "result.zarr")
    layer = zarr.open_group(tmp_path / "result.zarr", mode="r")["layers/Ms"]
    assert layer.chunks == (100, 2)
    np.testing.assert_array_equal(layer[:], adata.layers["Ms"])


def test_with_its_matrices_in_files_a_run_gives_the_same_result(finished, source, tmp_path):
    spec = finished.spec()
    tiny = replace(spec.options.train, memory_gb=1e-9)
    folder = RunFolder(tmp_path / "in-files")
    folder.path.mkdir()
    folder.write_spec(replace(spec, options=replace(spec.options, train=tiny)))
    assert work(folder) == "done", folder.log_path.read_text()
    one, other = (anndata.read_zarr(run.result_path) for run in (finished, folder))
    for name in ResultStore(finished.result_path).layers:
        # the number of threads, and with it rounding, need not be the same in both
        scale = np.abs(one.layers[name]).max()
        np.testing.assert_allclose(
            other.layers[name] / scale, one.layers[name] / scale, atol=1e-3, err_msg=name
        )
    assert np.corrcoef(one.obs["latent_time"], other.obs["latent_time"])[0, 1] > 0.99
    assert any("kept in files" in note for note in other.uns["velovi"]["notes"])
    assert not any("kept in files" in note for note in one.uns["velovi"]["notes"])
    assert not (folder.path / "scratch").exists()


def test_the_saved_model_gives_the_results_rates(finished):
    from velovi import VELOVI

    adata = anndata.read_zarr(finished.result_path)
    model = VELOVI.load(str(finished.model_path), adata=adata, accelerator="cpu")
    scaling = adata.var["time_scaling"].to_numpy()
    np.testing.assert_allclose(adata.var["fit_alpha"], model.get_rates()["alpha"] / scaling, 1e-5)


def test_a_trained_model_is_applied_to_other_cells(finished, tmp_path):
    model = anndata.read_zarr(finished.result_path)
    others = simulate(90, 20, seed=1)[:, ::-1].copy()
    others.obsm["X_umap"] = np.random.default_rng(0).normal(size=(90, 2)).astype(np.float32)
    others.write_h5ad(tmp_path / "others.h5ad")
    out = tmp_path / "applied"
    relative = os.path.relpath(finished.model_path)
    saved = ["--saved-model", relative, "--n-neighbors", "10", "--n-pcs", "5"]
    command = [sys.executable, "-m", "velovi", "run", str(tmp_path / "others.h5ad"), *saved]
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    applied = anndata.read_zarr(RunFolder(out).result_path)
    assert applied.n_obs == 90
    assert set(applied.var_names) == set(model.var_names)
    assert len(RunFolder(out).history()) == 3
    # rates are the model's own, in units of each result's time
    for name in ("fit_beta", "fit_gamma"):
        mine, other = (item.var[name] * item.var["time_scaling"] for item in (applied, model))
        np.testing.assert_allclose(mine, other[applied.var_names], rtol=1e-5)
    np.testing.assert_allclose(applied.var["ms_max"], model.var["ms_max"][applied.var_names])
    assert not any("scaled" in note for note in applied.uns["velovi"]["notes"])
    assert str(tmp_path.parent) not in str(applied.uns["velovi"]["spec"])
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "model.pt").write_bytes(b"no model")
    command[command.index(relative)] = str(tmp_path / "evil")
    refused = subprocess.run(
        [*command, "--out", str(tmp_path / "b")], capture_output=True, text=True
    )
    assert refused.returncode != 0
    assert "refused" in refused.stdout + refused.stderr


def test_one_gene_is_read_as_it_was_written(finished):
    store, adata = ResultStore(finished.result_path), anndata.read_zarr(finished.result_path)
    assert store.genes == list(adata.var_names)
    for layer in ("Ms", "velocity", "p_repression_steady"):
        np.testing.assert_array_equal(
            store.gene(layer, store.genes[3]), adata[:, store.genes[3]].layers[layer].ravel()
        )
    assert store.embeddings == ["X_umap", "X_pca"]
    assert store.label_columns[0] == "clusters"
    assert "latent_time" in store.numeric_columns
    assert set(store.colors("clusters")) == set(store.obs["clusters"].cat.categories)
    assert len(store.all_genes) == 20
    grid = store.grid("X_umap")
    assert grid["u"].shape == (len(grid["y"]), len(grid["x"]))
    with pytest.raises(UnknownNameError, match="Sox2"):
        store.gene("Ms", "Sox2")
    with pytest.raises(UnknownNameError, match="no layer"):
        store.gene("nothing", store.genes[0])
    with pytest.raises(UnknownNameError, match="X_umap"):
        store.embedding("X_tsne")


def test_a_missing_or_foreign_result_says_so(finished, tmp_path):
    import zarr

    with pytest.raises(StoreError, match="no readable result"):
        ResultStore(tmp_path / "nothing.zarr")
    zarr.open_group(tmp_path / "empty.zarr", mode="w")
    with pytest.raises(StoreError, match="no readable result"):
        ResultStore(tmp_path / "empty.zarr")


def test_chunks_hold_all_cells_and_few_genes():
    assert genes_per_chunk(1_000_000, 2000) == 1
    assert genes_per_chunk(10_000, 2000) == 26
    assert genes_per_chunk(100, 20) == 20


def test_exports_open_with_the_same_numbers(finished, tmp_path):
    out = export_h5ad(finished.result_path, tmp_path / "result.h5ad")
    one, other = anndata.read_h5ad(out), anndata.read_zarr(finished.result_path)
    assert list(one.var_names) == list(other.var_names)
    for name, layer in other.layers.items():
        found, expected = one.layers[name], layer
        if not isinstance(expected, np.ndarray):
            found, expected = found.toarray(), expected.toarray()
        np.testing.assert_array_equal(found, expected)
    assert (one.uns["velocity_graph"] != other.uns["velocity_graph"]).nnz == 0
    store = ResultStore(finished.result_path)
    cells, genes = cell_table(store), gene_table(store)
    assert len(cells) == 150
    assert {"umap_1", "velocity_umap_2", "latent_time"} <= set(cells)
    assert len(genes) == 20
    assert {"kept", "reason", "fit_alpha"} <= set(genes)


def test_the_command_line_speaks_plainly(tmp_path, capsys):
    from velovi.__main__ import main

    assert main(["run", str(tmp_path / "nothing.h5ad"), "--out", str(tmp_path / "run")]) == 1
    assert "no such file" in capsys.readouterr().err
    bad = tmp_path / "bad.h5ad"
    bad.write_text("not a file of cells")
    assert main(["run", str(bad), "--out", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().err
    assert "failed" in said
    assert "Traceback" not in said
    assert main(["check", str(bad)]) == 1
    assert main(["export", str(tmp_path), "--csv", str(tmp_path)]) == 1


def test_the_queue_is_first_come_first_served(workspace, source, monkeypatch):
    started = []

    def pretend(run):
        started.append(run.run_id)
        run.write_owner(WorkerProcess.of_process(os.getpid()))

    monkeypatch.setattr(RunFolder, "start", pretend)
    dataset = workspace.add_dataset(source, "cells.h5ad")
    runs = []
    for _ in range(3):
        runs.append(workspace.create_run(dataset, quick_options()))
        time.sleep(1.05)  # ids sort by the second
    launcher = launch.LocalLauncher(workspace, limit=1)
    launcher.start_waiting_runs()
    assert started == [runs[0].run_id]
    launcher.start_waiting_runs()
    assert len(started) == 1
    launcher.cancel(runs[1])
    assert runs[1].state() is RunState.CANCELLED
    runs[0].write_progress(replace(runs[0].progress(), outcome="failed"))
    launcher.start_waiting_runs()
    assert started == [runs[0].run_id, runs[2].run_id]


def test_a_killed_worker_is_lost_and_can_be_started_again(workspace, source):
    dataset = workspace.add_dataset(source, "cells.h5ad")
    launcher = launch.LocalLauncher(workspace)
    run = workspace.create_run(dataset, quick_options(max_epochs=5000))
    launcher.start_waiting_runs()
    wait_until(lambda: len(run.history()) >= 2)
    assert run.state() is RunState.RUNNING
    os.killpg(run.progress().pid, signal.SIGKILL)
    wait_until(lambda: run.state() is RunState.LOST, 10)
    again = workspace.run_again(run)
    launcher.start_waiting_runs()
    wait_until(lambda: len(again.history()) >= 2)
    again.request_stop()
    wait_until(lambda: again.state() is RunState.DONE)
    assert ResultStore(again.result_path).n_cells == 150
    assert 2 <= len(again.history()) < 5000


def test_a_run_outlives_the_process_that_started_it(workspace, source):
    dataset = workspace.add_dataset(source, "cells.h5ad")
    run = workspace.create_run(dataset, quick_options(max_epochs=5000))
    code = (
        "import sys, time\n"
        "from velovi.runs.launch import LocalLauncher\n"
        "from velovi.runs.workspace import Workspace\n"
        "workspace = Workspace(sys.argv[1])\n"
        "LocalLauncher(workspace).start_waiting_runs()\n"
        "time.sleep(600)\n"
    )
    server = subprocess.Popen([sys.executable, "-c", code, str(workspace.root)])
    try:
        wait_until(lambda: len(run.history()) >= 1)
    finally:
        server.kill()
        server.wait()
    before = len(run.history())
    wait_until(lambda: len(run.history()) > before + 2)
    found = Workspace(workspace.root).runs(with_demo=False)
    assert [item.run_id for item in found] == [run.run_id]
    assert found[0].state() is RunState.RUNNING
    launch.LocalLauncher(workspace).cancel(run)
    wait_until(lambda: run.state() is RunState.CANCELLED)
    assert not run.model_path.exists()
    assert not run.result_path.exists()


def test_a_failed_run_says_why_and_keeps_the_file(workspace, tmp_path):
    few = simulate(20, 10, seed=0)
    few.write_h5ad(tmp_path / "few.h5ad")
    dataset = workspace.add_dataset(tmp_path / "few.h5ad", "few.h5ad")
    run = workspace.create_run(dataset, quick_options())
    launch.LocalLauncher(workspace).start_waiting_runs()
    wait_until(lambda: not run.state().active)
    assert run.state() is RunState.FAILED
    assert "30" in str(run.progress().error)
    assert dataset.source.exists()


def test_files_and_runs_come_and_go(workspace, source, tmp_path):
    dataset = workspace.add_dataset(source, "cells.h5ad")
    assert workspace.dataset(dataset.dataset_id).name == "cells.h5ad"
    assert dataset.summary().ready
    assert (dataset.path / "summary.json").exists()
    run = workspace.create_run(dataset, quick_options(), name="first")
    assert run.spec().name == "first"
    with pytest.raises(StoreError, match="busy"):
        workspace.delete_run(run.run_id)
    run.request_cancel()
    workspace.delete_run(run.run_id)
    workspace.delete_dataset(dataset.dataset_id)
    assert workspace.datasets() == []
    assert workspace.runs() == []
    for wrong in ("../../etc", "nothing", ""):
        with pytest.raises(StoreError):
            workspace.run(wrong)
        with pytest.raises(StoreError):
            workspace.dataset(wrong)
    with pytest.raises(DataError):
        workspace.add_dataset(tmp_path / "nothing.h5ad", "nothing")


def test_a_specification_can_be_read_back_and_rejects_nonsense(tmp_path):
    folder = RunFolder(tmp_path)
    spec = RunSpec("id", "name", "", "source.h5ad", quick_options(), 1.0, {"velovi": "0"})
    folder.write_spec(spec)
    assert folder.spec() == spec
    (tmp_path / "spec.json").write_text("{")
    with pytest.raises(StoreError):
        folder.spec()
    with pytest.raises(OptionError, match="max_epoch"):
        TrainOptions.from_dict({"max_epoch": 3})
    with pytest.raises(OptionError, match="no stage"):
        RunOptions.from_dict({"training": {}})


def test_a_half_written_history_is_read_to_its_last_whole_line(tmp_path):
    folder = RunFolder(tmp_path)
    folder.append_history({"epoch": 1.0})
    with (tmp_path / "history.jsonl").open("a") as stream:
        stream.write('{"epoch": 2')
    assert folder.history() == [{"epoch": 1.0}]


def test_the_demo_is_small_complete_and_names_no_machine():
    from velovi.runs.demo import MOST_BYTES
    from velovi.runs.workspace import DEMO_FOLDER

    demo = RunFolder(DEMO_FOLDER)
    assert demo.state() is RunState.DONE
    assert demo.size() <= MOST_BYTES
    store = ResultStore(demo.result_path)
    assert store.embeddings[0] == "X_umap"
    assert len(store.obs["clusters"].cat.categories) >= 5
    assert store.obs["true_time"].corr(store.obs["latent_time"], method="spearman") > 0.9
    assert "/tmp" not in store.details["spec"] + (demo.path / "spec.json").read_text()


def test_a_file_with_velocity_and_gaps_of_its_own_goes_through(source, tmp_path):
    adata = anndata.read_h5ad(source)
    adata.obs["latent_time"] = np.linspace(0, 1, adata.n_obs)
    adata.obs["group"] = np.where(np.arange(adata.n_obs) % 2, "odd", "even")
    adata.obsm["velocity_umap"] = np.zeros((adata.n_obs, 2), dtype=np.float32)
    adata.obsm["spatial"] = np.random.default_rng(0).random((adata.n_obs, 2))
    adata.obsm["X_gaps"] = np.full((adata.n_obs, 2), np.nan)
    adata.write_h5ad(tmp_path / "own.h5ad")
    out = tmp_path / "run"
    command = ["run", str(tmp_path / "own.h5ad"), "--out", str(out), "--max-epochs", "1"]
    command += ["--no-null-run"]
    small = ["--n-hidden", "16", "--n-neighbors", "10", "--n-pcs", "5", "--threads", "1"]
    done = subprocess.run([sys.executable, "-m", "velovi", *command, *small], capture_output=True)
    assert done.returncode == 0, done.stderr
    store = ResultStore(out / "result.zarr")
    assert set(store.embeddings) == {"X_umap", "X_pca", "spatial"}
    assert store.embedded_velocity("spatial").any()
    assert "group" in store.label_columns
    kept = store.obs["latent_time_from_file"].to_numpy()
    np.testing.assert_allclose(kept, np.linspace(0, 1, 150))
    assert any("latent_time_from_file" in note for note in store.details["notes"])


def test_a_nonsense_limit_is_named(workspace, monkeypatch):
    for text in ("0", "many"):
        monkeypatch.setenv("VELOVI_RUNS_AT_ONCE", text)
        with pytest.raises(OptionError, match="VELOVI_RUNS_AT_ONCE"):
            launch.LocalLauncher(workspace)


def test_a_run_says_how_far_it_can_be_trusted(finished):
    from velovi import VELOVI

    adata = anndata.read_zarr(finished.result_path)
    model = VELOVI.load(str(finished.model_path), adata=adata, accelerator="cpu")
    posterior = finished.spec().options.posterior
    statistics, _ = model.get_extrinsic_uncertainty(
        adata=adata, n_samples=posterior.extrinsic_samples, seed=posterior.seed
    )
    for name in statistics:
        np.testing.assert_allclose(
            adata.obs[f"{name}_extrinsic"], statistics[name], rtol=1e-3, atol=1e-5
        )
    sizes = adata.obs["clusters"].value_counts()
    large = adata[adata.obs["clusters"].isin(sizes.index[sizes >= 10])].copy()
    # the order of the groups decides which random numbers shuffle whom
    large.obs["clusters"] = large.obs["clusters"].astype(str).astype("category")
    scores, _ = model.get_permutation_scores("clusters", adata=large, seed=posterior.seed)
    wanted = scores.max(axis=1)[adata.var_names]
    np.testing.assert_allclose(adata.var["permutation_score"], wanted, rtol=1e-3, atol=1e-3)
