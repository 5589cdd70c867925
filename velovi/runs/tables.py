"""Tables as CSV that people open in a spreadsheet."""

from __future__ import annotations

from typing import Any

import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_bytes(table: pd.DataFrame, *, index: bool = True) -> bytes:
    """A table as CSV in UTF-8 that no spreadsheet takes for formulas.

    Texts that begin with ``=``, ``+``, ``-``, ``@``, a tab or a line's end get an apostrophe in
    front, unless they are numbers; spreadsheets would run them (CWE-1236).

    Examples
    --------
    >>> import pandas as pd
    >>> csv_bytes(pd.DataFrame({"a": ["=1+1", "-2", "x"]}), index=False).decode().split()
    ['a', "'=1+1", '-2', 'x']
    """
    safe = table.reset_index() if index else table.copy()
    for place in range(safe.shape[1]):
        values = safe.iloc[:, place]
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = values.astype(object)
        if values.dtype.kind == "O" or pd.api.types.is_string_dtype(values.dtype):
            safe.isetitem(place, values.astype(object).map(_plain_cell).to_numpy())
    safe.columns = pd.Index([_plain_cell(column) for column in safe.columns], dtype=object)
    return safe.to_csv(index=False).encode("utf-8", "replace")


def _plain_cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA) and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
