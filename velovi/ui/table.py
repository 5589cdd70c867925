"""A table of which a reader opens one row: with a click, or walking along it with the arrow keys.

Streamlit's own table waits 0.15 s before it tells of a click, marks no row by itself and sorts
where the page does not know of it; ``web/table.js`` does these three things.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import streamlit as st

from velovi.ui.components import headless_component, visible_component
from velovi.ui.messages import ShownRow, TableMessage
from velovi.ui.theme import browser_colors, current_theme

_NOTHING = "–"
_table = visible_component(
    "table",
    '<div class="sheet" role="grid" tabindex="0"><div class="head" role="presentation"></div>'
    '<div class="body" role="presentation"></div></div>',
)
_row_events = headless_component("row_events")


@dataclass(frozen=True)
class Column:
    """How one column of a table looks.

    Attributes
    ----------
    name
        Its name in the frame; empty for the names of the rows.
    label, note
        Heading, and what it means.
    width
        Pixels; the first column takes what room is left.
    form
        How a number is written, as for ``%``; empty for text.
    bar
        Draw the number, a share from 0 to 1, as a bar behind it.
    """

    name: str
    label: str
    note: str
    width: int
    form: str = ""
    bar: bool = False

    def texts(self, frame: pd.DataFrame) -> list[str]:
        """What stands in its cells (rows,)."""
        values = frame[self.name] if self.name else frame.index
        if not self.form:
            return [_NOTHING if pd.isna(value) else str(value) for value in values]
        numbers = np.asarray(values, dtype=float)
        return [self.form % number if np.isfinite(number) else _NOTHING for number in numbers]


@dataclass(frozen=True)
class Order:
    """By which column rows are sorted, and whether the largest come first."""

    name: str
    descending: bool


def next_order(order: Order | None, column: Column) -> Order | None:
    """What a press on a heading leads to: the better end first, the other end first, no order.

    Examples
    --------
    >>> likelihood = Column("likelihood", "Likelihood", "", 80, form="%.2f")
    >>> first = next_order(None, likelihood)
    >>> first, next_order(first, likelihood)
    (Order(name='likelihood', descending=True), Order(name='likelihood', descending=False))
    >>> next_order(Order("likelihood", False), likelihood) is None
    True
    """
    begin = bool(column.form)  # large numbers first, words from A
    if order is None or order.name != column.name:
        return Order(column.name, begin)
    return Order(column.name, not begin) if order.descending == begin else None


def in_order(frame: pd.DataFrame, order: Order | None) -> pd.DataFrame:
    """The rows in an order, those without a value last."""
    if order is None or (order.name and order.name not in frame):
        return frame
    if not order.name:
        names = frame.index.astype(str).str.casefold()
        return frame.iloc[np.argsort(names, kind="stable")[:: -1 if order.descending else 1]]
    return frame.sort_values(order.name, ascending=not order.descending, kind="stable")


def table(
    frame: pd.DataFrame,
    columns: Sequence[Column],
    *,
    key: str,
    height: int,
    alt: str,
    order: Order | None = None,
    on_order: Callable[[Order | None], None],
    current: str | None = None,
    opens: bool = False,
) -> None:
    """Draw a table.

    Parameters
    ----------
    frame
        One row for each thing, in the order in which they are shown; its index names them.
    columns
        What is shown of it, the first of which stays in sight.
    key
        Names the table.
    height
        In pixels.
    alt
        What a screen reader says.
    order, on_order
        How the rows are sorted, and what hears of another wish.
    current
        The marked row.
    opens
        Whether rows can be opened; :func:`on_row_opened` hears of it.
    """
    message: TableMessage = {
        "columns": [{**asdict(item), "text": not item.form} for item in columns],
        "rows": list(zip(*(item.texts(frame) for item in columns), strict=True)),
        "current": current,
        "order": (order.name, order.descending) if order else None,
        "name": key,
        "opens": opens,
        "theme": browser_colors(current_theme()),
        "height": height,
        "alt": alt,
        "stamp": time.monotonic_ns(),  # tells a new word on the current row from one said before
    }

    def ordered() -> None:
        name = st.session_state[key].get("ordered")
        column = next((item for item in columns if item.name == name), None)
        if column is not None:
            on_order(next_order(order, column))

    _table(key=key, data=message, on_ordered_change=ordered)


def on_row_opened(table_key: str, shown: str, on_open: Callable[[str], None]) -> None:
    """Hear, in the part of the page that shows it, of the row that a reader opens in a table.

    Parameters
    ----------
    table_key
        Of the table.
    shown
        Name of the row that this part shows now.
    on_open
        Is told the row's name; it may be any text.
    """
    key = f"opened_in_{table_key}"

    def opened() -> None:
        name = st.session_state[key].get("row")
        if isinstance(name, str):
            on_open(name)

    _row_events(key=key, data=ShownRow(table=table_key, row=shown), on_row_change=opened, height=1)
