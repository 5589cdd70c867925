"""Damage, a full disk, refused files and hostile names, as the pages tell them."""

from __future__ import annotations

import errno
import json

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from fakes import add_run, fake_result, write_velocity_file

from velovi.runs import files
from velovi.runs.folder import RunState
from velovi.runs.results import write_result
from velovi.ui.errors import escape_markdown

BROKEN = "unexpected went wrong"
PAGES = ("map", "genes", "latent_time", "states", "evidence", "data", "train", "runs")
KINDS = ("title", "subheader", "markdown", "error", "info", "warning", "success", "caption")
PAYLOAD = "![x](https://evil.example/p.png) [a](https://evil.example) <b>b</b> $x$ :red[y]"
BAD = {
    "a list": b"[]",
    "not UTF-8": b'"\xff"',
    "deep": b"[" * 100_000,
    "wrong types": json.dumps({"name": [1], "pid": {}, "stage": 5, "options": 3}).encode(),
}


def said(app) -> str:
    return "\n".join(str(item.value) for kind in KINDS for item in getattr(app, kind))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("how", BAD)
def test_one_damaged_run_breaks_no_page_of_another(page, how, open_page, run_in, workspace):
    good = run_in(RunState.DONE)
    for state, name in (
        (RunState.QUEUED, "spec.json"),
        (RunState.RUNNING, "progress.json"),
        (RunState.LOST, "launched.json"),
        (RunState.FAILED, "history.jsonl"),
        (RunState.CANCELLED, "cells.txt"),
    ):
        (add_run(workspace, state).path / name).write_bytes(BAD[how])
    bad_file = workspace.datasets_path / "20260101-000000-bad"
    bad_file.mkdir()
    (bad_file / "dataset.json").write_bytes(BAD[how])
    app = open_page(page, run=good.run_id)
    assert BROKEN not in said(app)
    assert not app.error
    if page == "runs":
        assert "is unreadable" in said(app)
        app.button(key="delete_20260101-000000-queued").click().run()
        assert not (workspace.runs_path / "20260101-000000-queued").exists()
    if page == "data":
        app.button(key=f"delete_{bad_file.name}").click().run()
        assert not bad_file.exists()


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_on_a_full_disk(page, open_page, run_in, monkeypatch, workspace):
    run = run_in(RunState.DONE)
    add_run(workspace, RunState.LOST)

    def no_room(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = sorted(workspace.root.rglob("*"))
    monkeypatch.setattr(files.os, "fsync", no_room)
    app = open_page(page, run=run.run_id)
    assert BROKEN not in said(app)
    assert [path for path in sorted(workspace.root.rglob("*")) if path.suffix == ".part"] == []
    assert set(before) <= set(workspace.root.rglob("*"))


def test_an_action_on_a_full_disk_says_so(open_page, workspace, tmp_path, monkeypatch):
    dataset = workspace.add_dataset(write_velocity_file(tmp_path / "a.h5ad"), "Mine")
    dataset.summary()
    app = open_page("train", dataset=dataset.dataset_id)

    def no_room(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", no_room)
    app.button(key=f"options_{dataset.dataset_id}_start").click().run()
    assert "disk of the workspace is full" in said(app)
    assert workspace.runs(with_demo=False) == []


def test_a_lost_run_with_a_checkpoint_offers_to_go_on(open_page, workspace, launcher):
    run = add_run(workspace, RunState.LOST)
    app = open_page("train", run=run.run_id)
    assert not [item for item in app.button if item.key == "go_on"]
    run.checkpoint_path.write_bytes(b"x")
    app = open_page("train", run=run.run_id)
    assert "Go on" in said(app)
    app.button(key="go_on").click().run()
    assert [item.run_id for item in launcher.waiting] == [run.run_id]
    assert run.state() is RunState.QUEUED


def test_cancel_of_a_running_run_asks_first(open_page, workspace, launcher):
    run = add_run(workspace, RunState.RUNNING)
    app = open_page("train", run=run.run_id)
    assert app.button(key="cancel_run").label == "Cancel this run"
    assert launcher.cancelled == []
    app.button(key="cancel_run").click().run()
    assert [item.run_id for item in launcher.cancelled] == [run.run_id]


def test_a_result_can_be_verified(open_page, workspace, tmp_path):
    run = add_run(workspace, RunState.DONE)
    write_result(fake_result(60, 4), run.result_path)
    app = open_page("runs", run=run.run_id)
    app.button(key=f"verify_{run.run_id}").click().run()
    assert "as it was written" in said(app)
    chunk = next(p for p in (run.result_path / "layers/velocity/c").rglob("*") if p.is_file())
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    app.button(key=f"verify_{run.run_id}").click().run()
    assert "damaged" in "".join(item.value for item in app.error)


def test_a_result_with_a_chunk_gone_is_said_to_be_damaged(open_page, workspace):
    run = add_run(workspace, RunState.DONE)
    write_result(fake_result(60, 4), run.result_path)
    next(p for p in (run.result_path / "layers/Ms/c").rglob("*") if p.is_file()).unlink()
    app = open_page("map", run=run.run_id)
    assert "damaged" in "".join(item.value for item in app.error)


def test_warnings_of_the_file_stand_on_every_page_and_take_the_green_tick(open_page, workspace):
    run = add_run(workspace, RunState.DONE)
    adata = fake_result(60, 4)
    warning = "3.5% of the counts are unspliced; 10 to 25 % is usual."
    adata.uns["velovi"]["notes"] = np.array(["a note", f"WARNING: {warning}"], dtype=object)
    write_result(adata, run.result_path)
    for page in PAGES:
        if page == "data":
            continue
        app = open_page(page, run=run.run_id)
        assert "of the counts are unspliced" in "".join(item.value for item in app.warning), page
        assert not app.success, page


def test_a_refused_upload_leaves_nothing_behind(open_page, workspace, tmp_path):
    good = workspace.add_dataset(write_velocity_file(tmp_path / "a.h5ad"), "Good one")
    app = open_page("data", dataset=good.dataset_id)
    assert "ready to train" in said(app)
    app.file_uploader[0].upload("bad.h5ad", b"no file of cells", "application/octet-stream").run()
    assert app.error
    assert "not an AnnData" in app.error[0].value
    assert "ready to train" not in said(app)
    assert [dataset.name for dataset in workspace.datasets()] == ["Good one"]


def test_an_unreadable_file_is_not_described_as_empty(open_page, workspace, tmp_path):
    bad = tmp_path / "bad.h5ad"
    bad.write_bytes(b"no file of cells")
    dataset = workspace.add_dataset(bad, "Bad")
    app = open_page("data", dataset=dataset.dataset_id)
    assert "will be computed" not in said(app)
    assert not app.metric
    assert app.error
    assert "Bring a file first" in said(open_page("train"))


def test_labels_of_files_do_not_change_with_the_clock(open_page, workspace, tmp_path, monkeypatch):
    path = write_velocity_file(tmp_path / "a.h5ad")
    for name in ("First", "Second"):
        workspace.add_dataset(path, name)
    app = open_page("data")
    before = list(app.selectbox(key="dataset_picker").options)
    assert not any("ago" in item or "now" in item for item in before)
    chosen = workspace.datasets()[1].dataset_id
    app.selectbox(key="dataset_picker").set_value(chosen).run()
    assert app.query_params["dataset"] in (chosen, [chosen])


def hostile_result() -> anndata.AnnData:
    adata = fake_result(60, 4)
    adata.obs[PAYLOAD.replace("/", "\u2215")] = np.arange(60) * 1.0
    groups = [f"{PAYLOAD} {number}" for number in range(adata.obs["clusters"].nunique())]
    adata.obs["clusters"] = adata.obs["clusters"].cat.rename_categories(groups)
    adata.obs["cell_type"] = pd.Categorical([PAYLOAD, "b"] * 30)
    adata.var_names = [PAYLOAD, "G1", "G2", "G3"]
    adata.uns["velovi"]["notes"] = np.array([PAYLOAD, f"WARNING: {PAYLOAD}"], dtype=object)
    return adata


def unescaped(app) -> list[str]:
    """Texts that are drawn as Markdown and hold the payload as it is."""
    found = []
    for element in _all(app):
        for field in ("value", "label", "help", "body"):
            text = getattr(element, field, None)
            if not isinstance(text, str):
                continue
            sign = "<b>b" if type(element).__name__ == "Html" else "![x](https://evil"
            if sign in text and _is_markdown(element):
                found.append(f"{type(element).__name__}: {text[:120]}")
    return found


def _all(app):
    waiting = [app.main, app.sidebar]
    while waiting:
        block = waiting.pop()
        for child in block.children.values():
            if hasattr(child, "children"):
                waiting.append(child)
            else:
                yield child


def _is_markdown(element) -> bool:
    # texts that the reader types or picks, and code, are shown as they are
    return type(element).__name__ not in (
        "Selectbox",
        "Multiselect",
        "TextInput",
        "Code",
        "Dataframe",
    )


@pytest.mark.parametrize("page", PAGES)
def test_names_from_a_file_do_nothing_on_any_page(page, open_page, workspace, tmp_path):
    run = add_run(workspace, RunState.DONE, name=PAYLOAD)
    write_result(hostile_result(), run.result_path)
    path = write_velocity_file(tmp_path / "a.h5ad")
    with h5py.File(path, "a") as file:
        # a name with "/" would be a place; the rest of the payload stays
        name = PAYLOAD.replace("/", "\u2215")
        file["layers"].copy("spliced", name)
        file["obsm"][name] = np.random.default_rng(0).normal(size=(80, 2))
        file["uns"][name] = 1.0
    dataset = workspace.add_dataset(path, PAYLOAD)
    query = {"run": run.run_id} | ({"dataset": dataset.dataset_id} if page == "data" else {})
    app = open_page(page, **query)
    assert BROKEN not in said(app)
    assert unescaped(app) == []
    for text in said(app).splitlines():
        assert "![x](https" not in text.replace(escape_markdown(PAYLOAD), "")
