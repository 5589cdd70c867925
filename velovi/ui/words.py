"""Words a biologist uses for what is in a result."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from velovi.figures.embedding import ScaleKind
from velovi.runs.folder import RunState
from velovi.runs.names import free_name

# column of the cells -> name on the page, explanation
CELL_NUMBERS: dict[str, tuple[str, str]] = {
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

STATES: dict[RunState, tuple[str, str, str]] = {
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
CHOICES: dict[str, dict[str, tuple[str, str]]] = {
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

STAGES: dict[str, str] = {
    "read": "Read file",
    "preprocess": "Prepare counts",
    "train": "Train model",
    "posterior": "Ask the model",
    "dynamics": "Map directions",
    "write": "Save",
}


def cell_number(column: str) -> tuple[str, str]:
    """Name and explanation of a column of the cells."""
    return CELL_NUMBERS.get(column, (column, ""))


def embedding_name(key: str) -> str:
    """``X_umap`` as people say it."""
    known = {"X_umap": "UMAP", "X_tsne": "t-SNE", "X_pca": "PCA"}
    return known.get(key, key.removeprefix("X_"))


def device_name(device: str) -> str:
    """What a model trained on; torch's name for it in words."""
    known = {"cpu": "Processor", "cuda": "Graphics card", "mps": "Apple graphics"}
    return known.get(device.split(":")[0], device)


def size_text(n_bytes: float) -> str:
    """An amount of storage.

    Examples
    --------
    >>> size_text(4.6e9), size_text(12_000_000), size_text(900)
    ('4.6 GB', '12 MB', '1 kB')
    """
    if n_bytes >= 0.95e9:
        return f"{n_bytes / 1e9:.1f} GB"
    if n_bytes >= 0.95e6:
        return f"{n_bytes / 1e6:.0f} MB"
    return f"{max(1, round(n_bytes / 1e3))} kB"


def duration_range(low: float, high: float) -> str:
    """A length of time that is known roughly.

    Examples
    --------
    >>> duration_range(40, 80), duration_range(70, 140), duration_range(3000, 6000)
    ('40 to 80 seconds', '1 to 2 minutes', '50 to 100 minutes')
    >>> duration_range(9000, 18000)
    '2.5 to 5.0 hours'
    """
    if high < 90:
        return f"{max(5, round(low / 5) * 5)} to {max(10, round(high / 5) * 5)} seconds"
    if high < 7200:
        least, most = max(1, round(low / 60)), max(2, round(high / 60))
        return f"{least} to {most} minutes"
    return f"{low / 3600:.1f} to {high / 3600:.1f} hours"


def duration(seconds: float | None) -> str:
    """A length of time in rounded words."""
    if seconds is None or seconds < 0:
        return "unknown"
    if seconds < 8:
        return "a few seconds"
    if seconds < 90:
        return f"{round(seconds / 5) * 5} seconds"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"


def moment(then: float) -> str:
    """Day and time of a moment, short."""
    return time.strftime("%d %b %H:%M", time.localtime(then)).lstrip("0")


def distinct(
    labels: Mapping[str, str], hints: Mapping[str, str] | None = None
) -> Callable[[str], str]:
    """What each entry of a list is called, no two the same.

    A list of Streamlit knows its entries by their labels alone: of two that read the same it
    takes the last, whichever was chosen.

    Parameters
    ----------
    labels
        Of each entry, by its id.
    hints
        What tells an entry from others that read the same, written before the label, where no
        narrow list cuts it off; a number does when that is not enough.

    Returns
    -------
    The label of an id, for ``format_func``; an id that is none of the list's is its own label.

    Examples
    --------
    >>> labels = {"a": "Gut", "b": "Gut", "c": "Liver"}
    >>> list(map(distinct(labels, {"a": "3 May", "b": "4 May"}), "abcd"))
    ['3 May · Gut', '4 May · Gut', 'Liver', 'd']
    >>> list(map(distinct(labels), "abc"))
    ['Gut', 'Gut (2)', 'Liver']
    """
    count = Counter(labels.values())
    found: dict[str, str] = {}
    used: set[str] = set()
    for one, label in labels.items():
        told = f"{hints[one]} · {label}" if hints and count[label] > 1 else label
        found[one] = free_name(told, used, longest=len(told) + 7)
        used.add(found[one])
    return lambda one: found.get(one, one)


def ago(then: float) -> str:
    """How long ago a moment was."""
    seconds = max(0.0, time.time() - then)
    if seconds < 45:
        return "just now"
    if seconds < 5400:
        minutes = max(1, round(seconds / 60))
        return f"{minutes} minute{'s' * (minutes > 1)} ago"
    if seconds < 129_600:
        hours = round(seconds / 3600)
        return f"{hours} hour{'s' * (hours > 1)} ago"
    return time.strftime("%d %B %Y", time.localtime(then))
