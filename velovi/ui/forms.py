"""One form for all options, made from the option dataclasses in :mod:`velovi.config`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from velovi.config import OptionInfo, Options, RunOptions

if TYPE_CHECKING:
    from velovi.data import DatasetSummary

GROUPS = {
    "preprocess": "Prepare",
    "train": "Train",
    "posterior": "Ask the model",
    "model": "Model",
    "dynamics": "Map directions",
}
COMMON = ("preprocess", "train", "posterior")


@dataclass(frozen=True)
class Defaults:
    """What a file suggests in place of an option's default, and what may be chosen."""

    values: dict[str, Any]
    choices: dict[str, tuple[str, ...]]

    @classmethod
    def from_summary(cls, summary: DatasetSummary) -> Defaults:
        """Layer names as the file has them."""
        names = tuple(one.name for one in summary.layers)
        guess = {"spliced_layer": summary.spliced_layer, "unspliced_layer": summary.unspliced_layer}
        values = {name: layer for name, layer in guess.items() if layer}
        return cls(values, dict.fromkeys(guess, names) if names else {})


def options_form(key: str, defaults: Defaults, *, disabled: bool = False) -> RunOptions | None:
    """The form; the options once its button is pressed, else None.

    Raises
    ------
    OptionError
        When two values do not go together; the caller shows it as a sentence.
    """
    values: dict[str, dict[str, Any]] = {}
    with st.form(key):
        for slot, stage in zip(st.columns([1.3, 1, 1], gap="large"), COMMON, strict=True):
            with slot:
                st.markdown(f"**{GROUPS[stage]}**")
                values[stage] = _widgets(key, stage, defaults, advanced=False)
        with st.expander("Advanced options", icon=":material/tune:"):
            slots = st.columns(3, gap="large")
            for i, stage in enumerate(GROUPS):
                with slots[i % 3]:
                    st.markdown(f"**{GROUPS[stage]}**")
                    more = _widgets(key, stage, defaults, advanced=True)
                    values.setdefault(stage, {}).update(more)
        pressed = st.form_submit_button(
            "Train", type="primary", icon=":material/play_arrow:", disabled=disabled
        )
    return RunOptions.from_dict(values) if pressed else None


def _widgets(key: str, stage: str, defaults: Defaults, *, advanced: bool) -> dict[str, Any]:
    kind = RunOptions.stages()[stage]
    return {
        name: option_widget(f"{key}_{stage}_{name}", name, kind, info, defaults)
        for name, info in kind.info().items()
        if info.advanced == advanced
    }


def option_widget(
    key: str, name: str, kind: type[Options], info: OptionInfo, defaults: Defaults
) -> Any:
    """The widget that fits one option's type, range and choices."""
    value = defaults.values.get(name, kind.default(name))
    label = (
        f"{info.label} ({info.unit})"
        if info.unit and info.unit not in info.label.lower()
        else info.label
    )
    common: dict[str, Any] = {"key": key, "help": info.help}
    choices = defaults.choices.get(name) or info.choices
    if choices:
        index = choices.index(value) if value in choices else None
        return st.selectbox(label, choices, index=index, **common)
    if isinstance(value, bool):
        return st.toggle(label, value=value, **common)
    if isinstance(value, int):
        low = None if info.low is None else int(info.low)
        high = None if info.high is None else int(info.high)
        return int(st.number_input(label, low, high, value, **common))
    if isinstance(value, float):
        return float(
            st.number_input(label, info.low, info.high, value, _step(value), format="%g", **common)
        )
    if isinstance(value, tuple):
        picked = st.multiselect(
            label, list(value), list(value), accept_new_options=True,
            placeholder="Type a name and press Enter", **common,
        )  # fmt: skip
        return tuple(picked)
    return st.text_input(label, value, **common)


def _step(value: float) -> float:
    return 0.05 if value >= 0.1 else value / 10 if value > 0 else 0.01
