"""What the map leaves out when it draws very many cells, against drawing every one of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from velovi.ui.components import joined_script

pytestmark = pytest.mark.browser
WIDE, TALL, FULL, OPACITY, DIM = 48, 32, 32767, 0.8, 0.14
RUN = """([order, places, codes, bits, opacity, shown, wide, tall]) =>
  [...uncovered(Uint32Array.from(order), Int16Array.from(places), Uint8Array.from(codes),
    bits && Uint8Array.from(bits), covers(opacity, !!bits, shown), [1, 1, 0, 0], wide, tall)]"""


@pytest.fixture
def page(browser) -> Iterator[Any]:
    """A page that knows the functions of the map."""
    made = browser.new_page()
    made.add_script_tag(content=joined_script("draw_order.js").replace("export ", ""))
    yield made
    made.close()


def painted(
    order: np.ndarray, pixels: np.ndarray, colors: np.ndarray, opacity: np.ndarray
) -> np.ndarray:
    """One cell after the other onto a white sheet (pixels, 3)."""
    sheet = np.ones((WIDE * TALL, 3))
    for i in order:
        sheet[pixels[i]] += opacity[i] * (colors[i] - sheet[pixels[i]])
    return sheet


@pytest.mark.parametrize("selected", [False, True])
@pytest.mark.parametrize("hide", [False, True])
def test_cells_that_are_left_out_cannot_be_seen(page, selected, hide):
    rng = np.random.default_rng(0)
    n = 20_000
    # a dense middle and thin sides, some cells without a place
    points = rng.normal(0, 0.25, (n, 2)).clip(-0.99, 0.99)
    places = np.rint(points * FULL).astype(np.int16)
    places[:50] = -32768
    codes = rng.integers(0, 5, n).astype(np.uint8)
    chosen = (points[:, 0] > 0.2) & selected
    bits = np.packbits(chosen, bitorder="little") if selected else None
    shown = np.full(256, 255, np.uint8)
    shown[3] = 0 if hide else 255
    order = np.argsort(chosen + rng.random(n) / 2)
    kept = np.array(
        page.evaluate(
            RUN,
            [
                order.tolist(),
                places.ravel().tolist(),
                codes.tolist(),
                None if bits is None else bits.tolist(),
                OPACITY,
                shown.tolist(),
                WIDE,
                TALL,
            ],
        ),
        dtype=int,
    )
    drawable = (shown[codes] > 0) & (places[:, 0] != -32768)
    assert drawable[kept].all()
    assert len(np.unique(kept)) == len(kept)
    assert np.array_equal(kept, order[np.isin(order, kept)])  # still from below to above
    x, y = np.floor((places / FULL + 1) / 2 * [WIDE, TALL]).astype(int).T
    opacity = np.where(chosen, min(1, OPACITY + 0.2), OPACITY * (DIM if selected else 1))
    colors = rng.random((n, 3))
    whole, fewer = (
        painted(cells, y * WIDE + x, colors, opacity) for cells in (order[drawable[order]], kept)
    )
    assert np.abs(whole - fewer).max() < 1.5 / 255
    # and it is worth it where cells hide each other
    assert len(kept) < (0.9 if selected else 0.55) * n
