"""The Runs page and the live form of the Train page."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from fakes import add_run, write_velocity_file
from streamlit.runtime.pages_manager import PagesManager

from velovi.config import GROUPS, PreprocessOptions, RunOptions, TrainOptions
from velovi.errors import OptionError, StoreError
from velovi.runs.folder import RunFolder, RunState
from velovi.runs.naming import LONGEST_NAME
from velovi.ui import estimate
from velovi.ui.forms import grouped, options_table
from velovi.ui.run_state import all_runs
from velovi.ui.runs_panel import runs_frame

BROKEN = "unexpected went wrong"
KINDS = ("title", "subheader", "markdown", "error", "info", "warning", "success", "caption", "code")


def said(app) -> str:
    return "\n".join(str(item.value) for kind in KINDS for item in getattr(app, kind))


def rename(app, run_id: str, name: str):
    """Type a name and press Rename, as often as it was done before on this page."""
    turn = app.session_state["renamed"] if "renamed" in app.session_state else 0  # noqa: SIM401
    app.text_input(key=f"rename_{run_id}_{turn}_name").set_value(name)
    return app.button(key=f"rename_{run_id}_{turn}_do").click().run()


@pytest.fixture(autouse=True)
def whole_app(monkeypatch):
    """Let AppTest run ``app.py`` around every page, as a browser does.

    Beside a folder called pages it runs a page's script by itself, and nobody chooses a run.
    """
    begin = PagesManager.__init__

    def without_folder(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", without_folder)


@pytest.fixture
def dataset(workspace, tmp_path):
    return workspace.add_dataset(write_velocity_file(tmp_path / "a.h5ad"), "Mine")


@pytest.fixture
def run_of_file(workspace, dataset):
    """A finished run whose file is still there, with options of its own."""
    run = add_run(workspace, RunState.DONE)
    options = RunOptions(
        preprocess=PreprocessOptions(n_top_genes=15, genes_to_keep=("Gene1",)),
        train=TrainOptions(preset="reference", lr=0.02),
    )
    run.write_spec(
        replace(
            run.spec(), dataset_id=dataset.dataset_id, source=str(dataset.source), options=options
        )
    )
    run.result_path.mkdir()
    return run


def test_without_runs_the_page_says_what_to_do(open_page):
    app = open_page("runs")
    assert "No runs yet" in said(app)


@pytest.mark.parametrize("state", list(RunState))
def test_a_run_in_any_state_is_listed_and_opened(state, open_page, run_in):
    run = run_in(state)
    app = open_page("runs", run=run.run_id)
    table = app.dataframe[0].value
    assert list(table["name"]) == [f"Gut {state.value}"]
    assert table["epochs"][0] == (0 if state is RunState.QUEUED else 42)
    assert f"Gut {state.value}" in app.subheader[0].value
    assert BROKEN not in said(app)
    assert bool(app.error) == (state in (RunState.FAILED, RunState.LOST))
    # a run at work cannot be deleted, nor can one without a result be explored
    labels = {item.label for item in app.button}
    assert ("Show on the map" in labels) == (state is RunState.DONE)


def test_the_table_tells_size_and_shape(workspace, run_in, store):
    run_in(RunState.DONE)
    run_in(RunState.FAILED)
    frame = runs_frame(workspace, all_runs(workspace))
    done, failed = frame.loc["20260101-000000-done"], frame.loc["20260101-000000-failed"]
    assert (done["cells"], done["genes"]) == (store.n_cells, len(store.genes))
    assert pd.isna(failed["cells"])
    assert failed["size"] > 1_000
    assert done["file"] == "no longer here"
    assert done["state"] == ["done"]


def test_the_demo_is_opened_but_neither_renamed_nor_deleted(open_page, run_in, monkeypatch):
    run = run_in(RunState.DONE)
    demo = run.path.with_name("demo")
    run.path.rename(demo)
    demo = demo.rename(demo.parents[1] / "demo")
    monkeypatch.setattr("velovi.runs.workspace.DEMO_FOLDER", demo)
    app = open_page("runs", run="demo")
    assert list(app.dataframe[0].value["file"]) == ["simulated cells"]
    labels = {item.label for item in app.button}
    assert "Show on the map" in labels
    assert not labels & {"Rename", "Delete this run", "Train with these options"}


def test_demo_and_strangers_cannot_be_renamed(workspace, run_in):
    with pytest.raises(StoreError, match="demo"):
        workspace.rename_run("demo", "mine")
    for name in ("../../etc", "gone"):
        with pytest.raises(StoreError):
            workspace.rename_run(name, "mine")
    run = run_in(RunState.DONE)
    for name in ("", "  \n", "x" * (LONGEST_NAME + 1)):
        with pytest.raises(OptionError):
            workspace.rename_run(run.run_id, name)
    assert run.spec().name == "Gut done"


def test_rename_changes_the_name_and_nothing_else(open_page, run_in):
    run = run_in(RunState.DONE)
    before = json.loads((run.path / "spec.json").read_text())
    app = rename(open_page("runs", run=run.run_id), run.run_id, "  Pancreas,\tday 15 ")
    after = json.loads((run.path / "spec.json").read_text())
    assert after == {**before, "name": "Pancreas, day 15"}
    assert "Pancreas, day 15" in app.subheader[0].value
    assert run.state() == RunState.DONE
    assert not [path for path in run.path.iterdir() if path.name.startswith(".spec")]


def test_rename_to_nothing_is_a_sentence(open_page, run_in):
    run = run_in(RunState.DONE)
    app = rename(open_page("runs", run=run.run_id), run.run_id, "   ")
    assert "name of a run" in app.error[0].value
    assert run.spec().name == "Gut done"


def test_a_very_long_name_is_shown(open_page, run_in):
    run, name = run_in(RunState.DONE), "W" * LONGEST_NAME
    app = rename(open_page("runs", run=run.run_id), run.run_id, name)
    assert run.spec().name == name
    assert name in app.subheader[0].value


def test_markdown_in_a_name_stays_text(open_page, run_in):
    run, name = run_in(RunState.DONE), "**a** [b](http://c) $x$ <i> `d` :red[e] | #f"
    app = rename(open_page("runs", run=run.run_id), run.run_id, name)
    assert run.spec().name == name
    shown = app.subheader[0].value
    for sign in ("**a", "[b", "$x", "`d", ":red["):
        assert sign not in shown.replace("\\" + sign[0], "")
    assert name in list(app.dataframe[0].value["name"])


def test_a_run_at_work_can_be_renamed_but_not_deleted(open_page, run_in, workspace):
    run = run_in(RunState.RUNNING)
    app = rename(open_page("runs", run=run.run_id), run.run_id, "New")
    assert run.spec().name == "New"
    app.button(key=f"delete_{run.run_id}").click().run()
    assert "still busy" in app.error[0].value
    assert run.path.exists()


def test_delete_leaves_the_other_runs(open_page, run_in, workspace):
    other, run = run_in(RunState.FAILED), run_in(RunState.DONE)
    app = open_page("runs", run=run.run_id)
    app.button(key=f"delete_{run.run_id}").click().run()
    assert not run.path.exists()
    assert other.path.exists()
    assert "Gut failed" in app.subheader[0].value
    assert not app.warning
    app.button(key=f"delete_{other.run_id}").click().run()
    assert "No runs yet" in said(app)


def test_a_run_deleted_in_another_tab_is_a_sentence(open_page, run_in, workspace):
    run_in(RunState.FAILED)
    run = run_in(RunState.DONE)
    linked = open_page("runs", run=run.run_id)
    by_itself = open_page("runs")
    assert "Gut done" in by_itself.subheader[0].value
    workspace.delete_run(run.run_id)
    for app in (linked, by_itself):
        app.run()
        assert len(app.warning) == 1
        assert "Gut failed" in app.subheader[0].value
        assert BROKEN not in said(app)
    assert "not here any more" in linked.warning[0].value
    assert "deleted" in by_itself.warning[0].value
    assert not by_itself.run().warning


def test_a_run_deleted_while_the_page_is_drawn_is_a_sentence(
    open_page, run_in, launcher, workspace, monkeypatch
):
    run_in(RunState.FAILED)
    run = run_in(RunState.DONE)
    app = open_page("runs", run=run.run_id)
    # this page moves the queue on after the sidebar has listed the runs
    monkeypatch.setattr(launcher, "start_waiting_runs", lambda: workspace.delete_run(run.run_id))
    app.run()
    monkeypatch.undo()
    assert "has just been deleted" in said(app)
    assert BROKEN not in said(app)
    assert not app.error


def test_a_run_that_another_tab_deletes_before_the_button_is_pressed(open_page, run_in, workspace):
    run_in(RunState.FAILED)
    run = run_in(RunState.DONE)
    app = open_page("runs", run=run.run_id)
    workspace.delete_run(run.run_id)
    app.button(key=f"delete_{run.run_id}").click().run()
    assert not app.exception
    assert BROKEN not in said(app)


def test_a_row_of_the_table_opens_its_run_on_all_pages(open_page, run_in):
    run_in(RunState.FAILED)
    run = run_in(RunState.DONE)
    app = open_page("runs", run=run.run_id)
    assert "Gut done" in app.subheader[0].value
    app.selectbox(key="run_picker").select("20260101-000000-failed").run()
    assert "Gut failed" in app.subheader[0].value
    assert "spliced layer is empty" in app.error[0].value


@pytest.fixture
def same_names(run_in, workspace):
    """Two finished runs that are called the same, the newer first."""
    older = run_in(RunState.DONE)
    newer = RunFolder(workspace.runs_path / "20260101-000001-done")
    shutil.copytree(older.path, newer.path, symlinks=True)
    newer.write_spec(replace(older.spec(), run_id=newer.run_id, created=1767229261.0))
    assert [run.name for run in all_runs(workspace)[:2]] == ["Gut done", "Gut done"]
    return newer, older


def test_of_runs_with_one_name_the_chosen_one_is_shown(open_page, same_names):
    for run in same_names:
        app = open_page("map", run=run.run_id)
        app.toggle(key="map_second").set_value(True).run()  # any widget: the list is read anew
        assert app.selectbox(key="run_picker").value == run.run_id
        assert app.query_params["run"] == run.run_id
    labels = app.selectbox(key="run_picker").options
    assert len(set(labels)) == len(labels)
    for run, label in zip(same_names, labels, strict=False):
        assert label.endswith(" · Gut done")
        app.selectbox(key="run_picker").select(run.run_id).run()
        assert app.query_params["run"] == run.run_id


def test_of_runs_with_one_name_the_open_one_is_renamed_and_deleted(
    open_page, same_names, workspace
):
    newer, older = same_names
    app = open_page("runs", run=newer.run_id)
    rename(app, newer.run_id, "Gut")
    assert [run.name for run in all_runs(workspace)[:2]] == ["Gut", "Gut done"]
    rename(app, newer.run_id, "Gut done")
    app.button(key=f"delete_{newer.run_id}").click().run()
    assert older.path.exists()
    assert not newer.path.exists()


def test_training_is_stopped_only_while_it_goes_on(open_page, run_in):
    run = run_in(RunState.RUNNING)
    app = open_page("train", run=run.run_id)
    assert not app.button(key="stop_run").disabled
    assert any("train model, 42 of 200" in item.value for item in app.caption)
    run.write_progress(replace(run.progress(), stage="posterior", step=0, of=0))
    app.run()
    assert app.button(key="stop_run").disabled
    assert not app.button(key="cancel_run").disabled
    assert any("ask the model · asked for" in item.value for item in app.caption)


def test_a_run_gets_a_name_that_no_other_has(workspace, dataset):
    names = [workspace.create_run(dataset, RunOptions()).spec().name for _ in range(3)]
    assert names == ["Mine", "Mine (2)", "Mine (3)"]
    assert workspace.run_again(workspace.runs()[0]).spec().name == "Mine (4)"


def test_log_is_shown_and_can_be_taken_away(open_page, run_in):
    run = run_in(RunState.FAILED)
    run.log_path.write_text("first line\n" + "x" * 50_000 + "\nlast line\n")
    app = open_page("runs", run=run.run_id)
    assert app.code[0].value.rstrip().endswith("last line")
    assert "first line" not in app.code[0].value
    assert "Download the log" in [item.label for item in app.get("download_button")]


def test_options_that_differ_come_first(open_page, run_of_file):
    app = open_page("runs", run=run_of_file.run_id)
    table = next(item.value for item in app.dataframe if "Differs" in item.value)
    marked = table[table["Differs"] != ""]
    assert list(marked.index) == [0, 1, 2, 3]
    assert (
        set(marked["Option"])
        == {"Variable genes (genes)", "Always keep these genes", "Schedule", "Learning rate"}
        or len(marked) == 4
    )
    assert len(table) == sum(len(kind.info()) for kind in RunOptions.stages().values())
    assert "Learning rate **0.02** (0.01)" in said(app)
    assert {row["Differs"] for row in options_table(RunOptions())} == {""}


def test_running_again_takes_the_runs_options_with_changes(
    open_page, run_of_file, launcher, dataset
):
    app = open_page("runs", run=run_of_file.run_id)
    key = f"again_{run_of_file.run_id}"
    assert app.number_input(key=f"{key}_preprocess_n_top_genes").value == 15
    assert app.radio(key=f"{key}_train_preset").value == "reference"
    assert app.multiselect(key=f"{key}_preprocess_genes_to_keep").value == ["Gene1"]
    app.number_input(key=f"{key}_train_max_epochs").set_value(33).run()
    assert "Different from those of this run: Maximum epochs." in said(app)
    app.button(key=f"{key}_start").click().run()
    assert not app.exception
    spec = launcher.waiting[0].spec()
    old = run_of_file.spec()
    assert spec.options == replace(old.options, train=replace(old.options.train, max_epochs=33))
    assert spec.source == str(dataset.source)
    assert spec.name == "Gut done (2)"
    assert spec.run_id != old.run_id


def test_running_again_keeps_the_cells_of_the_run(open_page, run_of_file, launcher):
    run_of_file.cells_path.write_text("c1\nc2\nc3\n")
    app = open_page("runs", run=run_of_file.run_id)
    assert "On the 3 cells of this run" in said(app)
    app.button(key=f"again_{run_of_file.run_id}_start").click().run()
    assert launcher.waiting[0].only_cells() == ["c1", "c2", "c3"]


def test_running_again_without_the_file_says_so(open_page, run_in, launcher):
    app = open_page("runs", run=run_in(RunState.CANCELLED).run_id)
    assert "file of this run is gone" in said(app)
    assert not [item for item in app.button if item.label == "Train with these options"]


def test_every_option_is_in_one_group():
    for advanced in (False, True):
        shown = [item[:2] for group in GROUPS for item in grouped(group, advanced=advanced)]
        wanted = [
            (stage, name)
            for stage, kind in RunOptions.stages().items()
            for name, info in kind.info().items()
            if info.advanced == advanced
        ]
        assert sorted(shown) == sorted(wanted)


def test_the_form_shows_and_explains_every_option(open_page, dataset):
    app = open_page("train", dataset=dataset.dataset_id)
    kinds = ("number_input", "selectbox", "toggle", "text_input", "multiselect", "radio")
    widgets = {item.key: item for kind in kinds for item in getattr(app, kind)}
    for stage, kind in RunOptions.stages().items():
        for name, info in kind.info().items():
            widget = widgets[f"options_{dataset.dataset_id}_{stage}_{name}"]
            assert widget.help == info.help
            assert widget.label.startswith(info.label)


def test_the_estimate_follows_the_options(open_page, dataset):
    app = open_page("train", dataset=dataset.dataset_id)
    first = next(item.value for item in app.markdown if item.value.startswith("About"))
    key = f"options_{dataset.dataset_id}_train"
    assert "150 epochs" in said(app)
    app.radio(key=f"{key}_preset").set_value("reference").run()
    assert "at most 500 epochs" in said(app)
    app.number_input(key=f"{key}_max_epochs").set_value(10_000).run()
    second = next(item.value for item in app.markdown if item.value.startswith("About"))
    assert "at most 10,000 epochs" in said(app)
    assert second != first
    app.button(key=f"options_{dataset.dataset_id}_reset").click().run()
    assert "150 epochs" in said(app)
    assert app.radio[0].value == "fast"


def test_options_of_the_other_schedule_rest(open_page, dataset):
    app = open_page("train", dataset=dataset.dataset_id)
    key = f"options_{dataset.dataset_id}_train"
    epochs = app.number_input(key=f"{key}_max_epochs")
    assert app.number_input(key=f"{key}_lr").disabled
    assert epochs.label == "Maximum epochs (Fast: 150 at most)"
    epochs.set_value(40).run()
    app.radio(key=f"{key}_preset").set_value("reference").run()
    epochs = app.number_input(key=f"{key}_max_epochs")
    assert (epochs.label, epochs.value) == ("Maximum epochs", 40)
    assert not app.number_input(key=f"{key}_lr").disabled


def test_one_layer_for_both_kinds_of_counts_is_refused(open_page, dataset, launcher):
    app = open_page("train", dataset=dataset.dataset_id)
    key = f"options_{dataset.dataset_id}"
    app.selectbox(key=f"{key}_preprocess_unspliced_layer").select("spliced").run()
    assert "two different layers" in said(app)
    assert app.button(key=f"{key}_start").disabled


def test_a_run_can_be_named_before_it_is_started(open_page, dataset, launcher):
    app = open_page("train", dataset=dataset.dataset_id)
    key = f"options_{dataset.dataset_id}"
    app.text_input(key=f"{key}_name").set_value("Without *mitochondria*")
    app.button(key=f"{key}_start").click().run()
    assert launcher.waiting[0].spec().name == "Without *mitochondria*"


@pytest.mark.parametrize(
    ("free_gb", "n_cells", "advice"),
    [
        (6.0, 100_000, "variable genes"),
        (0.5, 100_000, "machine with more memory"),
        (64.0, 100_000, None),
    ],
)
def test_a_run_that_may_not_fit_is_warned_of(
    free_gb, n_cells, advice, open_page, dataset, monkeypatch
):
    free = SimpleNamespace(available=free_gb * 2**30, total=64 * 2**30)
    monkeypatch.setattr(estimate, "psutil", SimpleNamespace(virtual_memory=lambda: free))
    kept = dataset.path / "summary.json"
    dataset.summary()
    large = {**json.loads(kept.read_text()), "n_cells": n_cells, "n_genes": 3_000}
    kept.write_text(json.dumps(large))
    app = open_page("train", dataset=dataset.dataset_id)
    warned = [item.value for item in app.warning if "may not fit" in item.value]
    assert bool(warned) == (advice is not None)
    assert advice is None or advice in warned[0]


def test_queue_tells_who_comes_next(open_page, run_in, workspace):
    running, waiting = run_in(RunState.RUNNING), run_in(RunState.QUEUED)
    second = waiting.path.with_name("20270101-000000-queued")
    second.mkdir()
    (second / "spec.json").write_text((waiting.path / "spec.json").read_text())
    app = open_page("train", run=running.run_id)
    shown = said(app)
    assert "next in line" in shown
    assert "number 2 in line" in shown
    assert app.button(key=f"show_{running.run_id}").disabled
    app.button(key=f"show_{waiting.run_id}").click().run()
    assert app.query_params["run"] in (waiting.run_id, [waiting.run_id])


def test_nothing_in_the_queue_is_said(open_page, run_in):
    app = open_page("train", run=run_in(RunState.DONE).run_id)
    assert "nothing waits" in said(app)


def test_a_watched_run_that_is_deleted_does_not_wait_for_ever(open_page, run_in, workspace):
    import shutil

    run_in(RunState.DONE)
    run = run_in(RunState.RUNNING)
    app = open_page("train", run=run.run_id)
    shutil.rmtree(run.path)
    app.run()
    assert "not here any more" in said(app)
    assert not Path(run.path).exists()
