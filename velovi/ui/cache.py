"""Columns of results that were read lately, as many as fit a given room for all readers together.

Streamlit's own caches count entries; a column of a million cells takes 300 times the room of one of
three thousand, and a reader who goes through genes reads a dozen for each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

import numpy as np


class ByteLRU:
    """The columns used last.

    Parameters
    ----------
    max_bytes
        Bytes that they may take together; the newest is kept however large it is.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable, read: Callable[[], np.ndarray]) -> np.ndarray:
        """The column of a key, read when it is not there; read-only.

        Two readers who ask for the same at once may both read it.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        column = read()
        column.flags.writeable = False
        with self._lock:
            self._kept[key] = column
            self._kept.move_to_end(key)
            while (
                len(self._kept) > 1
                and sum(item.nbytes for item in self._kept.values()) > self._max_bytes
            ):
                self._kept.popitem(last=False)
        return column
