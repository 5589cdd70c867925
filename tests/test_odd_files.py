"""Every file that users bring is kept whole or refused in a sentence, never lost after training."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from odd_files import DAMAGED, N_CELLS, SOUND, add_column, cells

from velovi.config import PreprocessOptions, RunOptions
from velovi.data import check as check_module
from velovi.data.check import check_file
from velovi.data.inspect import inspect_file
from velovi.data.read import READING, read
from velovi.data.storable import storable_names
from velovi.errors import DataError, OptionError
from velovi.preprocessing import COMPUTED_UMAP, preprocess
from velovi.runs.export import cell_table, export_h5ad, gene_table
from velovi.runs.folder import RunFolder
from velovi.runs.rehearsal import check_storable
from velovi.runs.results import ResultStore
from velovi.runs.tables import csv_bytes
from velovi.runs.user_columns import keep_user_columns
from velovi.runs.worker import work
from velovi.runs.workspace import Workspace

LAYERS = ("spliced", "unspliced")
QUICK = PreprocessOptions(n_neighbors=10, n_pcs=5, compute_umap=False, min_shared_counts=1)
POISON = Path(__file__).resolve().parents[2] / "shared" / "cases" / "poison"


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_file_is_ready_and_everything_it_brings_can_be_stored(name, tmp_path):
    path = tmp_path / "cells.h5ad"
    SOUND[name](path)
    summary = inspect_file(path)
    assert summary.ready, summary.problems
    adata = read(path, layers=LAYERS)
    assert adata.n_obs == summary.n_cells
    keep_user_columns(adata)
    prepared = preprocess(adata, QUICK)
    assert check_storable(prepared.adata, tmp_path) == []
    assert not list(tmp_path.glob(".*"))  # the rehearsal leaves nothing


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused_by_check_and_reader_alike(name, tmp_path):
    path = tmp_path / "cells.h5ad"
    make, word = DAMAGED[name]
    make(path)
    summary = inspect_file(path)  # which gives a file up after some seconds
    assert not summary.ready
    assert word in " ".join(problem.what for problem in summary.problems)
    with pytest.raises(DataError) as caught:
        read(path, layers=LAYERS)
    assert caught.value.remedy


@pytest.mark.skipif(not POISON.exists(), reason="needs the poisoned files")
@pytest.mark.parametrize("path", sorted(POISON.glob("*.h5ad")), ids=lambda path: path.stem)
def test_poison_takes_neither_time_nor_memory(path):
    # the process of the check says itself how much memory it had at most
    code = (
        "import resource, sys; from velovi.data.check import check_file; from pathlib import Path;"
        "check_file(Path(sys.argv[1]));"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    assert int(done.stdout) < 500
    if check_file(path).ready:
        assert read(path, layers=LAYERS).n_obs > 0
    else:
        with pytest.raises(DataError):
            read(path, layers=LAYERS)


def test_names_come_back_in_the_h5ad_under_their_own(tmp_path):
    path = tmp_path / "cells.h5ad"
    adata = cells()
    adata.obs["Phase"] = pd.Categorical(["a", "b", "c"] * (N_CELLS // 3))
    adata.obs["phase"] = np.arange(N_CELLS) * 1.0
    adata.obsm["X_UMAP"] = -adata.obsm["X_umap"]
    adata.write_h5ad(path)
    add_column(path, "obs", "cell/type")
    add_column(path, "obs", "_index")
    add_column(path, "var", "n" * 300)
    run = finished(path, tmp_path)
    store = ResultStore(run.result_path)
    assert {"cell_type", "index_", "phase", "Phase_2"} <= set(store.obs)
    notes = " ".join(store.details["notes"])
    for stored in ("cell_type", "index_", "Phase_2", "X_UMAP_2"):
        assert f"'{stored}'" in notes
    out = export_h5ad(run.result_path, tmp_path / "out.h5ad")
    again = anndata.read_h5ad(out)
    assert {"cell/type", "_index", "Phase", "phase"} <= set(again.obs)
    assert list(again.obs_names) == list(adata.obs_names)
    assert "n" * 300 in again.var
    np.testing.assert_allclose(again.obs["cell/type"], np.arange(N_CELLS))
    np.testing.assert_allclose(again.obsm["X_UMAP"], -adata.obsm["X_umap"])
    cell_table(store), gene_table(store)


def finished(path: Path, folder: Path, **stages: dict[str, object]) -> RunFolder:
    run = made(path, folder, **stages)
    assert work(run) == "done", run.progress().error
    return run


def failed(path: Path, folder: Path, **stages: dict[str, object]) -> dict[str, str]:
    run = made(path, folder, **stages)
    assert work(run) == "failed"
    return run.progress().error


def made(path: Path, folder: Path, **stages: dict[str, object]) -> RunFolder:
    workspace = Workspace(folder / "workspace")
    options = {
        "preprocess": {
            "min_shared_counts": 1,
            "n_neighbors": 10,
            "n_pcs": 5,
            "compute_umap": False,
        },
        "model": {"n_hidden": 16, "n_latent": 3},
        "train": {"max_epochs": 2, "threads": 1},
        "posterior": {"n_samples": 2, "directional_samples": 2, "extrinsic_samples": 0},
        "evidence": {"null_run": False},
    }
    for stage, values in stages.items():
        options[stage].update(values)
    return workspace.create_run(workspace.add_dataset(path, "x"), RunOptions.from_dict(options))


def test_what_the_user_brought_stays_what_it_was(tmp_path):
    """Columns of our names, two maps of one stem, cells without a place, colours, many groups."""
    path = tmp_path / "cells.h5ad"
    adata = cells(150)
    places = adata.obsm["X_umap"].copy()
    adata.obsm["X_umap"] = np.column_stack([places, np.arange(150)]).astype(np.float32)
    adata.obsm["X_umap"][3] = np.nan
    adata.obsm["umap"] = np.column_stack([np.arange(150), np.arange(150) % 7]) * 100.0
    adata.obsm["velocity_umap"] = np.full((150, 2), 7.0)
    adata.obs["latent_time"] = 1.0
    adata.obs["latent_time_from_file"] = np.arange(150) * 1.0
    adata.obs["umap_1"] = np.arange(150) * 2.0
    adata.obs["clone"] = pd.Categorical([f"clone {place % 130}" for place in range(260)][:150])
    adata.obs["type"] = pd.Categorical([f"type {place % 70}" for place in range(150)])
    adata.var["velocity_r2"], adata.var["shared_counts"] = 7.0, 7
    names = ["red", "#0f0", "blue", "gold", "pink"]
    groups = adata.obs["clusters"].cat.categories
    adata.uns["clusters_colors"] = np.array([*names[: len(groups)], "black"], dtype=object)
    adata.write_h5ad(path)
    run = finished(path, tmp_path)
    store = ResultStore(run.result_path)
    notes = " ".join(store.details["notes"])

    np.testing.assert_allclose(store.embedding("X_umap")[4:], places[4:])
    assert np.isnan(store.embedding("X_umap")[3]).all()
    assert "1 cell has no place in 'X_umap'" in notes
    arrows = {name: store.embedded_velocity(name) for name in ("X_umap", "umap")}
    assert np.isfinite(arrows["X_umap"][4:]).all()
    assert np.isnan(arrows["X_umap"][3]).all()
    assert not np.allclose(arrows["X_umap"][4:], arrows["umap"][4:])
    np.testing.assert_allclose(store.obs["latent_time_from_file"], np.arange(150))
    np.testing.assert_allclose(store.obs["latent_time_from_file_2"], 1.0)
    np.testing.assert_allclose(store.var["velocity_r2_from_file"], 7.0)
    assert store.var["velocity_r2"].max() <= 1.0
    table = cell_table(store)
    np.testing.assert_allclose(table["umap_1"], np.arange(150) * 2.0)
    assert "velocity_umap_from_file" in notes
    assert store.colors("clusters")[groups[0]] == "#ff0000"
    assert "colours for" in notes
    genes = gene_table(store)
    assert {"velocity_r2", "velocity_r2_from_file", "shared_counts_from_file"} <= set(genes)


def test_groups_beyond_what_can_be_told_apart_are_merged_and_offered(tmp_path):
    path = tmp_path / "cells.h5ad"
    adata = cells(300)
    adata.obs = pd.DataFrame(
        {"cell_type": pd.Categorical([f"type {place % 150}" for place in range(300)])},
        index=adata.obs_names,
    )
    adata.write_h5ad(path)
    summary = inspect_file(path)
    assert summary.label_column == "cell_type"
    assert len(summary.unspliced_fraction_by_label) <= 120
    assert "150 kinds" in " ".join(problem.what for problem in summary.problems)
    store = ResultStore(finished(path, tmp_path).result_path)
    assert store.label_columns == ["cell_type", "velocity_support"]
    merged = store.labels("cell_type")
    assert len(merged.cat.categories) == 120
    assert merged.cat.categories[-1] == "other groups"
    assert store.obs["cell_type"].nunique() == 150  # the file's own are in the tables
    assert "150 groups" in " ".join(store.details["notes"])


@pytest.mark.slow
def test_a_map_that_nobody_can_draw_keeps_its_name_beside_a_computed_one():
    adata = cells()
    adata.obsm["X_umap"] = np.full((N_CELLS, 2), np.nan, dtype=np.float32)
    prepared = preprocess(adata, PreprocessOptions(n_neighbors=10, n_pcs=5, min_shared_counts=1))
    assert np.isnan(prepared.adata.obsm["X_umap"]).all()
    assert np.isfinite(prepared.adata.obsm[COMPUTED_UMAP]).all()
    assert any(COMPUTED_UMAP in note for note in prepared.report.notes)


def test_values_stay_what_they_are(tmp_path):
    path = tmp_path / "a.h5ad"
    adata = cells()
    adata.obs["n"] = pd.array([2**60 + 1, None] * 45, dtype="Int64")
    adata.obs["site"] = ["NA", "None", "x"] * 30
    adata.var["symbol"] = ["NaN", "NA", *["g"] * (adata.n_vars - 2)]
    adata.obsm["frame"] = pd.DataFrame({"a": 1.0, "b": True}, index=adata.obs_names)
    adata.write_h5ad(path)
    again = read(path, layers=LAYERS)
    assert again.obs["n"].iloc[0] == 2**60 + 1
    assert again.obs["n"].isna().sum() == 45
    assert set(again.obs["site"]) == {"NA", "None", "x"}
    assert list(again.var["symbol"][:2]) == ["NaN", "NA"]
    np.testing.assert_array_equal(again.obsm["frame"][0], [1.0, 1.0])


def test_our_time_is_exported_under_our_name(tmp_path):
    path = tmp_path / "a.h5ad"
    cells().write_h5ad(path)
    add_column(path, "obs", " latent_time")
    run = finished(path, tmp_path)
    again = anndata.read_h5ad(export_h5ad(run.result_path, tmp_path / "out.h5ad"))
    assert again.obs["latent_time"].max() <= 1.0
    np.testing.assert_allclose(again.obs[" latent_time"], np.arange(N_CELLS))


def test_a_check_that_was_given_up_is_neither_kept_nor_believed(tmp_path, monkeypatch):
    monkeypatch.setattr("velovi.data.check.SECONDS", 0.0)
    path = tmp_path / "a.h5ad"
    cells().write_h5ad(path)
    workspace = Workspace(tmp_path / "workspace")
    dataset = workspace.add_dataset(path, "x")
    assert dataset.summary().given_up
    monkeypatch.undo()
    assert dataset.summary().ready


@pytest.mark.parametrize("packed", [None, "gzip"])
@pytest.mark.parametrize("texts", ["var/_index", "obs/clusters/categories"])
def test_texts_longer_than_the_file_are_refused_before_memory_is_asked_for(texts, packed, tmp_path):
    path = tmp_path / "a.h5ad"
    cells().write_h5ad(path)
    with h5py.File(path, "a") as file:
        texts += "/values" if isinstance(file[texts], h5py.Group) else ""  # a later anndata
        names, attributes = file[texts][()], dict(file[texts].attrs)
        del file[texts]
        chunks = None if packed is None else (3,)
        file.create_dataset(texts, data=names, chunks=chunks, compression=packed)
        file[texts].attrs.update(attributes)
        file.flush()
        node = file[texts]
        if packed is None:
            place = node.id.get_offset()
        else:
            content = bytearray(zlib.decompress(node.id.read_direct_chunk((0,))[1]))
            content[:4] = (4_000_000_000).to_bytes(4, "little")
            node.id.write_direct_chunk((0,), zlib.compress(bytes(content)))
    if packed is None:
        with path.open("r+b") as raw:
            raw.seek(place)
            raw.write((4_000_000_000).to_bytes(4, "little"))
    peak = subprocess.run(
        [sys.executable, "-c", _PEAK, str(path), texts], capture_output=True, text=True, check=True
    ).stdout
    assert int(peak) < 100 * 2**20


_PEAK = """
import resource, sys, h5py
from velovi.data.columns import stored_array
from velovi.errors import DataError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    stored_array(h5py.File(sys.argv[1])[sys.argv[2]])[()]
    raise SystemExit("it was read")
except DataError as error:
    assert "declares texts of 4,000,000,000 bytes" in error.what, error.what
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits are of POSIX systems")
def test_a_check_that_never_ends_is_stopped_by_its_work_not_by_the_clock():
    code = "from velovi.data import check; check.limit_process(1, 2**30)\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode in check_module._OUT_OF_TIME


def test_names_of_selected_cells_may_hold_any_sign(tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    path = tmp_path / "a.h5ad"
    cells().write_h5ad(path)
    run = workspace.create_run(workspace.add_dataset(path, "x"), RunOptions())
    names = ["a\u2028b", "c\rd", "e"]
    assert workspace.run_again(run, cells=names).only_cells() == names


def test_backed_data_is_read_into_memory(tmp_path):
    cells().write_h5ad(tmp_path / "a.h5ad")
    adata = anndata.read_h5ad(tmp_path / "a.h5ad", backed="r")
    assert preprocess(adata, QUICK).adata.n_obs == N_CELLS


def test_stored_names_are_all_different_and_keep_what_can_stay():
    names = ["a/b", "a_b", "a_b", "A_B", "", ".", "_index", "x" * 300, "x" * 299, "\ud800", "é"]
    stored = storable_names(names)
    assert stored[1] == "a_b"
    assert stored[-1] == "é"
    assert len({name.casefold() for name in stored}) == len(names)
    assert all(0 < len(name.encode()) < 255 and "/" not in name for name in stored)


def test_reading_says_what_it_left_out(tmp_path):
    path = tmp_path / "a.h5ad"
    SOUND["later encoding of a column"](path)
    reading = read(path, layers=LAYERS).uns[READING]
    assert "later anndata" in " ".join(reading["notes"])
    SOUND["slash in obs"](path)
    assert json.loads(read(path).uns[READING]["names"])["obs"] == {"cell_type": "cell/type"}


def test_a_saved_model_meets_files_without_its_genes(tmp_path):
    path = tmp_path / "a.h5ad"
    cells().write_h5ad(path)
    model = finished(path, tmp_path).model_path
    other = cells()
    other.var_names = [name.upper() for name in other.var_names]
    other.write_h5ad(path)
    error = failed(path, tmp_path, train={"saved_model": str(model)})
    assert "other capitals" in error["remedy"]
    assert "21 missing" in error["found"]
    empty = cells()
    for name in LAYERS:
        layer = empty.layers[name].tolil()
        layer[:, 3] = 0
        empty.layers[name] = layer.tocsr()
    empty.write_h5ad(path)
    run = finished(path, tmp_path, train={"saved_model": str(model)})
    notes = " ".join(ResultStore(run.result_path).details["notes"])
    assert "kept as zeros" in notes


def test_a_warning_of_the_check_stays_with_the_result(tmp_path):
    path = tmp_path / "a.h5ad"
    adata = cells()
    adata.layers["unspliced"] = (adata.layers["unspliced"] > 6).astype(np.float32)
    adata.write_h5ad(path)
    assert any(problem.level == "warning" for problem in inspect_file(path).problems)
    run = finished(path, tmp_path, preprocess={"filter_on_r2": False, "min_shared_counts": 0})
    out = export_h5ad(run.result_path, tmp_path / "out.h5ad")
    notes = anndata.read_h5ad(out).uns["velovi"]["notes"]
    assert any(str(note).startswith("WARNING: ") and "unspliced" in str(note) for note in notes)


def test_tables_run_no_formulas():
    frame = pd.DataFrame(
        {"=x": pd.Categorical(["=1+1", "-2", "ok"]), "n": [-1.0, 2, 3]}, index=["@a", "\tb", "+c"]
    )
    text = csv_bytes(frame.rename_axis("cell")).decode()
    assert text.splitlines() == ["cell,'=x,n", "'@a,'=1+1,-1.0", "'\tb,-2,2.0", "'+c,ok,3.0"]


@pytest.mark.parametrize("accelerator", ["gpu", "mps"])
def test_hardware_that_is_not_there_is_said_before_any_work(accelerator, tmp_path):
    import torch

    from velovi.model.training import require_accelerator

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this machine has a graphics card")
    with pytest.raises(OptionError, match="no such graphics card"):
        require_accelerator(accelerator)
    path = tmp_path / "a.h5ad"
    cells().write_h5ad(path)
    error = failed(path, tmp_path, train={"accelerator": accelerator})
    assert "graphics card" in error["what"]


def test_a_file_cannot_fill_the_memory_with_a_compressed_bomb(tmp_path):
    path = tmp_path / "a.h5ad"
    cells().write_h5ad(path)
    with h5py.File(path, "a") as file:
        del file["obs/clusters"]
        file.create_dataset(
            "obs/clusters", data=np.zeros(3 * 10**7), chunks=(3 * 10**6,), compression="gzip"
        )
    summary = inspect_file(path)
    assert "left out" in " ".join(problem.what for problem in summary.problems)
