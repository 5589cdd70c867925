"""Columns that were read lately are kept while there is room."""

from __future__ import annotations

import numpy as np
import pytest

from velovi.ui.cache import ByteLRU

SIZE = 100


class Reader:
    """Counts how often each column is read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, name: str):
        def read() -> np.ndarray:
            self.read.append(name)
            return np.full(SIZE, ord(name), dtype=np.float32)

        return name, read


def test_columns_used_last_are_kept_within_the_room():
    reader, columns = Reader(), ByteLRU(3 * 4 * SIZE)
    for name in "abcadab":
        assert columns.get(*reader(name))[0] == ord(name)
        assert len(columns) <= 3
    assert "".join(reader.read) == "abcdb"  # d drove out b, which was used before c and a


def test_a_column_larger_than_the_room_is_kept_alone():
    reader, columns = Reader(), ByteLRU(10)
    for name in "aabb":
        columns.get(*reader(name))
        assert len(columns) == 1
    assert "".join(reader.read) == "ab"


def test_nobody_can_change_what_others_see():
    column = ByteLRU(10_000).get(*Reader()("a"))
    with pytest.raises(ValueError, match="read-only"):
        column[0] = 1
