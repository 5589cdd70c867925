"""The app on a free port and a browser that notes what goes wrong in its console."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
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
# Streamlit looks for its health page below the page's own address first
EXPECTED_NOISE = ("404 (Not Found)",)
# what the map, inside its shadow root, says it has drawn last
DRAWN = """() => {
  for (const host of document.querySelectorAll('[data-testid=stBidiComponentIsolated]')) {
    const root = host.shadowRoot?.querySelector('.velovi-scatter');
    if (root) return root.dataset.drawn ?? '';
  }
  return '';
}"""

# what the charts of a gene say they have drawn last: "Actb|phase_portrait", ...
CHARTED = """() => [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]
  .map((host) => host.shadowRoot?.querySelector('.velovi-chart')?.dataset.drawn)
  .filter(Boolean)"""


def browser_path() -> str | None:
    """Where Chromium is on this machine, if it is."""
    return next((browser for browser in BROWSERS if Path(browser).exists()), None)


@contextmanager
def server(workspace: Path, log: Path | None = None) -> Iterator[tuple[str, int]]:
    """The app with a workspace; its address and the number of its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "app.py",
        "--server.port",
        str(port),
        "--server.address",
        "127.0.0.1",
    ]
    environment = {**os.environ, "VELOVI_WORKSPACE": str(workspace)}
    with (log or Path(os.devnull)).open("wb") as stream:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stream, stderr=stream)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_healthy(url, process)
        yield url, process.pid
    finally:
        for run in (workspace / "runs").glob("*"):
            if not (run / "result.zarr").exists():
                (run / "cancel").touch()  # a worker outlives the app on purpose
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        if process.poll() is not None:
            raise RuntimeError("the app ended at once")
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.25)
    raise TimeoutError("the app did not answer")


def watch(page: Any, trouble: list[str]) -> None:
    """Note errors of the page and of its console, and anything fetched from elsewhere."""

    def note(message: Any) -> None:
        known = any(item in message.text for item in EXPECTED_NOISE)
        if message.type == "error" and not known:
            trouble.append(message.text)

    def fetched(request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            trouble.append(f"fetched {request.url}")

    page.on("request", fetched)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", note)


def settle(page: Any) -> None:
    """Until the page has drawn and no script runs."""
    page.wait_for_selector("[data-testid=stMain] h1", timeout=60_000)
    page.wait_for_selector("[data-testid=stStatusWidget]", state="detached", timeout=60_000)
    page.wait_for_timeout(1200)


def wait_until(page: Any, script: str, wanted: Callable[[Any], Any], seconds: float = 60) -> Any:
    """Until ``wanted`` is true of what a script in the page says; returns what it says then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        said = page.evaluate(script)
        if wanted(said):
            return said
        page.wait_for_timeout(20)
    raise TimeoutError(f"{script} says {page.evaluate(script)!r}")


def wait_for_map(page: Any, part: str = "", seconds: float = 60) -> str:
    """Until a map is drawn whose title holds ``part``; returns what it says it shows."""
    return str(wait_until(page, DRAWN, lambda said: said and part in said, seconds))


def wait_for_charts(page: Any, gene: str = "", seconds: float = 30) -> str:
    """Until all charts are those of one gene, this one when named; returns its name."""

    def of_one_gene(drawn: list[str]) -> bool:
        genes = {item.split("|")[0] for item in drawn}
        return len(genes) == 1 and gene in ("", *genes)

    return str(wait_until(page, CHARTED, of_one_gene, seconds)[0]).split("|")[0]


def draw_lasso(page: Any, *, left: float, top: float, right: float, bottom: float) -> None:
    """Press, draw around a part of the first map (shares of its sides), let go."""
    page.get_by_role("radio", name="Draw a lasso around cells").click()
    box = page.locator(".stage").first.bounding_box()
    xs = [box["x"] + share * box["width"] for share in (left, right)]
    ys = [box["y"] + share * box["height"] for share in (top, bottom)]
    page.mouse.move(xs[0], ys[0])
    page.mouse.down()
    for x, y in ((xs[1], ys[0]), (xs[1], ys[1]), (xs[0], ys[1])):
        page.mouse.move(x, y, steps=4)
    page.mouse.up()
