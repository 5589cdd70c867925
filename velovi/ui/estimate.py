"""What a run will take, beside the button that starts it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import streamlit as st

from velovi.config import RunOptions
from velovi.runs.estimate import GB, Estimate, FileSize, estimate_run, genes_that_fit
from velovi.runs.progress import STAGES
from velovi.ui.formatting import format_duration, format_duration_range, format_size
from velovi.ui.services import get_hardware, get_workspace

if TYPE_CHECKING:
    from velovi.data import DatasetSummary

# with fewer genes than this a velocity says little, so no one is advised to
_FEWEST_GENES = 100
_LEAST_WORTH_SAYING, _SECONDS_WORTH_SAYING = 0.01, 5.0  # GB of files; of a step

Told = Callable[[RunOptions], Estimate]


def file_size(summary: DatasetSummary, options: RunOptions) -> FileSize:
    """Cells, genes and counts of a file, as the estimate takes them.

    A layer of whole counts holds at most as many numbers as counts.
    """
    wanted = (options.preprocess.spliced_layer, options.preprocess.unspliced_layer)
    totals = [layer.total for layer in summary.layers if layer.name in wanted and layer.integer]
    known = len(totals) == 2 and None not in totals
    most = summary.n_cells * summary.n_genes
    return FileSize(
        summary.n_cells,
        summary.n_genes,
        sum(min(total, most) for total in totals if total is not None) if known else None,
        any(
            embedding.n_dims == 2
            and embedding.name.startswith("X_")
            and "pca" not in embedding.name.lower()
            for embedding in summary.embeddings
        ),
    )


def show_estimate(file: FileSize, options: RunOptions) -> None:
    """Time and memory of a run with these options, and what to change when it will not fit."""
    free = psutil.virtual_memory().available / GB
    threads = options.train.threads or get_hardware().cores

    def told(changed: RunOptions) -> Estimate:
        return estimate_run(file, changed, threads=threads, free_gb=free)

    found = told(options)
    st.markdown(
        f"About **{format_duration_range(*found.time_range)}** · about **{found.peak_gb:.1f} GB** "
        "of "
        f"memory · about **{format_size(found.disk_gb * GB)}** on disk",
        help=_details(found, threads),
    )
    st.caption(_basis(file, found, options))
    if found.peak_gb > free:
        st.warning(_too_large(found, options, free, told), icon=":material/memory:")
    elif found.files_gb > _LEAST_WORTH_SAYING:
        limit = options.train.memory_gb or free / 2
        st.info(
            f"About {format_size(found.files_gb * GB)} of matrices go to files while the run "
            "works, "
            f"which is slower: **Memory for matrices** keeps {format_size(limit * GB)} in memory.",
            icon=":material/hard_drive:",
        )
    disk = shutil.disk_usage(get_workspace().root).free / GB
    if found.disk_gb + found.files_gb > disk:
        st.warning(
            f"About {format_size((found.disk_gb + found.files_gb) * GB)} on disk are needed, and "
            f"{format_size(disk * GB)} are free. Delete runs that you no longer need, on the Runs "
            "page.",
            icon=":material/hard_drive:",
        )


def _details(found: Estimate, threads: int) -> str:
    rows = [
        f"| {title} | {format_duration(found.seconds[stage])} | "
        + (f"{found.memory_gb[stage]:.1f} GB |" if stage in found.memory_gb else "|")
        for stage, (title, _) in STAGES.items()
        if found.seconds.get(stage, 0.0) > _SECONDS_WORTH_SAYING
    ]
    head = ["| Step | About | Memory |", "|---|---|---|"]
    note = (
        f"Reckoned for {threads} CPU thread{'s' * (threads != 1)} and nothing else at work, from "
        "measurements on a machine with two cores. It may well be wrong by a factor of two; a "
        "graphics card is quicker."
    )
    return "\n".join([note, "", *head, *rows])


def _basis(file: FileSize, found: Estimate, options: RunOptions) -> str:
    """What the figures are for, in one sentence."""
    parts = [f"For {file.n_cells:,} cells, at most {found.n_genes:,} genes"]
    if options.train.saved_model:
        parts.append("and a model that is already trained")
    else:
        most = "at most " if options.train.preset == "reference" else ""
        parts.append(f"and {most}{found.epochs:,} epoch{'s' * (found.epochs != 1)}")
    said = " ".join(parts) + f"; the longest step is *{STAGES[found.longest].title}*."
    if options.preprocess.filter_on_r2:
        said += (
            " Genes without signal are dropped first; in the shorter time a fifth of the genes "
            "are left."
        )
    return said


def _too_large(found: Estimate, options: RunOptions, free: float, told: Told) -> str:
    def with_genes(n_genes: int) -> Estimate:
        fewer = replace(options.preprocess, n_top_genes=max(2, n_genes))
        return told(replace(options, preprocess=fewer))

    said = (
        f"**This may not fit.** *{STAGES[found.largest].title}* needs about {found.peak_gb:.1f} "
        "GB of "
        f"memory, and {free:.1f} GB are free. "
    )
    genes = genes_that_fit(with_genes, found.n_genes, free)
    if genes is not None and genes >= _FEWEST_GENES:
        rounded = genes if genes < 2 * _FEWEST_GENES else genes // 50 * 50
        return said + f"It fits with at most {rounded:,} **variable genes**."
    nearer = replace(options, dynamics=replace(options.dynamics, recurse_neighbors=1))
    if found.largest == "dynamics" and told(nearer).peak_gb <= free:
        return said + "It fits with a **neighbourhood depth** of 1 (advanced options)."
    return (
        said + "Use a part of the cells, wait until other work on this machine has ended, or take "
        "a machine with more memory."
    )
