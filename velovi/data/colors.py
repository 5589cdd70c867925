"""Colours of groups as people write them, as the hexadecimal ones that pages and stores take."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_HEXADECIMAL = re.compile(r"#[0-9A-Fa-f]{6}")
GREY = "#bdbdbd"
"""Of cells without a label."""


def hex_color(value: Any) -> str | None:
    """One colour as ``#rrggbb``; None when it is none that is known.

    Parameters
    ----------
    value
        A name, a hexadecimal colour of any length, or three or four numbers from 0 to 1 (or whole
        numbers from 0 to 255).

    Examples
    --------
    >>> hex_color("red"), hex_color("#0f0"), hex_color((0, 0, 1.0)), hex_color("no colour")
    ('#ff0000', '#00ff00', '#0000ff', None)
    """
    from matplotlib.colors import to_hex

    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        numbers = np.asarray(value)
        if numbers.dtype.kind not in "iuf" or numbers.shape not in ((3,), (4,)):
            return None
        large = (numbers.dtype.kind in "iu" and numbers.max() > 1) or numbers.max() > 1.0
        value = tuple(float(number) / (255 if large else 1) for number in numbers)
    if isinstance(value, str) and _HEXADECIMAL.fullmatch(value):
        return value
    try:
        return str(to_hex(value))
    except (ValueError, TypeError):
        return None


def group_colors(
    given: Any, groups: Sequence[str], *, unlabelled: str | None = None
) -> tuple[list[str] | None, str]:
    """Colours for groups from what a file brought.

    Parameters
    ----------
    given
        One colour for each group in order (names, hexadecimal or a table of numbers), or a
        mapping from groups to colours.
    groups
        Names of the groups.
    unlabelled
        The last group if it was added for cells without a label; it becomes grey when the file
        has no colour for it.

    Returns
    -------
    colors, note
        ``#rrggbb`` for each group, None when the file's cannot be used; and a sentence that says
        why not, or what was left over; empty when all is as it should be.

    Examples
    --------
    >>> group_colors(["red", "#00f", "lime"], ["a", "b"])
    (['#ff0000', '#0000ff'], '3 colours for 2 groups: the last ones are not used')
    """
    named = [group for group in groups if group != unlabelled]
    if isinstance(given, Mapping):
        by_name = {str(name): np.ravel(color) for name, color in given.items()}
        picked = [by_name.get(group, np.array([])) for group in named]
        listed: list[Any] = [item[0] if item.size == 1 else item for item in picked]
    else:
        table = np.asarray(given)
        listed = list(table) if table.ndim else [table.item()]
    if len(listed) < len(named):
        return None, f"{len(listed)} colours for {len(named)} groups"
    left_over = len(listed) > len(groups) or (len(listed) > len(named) and unlabelled is None)
    found = [hex_color(item) for item in listed[: len(groups)]]
    unknown = [str(item) for item, color in zip(listed, found, strict=False) if color is None]
    if unknown:
        return None, f"'{unknown[0][:40]}' is no colour that is known"
    colors = [str(color) for color in found] + [GREY] * (len(groups) - len(found))
    count = f"{len(listed)} colours for {len(groups)} groups"
    return colors, f"{count}: the last ones are not used" if left_over else ""
