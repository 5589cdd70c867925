"""One person's way through the app, in a real browser: upload, train, map, genes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "dentategyrus_200x530.h5ad"
BROWSERS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-unsafe-swiftshader",
]  # fmt: skip
SECONDS_TO_TRAIN = 420
# Streamlit looks for its health page below the page's own address first
EXPECTED_NOISE = ("404 (Not Found)",)

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(120):
        if process.poll() is not None:
            pytest.fail(f"the app ended at once:\n{log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"the app did not answer:\n{log.read_text()[-2000:]}")


@pytest.fixture
def app_url(tmp_path: Path) -> Iterator[str]:
    """The app on a free port with a workspace of its own."""
    port, log = _free_port(), tmp_path / "app.log"
    command = [
        sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port),
        "--server.address", "127.0.0.1",
    ]  # fmt: skip
    environment = {**os.environ, "VELOVI_WORKSPACE": str(tmp_path / "workspace")}
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stream, stderr=stream)
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        for run in (tmp_path / "workspace" / "runs").glob("*"):
            (run / "cancel").touch()  # a worker outlives the app on purpose
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def _browser_path() -> str:
    found = next((one for one in BROWSERS if Path(one).exists()), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


def _no_errors_on(page, trouble: list[str]) -> None:
    assert page.locator("[data-testid=stException]").count() == 0
    boxes = page.locator("[data-testid=stAlertContentError]")
    assert boxes.count() == 0, boxes.first.inner_text()
    assert trouble == []


def _open(page, name: str, heading: str) -> None:
    page.locator("[data-testid=stSidebarNav]").get_by_text(name, exact=True).click()
    page.get_by_role("heading", name=heading).wait_for(timeout=30_000)


def test_from_a_file_to_the_map(app_url: str) -> None:
    if not DATA.exists():
        pytest.skip(f"{DATA} is not here")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=_browser_path(), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        trouble: list[str] = []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("console", lambda message: _note(message, trouble))
        try:
            _journey(page, app_url, trouble)
        finally:
            browser.close()


def _note(message, trouble: list[str]) -> None:
    if message.type == "error" and not any(one in message.text for one in EXPECTED_NOISE):
        trouble.append(message.text)


def _journey(page, url: str, trouble: list[str]) -> None:
    page.goto(f"{url}/data")
    page.get_by_role("heading", name="Bring your cells").wait_for(timeout=60_000)
    page.locator("input[type=file]").first.set_input_files(str(DATA))
    page.get_by_text("This file is ready to train on.").wait_for(timeout=60_000)
    _no_errors_on(page, trouble)

    page.get_by_role("button", name="Train on this file").click()
    page.get_by_text("Advanced options").click()
    epochs = page.get_by_role("spinbutton", name="Maximum epochs")
    epochs.wait_for(timeout=30_000)
    epochs.fill("5")
    epochs.press("Tab")
    page.get_by_test_id("stFormSubmitButton").get_by_role("button").click()
    page.get_by_role("button", name="Stop and keep").wait_for(timeout=30_000)
    assert "run=" in page.url

    page.reload()  # nothing may be lost
    done = page.get_by_role("button", name="Explore the result")
    done.wait_for(timeout=1000 * SECONDS_TO_TRAIN)
    _no_errors_on(page, trouble)
    done.click()

    page.get_by_role("heading", name="Where cells go").wait_for(timeout=30_000)
    page.locator(".js-plotly-plot").first.wait_for(timeout=30_000)
    page.get_by_text("200 cells").first.wait_for(timeout=30_000)
    _no_errors_on(page, trouble)

    _open(page, "Genes", "Which genes say so")
    page.get_by_text("Phase portrait").first.wait_for(timeout=30_000)
    page.locator(".js-plotly-plot").nth(3).wait_for(timeout=30_000)
    page.get_by_role("combobox", name="Gene").click()
    page.get_by_role("option").nth(2).click()
    page.wait_for_url("**gene=**", timeout=30_000)
    _no_errors_on(page, trouble)
