"""How sure the model is of each cell's direction: where, and beside what."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from velovi.plotting.density2d import Density2D, density2d, density_figure
from velovi.plotting.group_quantiles import group_quantiles_figure
from velovi.ui.cached_result import ResultView
from velovi.ui.cell_map import cell_map
from velovi.ui.coloring import ColorBy
from velovi.ui.labels import cell_column_title
from velovi.ui.panels import (
    PERSIST,
    cell_values,
    cells_key,
    figure_panel,
    label_choice,
    maps_header,
    spread_by_group,
)

INTRINSIC = "directional"
ANGLE = "angle"
MEASURES = {
    ANGLE: "Typical angle, sample to mean (degrees)",
    "difference": "Range of angles (radians)",
    "variance": "Variance of angle (radians²)",
    "cosine_sim_variance": "Variance of cosine",
    "cosine_sim_difference": "Range of cosines",
}
BESIDE = ("velocity_length", "velocity_confidence")
MEANING = """
**Intrinsic**: posterior samples of the cell's own velocity point in different directions. It is
high where few genes carry a signal, where the fit is poor, and where cells hardly change, because a
short arrow has no clear direction.

**Extrinsic**: samples disagree on which of the measured cells comes next. It is high at branch
points, where several ways lie open, and where the neighbourhood holds no cell in the direction of
the velocity.

**What to do**: do not read a direction where both are high. Look at the genes on the Genes page,
train with more cells or genes, or leave the group out. Low uncertainty is no proof: a model can be
surely wrong.
"""


def uncertainty_panel(view: ResultView, only: Callable[[], np.ndarray | None]) -> None:
    """The model's own uncertainty, with what it measures and what it does not.

    Parameters
    ----------
    view
        The result.
    only
        Asks which cells alone are looked at.
    """
    st.subheader("What the model says of its own uncertainty", anchor="model")
    names = measures(view)
    if not names:
        st.info(
            "This result holds no uncertainty of direction. Train again with *Samples for "
            "directional uncertainty* above 0."
        )
        return
    st.caption(
        "How far samples of the posterior differ, *given that the model is right*. It does not "
        "measure whether it is: on cells without velocity it is as sure. Most of its spread is "
        "that of the model's own prior on the four states of a gene, and hardly rises when cells "
        "have fewer molecules."
    )
    measure = measure_choice(names)
    found = columns_of(view, measure)
    uncertainty_maps(view, measure, found)
    with st.expander("What high uncertainty means, and what to do", icon=":material/help:"):
        st.markdown(MEANING)
    cells = only()
    by_group(view, measure, found, cells)
    beside(view, measure, found, cells)


def measures(view: ResultView) -> list[str]:
    """Measures of uncertainty that the result holds, the one that is shown first."""
    return [measure for measure in MEASURES if _column_of(measure) in view.store.obs]


def _column_of(measure: str, ending: str = "") -> str:
    return f"direction_{ANGLE}{ending}" if measure == ANGLE else f"{INTRINSIC}_{measure}{ending}"


def measure_choice(names: list[str]) -> str:
    """Which measure the page shows: the typical angle, unless the reader asks for more."""
    with st.popover("More measures", icon=":material/more_horiz:"):
        return str(
            st.selectbox(
                "Measure",
                names,
                key="uncertainty_measure",
                format_func=lambda option: MEASURES[option],
                help="Angles and cosines are between each posterior sample and the samples' mean. "
                "Ranges and variances say how much that angle differs from sample to sample, not "
                "how large it is: they shrink with the number of genes, however unsure the model "
                "is.",
                **PERSIST,
            )
        )


def columns_of(view: ResultView, measure: str) -> dict[str, str]:
    """Title and column of the intrinsic and, if it is there, the extrinsic uncertainty."""
    names = {
        "Intrinsic": _column_of(measure),
        "Extrinsic": _column_of(measure, "_extrinsic"),
    }
    return {title: name for title, name in names.items() if name in view.store.obs}


def uncertainty_maps(view: ResultView, measure: str, found: dict[str, str]) -> None:
    """Both uncertainties on the map."""
    maps = [
        ColorBy(column=name, title=f"{title}: {MEASURES[measure].lower()}")
        for title, name in found.items()
    ]
    if view.store.embeddings:
        maps_header(
            view,
            "On the map",
            f"{MEASURES[measure]}: how unsure the direction of each cell is; see below what high "
            "means. Angles are drawn from 0 to 90 degrees on both maps.",
            "directional uncertainty",
            maps,
            key="uncertainty",
        )
    cell_map(view, maps, key="uncertainty", height=380)
    if "Extrinsic" not in found:
        st.caption(
            "This run did not work out extrinsic uncertainty. Train again with *Samples for "
            "extrinsic uncertainty* above 0, or call `model.get_extrinsic_uncertainty()` in a "
            "notebook."
        )


def by_group(
    view: ResultView, measure: str, found: dict[str, str], only: np.ndarray | None
) -> None:
    """Both uncertainties by group."""
    labels = label_choice(view, "uncertainty_groups")
    for slot, (title, name) in zip(st.columns(len(found), gap="large"), found.items(), strict=True):
        values = cell_values(view, name)
        if values is None:
            continue
        data = spread_by_group(view, MEASURES[measure], name, values, labels, only)
        with slot:
            figure_panel(
                f"{title} uncertainty by group",
                "For each group the median (point), the middle half (bar) and 90 % (line) of its "
                "cells; the surest group is lowest.",
                lambda theme, data=data: group_quantiles_figure(data, theme),  # type: ignore[misc]
                data,
                key=f"{title.lower()}_by_group",
            )


@st.cache_data(show_spinner=False, max_entries=30)
def _pair(
    path: str,
    changed: float,
    x: str,
    y: str,
    title: str,
    marker: int,
    _view: ResultView,
    _only: np.ndarray | None,
) -> Density2D:
    first, second = cell_values(_view, x), cell_values(_view, y)
    assert first is not None
    assert second is not None
    return density2d(first, second, cell_column_title(x)[0], title, only=_only)


def beside(view: ResultView, measure: str, found: dict[str, str], only: np.ndarray | None) -> None:
    """Intrinsic uncertainty against speed and confidence."""
    name = next(iter(found.values()))
    others = [item for item in BESIDE if item in view.store.obs]
    if not others:
        return
    for slot, other in zip(st.columns(len(others), gap="large"), others, strict=True):
        data = _pair(
            view.path,
            view.changed,
            other,
            name,
            MEASURES[measure],
            cells_key(only),
            view,
            only,
        )
        with slot:
            title = cell_column_title(other)[0]
            figure_panel(
                f"Against {title.lower()}",
                f"{cell_column_title(other)[1]} Darker squares hold more cells; the line is the "
                "median.",
                lambda theme, data=data: density_figure(data, theme),  # type: ignore[misc]
                data,
                key=f"uncertainty_{other}",
                note=_in_words(data, title),
            )


def _in_words(data: Density2D, title: str) -> str:
    rank = data.correlation
    if not np.isfinite(rank):
        return "There are too few different values to compare."
    if abs(rank) < 0.2:
        return f"Rank correlation {rank:.2f}: hardly related to {title.lower()}."
    way = "more" if rank > 0 else "less"
    strength = "somewhat" if abs(rank) < 0.4 else "clearly"
    return (
        f"Rank correlation {rank:.2f}: where {title.lower()} is high, the direction is "
        f"{strength} {way} uncertain."
    )
