"""The numbers of a result that mean something only beside those of cells without velocity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

STEADY_STATE: dict[Literal["deterministic", "stochastic"], str] = {
    "deterministic": "steady_state_gamma",
    "stochastic": "steady_state_gamma_stochastic",
}
"""Modes of the steady-state model, and the columns of ``var`` with the slopes of each."""
MOST_CELLS = 20_000
"""Arrows of halves of the genes are worked out for so many cells; the others take the values of
the nearest of them."""


@dataclass(frozen=True)
class Number:
    """One number of a result.

    Attributes
    ----------
    title, meaning
        What it is called on a page, and a sentence on it with its unit.
    column
        Column of ``obs`` or ``var`` that it sums up; empty for those counted otherwise.
    of_genes
        Whether the column is one of ``var``.
    form
        How it is written, as :func:`format` takes it.
    middle
        Whether it is the median of the column; the mean otherwise.
    angle
        Whether the column holds cosines, of which the angle is shown.
    """

    title: str
    meaning: str
    column: str = ""
    of_genes: bool = False
    form: str = ".2f"
    middle: bool = True
    angle: bool = False

    def summarise(self, values: np.ndarray) -> float:
        """Median or mean of the numbers that are finite; NaN when there are none."""
        known = values[np.isfinite(values)]
        if not len(known):
            return float("nan")
        return float(np.median(known) if self.middle else known.mean())


NUMBERS: dict[str, Number] = {
    "genes_kept": Number("Genes in the model", "Genes that passed all filters.", form=",.0f"),
    "share_kept": Number(
        "Genes that follow their line",
        "Share of the genes tested whose unspliced counts follow their spliced counts.",
        form=".0%",
    ),
    "explained": Number(
        "Explained",
        "Median share of a gene's variation that the fit explains.",
        column="fit_explained",
        of_genes=True,
    ),
    "permutation_score": Number(
        "Permutation score",
        "Median over genes: how much worse the fit becomes when cells of a group are shuffled.",
        column="permutation_score",
        of_genes=True,
        form=".1f",
    ),
    "velocity_confidence": Number(
        "Velocity confidence",
        "Median agreement of a cell's velocity with that of its neighbours, -1 to 1.",
        column="velocity_confidence",
    ),
    "direction_angle": Number(
        "Typical angle of posterior samples",
        "Median over cells, in degrees: intrinsic uncertainty.",
        column="directional_cosine_sim_mean",
        form=".0f",
        angle=True,
    ),
    "direction_angle_extrinsic": Number(
        "… of where they lead",
        "Median over cells, in degrees: extrinsic uncertainty.",
        column="directional_cosine_sim_mean_extrinsic",
        form=".0f",
        angle=True,
    ),
    "gene_half_agreement": Number(
        "Halves of the genes",
        "Median cosine between the arrows of two random halves of the genes.",
        column="gene_half_agreement",
    ),
    "agreement_deterministic": Number(
        "Steady state, deterministic",
        "Median cosine between arrows of veloVI and of the deterministic steady-state model.",
        column="agreement_deterministic",
    ),
    "agreement_stochastic": Number(
        "Steady state, stochastic",
        "Median cosine between arrows of veloVI and of the stochastic steady-state model.",
        column="agreement_stochastic",
    ),
    "self_transition": Number(
        "Self-transition score",
        "Mean over cells of how little any neighbour lies where the velocity points, 0 to 1.",
        column="velocity_self_transition",
        middle=False,
    ),
    "transition_entropy": Number(
        "Normalised transition entropy",
        "Mean over cells, 0 to 1: 1 where velocities choose no neighbour before another.",
        column="velocity_transition_entropy",
        middle=False,
    ),
}
"""In the order in which a page shows them."""
