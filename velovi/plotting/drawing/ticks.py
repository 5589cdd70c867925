"""Tick marks: where they stand, and what is written beside them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axis import Axis, XAxis
from matplotlib.ticker import FixedLocator, Formatter, Locator, MaxNLocator, NullLocator

from velovi.plotting.drawing.pen import Pen
from velovi.plotting.drawing.props import Props, listed, pick
from velovi.plotting.drawing.rulers import Ruler
from velovi.plotting.drawing.words import Across, common_settings, plain

_FORMAT = re.compile(r"(,)?(?:\.(\d+))?(~)?([fdsgeEr%]?)")
# font sizes along the axis that one label needs
_ROOM_ACROSS, _ROOM_DOWN = 5.0, 2.6
_MOST = 8


class Figures(Formatter):
    """Numbers with as many decimals as their distance asks for, or in the form asked for."""

    def __init__(self, form: str = "", before: str = "", after: str = "") -> None:
        self.form, self.before, self.after = form, before, after
        self.decimals = 0

    def set_locs(self, locs: Any) -> None:
        """Note how far apart the ticks are."""
        steps = np.diff(np.unique(np.asarray(locs, dtype=float)))
        step = float(steps.min()) if steps.size else 1.0
        self.decimals = next(
            (n for n in range(9) if abs(step * 10**n - round(step * 10**n)) < 1e-6 * 10**n * step),
            3,
        )

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The label of one tick."""
        if abs(x) < 1e-12:
            x = 0.0
        text = _formed(x, self.form) if self.form else _usual(x, self.decimals)
        return (self.before + text + self.after).replace("-", "\N{MINUS SIGN}")


def _usual(value: float, decimals: int) -> str:
    if value and not 1e-5 <= abs(value) < 1e7:
        return f"{value:.2g}"
    comma = "," if abs(value) >= 10_000 else ""
    return f"{value:{comma}.{decimals}f}"


def _formed(value: float, form: str) -> str:
    """A number in one of the forms of d3, those that figures use."""
    found = _FORMAT.fullmatch(form)
    if found is None:
        return f"{value:g}"
    comma, digits, trim, kind = found.groups()
    if kind == "s":
        return _si(value, int(digits or 3))
    kind = {"d": "f", "": "g", "r": "g"}.get(kind, kind)
    given = digits or ("0" if found[4] == "d" or kind == "%" else "6")
    text = f"{value:{comma or ''}.{given}{kind}}"
    if trim and "." in text:
        head, _, tail = text.partition("%")
        text = head.rstrip("0").rstrip(".") + ("%" if tail or text.endswith("%") else "")
    return text


def _si(value: float, digits: int) -> str:
    power = math.floor(math.log10(abs(value)) / 3) if value else 0
    power = max(-3, min(power, 4))
    prefix = ("n", "µ", "m", "", "k", "M", "G", "T")[power + 3]
    return f"{value / 1000**power:.{digits}g}{prefix}"


class Powers(Formatter):
    """Labels of a logarithmic axis, whose places are logarithms."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The label of one tick."""
        return _usual(10.0**x, max(0, -math.floor(x)))


def set_ticks(axis: Axis, ruler: Ruler, pen: Pen, length: float) -> None:
    """Place ticks and their labels on an axis of this many points."""
    if not ruler.visible:
        axis.set_visible(False)
        return
    font = pick(ruler.props, "tickfont")
    locator, labels = _locator(ruler, pen.size(font), length)
    axis.set_major_locator(locator)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(labels if isinstance(labels, Formatter) else _Named(labels))
    if not isinstance(labels, Formatter):
        for text, label in zip(axis.get_ticklabels(), labels, strict=False):
            text.set(**common_settings(label))
    _dress(axis, ruler.props, pen, pen.size(font))


class _Named(Formatter):
    def __init__(self, names: Sequence[str]) -> None:
        self.names = [plain(one) for one in names]

    def __call__(self, x: float, pos: int | None = None) -> str:
        return self.names[pos] if pos is not None and pos < len(self.names) else ""


def _locator(ruler: Ruler, size: float, length: float) -> tuple[Locator, Formatter | list[str]]:
    props, across = ruler.props, ruler.name.startswith("x")
    room = max(1, int(length / (size * (_ROOM_ACROSS if across else _ROOM_DOWN))))
    given = pick(props, "tickvals")
    if given is not None:
        places = ruler.places(given)
        names = pick(props, "ticktext")
        shown = [str(one) for one in listed(given if names is None else names)]
        return FixedLocator(list(places)), shown
    if ruler.kind == "category":
        every = 1 if across else max(1, math.ceil(len(ruler.categories) * size * 1.1 / length))
        chosen = list(ruler.categories.items())[::every]
        return FixedLocator([number for _, number in chosen]), [name for name, _ in chosen]
    if ruler.kind == "log":
        low, high = sorted(ruler.limits)
        step = max(1, math.ceil((high - low) / (1.6 * room)))
        return FixedLocator(list(np.arange(math.ceil(low), math.floor(high) + 1, step))), Powers()
    form = Figures(
        str(pick(props, "tickformat", "")),
        plain(pick(props, "tickprefix", "")),
        plain(pick(props, "ticksuffix", "")),
    )
    step = pick(props, "dtick")
    if step is not None:
        first, (low, high) = float(pick(props, "tick0", 0.0)), sorted(ruler.limits)
        start = math.ceil((low - first) / step - 1e-9)
        count = max(0, math.floor((high - first) / step + 1e-9) - start + 1)
        return FixedLocator([first + (start + n) * step for n in range(min(count, 200))]), form
    most = min(room, int(pick(props, "nticks", 0)) or _MOST)
    return MaxNLocator(max(1, most), steps=[1, 2, 5, 10]), form


def _dress(axis: Axis, props: Props, pen: Pen, size: float) -> None:
    marks, shown = str(pick(props, "ticks", "")), bool(pick(props, "showticklabels", True))
    length = float(pick(props, "ticklen", 5)) * pen.text if marks else 0.0
    first, second = ("bottom", "top") if isinstance(axis, XAxis) else ("left", "right")
    side = second if pick(props, "side", first) == second else first
    sides: dict[str, Any] = {
        first: side == first,
        second: side == second,
        f"label{first}": shown and side == first,
        f"label{second}": shown and side == second,
    }
    axis.set_tick_params(
        length=length,
        width=float(pick(props, "tickwidth", 1)) * pen.mark,
        color=pen.color({"color": pick(props, "tickcolor")}),
        direction="in" if marks == "inside" else "out",
        labelsize=size,
        labelcolor=pen.color(pick(props, "tickfont")),
        pad=2.5 * pen.text,
        **sides,
    )
    grid = {
        "color": pick(props, "gridcolor", "#e6e8ee"),
        "width": pick(props, "gridwidth", 1),
        "dash": pick(props, "griddash", "solid"),
    }
    shows = bool(pick(props, "showgrid", True))
    axis.grid(shows, **(pen.line(grid) if shows else {}))
    angle = pick(props, "tickangle")
    if angle is not None:
        turn_labels(axis, float(angle), side)


def turn_labels(axis: Axis, angle: float, side: str) -> None:
    """Turn labels by so many degrees with the clock, with their near end at the tick."""
    upright = angle % 180 == 0
    ends: dict[str, tuple[Across, Across]] = {
        "bottom": ("right", "left"),
        "top": ("left", "right"),
    }
    for text in axis.get_ticklabels():
        text.set_rotation(-angle)
        if side in ends and not upright:
            text.set_horizontalalignment(ends[side][0 if angle < 0 else 1])
            text.set_rotation_mode("anchor")
            text.set_verticalalignment("center" if abs(angle) == 90 else "top")
