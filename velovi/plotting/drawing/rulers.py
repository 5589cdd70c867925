"""The axes of a figure as rulers: what a value's place is, and from where to where it goes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from velovi.plotting.drawing.props import Numbers, Props, finite, listed, numbers, pick, several

_PAD = 0.05  # of the range, beside points


@dataclass
class Ruler:
    """One x or y axis.

    A logarithmic axis measures decimal logarithms, an axis of categories their numbers.

    Attributes
    ----------
    name
        As traces name it: ``"x"``, ``"y2"``.
    props
        The layout's settings.
    kind
        What it measures.
    categories
        Number of each category.
    seen
        Spans of what is drawn: low, high, and whether there is room beside them.
    limits
        Where it begins and ends; the wrong way round when it runs backwards.
    """

    name: str
    props: Props
    kind: str = "linear"
    categories: dict[str, int] = field(default_factory=dict)
    seen: list[tuple[float, float, bool]] = field(default_factory=list)
    limits: tuple[float, float] = (0.0, 1.0)

    @property
    def domain(self) -> tuple[float, float]:
        """The part of the figure's plot area that it spans, as shares."""
        low, high = pick(self.props, "domain", (0.0, 1.0))
        return float(low), float(high)

    @property
    def visible(self) -> bool:
        """Whether anything of it is seen."""
        return bool(pick(self.props, "visible", True))

    def places(self, values: Any) -> Numbers:
        """Where values of a trace stand (values,); NaN where they have no place."""
        if self.kind == "category":
            return np.array([self._category(one) for one in listed(values)], dtype=np.float64)
        found = numbers(_as_numbers(values))
        if self.kind == "log":
            with np.errstate(divide="ignore", invalid="ignore"):
                found = np.log10(found)
            found[~np.isfinite(found)] = np.nan
        return found

    def place(self, value: Any, *, logged: bool = False) -> float:
        """Where one value stands; ``logged`` when it is a logarithm already."""
        if self.kind == "log" and logged:
            return float(value)
        return float(self.places([value])[0])

    def _category(self, value: Any) -> float:
        if isinstance(value, str) or not isinstance(value, (int, float, np.number)):
            return float(self.categories.get(_named(value), math.nan))
        named = self.categories.get(_named(value))
        return float(value) if named is None else float(named)

    def learn(self, values: Any) -> None:
        """Take up categories in the order in which they come."""
        for value in listed(values):
            if value is not None:
                self.categories.setdefault(_named(value), len(self.categories))

    def order(self) -> None:
        """Put the categories in the order that the axis asks for."""
        how = str(pick(self.props, "categoryorder", "trace"))
        first = [_named(one) for one in listed(pick(self.props, "categoryarray"))]
        names = [*dict.fromkeys(first), *(one for one in self.categories if one not in first)]
        if how.startswith("category"):
            names = sorted(self.categories, reverse=how.endswith("descending"))
        self.categories = {name: number for number, name in enumerate(names)}

    def see(self, values: Numbers, *, room: bool = False) -> None:
        """Note what is drawn, so that the axis can reach that far."""
        known = finite(values)
        if known.size:
            self.seen.append((float(np.min(known)), float(np.max(known)), room))

    def span(self) -> tuple[float, float] | None:
        """From the lowest to the highest of what is drawn, with room; None when nothing is."""
        if self.kind == "category" and self.categories:
            return -0.5, len(self.categories) - 0.5
        if not self.seen:
            return None
        low, high = min(one[0] for one in self.seen), max(one[1] for one in self.seen)
        reach = (high - low) or max(abs(low), 1.0)
        below = min(one[0] - _PAD * reach * one[2] for one in self.seen)
        above = max(one[1] + _PAD * reach * one[2] for one in self.seen)
        return (below, above) if above > below else (low - 0.5, high + 0.5)

    def settle(self, others: Iterable[Ruler] = ()) -> None:
        """Fix the limits: what the figure says, else what is drawn here and on matching axes."""
        spans = [one.span() for one in (self, *others)]
        known = [one for one in spans if one is not None]
        low = min((one[0] for one in known), default=0.0)
        high = max((one[1] for one in known), default=1.0)
        if pick(self.props, "rangemode") in ("tozero", "nonnegative") and self.kind == "linear":
            low, high = min(low, 0.0), max(high, 0.0)
            low = 0.0 if self.props["rangemode"] == "nonnegative" else low
        given = pick(self.props, "range")
        if given is not None:
            first, last = (
                found if one is None else self.place(one, logged=True)
                for one, found in zip(given, (low, high), strict=True)
            )
            low, high = first, last
        elif "reversed" in str(pick(self.props, "autorange", "")):
            low, high = high, low
        self.limits = (low, high)


def read_rulers(layout: Props, traces: Iterable[Props]) -> dict[str, Ruler]:
    """All axes of a figure by name, with the categories of their traces."""
    found: dict[str, Ruler] = {}
    for key, props in layout.items():
        match = re.fullmatch(r"([xy])axis(\d*)", key)
        if match:
            found[match[1] + match[2]] = Ruler(match[1] + match[2], props)
    values: dict[str, list[Any]] = {}
    for trace in traces:
        for letter in "xy":
            name = str(pick(trace, f"{letter}axis", letter))
            found.setdefault(name, Ruler(name, {}))
            for key in (letter, f"{letter}0"):
                if pick(trace, key) is not None:
                    values.setdefault(name, []).append(trace[key])
            if pick(trace, "name") is not None and _stands_on_its_name(trace, letter):
                values.setdefault(name, []).append([trace["name"]])
    for name in ("x", "y"):
        found.setdefault(name, Ruler(name, {}))
    for name, ruler in found.items():
        _settle_kind(ruler, values.get(name, []))
    return found


def _stands_on_its_name(trace: Props, letter: str) -> bool:
    """Whether a box or violin without positions stands at its own name on this axis."""
    along = "y" if pick(trace, "orientation", "v") == "h" else "x"
    if pick(trace, "type") not in ("box", "violin") or letter != along:
        return False
    return pick(trace, letter) is None and pick(trace, f"{letter}0") is None


def _settle_kind(ruler: Ruler, values: list[Any]) -> None:
    kind = pick(ruler.props, "type", "-")
    if kind in ("-", None):
        kind = "linear" if all(_measured(one) for one in values) else "category"
    ruler.kind = "category" if kind == "multicategory" else str(kind)
    if ruler.kind == "category":
        for one in values:
            ruler.learn(one if several(one) else [one])
        ruler.order()


def _measured(values: Any) -> bool:
    """Whether all values are numbers, also when written as text."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        return True
    try:
        numbers(_as_numbers(values))
    except (TypeError, ValueError):
        return False
    return True


def _as_numbers(values: Any) -> Any:
    return [values] if isinstance(values, (str, int, float)) else values


def _named(value: Any) -> str:
    return str(value)
