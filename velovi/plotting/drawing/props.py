"""Reading what a Plotly figure says about itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Props = Mapping[str, Any]
Numbers = NDArray[np.float64]


def pick(source: Any, path: str, default: Any = None) -> Any:
    """The value at a dotted path of nested mappings; ``default`` where nothing is set.

    Examples
    --------
    >>> pick({"title": {"text": "time"}}, "title.text")
    'time'
    """
    for part in path.split("."):
        source = source.get(part) if isinstance(source, Mapping) else None
        if source is None:
            return default
    return source


def numbers(values: Any) -> Numbers:
    """Values as float64, flattened; None becomes NaN."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        return values.astype(np.float64).ravel()
    return np.array([np.nan if one is None else float(one) for one in listed(values)])


def listed(values: Any) -> list[Any]:
    """A list of whatever holds several values; one value alone is a list of one."""
    if values is None:
        return []
    if isinstance(values, np.ndarray):
        return list(values.ravel())
    if isinstance(values, str) or not isinstance(values, Sequence):
        return [values]
    return list(values)


def several(values: Any) -> bool:
    """Whether a property has one value for each point."""
    return isinstance(values, (list, tuple, np.ndarray)) and np.ndim(values) > 0


def spread(values: Any, count: int, default: Any = None) -> list[Any]:
    """One value for each of ``count`` points, from a list of them or one for all."""
    if not several(values):
        return [default if values is None else values] * count
    given = [default if one is None else one for one in listed(values)[:count]]
    return given + [default] * (count - len(given))


def finite(values: Numbers) -> Numbers:
    """The values that are finite."""
    return values[np.isfinite(values)]
