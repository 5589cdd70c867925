"""What people come for, in a real browser: a file, the demo, sets of cells, links, figures."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import anndata
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from tests.browser.app import (
    ROOT,
    draw_lasso,
    server,
    settle,
    wait_for_charts,
    wait_for_map,
    watch,
)
from velovi.config import RunOptions
from velovi.runs.folder import RunFolder, RunState
from velovi.runs.workspace import DEMO_FOLDER, Workspace

pytestmark = [pytest.mark.browser, pytest.mark.slow]
RUN = "20260101-000000-demo"
SECONDS_TO_TRAIN = 180
DATA = ROOT.parent / "shared" / "data" / "dentategyrus_200x530.h5ad"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace that has the demo as a run of its own, with the file that it came from."""
    from dataclasses import replace

    from velovi import simulate

    made = Workspace(tmp_path / "workspace")
    source = tmp_path / "demo.h5ad"
    result = anndata.read_zarr(DEMO_FOLDER / "result.zarr")
    adata = simulate(result.n_obs, 30, seed=0)
    adata.obs_names = result.obs_names
    adata.obsm["X_umap"] = result.obsm["X_umap"]  # a run would spend half a minute on one
    adata.write_h5ad(source)
    dataset = made.add_dataset(source, "Demo cells")
    run = RunFolder(made.runs_path / RUN)
    shutil.copytree(DEMO_FOLDER, run.path)
    options = RunOptions()
    options = replace(options, train=replace(options.train, max_epochs=5))
    run.write_spec(
        replace(
            run.spec(),
            run_id=run.run_id,
            name="Demo cells",
            dataset_id=dataset.dataset_id,
            source=str(dataset.source),
            options=options,
        )
    )
    assert run.state() == RunState.DONE
    return made


@pytest.fixture
def opened(browser, workspace, tmp_path) -> Iterator[Any]:
    """The map of the workspace's run, and a check at the end that nothing went wrong."""
    trouble: list[str] = []
    with server(workspace.root, tmp_path / "app.log") as (url, _):
        context = browser.new_context(
            viewport={"width": 1280, "height": 900}, accept_downloads=True
        )
        page = context.new_page()
        watch(page, trouble)
        page.goto(f"{url}/?run={RUN}")
        wait_for_map(page)
        settle(page)
        yield page
        assert page.locator("[data-testid=stException]").count() == 0
        context.close()
    assert trouble == []


def test_a_first_visit_meets_the_demo(browser, tmp_path):
    trouble: list[str] = []
    with server(tmp_path / "empty") as (url, _):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        watch(page, trouble)
        page.goto(url)
        assert "clusters" in wait_for_map(page)
        page.get_by_text("This is simulated demo data").wait_for()
        for name in ("Genes", "Time", "States and rates", "Evidence", "Runs", "Data", "Train"):
            page.locator("[data-testid=stSidebarNav]").get_by_text(name, exact=True).click()
            settle(page)
            assert page.locator("[data-testid=stException]").count() == 0
            assert page.locator("[data-testid=stAlertContentError]").count() == 0, name
        page.close()
    assert trouble == []


def test_from_a_file_to_its_genes(browser, tmp_path):
    if not DATA.exists():
        pytest.skip(f"{DATA} is not here")
    trouble: list[str] = []
    with server(tmp_path / "workspace", tmp_path / "app.log") as (url, _):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        watch(page, trouble)
        _upload_and_train(page, url)
        page.get_by_role("button", name="Explore the result").click()
        page.get_by_role("heading", name="Where cells go").wait_for(timeout=30_000)
        wait_for_map(page)
        page.locator("[data-testid=stSidebarNav]").get_by_text("Genes", exact=True).click()
        page.get_by_role("heading", name="Which genes say so").wait_for(timeout=30_000)
        wait_for_charts(page)
        page.get_by_role("combobox", name="Gene", exact=True).first.click()
        page.get_by_role("option").nth(2).click()
        page.wait_for_url("**gene=**", timeout=30_000)
        settle(page)
        assert page.locator("[data-testid=stException]").count() == 0
        assert page.locator("[data-testid=stAlertContentError]").count() == 0
        page.close()
    assert trouble == []


def _upload_and_train(page: Any, url: str) -> None:
    page.goto(f"{url}/data")
    page.get_by_role("heading", name="Bring your cells").wait_for(timeout=60_000)
    page.locator("input[type=file]").first.set_input_files(str(DATA))
    page.get_by_text("This file is ready to train on.").wait_for(timeout=60_000)
    page.get_by_role("button", name="Train on this file").click()
    page.get_by_text("Advanced options").click()
    epochs = page.get_by_role("spinbutton", name="Maximum epochs")
    epochs.wait_for(timeout=30_000)
    epochs.fill("5")
    epochs.press("Tab")
    settle(page)
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_role("button", name="Stop and keep").wait_for(timeout=30_000)
    assert "run=" in page.url
    page.reload()  # nothing may be lost
    page.get_by_role("button", name="Explore the result").wait_for(timeout=1000 * SECONDS_TO_TRAIN)


def test_cells_are_selected_named_coloured_and_trained_on(opened, workspace):
    page = opened
    draw_lasso(page, left=0.02, top=0.02, right=0.5, bottom=0.98)
    said = page.get_by_text(re.compile(r"\d+ of [\d,]+ cells selected")).first
    said.wait_for(timeout=10_000)
    page.get_by_role("button", name="Keep as a set").click()
    page.get_by_label("Name", exact=True).fill("left half")
    page.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_text(re.compile(r"left half is kept: [\d,]+ cells")).wait_for()
    settle(page)
    assert page.get_by_role("button", name="Keep", exact=True).count() == 0
    page.get_by_role("radio", name="Set", exact=True).first.click()
    wait_for_map(page, "Set: left half")
    settle(page)

    from velovi.runs.cell_sets import CellSets
    from velovi.ui.cached_result import open_result

    run = workspace.run(RUN)
    view = open_result(run, run.run_id)
    mask = CellSets(workspace, run.run_id, view.store.n_cells).load("left half")
    x = view.store.embedding("X_umap")[:, 0]
    middle = (x.min() + x.max()) / 2
    assert mask.sum() > 50
    assert (x[mask] < middle).all()
    assert mask[x < middle - 0.03 * np.ptp(x)].mean() > 0.99

    page.get_by_role("button", name="Train on these cells").click()
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_role("button", name="Explore the result").wait_for(timeout=1000 * SECONDS_TO_TRAIN)
    trained = next(item for item in workspace.runs(with_demo=False) if item.run_id != run.run_id)
    result = anndata.read_zarr(trained.result_path)
    assert set(result.obs_names) <= set(view.store.obs.index[mask])
    assert result.n_obs > 0.9 * mask.sum()


def test_a_box_in_a_phase_portrait_selects_cells(opened, workspace):
    from velovi.ui.cached_result import open_result

    page = opened
    page.locator("[data-testid=stSidebarNav]").get_by_text("Genes", exact=True).click()
    gene = wait_for_charts(page)
    wait_for_map(page, f"{gene}:")
    page.get_by_role("radio", name="Draw a box around cells").first.click()
    box = page.locator(".velovi-chart .stage").first.bounding_box()
    bottom = box["y"] + box["height"] - 2
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, bottom, steps=5)
    page.mouse.up()
    said = page.get_by_text(re.compile(r"[\d,]+ of [\d,]+ cells selected")).first
    said.wait_for(timeout=10_000)
    n_selected = int(said.inner_text().split(" of ")[0].replace(",", ""))
    run = workspace.run(RUN)
    spliced = open_result(run, run.run_id).gene("Ms", gene)
    # the axis ends a little after the highest value, and its names take a part of the width
    most, least = ((spliced > share * spliced.max()).sum() for share in (0.38, 0.55))
    assert 0 < least <= n_selected <= most < len(spliced)


def test_genes_are_opened_from_the_table_with_mouse_and_keys(opened):
    page = opened
    page.locator("[data-testid=stSidebarNav]").get_by_text("Genes", exact=True).click()
    first = wait_for_charts(page)
    rows = page.locator(".velovi-table [role=row]")
    names = rows.locator("[role=rowheader]").all_inner_texts()
    assert names[0] == first
    rows.nth(3).click()
    assert wait_for_charts(page, names[3]) == names[3]
    page.locator(".velovi-table [role=grid]").focus()
    page.keyboard.press("ArrowDown")
    assert wait_for_charts(page, names[4]) == names[4]
    page.keyboard.press("Home")
    assert wait_for_charts(page, names[0]) == names[0]
    # every press counts, however quickly they come
    for _ in range(6):
        page.keyboard.press("ArrowDown")
    assert wait_for_charts(page, names[6]) == names[6]
    page.keyboard.press("Home")
    assert wait_for_charts(page, names[0]) == names[0]
    page.get_by_role("columnheader", name="Likelihood").click()
    header = page.get_by_role("columnheader", name="Likelihood ↓")
    header.wait_for()
    assert header.get_attribute("aria-sort") == "descending"
    values = [float(text.split("\n")[2]) for text in rows.all_inner_texts()]
    assert values == sorted(values, reverse=True)
    # the order holds, and the row of a gene that is chosen elsewhere is marked
    box = page.get_by_role("combobox", name="Gene", exact=True).first
    box.click()
    box.fill(names[5])
    page.get_by_role("option", name=names[5], exact=True).first.click()
    assert wait_for_charts(page, names[5]) == names[5]
    marked = page.locator(".velovi-table [role=row][aria-selected=true] [role=rowheader]")
    marked.filter(has_text=names[5]).wait_for()


def test_back_and_refresh_find_the_gene_again(opened):
    page = opened
    pages = page.locator("[data-testid=stSidebarNav]")
    pages.get_by_text("Genes", exact=True).click()
    wait_for_charts(page)
    rows = page.locator(".velovi-table [role=row]")
    names = rows.locator("[role=rowheader]").all_inner_texts()
    for number in (2, 3):
        rows.nth(number).click()
        wait_for_charts(page, names[number])
        page.wait_for_url(f"**gene={names[number]}*")
    page.go_back()
    assert wait_for_charts(page, names[2]) == names[2]
    pages.get_by_text("States and rates", exact=True).click()
    page.wait_for_url(re.compile(f"/states.*gene={names[2]}"))
    page.reload()
    settle(page)
    assert page.get_by_role("combobox", name="Gene", exact=True).input_value() == names[2]
    page.go_back()
    assert wait_for_charts(page, names[2]) == names[2]


def test_a_link_shows_the_same_picture_in_another_browser(opened, browser):
    page = opened
    page.get_by_role("radio", name="Gene", exact=True).first.click()
    settle(page)
    page.get_by_role("radio", name="Arrows", exact=True).click()
    settle(page)
    mine = wait_for_map(page)
    page.get_by_role("button", name="Link").first.click()
    link = page.locator("[data-testid=stCode]").first.inner_text().strip()
    page.keyboard.press("Escape")  # what the link stands in may lie over the map
    other = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    other.goto(link)
    assert wait_for_map(other) == mine
    settle(other)
    assert other.get_by_role("radio", name="Arrows", exact=True).is_checked()
    boxes = [item.locator(".stage").first.bounding_box() for item in (page, other)]
    pictures = [
        item.screenshot(clip={**box, "height": box["height"] - 8})
        for item, box in zip((page, other), boxes, strict=True)
    ]
    other.context.close()
    mine_drawn, other_drawn = (imread(BytesIO(picture))[..., :3] for picture in pictures)
    assert np.ptp(mine_drawn) > 0.5
    # the last digit of a colour may differ where lines are smoothed
    assert (np.abs(mine_drawn - other_drawn).max(axis=-1) > 0.05).mean() < 0.001


def test_every_figure_and_table_opens_with_what_it_is_meant_for(opened, tmp_path):
    page = opened
    page.get_by_role("button", name="Save", exact=True).first.click()
    for kind in ("SVG", "PDF", "PNG"):
        page.get_by_role("radio", name=kind, exact=True).first.click()
        settle(page)
        path = _download(page, re.compile(kind), tmp_path)
        head = path.read_bytes()
        if kind == "SVG":
            assert ElementTree.fromstring(head).tag.endswith("svg")
        elif kind == "PDF":
            assert head.startswith(b"%PDF")
            assert head.rstrip().endswith(b"%%EOF")
        else:
            assert imread(path).ndim == 3
    table = pd.read_csv(_download(page, re.compile(r"Data \(CSV\)"), tmp_path))
    assert {"cell", "x", "y"} <= set(table)
    page.keyboard.press("Escape")
    cells = pd.read_csv(_download(page, re.compile(r"Cells \(CSV\)"), tmp_path), index_col=0)
    genes = pd.read_csv(_download(page, re.compile(r"Genes \(CSV\)"), tmp_path), index_col=0)
    whole = anndata.read_h5ad(_download(page, re.compile("Whole result"), tmp_path))
    assert set(whole.obs_names) == set(cells.index.astype(str))
    assert set(whole.var_names) <= set(genes.index)
    assert len(table) == whole.n_obs


def test_a_picture_of_a_map_shows_what_the_reader_sees(opened, tmp_path):
    page = opened
    on_page = page.locator(".maps").bounding_box()
    entry = page.locator(".entry").first
    group = entry.locator("i").evaluate("one => getComputedStyle(one).backgroundColor")
    color = np.array([int(item) for item in re.findall(r"\d+", group)[:3]]) / 255
    whole = _picture(page, tmp_path)
    height, width = (side / 3 - 24 for side in whole.shape[:2])  # margins of 12 pixels
    assert abs(height - on_page["height"]) < 2
    assert abs(width - on_page["width"]) < 2
    stage = page.locator(".stage").first.bounding_box()
    page.mouse.move(stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
    for _ in range(3):
        page.mouse.wheel(0, -200)
    nearer = _picture(page, tmp_path)
    entry.click()
    page.locator(".entry.all").wait_for()
    without = _picture(page, tmp_path)

    def painted(picture: np.ndarray, opacity: float) -> int:
        seen = opacity * color + (1 - opacity) * picture[0, 0, :3]
        return int((np.abs(picture[..., :3] - seen).max(axis=-1) < 0.02).sum())

    for opacity in (0.8, 1.0):  # of the cells, and of the key
        assert painted(whole, opacity) > 100
        assert painted(without, opacity) == 0
    assert (np.abs(nearer - whole).max(axis=-1) > 0.1).mean() > 0.02
    # the same part goes into what is saved for paper, with its numbers
    name = entry.locator("span").inner_text()
    page.get_by_role("button", name="Save", exact=True).first.click()
    page.get_by_text("As it is on the page now").wait_for()
    cells = pd.read_csv(_download(page, re.compile("Data"), tmp_path))
    drawn = int(
        page.locator(".stage").first.get_attribute("aria-label").split()[0].replace(",", "")
    )
    assert 0 < len(cells) < drawn
    assert name not in set(cells.iloc[:, -1])


def _picture(page: Any, folder: Path) -> np.ndarray:
    return imread(_saved(page, page.get_by_role("button", name="Picture", exact=True), folder))


def _download(page: Any, name: re.Pattern[str], folder: Path) -> Path:
    buttons = page.locator("[data-testid=stDownloadButton]").filter(has_text=name)
    return _saved(page, buttons.first, folder)


def _saved(page: Any, button: Any, folder: Path) -> Path:
    with page.expect_download(timeout=60_000) as waiting:
        button.click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path
