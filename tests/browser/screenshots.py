"""Pictures of the pages for the README, from the demo run: ``python -m tests.browser.screenshots``.

Starts the app on a free port with an empty workspace and drives headless Chromium.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.app import ARGUMENTS, ROOT, browser_path, server, settle

PAGES = {
    "map": "",
    "genes": "genes",
    "time": "latent_time",
    "states": "states",
    "evidence": "evidence",
    "data": "data",
    "train": "train",
    "runs": "runs",
}


def main() -> None:
    """Write ``<page>-<theme>.png`` for every page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--workspace", type=Path, help="one with runs; the demo when left out")
    parser.add_argument("--size", default="1280x800")
    parser.add_argument("--themes", nargs="+", default=["light", "dark"])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    width, height = map(int, given.size.split("x"))
    with (
        tempfile.TemporaryDirectory() as workspace,
        server(Path(given.workspace or workspace)) as (url, _),
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=browser_path(), args=ARGUMENTS)
        for theme in given.themes:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=theme,
            )
            for name, path in PAGES.items():
                page = context.new_page()
                page.goto(f"{url}/{path}")
                settle(page)
                page.wait_for_timeout(1500)
                page.screenshot(path=given.out / f"{name}-{theme}.png")
                print(given.out / f"{name}-{theme}.png")
                page.close()


if __name__ == "__main__":
    main()
