"""Every figure as it is on the page and as it is saved: ``python -m tests.browser.figures``.

For each figure that can be saved, one picture: the page around it, light and dark, beside what
its Save box gives for one and for two columns of a journal. To be looked at.
"""

from __future__ import annotations

import argparse
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.browser.app import ARGUMENTS, ROOT, browser_path, server, settle
from tests.browser.screenshots import PAGES

WIDTHS_MM = ("89", "183")
HEIGHT = 800  # pixels of every part


def main() -> None:
    """Write ``<page>-<number>.png`` for every figure of every page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "figures")
    parser.add_argument("--workspace", type=Path, help="one with runs; the demo when left out")
    parser.add_argument("--pages", nargs="+", default=list(PAGES))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as workspace,
        server(Path(given.workspace or workspace)) as (url, _),
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=browser_path(), args=ARGUMENTS)
        for name in given.pages:
            parts: dict[int, list[Image.Image]] = {}
            for theme in ("light", "dark"):
                context = browser.new_context(
                    viewport={"width": 1280, "height": HEIGHT}, color_scheme=theme
                )
                page = context.new_page()
                page.goto(f"{url}/{PAGES[name]}")
                settle(page)
                page.wait_for_timeout(1500)
                for number in range(page.get_by_role("button", name="Save", exact=True).count()):
                    parts.setdefault(number, []).append(_screen(page, number))
                    if theme == "dark":
                        parts[number] += [_paper(page, number, width) for width in WIDTHS_MM]
                context.close()
            for number, pictures in parts.items():
                path = given.out / f"{name}-{number}.png"
                _beside(pictures).save(path)
                print(path, flush=True)


def _screen(page: Page, number: int) -> Image.Image:
    button = page.get_by_role("button", name="Save", exact=True).nth(number)
    button.evaluate("one => one.scrollIntoView({block: 'start'})")
    page.wait_for_timeout(700)
    return Image.open(BytesIO(page.screenshot()))


def _paper(page: Page, number: int, width_mm: str) -> Image.Image:
    page.get_by_role("button", name="Save", exact=True).nth(number).click()
    page.get_by_role("radio", name="PNG", exact=True).first.click()
    settle(page)
    width = page.get_by_label("Width (mm)").first
    width.fill(width_mm)
    width.press("Enter")
    settle(page)
    picture = page.locator("[data-testid=stDownloadButton]").filter(has_text="Picture (PNG)")
    with page.expect_download(timeout=60_000) as waiting:
        picture.first.click()
    page.keyboard.press("Escape")
    page.wait_for_timeout(300)
    return Image.open(waiting.value.path()).convert("RGB")


def _beside(pictures: list[Image.Image]) -> Image.Image:
    scaled = [
        picture.convert("RGB").resize((picture.width * HEIGHT // picture.height, HEIGHT))
        if picture.height > HEIGHT
        else picture.convert("RGB")
        for picture in pictures
    ]
    sheet = Image.new("RGB", (sum(p.width + 10 for p in scaled), HEIGHT), "gray")
    left = 0
    for picture in scaled:
        sheet.paste(picture, (left, 0))
        left += picture.width + 10
    return sheet


if __name__ == "__main__":
    main()
