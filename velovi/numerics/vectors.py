"""Directions of rows."""

from __future__ import annotations

import numpy as np
import pandas as pd


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


def rank_percent(values: pd.Series) -> pd.Series:
    """Ranks from 0 (lowest) to 100; NaN for what is none.

    Examples
    --------
    >>> rank_percent(pd.Series([3.0, 1.0, float("nan"), 2.0])).to_list()
    [100.0, 0.0, nan, 50.0]
    """
    others = max(int(values.notna().sum()) - 1, 1)
    return 100 * (values.rank() - 1) / others
