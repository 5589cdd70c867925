"""One form for all options, made from the option dataclasses in :mod:`velovi.config`.

The form is live: every change is seen at once, so that what a run will take can be told before it
is started. It reruns by itself, as a fragment, and leaves the rest of the page alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from velovi.config import GROUPS, OptionInfo, Options, RunOptions
from velovi.runs.naming import LONGEST_NAME
from velovi.schedule import FAST_EPOCHS
from velovi.ui.errors import escape_markdown, show_errors

if TYPE_CHECKING:
    from velovi.data import DatasetSummary

# groups in each of the three columns, chosen so that the columns are about as long as each other
_COMMON = (("Prepare",), ("Train",), ("Ask the model", "Machine", "Evidence"))
_ADVANCED = (
    ("Prepare", "Map directions"),
    ("Train", "Machine"),
    ("Ask the model", "Model", "Evidence"),
)
_MOST_NAMED = 6

Start = Callable[[RunOptions, str], None]
Expect = Callable[[RunOptions], None]
Values = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Defaults:
    """What the form begins with, by stage and option, and the file's layers to choose from.

    A value of None asks the reader to choose.
    """

    values: Values
    layers: tuple[str, ...] = ()
    origin: str = "the defaults"

    @classmethod
    def from_summary(cls, summary: DatasetSummary) -> Defaults:
        """The defaults, with layer names as the file has them."""
        values = _values(RunOptions())
        names = tuple(layer.name for layer in summary.layers)
        if names:
            values["preprocess"]["spliced_layer"] = summary.spliced_layer
            values["preprocess"]["unspliced_layer"] = summary.unspliced_layer
        return cls(values, names)

    @classmethod
    def from_options(cls, options: RunOptions, summary: DatasetSummary | None) -> Defaults:
        """The options of a run, with the layers of its file if that can be read."""
        named = (options.preprocess.spliced_layer, options.preprocess.unspliced_layer)
        there = tuple(layer.name for layer in summary.layers) if summary else ()
        layers = tuple(dict.fromkeys((*there, *named))) if there else ()
        return cls(_values(options), layers, "those of this run")


def _values(options: RunOptions) -> Values:
    return {
        stage: {name: getattr(getattr(options, stage), name) for name in kind.info()}
        for stage, kind in RunOptions.stages().items()
    }


def grouped(group: str, *, advanced: bool) -> list[tuple[str, str, OptionInfo]]:
    """Stage, name and description of the options in one group of :data:`GROUPS`."""
    return [
        (stage, name, info)
        for stage, kind in RunOptions.stages().items()
        for name, info in kind.info().items()
        if info.group == group and info.advanced == advanced
    ]


def differences(values: Values, base: Values) -> list[tuple[str, str]]:
    """Stage and name of every option with another value than in ``base``."""
    return [
        (stage, name)
        for stage in base
        for name in base[stage]
        if values[stage][name] != base[stage][name]
    ]


@st.fragment
def options_panel(
    key: str,
    defaults: Defaults,
    name: str,
    start: Start,
    expect: Expect,
    *,
    label: str = "Train",
) -> None:
    """Name and options of a run, what it will take, and the button that starts it.

    Parameters
    ----------
    key
        Names the panel's widgets.
    defaults
        What they begin with.
    name
        What the run is called unless the reader says otherwise.
    start
        Called with options and name when the button is pressed; its errors become sentences.
    expect
        Called with the present options, beside the button.
    label
        Of the button.
    """
    # widgets with a new key begin anew, which is how the form goes back to where it began
    turn = st.session_state.get(f"{key}_turn", 0)
    prefix = f"{key}_again{turn}" if turn else key
    with st.container(border=True, key=f"{key}_panel"), show_errors():
        called, values = _fields(prefix, defaults, name)
        missing = [item for item in ("spliced", "unspliced") if not _layer(values, item)]
        same = not missing and _layer(values, "spliced") == _layer(values, "unspliced")
        with st.container(horizontal=True, gap="medium"):
            pressed = st.button(
                label,
                type="primary",
                icon=":material/play_arrow:",
                key=f"{key}_start",
                disabled=bool(missing) or same,
            )
            if missing:
                st.info(f"Choose the layer of {' and of '.join(missing)} counts first.")
                return
            if same:
                st.info("Spliced and unspliced counts have to be two different layers.")
                return
            options = RunOptions.from_dict(values)
            with st.container():
                expect(options)
        _changes(key, turn, values, defaults)
        if pressed:
            start(options, called.strip())


def _layer(values: Values, kind: str) -> str:
    return (values["preprocess"][f"{kind}_layer"] or "").strip()


def _fields(prefix: str, defaults: Defaults, name: str) -> tuple[str, Values]:
    values: Values = {stage: {} for stage in RunOptions.stages()}
    first, *layers = st.columns(3, gap="medium")
    called = first.text_input(
        "Name of the run",
        name,
        max_chars=LONGEST_NAME,
        key=f"{prefix}_name",
        help="How the run is listed; a number follows when another run is called the same. You can "
        "rename it later.",
        persist_state="session",
    )
    for slot, item in zip(layers, grouped("File", advanced=False), strict=True):
        with slot:
            _put(prefix, item, defaults, values)
    _columns(prefix, _COMMON, defaults, values, advanced=False)
    with st.expander(
        "Advanced options", icon=":material/tune:", key=f"{prefix}_advanced", type="compact"
    ):
        _columns(prefix, _ADVANCED, defaults, values, advanced=True)
    return called or "", values


def _columns(
    prefix: str,
    columns: tuple[tuple[str, ...], ...],
    defaults: Defaults,
    values: Values,
    *,
    advanced: bool,
) -> None:
    for slot, groups in zip(st.columns(3, gap="medium"), columns, strict=True):
        with slot:
            for group in groups:
                st.markdown(f"**{group}**", help=GROUPS[group])
                for item in grouped(group, advanced=advanced):
                    _put(prefix, item, defaults, values)


def _put(
    prefix: str, item: tuple[str, str, OptionInfo], defaults: Defaults, values: Values
) -> None:
    stage, name, info = item
    if name == "max_epochs" and values["train"].get("preset") == "fast":
        info = replace(info, label=f"{info.label} (Fast: {FAST_EPOCHS} at most)")
    needed = info.only_with
    values[stage][name] = option_widget(
        f"{prefix}_{stage}_{name}",
        name,
        RunOptions.stages()[stage],
        info,
        defaults.values[stage][name],
        layers=defaults.layers if name.endswith("spliced_layer") else (),
        disabled=needed is not None and values[stage].get(needed[0]) != needed[1],
    )


def _changes(key: str, turn: int, values: Values, defaults: Defaults) -> None:
    """Which options differ from those that the form began with, and the way back."""
    changed = differences(values, defaults.values)
    if not changed:
        return
    labels = [RunOptions.stages()[stage].info()[name].label for stage, name in changed]
    more = f" and {len(labels) - _MOST_NAMED} more" if len(labels) > _MOST_NAMED else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"Different from {defaults.origin}: {', '.join(labels[:_MOST_NAMED])}{more}.",
            width="content",
        )
        st.button(
            f"Back to {defaults.origin}",
            type="tertiary",
            icon=":material/undo:",
            key=f"{key}_reset",
            help="Sets all options as they were at first.",
            on_click=lambda: st.session_state.update({f"{key}_turn": turn + 1}),
        )


def option_label(info: OptionInfo) -> str:
    """An option's label with its unit, unless the label says it."""
    said = not info.unit or info.unit in info.label.lower()
    return info.label if said else f"{info.label} ({info.unit})"


def option_widget(
    key: str,
    name: str,
    kind: type[Options],
    info: OptionInfo,
    value: Any,
    *,
    layers: tuple[str, ...] = (),
    disabled: bool = False,
) -> Any:
    """The widget that fits one option's type, range and choices."""
    label, default = option_label(info), kind.default(name)
    common: dict[str, Any] = {
        "key": key,
        "help": info.help,
        "disabled": disabled,
        "persist_state": "session",
    }
    if info.choices:
        return _choice(label, info, value, common)
    if layers:
        return st.selectbox(
            label,
            layers,
            layers.index(value) if value in layers else None,
            placeholder="Choose",
            **common,
        )
    if isinstance(default, bool):
        return st.toggle(label, value=value, **common)
    if isinstance(default, int | float):
        return _number(label, info, default, value, common)
    if isinstance(default, tuple):
        picked = st.multiselect(
            label,
            list(value),
            list(value),
            accept_new_options=True,
            placeholder="Type a name, press Enter",
            **common,
        )
        return tuple(picked)
    return st.text_input(label, value or "", **common)


def _number(
    label: str, info: OptionInfo, default: float, value: float, common: dict[str, Any]
) -> float:
    """A number of the default's kind; an emptied field keeps the value that it began with."""
    if isinstance(default, int):
        low, high = (None if end is None else int(end) for end in (info.low, info.high))
        typed: float | None = st.number_input(label, low, high, int(value), **common)
        return int(value if typed is None else typed)
    step = _step(default)
    typed = st.number_input(label, info.low, info.high, float(value), step, format="%g", **common)
    return float(value if typed is None else typed)


def _choice(label: str, info: OptionInfo, value: Any, common: dict[str, Any]) -> Any:
    choices = tuple(info.choices)
    index = choices.index(value) if value in choices else None
    title = info.choices.__getitem__
    if not info.captions:
        return st.selectbox(label, choices, index, title, placeholder="Choose", **common)
    captions = [info.captions.get(choice, "") for choice in choices]
    return st.radio(label, choices, index, title, captions=captions, **common)


def _step(value: float) -> float:
    return 0.05 if value >= 0.1 else value / 10 if value > 0 else 0.01


def value_text(info: OptionInfo, value: Any) -> str:
    """An option's value as a reader sees it.

    Examples
    --------
    >>> info = RunOptions().train.info()
    >>> value_text(info["early_stopping"], True), value_text(info["lr"], 0.01)
    ('yes', '0.01')
    >>> value_text(info["preset"], "fast")
    'Fast'
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:g}"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "none"
    return info.choices.get(value, str(value)) or "none"


def options_table(options: RunOptions) -> list[dict[str, str]]:
    """Every option with its value, default and meaning, those that differ first."""
    values, base = _values(options), _values(RunOptions())
    changed = differences(values, base)
    every = [(stage, name) for stage in base for name in base[stage]]
    rows = []
    for stage, name in changed + [item for item in every if item not in changed]:
        info = RunOptions.stages()[stage].info()[name]
        rows.append(
            {
                "Differs": "●" if (stage, name) in changed else "",
                "Part": info.group,
                "Option": option_label(info),
                "Value": value_text(info, values[stage][name]),
                "Default": value_text(info, base[stage][name]),
                "What it does": info.help,
            }
        )
    return rows


def changed_sentence(options: RunOptions) -> str:
    """Which options differ from the defaults, as one line of Markdown."""
    changed = [row for row in options_table(options) if row["Differs"]]
    if not changed:
        return "All options are the defaults."
    told = [
        f"{row['Option']} **{escape_markdown(row['Value'])}** ({row['Default']})" for row in changed
    ]
    return "Different from the defaults, which are in brackets: " + "; ".join(told) + "."
