"""Probabilities of a gene's four states over its latent time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from velovi.errors import OptionError
from velovi.keys import STATE_TITLES, TIME_AXIS
from velovi.plotting.bands import TimeBins
from velovi.plotting.chart import Chart, ChartAxis, ChartStack
from velovi.plotting.theme import FigureTheme, translucent


@dataclass(frozen=True)
class StateCourse:
    """Mean probability of each state in bins of the gene's latent time.

    ``t`` is the mean time of each bin and ``cells`` how many are in it (bins,); ``probabilities``
    has one entry a state (bins,). ``last`` is where the time axis ends.
    """

    gene: str
    t: np.ndarray
    cells: np.ndarray
    probabilities: Mapping[str, np.ndarray]
    last: float

    def __post_init__(self) -> None:
        lengths = {
            len(self.cells),
            *(len(probability) for probability in self.probabilities.values()),
        }
        if lengths != {len(self.t)}:
            raise OptionError(
                "states and bins of time differ in number",
                where=self.gene,
                expected=str(len(self.t)),
                found=str(sorted(lengths)),
            )

    def to_frame(self) -> pd.DataFrame:
        """One row for each bin."""
        return pd.DataFrame({"gene_time": self.t, "cells": self.cells, **self.probabilities})


def state_course_data(
    gene: str,
    time: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    *,
    bins: int = 32,
) -> StateCourse:
    """Average the states of the cells over bins of latent time that hold equally many.

    Parameters
    ----------
    gene
        Its name.
    time
        Latent time of the gene in each cell (cells,).
    probabilities
        One probability a cell for each state.
    bins
        How many bins; fewer where many cells share one time.
    """
    slots = TimeBins.of(time, bins=bins)
    latest = float(time[slots.cells[-1]]) if len(slots.cells) else TIME_AXIS
    return StateCourse(
        gene=gene,
        t=slots.t,
        cells=slots.counts,
        probabilities={name: slots.average(values) for name, values in probabilities.items()},
        last=max(latest, TIME_AXIS),
    )


def state_course_chart(data: StateCourse, theme: FigureTheme, *, height: int = 230) -> Chart:
    """The four probabilities on top of each other, in the colours of the phase portrait."""
    colors = state_colors(theme)
    return Chart(
        x=ChartAxis("latent time of the gene", -0.02 * data.last, 1.02 * data.last),
        y=ChartAxis("probability", 0.0, 1.02),
        height=height,
        stack=ChartStack(
            x=data.t.astype(np.float32),
            layers={
                STATE_TITLES.get(name, name): values.astype(np.float32)
                for name, values in data.probabilities.items()
            },
            colors={
                STATE_TITLES.get(name, name): colors.get(name, theme.missing)
                for name in data.probabilities
            },
        ),
    )


def state_colors(theme: FigureTheme) -> dict[str, str]:
    """On and off as in the phase portrait; a steady state is the pale form of its change."""
    return {
        "induction": theme.induction,
        "induction_steady": translucent(theme.induction, 0.45),
        "repression": theme.repression,
        "repression_steady": translucent(theme.repression, 0.4),
    }
