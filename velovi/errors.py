"""The one family of exceptions that this package raises for users.

A message names what is wrong, where, what was expected, what was found, and what to do about it.
Every class also derives from the built-in exception a Python user would expect, so that
``except ValueError`` in an existing notebook goes on working.
"""

from __future__ import annotations

from collections.abc import Iterable

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
