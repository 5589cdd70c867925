"""The one family of exceptions that this package raises for users.

A message names what is wrong, where, what was expected, what was found, and what to do about it.
Every class also derives from the built-in exception a Python user would expect, so that
``except ValueError`` in an existing notebook goes on working.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from numbers import Real

_NAMED = 10


class VeloviError(Exception):
    """Something a user can mend.

    Parameters
    ----------
    what
        One sentence that says what is wrong.
    where
        Name of the argument, file, layer or column it is about.
    expected, found
        What was wanted and what was there instead.
    remedy
        One sentence that says what to do.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.what, self.where = what, where
        self.expected, self.found, self.remedy = expected, found, remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        parts += [f"Expected {self.expected}"] if self.expected else []
        parts += [f"Found {self.found}"] if self.found else []
        parts += [self.remedy] if self.remedy else []
        return " ".join(part.rstrip(".") + "." for part in parts)

    def __reduce__(self) -> tuple[object, ...]:
        # keyword-only arguments: the default pickling would call the class with one string
        return (_rebuild, (type(self), self.to_dict()))

    def to_dict(self) -> dict[str, str | None]:
        """The parts of the message, for JSON files and user interfaces."""
        return {
            "what": self.what,
            "where": self.where,
            "expected": self.expected,
            "found": self.found,
            "remedy": self.remedy,
        }


def _rebuild(kind: type[VeloviError], parts: dict[str, str]) -> VeloviError:
    return kind(**parts)


def first_named(names: Iterable[object]) -> str:
    """The first ten names and how many more there are, for a message."""
    listed = [str(name) for name in names]
    rest = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + rest


class DataError(VeloviError, ValueError):
    """The user's file or matrix cannot be used as it is."""


class OptionError(VeloviError, ValueError):
    """An option or argument has a value that makes no sense."""


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Raise :class:`OptionError` unless ``value`` is one of ``choices``.

    Examples
    --------
    >>> check_choice("mode", "soft", ("hard", "soft"))
    """
    if not isinstance(value, str) or value not in choices:
        raise OptionError(
            f"{value!r} is not a choice",
            where=name,
            expected="one of " + ", ".join(choices),
            found=repr(value),
            remedy="Check the spelling",
        )


def check_range(
    name: str,
    value: object,
    low: float | None = None,
    high: float | None = None,
    *,
    above_low: bool = False,
    whole: bool = False,
    remedy: str | None = None,
) -> None:
    """Raise :class:`OptionError` unless ``value`` is a finite number from ``low`` to ``high``.

    Parameters
    ----------
    name
        What the value is of.
    value
        Anything; truth values and texts are no numbers.
    low, high
        Both are allowed values themselves; None leaves that side open.
    above_low
        ``low`` itself is not allowed.
    whole
        Only whole numbers are.
    remedy
        What to do about it.

    Examples
    --------
    >>> check_range("share", 0.2, 0, 1)
    >>> try:
    ...     check_range("share", 2, 0, 1)
    ... except OptionError as error:
    ...     print(error)
    share: the value is out of range. Expected a number from 0 to 1. Found 2.
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:  # a whole number of hundreds of digits
            number = math.inf
        fine = math.isfinite(number) and not (whole and number != int(number))
        fine = fine and (low is None or number > low or (number == low and not above_low))
        if fine and (high is None or number <= high):
            return
    expected = ["a whole number" if whole else "a number"]
    if low is not None:
        start = "above" if above_low else "of at least" if high is None else "from"
        expected += [start, f"{low:,.12g}"]
    if high is not None:
        expected += ["to" if low is not None and not above_low else "up to", f"{high:,.12g}"]
    raise OptionError(
        "the value is out of range",
        where=name,
        expected=" ".join(expected),
        found=repr(value),
        remedy=remedy,
    )


class UnknownNameError(OptionError, KeyError):
    """A gene, layer, column or cell was asked for by a name that is not there."""

    __str__ = VeloviError.__str__


class NotTrainedError(VeloviError, RuntimeError):
    """A posterior quantity was asked of a model that has not been trained."""


class StoreError(VeloviError, OSError):
    """A run folder or result store is missing, incomplete or of another version."""

    __str__ = VeloviError.__str__
    __reduce__ = VeloviError.__reduce__


class Cancelled(VeloviError):
    """The user asked for the run to be cancelled."""
