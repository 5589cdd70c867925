"""Titles and explanations of what is in a result and of what a run is made of."""

from __future__ import annotations

from velovi.plotting.embedding import ScaleKind
from velovi.runs.folder import RunState

# column of the cells -> name on the page, explanation
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

# layer -> name, kind of colour scale, explanation
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
    "fit_t": ("Latent time of the gene", "time", "From 0 to 20, for this gene alone."),
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

RUN_STATES: dict[RunState, tuple[str, str, str]] = {
    RunState.QUEUED: ("waiting", "gray", ":material/schedule:"),
    RunState.RUNNING: ("running", "blue", ":material/autorenew:"),
    RunState.STOPPING: ("finishing", "violet", ":material/flag:"),
    RunState.CANCELLING: ("cancelling", "orange", ":material/cancel:"),
    RunState.DONE: ("done", "green", ":material/check_circle:"),
    RunState.FAILED: ("failed", "red", ":material/error:"),
    RunState.CANCELLED: ("cancelled", "gray", ":material/cancel:"),
    RunState.LOST: ("lost", "red", ":material/help:"),
}

# option -> value -> name on the page and, where a choice needs one, a sentence
OPTION_CHOICES: dict[str, dict[str, tuple[str, str]]] = {
    "preset": {
        "fast": ("Fast", "Up to 150 epochs: a few times quicker, with a fit as good."),
        "reference": (
            "Reference",
            "As scvi-tools trains: until held-out cells are not fitted better.",
        ),
    },
    "counts": {
        "auto": ("Automatic", ""),
        "raw": ("Raw molecule counts", ""),
        "normalised": ("Already normalised", ""),
    },
    "neighbor_search": {
        "auto": ("Automatic", ""),
        "exact": ("Exact", ""),
        "approximate": ("Approximate", ""),
    },
    "accelerator": {
        "auto": ("Automatic", ""),
        "cpu": ("Processor (CPU)", ""),
        "gpu": ("Graphics card (GPU)", ""),
        "mps": ("Apple graphics (Metal)", ""),
    },
}

STAGE_TITLES: dict[str, str] = {
    "read": "Read file",
    "preprocess": "Prepare counts",
    "train": "Train model",
    "posterior": "Ask the model",
    "dynamics": "Map directions",
    "write": "Save",
}


def cell_column_title(column: str) -> tuple[str, str]:
    """Name and explanation of a column of the cells."""
    return CELL_COLUMNS.get(column, (column, ""))


def embedding_name(key: str) -> str:
    """``X_umap`` as people say it."""
    known = {"X_umap": "UMAP", "X_tsne": "t-SNE", "X_pca": "PCA"}
    return known.get(key, key.removeprefix("X_"))


def device_name(device: str) -> str:
    """What a model trained on; torch's name for it in words."""
    known = {"cpu": "Processor", "cuda": "Graphics card", "mps": "Apple graphics"}
    return known.get(device.split(":")[0], device)
