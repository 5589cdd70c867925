from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import anndata
import numpy as np
import pytest
from fakes import SIGNAL, add_run, fake_result, write_velocity_file

from tests.written_formats import loom, starsolo
from velovi.data.simulate import simulate
from velovi.errors import DataError
from velovi.runs.files import write_json
from velovi.runs.folder import RunState
from velovi.runs.results import write_result
from velovi.ui import services
from velovi.ui.data_panel import take_upload

PAGES = ("map", "genes", "data", "train")
TITLES = {
    "map": "Where cells go",
    "genes": "Which genes say so",
    "data": "Bring your cells",
    "train": "Train a model",
}


def texts(app) -> str:
    kinds = ("title", "subheader", "markdown", "error", "info", "warning", "success", "caption")
    return "\n".join(str(item.value) for kind in kinds for item in getattr(app, kind))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("state", [None, *RunState])
def test_every_page_opens_in_every_state(page, state, open_page, run_in):
    query = {} if state is None else {"run": run_in(state).run_id}
    app = open_page(page, **query)
    assert app.title[0].value == TITLES[page]
    assert "unexpected went wrong" not in texts(app)
    expects_error = page == "train" and state in (RunState.FAILED, RunState.LOST)
    assert bool(app.error) == expects_error


def test_empty_workspace_says_what_to_do_next(open_page):
    assert "Nothing to explore yet" in texts(open_page("map"))
    assert "Bring a file first" in texts(open_page("train"))
    assert "What a velocity file needs" in texts(open_page("data"))


def test_map_of_a_finished_run_shows_its_key_figures(open_page, run_in, store):
    app = open_page("map", run=run_in(RunState.DONE).run_id)
    values = {item.label: item.value for item in app.metric}
    assert values["Cells"] == f"{store.n_cells:,}"
    assert values["Genes in the model"] == str(len(store.genes))


def test_gene_of_the_url_is_shown(open_page, run_in):
    app = open_page("genes", run=run_in(RunState.DONE).run_id, gene="Gene3")
    assert app.selectbox(key="genes_gene").value == "Gene3"
    app.selectbox(key="genes_gene").select("Gene5").run()
    assert app.query_params["gene"] in ("Gene5", ["Gene5"])


def test_unknown_run_in_the_url_is_no_error(open_page, run_in):
    run_in(RunState.DONE)
    for name in ("gone", "../../etc", "x" * 300):
        app = open_page("map", run=name)
        assert not app.error


def test_buttons_speak_to_the_launcher(open_page, run_in, launcher):
    run = run_in(RunState.RUNNING)
    app = open_page("train", run=run.run_id)
    app.button(key="stop_run").click().run()
    assert [item.run_id for item in launcher.stopped] == [run.run_id]
    app.button(key="cancel_run").click().run()
    assert [item.run_id for item in launcher.cancelled] == [run.run_id]


def test_failed_run_says_why_in_words(open_page, run_in):
    app = open_page("train", run=run_in(RunState.FAILED).run_id)
    said = app.error[0].value
    assert "spliced layer is empty" in said
    assert "Choose another layer" in said
    assert "Traceback" not in said


def test_starting_again_without_the_file_says_so(open_page, run_in, launcher):
    app = open_page("train", run=run_in(RunState.LOST).run_id)
    app.button(key="start_again").click().run()
    assert any("file of this run is gone" in item.value for item in app.error)
    assert not launcher.waiting


def test_train_button_queues_a_run_with_the_forms_options(open_page, workspace, launcher, tmp_path):
    dataset = workspace.add_dataset(write_velocity_file(tmp_path / "a.h5ad"), "Mine")
    app = open_page("train", dataset=dataset.dataset_id)
    key = f"options_{dataset.dataset_id}_train_max_epochs"
    app.number_input(key=key).set_value(7)
    next(item for item in app.button if item.label == "Train").click().run()
    assert not app.exception
    assert len(launcher.waiting) == 1
    spec = launcher.waiting[0].spec()
    assert spec.options.train.max_epochs == 7
    assert spec.name == "Mine"


def test_file_without_unspliced_counts_is_explained(open_page, workspace, tmp_path):
    path = write_velocity_file(tmp_path / "bad.h5ad", unspliced=False)
    dataset = workspace.add_dataset(path, "Bad")
    app = open_page("data", dataset=dataset.dataset_id)
    assert app.error
    assert app.button(key="train_on").disabled


def test_upload_is_moved_into_the_workspace(workspace, tmp_path):
    path = write_velocity_file(tmp_path / "up.h5ad")
    with path.open("rb") as stream:
        dataset = take_upload(workspace, stream, "../../My cells.h5ad")
    assert dataset.name == "My cells"
    assert dataset.source.read_bytes() == path.read_bytes()
    assert [item.name for item in workspace.root.iterdir() if item.name.startswith(".up")] == []


def test_a_loom_is_taken_as_h5ad(workspace, tmp_path):
    with loom(simulate(40, 10), tmp_path / "cells.loom").open("rb") as stream:
        dataset = take_upload(workspace, stream, "Day 15.loom")
    assert dataset.name == "Day 15"
    assert dataset.summary().ready
    assert "Read from a loom file." in [item.what for item in dataset.summary().problems]


def test_several_files_are_taken_at_once(open_page, workspace, tmp_path):
    content = write_velocity_file(tmp_path / "a.h5ad").read_bytes()
    app = open_page("data")
    files = [
        ("a.h5ad", content, ""),
        ("bad.h5ad", b"no file of cells", ""),
        ("b.h5ad", content, ""),
    ]
    app.file_uploader[0].set_value(files).run()
    assert not app.exception
    assert sorted(item.name for item in workspace.datasets()) == ["a", "b"]
    assert any("bad" in item.value for item in app.error)
    assert any("ready to train" in item.value for item in (*app.success, *app.warning))


def test_an_upload_that_holds_nothing_for_us_says_what_it_is(open_page, workspace):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("object.rds", b"X")
    app = open_page("data")
    app.file_uploader[0].upload("seurat.zip", archive.getvalue(), "application/zip").run()
    assert "an R object" in app.error[0].value
    assert "SeuratDisk" in app.error[0].value
    assert workspace.datasets() == []


def test_folders_of_counts_are_listed_and_taken(workspace, tmp_path, monkeypatch):
    allowed = tmp_path / "allowed"
    starsolo(simulate(40, 10), allowed / "Solo.out" / "Velocyto" / "raw")
    loom(simulate(40, 10), allowed / "b.loom")
    (allowed / "notes.txt").write_text("no counts")
    monkeypatch.setenv("VELOVI_DATA", str(allowed))
    raw = allowed / "Solo.out" / "Velocyto" / "raw"
    assert services.server_files() == sorted(map(str, (raw, allowed / "b.loom")))
    assert services.server_file("Solo.out/Velocyto/raw") == raw
    with pytest.raises(DataError):
        services.server_file("notes.txt")
    assert workspace.add_dataset(raw, "raw").summary().ready


def test_counts_are_brought_to_annotated_cells(open_page, workspace, tmp_path):
    cells = simulate(40, 10)
    codes = ["".join(row) for row in np.random.default_rng(0).choice(list("ACGT"), (40, 16))]
    cells.obs_names = [f"day15:{code}x" for code in codes]
    counts = workspace.add_dataset(loom(cells, tmp_path / "day15.loom"), "day15")
    annotated = anndata.AnnData(obs=cells.obs.copy(), obsm={"X_umap": np.eye(40, 2)})
    annotated.obs_names = [f"{code}-1" for code in codes]
    annotated.write_h5ad(tmp_path / "annotated.h5ad")
    into = workspace.add_dataset(tmp_path / "annotated.h5ad", "annotated")
    app = open_page("data", dataset=into.dataset_id)
    app.multiselect(key="merge_counts").set_value([counts.dataset_id]).run()
    app.selectbox(key="merge_into").set_value(into.dataset_id).run()
    app.button(key="merge_look").click().run()
    assert not app.exception
    table = next(item.value for item in app.dataframe if "Found" in item.value)
    assert table[["Found", "Share"]].to_numpy().tolist() == [[40, "100 %"]]
    app.button(key="merge_go").click().run()
    assert not app.exception
    newest = workspace.datasets()[0]
    assert newest.name == "annotated with counts"
    assert newest.summary().ready
    assert [item.name for item in newest.summary().embeddings] == ["X_umap"]


def test_server_paths_stay_inside_the_allowed_folders(tmp_path, monkeypatch):
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    allowed.mkdir()
    outside.mkdir()
    good, secret = allowed / "a.h5ad", outside / "b.h5ad"
    good.touch()
    secret.touch()
    (allowed / "link.h5ad").symlink_to(secret)
    monkeypatch.setenv("VELOVI_DATA", str(allowed))
    assert services.server_file("a.h5ad") == good
    assert services.server_file(str(good)) == good
    for bad in ("../outside/b.h5ad", str(secret), "link.h5ad", "none.h5ad", ""):
        with pytest.raises(DataError):
            services.server_file(bad)


def test_saved_models_are_opened_from_allowed_folders_only(tmp_path, workspace, monkeypatch):
    allowed, outside = tmp_path / "allowed", tmp_path / "outside"
    mine = workspace.runs_path / "one" / "model"
    for folder in (allowed / "good", outside / "bad", mine):
        folder.mkdir(parents=True)
        (folder / "model.pt").touch()
    monkeypatch.setenv("VELOVI_DATA", str(allowed))
    assert services.server_model("good", workspace) == allowed / "good"
    assert services.server_model(str(mine), workspace) == mine
    for bad in ("../outside/bad", str(outside / "bad"), "none", "", str(allowed)):
        with pytest.raises(DataError, match=r"model\.pt"):
            services.server_model(bad, workspace)


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import velovi.runs.workspace as module
module.DEMO_FOLDER = Path("/nowhere")
from fakes import FakeLauncher
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app.py", default_timeout=60)
app.session_state["launcher"] = FakeLauncher(module.Workspace())
app.run()
for page in ("genes", "data", "train", "map"):
    app.switch_page("pages/" + page + ".py").run()
    assert not app.exception and not app.error, page
from velovi.runs.launch import LocalLauncher
heavy = [n for n in ("torch", "scvi", "scanpy", "umap", "sklearn", "numba", "matplotlib")
         if n in sys.modules]
assert not heavy, heavy
print("light")
"""


def test_the_web_process_loads_nothing_heavy(run_in, workspace, tmp_path):
    run_in(RunState.DONE)
    workspace.add_dataset(write_velocity_file(tmp_path / "a.h5ad"), "Mine")
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().endswith("light"), done.stderr[-2000:]


def looked_into(workspace, tmp_path, **files):
    """A file, and what a look for velocity in it has left."""
    dataset = workspace.add_dataset(write_velocity_file(tmp_path / "a.h5ad"), "Mine")
    folder = dataset.path / "velocity_signal"
    folder.mkdir()
    write_json(folder / "request.json", {"created": 0})
    for name, content in files.items():
        write_json(folder / f"{name}.json", content)
    return dataset


def test_velocity_is_looked_for_as_soon_as_a_file_is_there(open_page, workspace, tmp_path):
    dataset = workspace.add_dataset(write_velocity_file(tmp_path / "a.h5ad"), "Mine")
    app = open_page("data", dataset=dataset.dataset_id)
    assert "Is there velocity in these counts?" in texts(app)
    assert "Comparing unspliced counts between cells" in texts(app)
    request = json.loads((dataset.path / "velocity_signal" / "request.json").read_text())
    assert request["layers"] == ["spliced", "unspliced"]
    app.button(key="cancel_signal").click().run()
    assert any("was stopped" in item.value for item in app.error)


def test_no_velocity_in_the_counts_takes_no_green_tick(open_page, workspace, tmp_path):
    dataset = looked_into(workspace, tmp_path, signal=SIGNAL)
    app = open_page("data", dataset=dataset.dataset_id)
    assert any("no more than chance" in item.value for item in app.warning)
    assert any("do not show velocity" in item.value for item in app.warning)
    assert not app.success
    shown = {item.label: (item.value, item.delta) for item in app.metric}
    assert shown["Above chance, in groups"] == ("4 %", "5 % without velocity")
    assert shown["… in all cells"][0] == "–"
    table = app.dataframe[0].value
    assert list(table["Group"]) == ["Stem", "A*b*"]
    assert list(table["Signal"]) == ["none beyond chance", "too few cells to tell"]


def test_a_look_that_failed_says_why_and_can_be_repeated(open_page, workspace, tmp_path):
    dataset = looked_into(workspace, tmp_path, error={"what": "the disk went away"})
    app = open_page("data", dataset=dataset.dataset_id)
    assert any("disk went away" in item.value for item in app.error)
    app.button(key="signal_again").click().run()
    assert "Comparing unspliced counts between cells" in texts(app)


def test_files_of_very_many_cells_are_looked_into_when_asked(
    open_page, workspace, tmp_path, monkeypatch
):
    monkeypatch.setattr("velovi.ui.data_panel.MOST_CELLS_UNASKED", 10)
    dataset = workspace.add_dataset(write_velocity_file(tmp_path / "a.h5ad"), "Mine")
    app = open_page("data", dataset=dataset.dataset_id)
    assert not (dataset.path / "velocity_signal").exists()
    app.button(key="look_signal").click().run()
    assert (dataset.path / "velocity_signal" / "request.json").exists()


def test_a_result_shows_what_its_counts_say_beside_the_null(open_page, run_in):
    app = open_page("evidence", run=run_in(RunState.DONE).run_id)
    assert any("no more than chance" in item.value for item in app.warning)
    assert {item.label: item.delta for item in app.metric}["Above chance, in groups"] == (
        "5 % without velocity"
    )


@pytest.mark.parametrize("kept", [None, "{", '{"strength": "clear"}'])
def test_a_result_of_before_says_that_nobody_looked(open_page, workspace, kept):
    run = add_run(workspace, RunState.DONE)
    result = fake_result(60, 4)
    details = result.uns["velovi"]
    del details["velocity_signal"]
    if kept:
        details["velocity_signal"] = kept
    write_result(result, run.result_path)
    app = open_page("evidence", run=run.run_id)
    assert "did not look for velocity" in texts(app)
    assert app.title[0].value == "May these arrows be believed?"
