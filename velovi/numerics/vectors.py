"""Directions of rows."""

from __future__ import annotations

import numpy as np


def row_cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine between the rows of two arrays, (rows,); NaN where one has no length.

    Examples
    --------
    >>> row_cosines(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[2.0, 0.0], [1.0, 1.0]]))
    array([ 1., nan])
    """
    length = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    known = length > 0
    return np.where(known, (first * second).sum(axis=1) / np.where(known, length, 1), np.nan)
