"""The table of genes: its order and what stands in its cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from velovi.ui.table import Column, Order, in_order, next_order

WORDS = Column("why", "Why", "", 80)
SHARE = Column("share", "Share", "", 80, "%.2f", bar=True)


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {"share": [0.2, np.nan, 0.9, 0.2], "why": ["b", None, "a", "c"]},
        index=["Actb", "Zic1", "malat1", "Cpe"],
    )


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (None, ["Actb", "Zic1", "malat1", "Cpe"]),
        (Order("share", descending=True), ["malat1", "Actb", "Cpe", "Zic1"]),
        (Order("share", descending=False), ["Actb", "Cpe", "malat1", "Zic1"]),
        (Order("why", descending=False), ["malat1", "Actb", "Cpe", "Zic1"]),
        (Order("", descending=False), ["Actb", "Cpe", "malat1", "Zic1"]),
        (Order("", descending=True), ["Zic1", "malat1", "Cpe", "Actb"]),
        (Order("absent", descending=True), ["Actb", "Zic1", "malat1", "Cpe"]),
    ],
)
def test_rows_are_sorted_with_missing_values_last(frame, order, expected):
    assert in_order(frame, order).index.tolist() == expected
    assert in_order(frame.iloc[:0], order).empty


def test_cells_say_what_the_frame_holds(frame):
    assert SHARE.texts(frame) == ["0.20", "–", "0.90", "0.20"]
    assert WORDS.texts(frame) == ["b", "–", "a", "c"]
    assert Column("", "Gene", "", 80).texts(frame) == frame.index.tolist()


def test_words_begin_with_a_and_numbers_with_the_largest():
    assert next_order(None, WORDS) == Order("why", descending=False)
    assert next_order(Order("why", descending=False), WORDS) == Order("why", descending=True)
    assert next_order(Order("why", descending=True), WORDS) is None
    assert next_order(Order("why", descending=True), SHARE) == Order("share", descending=True)
