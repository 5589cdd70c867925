"""The names under which a result keeps things, with the title and the explanation of each.

``obs``, ``layers`` and ``var`` are those of the AnnData that a run writes and that
:meth:`velovi.VELOVI.to_scvelo` gives.
"""

from __future__ import annotations

from typing import Literal

ScaleKind = Literal["abundance", "diverging", "time"]
"""How numbers become colours: from nothing to much, about zero, or along time."""
UNLABELLED = "unlabelled"
"""The group of cells for which an annotation says nothing; it is drawn in grey."""

STATE_TITLES: dict[str, str] = {
    "induction": "Induction",
    "induction_steady": "Induction, steady",
    "repression": "Repression",
    "repression_steady": "Repression, steady",
}
"""The four transcription states of a gene; layer ``p_`` and the name holds the probability."""

RATES: dict[str, str] = {
    "fit_alpha": "Transcription rate",
    "fit_beta": "Splicing rate",
    "fit_gamma": "Degradation rate",
}
"""Columns of ``var``: rates per unit of the gene's latent time, which runs from 0 to 20."""

CELL_COLUMNS: dict[str, tuple[str, str]] = {
    "latent_time": (
        "Latent time",
        "Where a cell stands on the way from start (0) to end (1), shared by all genes.",
    ),
    "velocity_confidence": (
        "Velocity confidence",
        "How well a cell's velocity agrees with that of its neighbours: 1 is full agreement, "
        "0 is none.",
    ),
    "velocity_length": (
        "Speed",
        "Length of a cell's velocity over all genes: how fast its expression changes.",
    ),
    "direction_angle": (
        "Direction uncertainty: typical angle",
        "Typical angle, in degrees, between a posterior sample of a cell's velocity and the mean "
        "of its samples: 0 is one clear direction, 90 is none.",
    ),
    "direction_angle_extrinsic": (
        "Next-state uncertainty: typical angle",
        "Typical angle, in degrees, between where one posterior sample leads among the measured "
        "cells and where the mean of the samples leads: 0 is one clear way, 90 is none.",
    ),
    "directional_variance": (
        "Intrinsic uncertainty: variance of angle",
        "How much the direction differs between samples of the posterior; higher is less sure.",
    ),
    "directional_difference": (
        "Intrinsic uncertainty: range of angles",
        "Range of angles, in radians, that holds 90 % of the posterior samples; higher is less "
        "sure.",
    ),
    "directional_cosine_sim_variance": (
        "Intrinsic uncertainty: variance of cosine",
        "Variance of the cosine between posterior samples and their mean; higher is less sure.",
    ),
    "directional_cosine_sim_difference": (
        "Intrinsic uncertainty: range of cosines",
        "Range of cosines that holds 90 % of the posterior samples; higher is less sure.",
    ),
    "directional_cosine_sim_mean": (
        "Agreement of posterior samples",
        "Mean cosine between posterior samples and their mean; 1 means one clear direction.",
    ),
    "directional_variance_extrinsic": (
        "Extrinsic uncertainty: variance of angle",
        "How much posterior samples differ in where among the measured cells a cell goes next; "
        "higher is less sure.",
    ),
    "directional_difference_extrinsic": (
        "Extrinsic uncertainty: range of angles",
        "Range of angles, in radians, that holds 90 % of the samples' next states; higher is less "
        "sure.",
    ),
    "directional_cosine_sim_variance_extrinsic": (
        "Extrinsic uncertainty: variance of cosine",
        "Variance of the cosine between the samples' next states and their mean; higher is less "
        "sure.",
    ),
    "directional_cosine_sim_difference_extrinsic": (
        "Extrinsic uncertainty: range of cosines",
        "Range of cosines that holds 90 % of the samples' next states; higher is less sure.",
    ),
    "directional_cosine_sim_mean_extrinsic": (
        "Agreement on the next state",
        "Mean cosine between the samples' next states and their mean; 1 means one clear state.",
    ),
    "direction_error": (
        "Expected error of direction",
        "Angle, in degrees, between a cell's velocity over all genes and the true one that half of "
        "such cells stay below, learned on simulated cells: 90 is no better than chance.",
    ),
    "direction_error_upper": (
        "Error of direction, upper bound",
        "The same, which 95 % of such cells stay below.",
    ),
    "gene_half_agreement": (
        "Agreement of gene halves",
        "Mean cosine between the arrows that two random halves of the genes give a cell: 1 is full "
        "agreement, 0 none, -1 the opposite.",
    ),
    "agreement_stochastic": (
        "Agreement with steady state, stochastic",
        "Cosine between a cell's arrow and that of the stochastic steady-state model: 1 is the "
        "same direction, -1 the opposite.",
    ),
    "agreement_deterministic": (
        "Agreement with steady state, deterministic",
        "The same with the deterministic steady-state model.",
    ),
    "velocity_support": (
        "Support of velocities",
        "Whether the evidence supports the velocities of a cell's group, as judged when the run "
        "ended; see the Evidence page.",
    ),
    "velocity_transition_entropy": (
        "Transition entropy",
        "How evenly a cell's next step is spread over the cells near it: 1 where its velocity "
        "chooses none before another, 0 where it chooses one.",
    ),
    "velocity_self_transition": (
        "Staying put",
        "How little any neighbouring cell lies where the velocity points; high at ends and where "
        "cells are far apart.",
    ),
    "root_cells": (
        "Likely start",
        "How likely a long walk against the velocity is found at a cell: 1 at the likeliest start.",
    ),
    "end_points": (
        "Likely end",
        "How likely a long walk along the velocity is found at a cell: 1 at the likeliest ends.",
    ),
}
"""Columns of ``obs``, (cells,): title, and what it says with its unit."""

GENE_LAYERS: dict[str, tuple[str, ScaleKind, str]] = {
    "Ms": ("Spliced RNA", "abundance", "Mature RNA, averaged over neighbours, scaled from 0 to 1."),
    "Mu": (
        "Unspliced RNA",
        "abundance",
        "Nascent RNA, averaged over neighbours, scaled from 0 to 1.",
    ),
    "velocity": (
        "Velocity",
        "diverging",
        "Change of spliced RNA per unit of scaled time: blue rises, orange falls.",
    ),
    "velocity_sd": (
        "Velocity, uncertainty",
        "abundance",
        "Posterior standard deviation of the velocity.",
    ),
    "fit_t": (
        "Latent time of the gene",
        "time",
        "From 0 to 20, for this gene alone; grey where it is off and has none.",
    ),
    "p_induction": ("Probability: induction", "abundance", "The gene is being switched on."),
    "p_induction_steady": (
        "Probability: induction, steady",
        "abundance",
        "The gene is on and no longer rising.",
    ),
    "p_repression": ("Probability: repression", "abundance", "The gene is being switched off."),
    "p_repression_steady": (
        "Probability: repression, steady",
        "abundance",
        "The gene is off and no longer falling.",
    ),
}
"""Layers, (cells, genes): title, colour scale, and what it says with its unit."""

ANGLE_COLUMNS = {
    "direction_angle": "directional_cosine_sim_mean",
    "direction_angle_extrinsic": "directional_cosine_sim_mean_extrinsic",
}
"""Typical angles (degrees) of a posterior sample to the mean, and the mean cosines of each."""

SCALERS = ("ms_min", "ms_max", "mu_min", "mu_max")
"""Columns of ``var`` with the range of each gene's smoothed abundance before it was scaled."""

AGREEMENT_COLUMNS = frozenset(
    {"gene_half_agreement", "agreement_stochastic", "agreement_deterministic"}
)
"""Columns of ``obs`` that hold cosines between arrows, from -1 to 1."""

SUPPORT_COLORS = {
    "supported": "#2a9d8f",
    "weak": "#e0b04a",
    "no evidence": "#c2517f",
    "cannot tell": "#9aa4b8",
}
"""Colour of each word of the verdict on velocities."""

TIME_COLUMNS = frozenset({"latent_time", "pseudotime"})
"""Columns of ``obs`` that hold a time from 0 to 1."""


def cell_scale(column: str) -> ScaleKind:
    """The colour scale of a number of the cells."""
    if column in AGREEMENT_COLUMNS:
        return "diverging"
    return "time" if column in TIME_COLUMNS else "abundance"


def cell_bounds(column: str) -> tuple[float, float] | None:
    """Ends of its colour scale whatever the data; None for those of the data."""
    if column in AGREEMENT_COLUMNS:
        return (-1.0, 1.0)
    if column == "direction_error_upper":
        return (0.0, 180.0)
    # angles have one scale: what looks dark is unsure
    return (0.0, 90.0) if column in (*ANGLE_COLUMNS, "direction_error") else None


def layer_bounds(layer: str) -> tuple[float, float] | None:
    """Ends of the colour scale of a layer whatever the data; None for those of the data."""
    # probabilities share one scale, so that maps beside each other can be compared
    return (0.0, 1.0) if layer.startswith("p_") else None


TIME_AXIS = 20.0
"""Largest latent time of every gene in a result, as scVelo has it."""
