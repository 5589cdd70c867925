"""Pictures of the pages for the README, from the demo run: ``python -m tests.browser.screenshots``.

Starts the app on a free port with an empty workspace and drives headless Chromium.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",
]
PAGES = {"map": "", "genes": "genes", "data": "data", "train": "train"}


def wait_for(url: str, seconds: float = 60) -> None:
    """Until the server answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(url)


def settle(page: Page) -> None:
    """Until the page has drawn and no script runs."""
    page.wait_for_selector("[data-testid=stMain] h1", timeout=60_000)
    page.wait_for_selector("[data-testid=stStatusWidget]", state="detached", timeout=60_000)
    page.wait_for_timeout(2500)


def main() -> None:
    """Write ``<page>-<theme>.png`` for every page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--size", default="1280x800")
    parser.add_argument("--themes", nargs="+", default=["light", "dark"])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    width, height = map(int, given.size.split("x"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as workspace, sync_playwright() as driver:
        server = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)],
            cwd=ROOT,
            env={**os.environ, "VELOVI_WORKSPACE": workspace},
            stdout=subprocess.DEVNULL,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url)
            browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
            for theme in given.themes:
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme=theme,  # type: ignore[arg-type]
                )
                for name, path in PAGES.items():
                    page = context.new_page()
                    page.goto(f"{url}/{path}")
                    settle(page)
                    page.screenshot(path=given.out / f"{name}-{theme}.png")
                    print(given.out / f"{name}-{theme}.png")
                    page.close()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
