"""How long a reader waits.

``python -m tests.browser.timings WORKSPACE [--repeats 3] [--json FILE]``

Starts the app on a workspace with finished runs and drives headless Chromium (software WebGL)
through each: open the map, change its colour, turn to a gene, draw a lasso, turn to a gene again,
choose others in the table, open one by its address. The table has medians in seconds, and how far
the server's memory rises above that of an idle one, in a session that did all this.
``python -m benchmarks.enlarge`` makes large runs from small ones.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from playwright.sync_api import Page, sync_playwright

from tests.browser.app import (
    ARGUMENTS,
    CHARTED,
    browser_path,
    server,
    settle,
    wait_for_charts,
    wait_for_map,
    wait_until,
)
from velovi.runs.results import ResultStore
from velovi.runs.workspace import Workspace

LIMIT = 60.0
READING = 3_000  # milliseconds that a reader looks at a map before turning to another page


def open_map(page: Page, url: str, run: str) -> float:
    """Seconds from the request to the drawn map with streamlines."""
    began = time.perf_counter()
    page.goto(f"{url}/?run={run}")
    wait_for_map(page)
    return time.perf_counter() - began


def change_color(page: Page, gene: str) -> float:
    """Seconds from choosing another gene to the drawn map."""
    box = page.get_by_role("combobox", name="Gene", exact=True).first
    box.click()
    box.fill(gene)
    option = page.get_by_role("option", name=gene, exact=True).first
    option.wait_for()
    began = time.perf_counter()
    option.click()
    wait_for_map(page, f"{gene}:")
    return time.perf_counter() - began


def lasso(page: Page, share: float) -> float:
    """Seconds from the end of a lasso to the server's sentence on the selection."""
    before = page.locator(".st-key-selection_panel").all_inner_texts()
    box = page.locator(".stage").first.bounding_box()
    assert box is not None
    left, top = box["x"] + 0.5 * box["width"], box["y"] + 0.2 * box["height"]
    right, bottom = left + share * box["width"], top + share * box["height"]
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom)):
        page.mouse.move(x, y, steps=4)
    began = time.perf_counter()
    page.mouse.up()
    script = "() => document.querySelector('.st-key-selection_panel')?.innerText ?? ''"
    wait_until(page, script, lambda said: "cells selected" in said and [said] != before)
    return time.perf_counter() - began


def open_gene(page: Page, url: str, run: str, gene: str) -> float:
    """Seconds from the request for a gene's page to its drawn charts and maps."""
    began = time.perf_counter()
    page.goto(f"{url}/genes?run={run}&gene={gene}")
    _gene_drawn(page, gene)
    return time.perf_counter() - began


def turn_to_gene(page: Page) -> float:
    """Seconds from a click on *Genes* beside the map to the drawn charts and maps."""
    began = time.perf_counter()
    page.locator("[data-testid=stSidebarNav]").get_by_text("Genes", exact=True).click()
    _gene_drawn(page)
    return time.perf_counter() - began


def next_in_table(page: Page) -> tuple[float, float]:
    """Seconds from a click on the next row of the table to the gene's charts, and to its maps."""
    before = wait_for_charts(page)
    row = page.locator(".velovi-table [role=row][aria-selected=true] + [role=row]")
    row.scroll_into_view_if_needed()
    box = row.bounding_box()
    assert box is not None
    began = time.perf_counter()
    page.mouse.click(box["x"] + 40, box["y"] + box["height"] / 2)
    wait_until(
        page, CHARTED, lambda said: said and not any(item.startswith(f"{before}|") for item in said)
    )
    charts = time.perf_counter() - began
    _gene_drawn(page, wait_for_charts(page))
    return charts, time.perf_counter() - began


def _gene_drawn(page: Page, gene: str = "") -> None:
    gene = wait_for_charts(page, gene, LIMIT)
    wait_for_map(page, f"{gene}:")


def measure(url: str, browser: Any, run: str, genes: list[str], repeats: int) -> dict[str, Any]:
    """Every action of one run, in sessions of their own."""
    names = (
        "open map",
        "change colour",
        "turn to gene",
        "lasso",
        "turn with selected cells",
        "table to charts",
        "table to maps",
        "gene by address",
    )
    found: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(repeats):
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        found["open map"].append(open_map(page, url, run))
        settle(page)
        page.get_by_role("radio", name="Gene", exact=True).first.click()
        settle(page)
        for gene in genes[3 * turn + 1 : 3 * turn + 3]:
            found["change colour"].append(change_color(page, gene))
            settle(page)
        page.wait_for_timeout(READING)
        found["turn to gene"].append(turn_to_gene(page))
        settle(page)
        page.locator("[data-testid=stSidebarNav]").get_by_text("Map", exact=True).click()
        settle(page)
        page.get_by_role("radio", name="Draw a lasso around cells").click()
        for share in (0.25, 0.35):
            found["lasso"].append(lasso(page, share))
            settle(page)
        page.wait_for_timeout(READING)
        found["turn with selected cells"].append(turn_to_gene(page))
        settle(page)
        for _ in range(2):
            charts, maps = next_in_table(page)
            found["table to charts"].append(charts)
            found["table to maps"].append(maps)
            settle(page)
        context.close()
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        found["gene by address"].append(open_gene(page, url, run, genes[3 * turn + 3]))
        settle(page)
        context.close()
    return {"first map": found["open map"][0], **{k: median(v) for k, v in found.items()}}


def idle_memory(browser: Any) -> float:
    """Megabytes of a server whose reader looks at an empty workspace."""
    with tempfile.TemporaryDirectory() as empty, server(Path(empty)) as (url, process_id):
        page = browser.new_page()
        page.goto(f"{url}/data")
        settle(page)
        page.close()
        return psutil.Process(process_id).memory_info().rss / 2**20


def main() -> None:
    """Measure all runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    records = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_path(), args=ARGUMENTS)
        idle = idle_memory(browser)
        for run in reversed(Workspace(given.workspace).runs(with_demo=False)):
            store = ResultStore(run.result_path)
            # a server for each run, so that memory is that of one
            with server(given.workspace) as (url, process_id):
                found = measure(url, browser, run.run_id, store.genes, given.repeats)
                found["memory MB"] = psutil.Process(process_id).memory_info().rss / 2**20 - idle
            records.append({"cells": store.n_cells, "genes": len(store.genes), **found})
            print(records[-1], flush=True)
    columns = [name for name in records[0] if name not in ("cells", "genes")]
    print("| cells x genes | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
    for record in records:
        cells = " | ".join(f"{record[name]:.2f}" for name in columns)
        print(f"| {record['cells']:,} x {record['genes']:,} | {cells} |")
    if given.json:
        given.json.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
