"""Names that readers give to what they keep."""

from __future__ import annotations

import re
from collections.abc import Collection

from velovi.errors import OptionError

LONGEST_NAME = 120
LONGEST_SHORT_NAME = 60  # of what stands in a row of buttons, or in an address

_NUMBERED = re.compile(r"(.+) \((\d{1,4})\)")


def validate_name(name: str, what: str, longest: int = LONGEST_SHORT_NAME) -> str:
    """A name with single blanks between its words.

    Parameters
    ----------
    name
        As it was typed.
    what
        That is named, with its article, for the sentence about a name that cannot be.
    longest
        Characters that it may have.

    Raises
    ------
    OptionError
        When nothing is left of it, it is too long, or it holds signs that cannot be shown.

    Examples
    --------
    >>> validate_name("  early   ducts ", "a set of cells")
    'early ducts'
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= longest or not name.isprintable():
        raise OptionError(
            f"this cannot be the name of {what}",
            where="name",
            expected=f"1 to {longest} characters that can be shown",
            found=f"{len(name):,} characters" if name else "nothing",
        )
    return name


def unique_name(name: str, taken: Collection[str], longest: int = LONGEST_NAME) -> str:
    """The name, with a number behind it when others have it already.

    Parameters
    ----------
    name
        As it would be.
    taken
        Names that it must not be.
    longest
        Characters that it may have.

    Examples
    --------
    >>> unique_name("Gut", []), unique_name("Gut", ["Gut"]), unique_name("Gut", ["Gut", "Gut (2)"])
    ('Gut', 'Gut (2)', 'Gut (3)')
    >>> len(unique_name("x" * 9, ["x" * 9], longest=9))
    9
    """
    while name in taken:
        found = _NUMBERED.fullmatch(name)
        stem, number = (found[1], int(found[2]) + 1) if found else (name, 2)
        ending = f" ({number})"
        name = stem[: longest - len(ending)].rstrip() + ending
    return name
