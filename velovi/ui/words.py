"""Words a biologist uses for what is in a result."""

from __future__ import annotations

import time

from velovi.figures.embedding import ScaleKind
from velovi.runs.folder import RunState

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
    "directional_variance": (
        "Uncertainty of direction (variance of angle)",
        "How much the direction differs between samples of the posterior; higher is less sure.",
    ),
    "directional_difference": (
        "Uncertainty of direction (range of angles)",
        "Range of angles, in radians, that holds 90 % of the posterior samples; higher is less "
        "sure.",
    ),
    "directional_cosine_sim_variance": (
        "Uncertainty of direction (variance of cosine)",
        "Variance of the cosine between posterior samples and their mean; higher is less sure.",
    ),
    "directional_cosine_sim_difference": (
        "Uncertainty of direction (range of cosines)",
        "Range of cosines that holds 90 % of the posterior samples; higher is less sure.",
    ),
    "directional_cosine_sim_mean": (
        "Agreement of posterior samples",
        "Mean cosine between posterior samples and their mean; 1 means one clear direction.",
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
