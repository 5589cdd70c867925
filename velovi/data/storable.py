"""Names that every store can hold: zarr folders, HDF5 and file systems that ignore case."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

MOST_BYTES = 180
"""Longest name; file systems take 255 bytes, and a store writes longer names beside it."""

_RESERVED = {"_index", "__categories", "zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata"}
_SEPARATORS = re.compile(r"[/\\]")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def clean_text(value: Any) -> str:
    r"""A text that can be shown, written as UTF-8 and stored, from bytes or text of any kind.

    Examples
    --------
    >>> clean_text(b"T cell"), clean_text(b"\xffx"), clean_text("a\0b")
    ('T cell', '�x', 'ab')
    """
    if isinstance(value, bytes):
        found = value.decode("utf-8", "replace")
    else:
        found = str(value)
        if not found.isascii():
            found = found.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return found.replace("\0", "") if "\0" in found else found


def storable_name(name: str, taken: Iterable[str] = ()) -> str:
    """The nearest name that can be stored beside those that are taken.

    Parameters
    ----------
    name
        As it is in a file.
    taken
        Names in use, as they are stored; capitals make no difference.

    Examples
    --------
    >>> storable_name("cell/type"), storable_name("_index"), storable_name("Phase", ["phase"])
    ('cell_type', 'index_', 'Phase_2')
    """
    found = _UNPRINTABLE.sub("", _SEPARATORS.sub("_", name)).strip()
    if found.casefold() in _RESERVED or found.startswith("__"):
        found = found.strip("_.").replace(".", "_") + "_"
    if not found.strip("._ "):
        found = "unnamed"
    found = _cut(found, MOST_BYTES)
    used = {other.casefold() for other in taken}
    stem, count = found, 2
    while found.casefold() in used:
        ending = f"_{count}"
        found, count = _cut(stem, MOST_BYTES - len(ending)) + ending, count + 1
    return found


def storable_names(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Stored names in the order of the given ones, all different; see :func:`storable_name`.

    Names that can be stored as they are keep theirs, whichever comes first, those with the fewest
    capitals before others that differ by case only.

    Examples
    --------
    >>> storable_names(["a/b", "a_b", "a_b"])
    ['a_b_2', 'a_b', 'a_b_3']
    """
    given = list(names)
    used = {name.casefold() for name in taken}
    found: list[str | None] = [None] * len(given)
    # of names that differ by case the one with the fewest capitals stays, as X_umap does
    for place, name in sorted(enumerate(given), key=lambda item: sum(map(str.isupper, item[1]))):
        if storable_name(name) == name and name.casefold() not in used:
            found[place] = name
            used.add(name.casefold())
    for place, name in enumerate(given):
        if found[place] is None:
            found[place] = storable_name(name, used)
            used.add(str(found[place]).casefold())
    return [str(name) for name in found]


def renamed(pairs: Mapping[str, str]) -> dict[str, str]:
    """Those of ``{stored: given}`` that are stored under another name."""
    return {stored: given for stored, given in pairs.items() if stored != given}


def _cut(name: str, most: int) -> str:
    return name.encode()[:most].decode(errors="ignore").rstrip() or "unnamed"
