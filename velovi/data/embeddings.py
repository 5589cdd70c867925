"""Which tables of numbers are maps, and which cells have a place on them."""

from __future__ import annotations

from typing import Any

import numpy as np

_FEWEST_PLACES = 3


def has_place(values: np.ndarray) -> np.ndarray:
    """Which cells have a place in the first two columns of an embedding, bool (cells,).

    Examples
    --------
    >>> has_place(np.array([[0.0, 1.0, np.nan], [np.nan, 1.0, 2.0]])).tolist()
    [True, False]
    """
    return np.isfinite(values[:, :2]).all(axis=1)


def is_map(name: str, values: Any) -> bool:
    """Whether an entry of ``obsm`` can be drawn: its first two columns hold places of cells.

    Parameters
    ----------
    name
        Its key; projected velocities (``velocity_*``) are no maps.
    values
        Numbers (cells, columns).
    """
    if name.startswith("velocity_") or not isinstance(values, np.ndarray):
        return False
    if values.ndim != 2 or values.shape[1] < 2 or values.dtype.kind not in "fiu":
        return False
    return int(has_place(values).sum()) >= min(_FEWEST_PLACES, len(values))


def is_picture(name: str, values: Any) -> bool:
    """Whether a map is made for looking at, such as a UMAP, rather than principal components."""
    return is_map(name, values) and "pca" not in name.lower()
