"""Amounts, times and names as people write them."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping

from velovi.runs.naming import unique_name


def format_size(n_bytes: float) -> str:
    """An amount of storage.

    Examples
    --------
    >>> format_size(4.6e9), format_size(12_000_000), format_size(900)
    ('4.6 GB', '12 MB', '1 kB')
    """
    if n_bytes >= 0.95e9:
        return f"{n_bytes / 1e9:.1f} GB"
    if n_bytes >= 0.95e6:
        return f"{n_bytes / 1e6:.0f} MB"
    return f"{max(1, round(n_bytes / 1e3))} kB"


def format_duration_range(low: float, high: float) -> str:
    """A length of time that is known roughly.

    Examples
    --------
    >>> [format_duration_range(*ends) for ends in ((40, 80), (70, 140), (3000, 6000))]
    ['40 to 80 seconds', '1 to 2 minutes', '50 to 100 minutes']
    >>> format_duration_range(9000, 18000)
    '2.5 to 5.0 hours'
    """
    if high < 90:
        return f"{max(5, round(low / 5) * 5)} to {max(10, round(high / 5) * 5)} seconds"
    if high < 7200:
        least, most = max(1, round(low / 60)), max(2, round(high / 60))
        return f"{least} to {most} minutes"
    return f"{low / 3600:.1f} to {high / 3600:.1f} hours"


def format_duration(seconds: float | None) -> str:
    """A length of time in rounded words."""
    if seconds is None or seconds < 0:
        return "unknown"
    if seconds < 8:
        return "a few seconds"
    if seconds < 90:
        return f"{round(seconds / 5) * 5} seconds"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"


def format_time(then: float) -> str:
    """Day and time of a moment, short."""
    return time.strftime("%d %b %H:%M", time.localtime(then)).lstrip("0")


def distinct_labels(
    labels: Mapping[str, str], hints: Mapping[str, str] | None = None
) -> Callable[[str], str]:
    """What each entry of a list is called, no two the same.

    A list of Streamlit knows its entries by their labels alone: of two that read the same it
    takes the last, whichever was chosen.

    Parameters
    ----------
    labels
        Of each entry, by its id.
    hints
        What tells an entry from others that read the same, written before the label, where no
        narrow list cuts it off; a number does when that is not enough.

    Returns
    -------
    The label of an id, for ``format_func``; an id that is none of the list's is its own label.

    Examples
    --------
    >>> labels = {"a": "Gut", "b": "Gut", "c": "Liver"}
    >>> list(map(distinct_labels(labels, {"a": "3 May", "b": "4 May"}), "abcd"))
    ['3 May · Gut', '4 May · Gut', 'Liver', 'd']
    >>> list(map(distinct_labels(labels), "abc"))
    ['Gut', 'Gut (2)', 'Liver']
    """
    count = Counter(labels.values())
    found: dict[str, str] = {}
    used: set[str] = set()
    for name, label in labels.items():
        told = f"{hints[name]} · {label}" if hints and count[label] > 1 else label
        found[name] = unique_name(told, used, longest=len(told) + 7)
        used.add(found[name])
    return lambda value: found.get(value, value)


def format_age(then: float) -> str:
    """How long ago a moment was."""
    seconds = max(0.0, time.time() - then)
    if seconds < 45:
        return "just now"
    if seconds < 5400:
        minutes = max(1, round(seconds / 60))
        return f"{minutes} minute{'s' * (minutes > 1)} ago"
    if seconds < 129_600:
        hours = round(seconds / 3600)
        return f"{hours} hour{'s' * (hours > 1)} ago"
    return time.strftime("%d %B %Y", time.localtime(then))


def format_number(value: float, form: str) -> str:
    """A number as :func:`format` writes it; a dash for what is none.

    Examples
    --------
    >>> format_number(0.456, ".2f"), format_number(float("nan"), ".2f")
    ('0.46', '–')
    """
    return format(value, form) if math.isfinite(value) else "–"
