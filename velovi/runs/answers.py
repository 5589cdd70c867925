"""What a run's model says of every cell and gene, and where that sends the cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from velovi import dynamics
from velovi.config import ALL_NEIGHBOURS_UP_TO, NEIGHBOURS_BEYOND
from velovi.data import MOST_GROUPS, Preprocessed
from velovi.data.embeddings import has_place, is_map
from velovi.keys import SCALERS
from velovi.numerics.out_of_core import MatrixAllocator, gene_blocks, release_pages
from velovi.runs.diagnostics import add_extrinsic, add_permutation_scores
from velovi.runs.folder import RunFolder, RunSpec
from velovi.runs.progress import Reporter
from velovi.runs.results import RESULT_VERSION, velocity_keys
from velovi.runs.user_columns import stored_names

if TYPE_CHECKING:
    from anndata import AnnData

    from velovi.model.api import VELOVI
    from velovi.model.summary import PosteriorSummary

_SEEDED = ("preprocess", "train", "posterior", "dynamics", "evidence")


def ask(
    prepared: Preprocessed,
    model: VELOVI,
    spec: RunSpec,
    folder: RunFolder,
    reporter: Reporter,
    matrices: MatrixAllocator,
) -> AnnData:
    """All that the trained model says of its cells, and where that sends them."""
    summary = summarise(model, prepared.adata, spec, reporter, matrices)
    result = assemble(prepared, summary, model, spec, folder.history(), matrices)
    del summary
    reporter.step(0, message="How sure directions are among the measured cells")
    add_extrinsic(result, model, spec.options, matrices.empty)
    reporter.step(0, message="Which genes need their cells' order")
    add_permutation_scores(result, model, spec.options)
    add_dynamics(result, spec, reporter)
    return result


def summarise(
    model: VELOVI, adata: AnnData, spec: RunSpec, reporter: Reporter, matrices: MatrixAllocator
) -> PosteriorSummary:
    """Posterior means and deviations of every cell and gene."""
    from velovi.model.training import set_threads

    options = spec.options.posterior
    reporter.stage("posterior", of=adata.n_obs)
    set_threads(spec.options.train.threads)  # other cores may be free than when training began
    return model.get_posterior_summary(
        options.n_samples,
        options.seed,
        adata=adata,
        gene_list=list(adata.var_names),
        quantiles=(),
        directional_samples=options.directional_samples,
        batch_size=options.batch_size,
        on_batch=reporter.step,
        allocate=matrices.empty,
    )


def assemble(
    prepared: Preprocessed,
    summary: PosteriorSummary,
    model: VELOVI,
    spec: RunSpec,
    history: list[dict[str, float]],
    matrices: MatrixAllocator,
) -> AnnData:
    """The result so far as an AnnData with scVelo's keys; see ``VELOVI.to_scvelo``.

    It takes over the matrices of ``prepared`` and of ``summary``, which are not copied.
    """
    adata = _with_the_same_matrices(prepared.adata)
    names = stored_names(adata)
    notes = list(prepared.report.notes)
    if adata.n_obs > ALL_NEIGHBOURS_UP_TO and not spec.options.dynamics.max_neighbors:
        notes.append(
            f"The velocity graph compares each cell with {NEIGHBOURS_BEYOND} cells of its "
            "neighbourhood, drawn at random, because there are so many cells."
        )
    for column in adata.obs.select_dtypes("category"):
        n_groups = len(adata.obs[column].cat.categories)
        if MOST_GROUPS < n_groups <= adata.n_obs / 2:
            notes.append(
                f"'{column}' has {n_groups:,} groups; the {MOST_GROUPS - 1} largest are shown by "
                "themselves and the others together."
            )
    if matrices.files:
        notes.append(
            "Matrices were kept in files while the run worked, because together they are larger "
            f"than the {matrices.budget / 2**30:.1f} GB that were to be used: "
            + ", ".join(matrices.files)
            + "."
        )
    model.add_results(adata, summary, in_place=True)
    report = prepared.report
    adata.uns["velovi"] = {
        "result_version": RESULT_VERSION,
        "spec": json.dumps(_without_folders(spec)),
        "versions": dict(spec.versions),
        "history": pd.DataFrame(history),
        "genes": report.genes,
        "notes": np.array(notes, dtype=object),
        "names": json.dumps(names),
        "unspliced_fraction": report.unspliced_fraction,
        "n_train_cells": len(model.train_indices),
        "device": str(model.device),
        "scalers": adata.var[list(SCALERS)].copy(),
        "seeds": {name: getattr(spec.options, name).seed for name in _SEEDED},
    }
    return adata


def _with_the_same_matrices(adata: AnnData) -> AnnData:
    """Another AnnData over the same matrices, with annotations of its own."""
    from anndata import AnnData

    parts = {name: dict(getattr(adata, name)) for name in ("layers", "obsm", "obsp", "varm")}
    uns = {key: value for key, value in adata.uns.items() if not key.startswith("_scvi")}
    return AnnData(adata.X, obs=adata.obs.copy(), var=adata.var.copy(), uns=uns, **parts)


def _without_folders(spec: RunSpec) -> dict[str, Any]:
    """A result may be passed on: it names files, not the machine's folders."""
    told = spec.to_dict()
    told["source"] = Path(spec.source).name
    told["options"]["train"]["saved_model"] = Path(spec.options.train.saved_model).name
    return told


def add_dynamics(adata: AnnData, spec: RunSpec, reporter: Reporter) -> None:
    """Add the velocity graph, projections, shared time and confidence to the result."""
    options = spec.options.dynamics
    embeddings = [name for name in adata.obsm if is_map(name, adata.obsm[name])]
    reporter.stage("dynamics", of=4 + len(embeddings))
    # rows of cells side by side: the layer itself has columns of genes
    velocity = np.ascontiguousarray(adata.layers["velocity"])
    release_pages(adata.layers["velocity"])
    expression = adata.layers["Ms"]
    distances = adata.obsp["distances"]
    graph = dynamics.velocity_graph(
        velocity,
        expression,
        distances,
        recurse_neighbors=options.recurse_neighbors,
        max_neighbors=options.most_neighbors(adata.n_obs),
        seed=options.seed,
    )
    adata.uns["velocity_graph"], adata.uns["velocity_graph_neg"] = graph.positive, graph.negative
    reporter.step(1)
    adata.obs["velocity_length"] = dynamics.velocity_length(velocity)
    adata.obs["velocity_confidence"] = dynamics.velocity_confidence(velocity, distances)
    adata.obs["velocity_self_transition"] = graph.self_transition
    del velocity
    reporter.step(2)
    chain = dynamics.transition_matrix(graph, use_negative_cosines=False)
    adata.obs["velocity_transition_entropy"] = dynamics.transition_entropy(chain)
    adata.var["velocity_coherence"] = gene_coherence(chain, expression, adata.layers["velocity"])
    del chain
    transition = dynamics.transition_matrix(graph)
    shared = dynamics.shared_latent_time(
        adata.layers["fit_t"], transition, adata.obsp["connectivities"], seed=options.seed
    )
    adata.obs["latent_time"] = shared.time
    adata.obs["root_cells"], adata.obs["end_points"] = shared.root_cells, shared.end_points
    reporter.step(3)
    grids: dict[str, Any] = {}
    keys = velocity_keys(embeddings)
    adata.uns["velovi"]["velocity_keys"] = json.dumps(keys)
    for number, name in enumerate(embeddings):
        places = adata.obsm[name]
        vectors = project_placed(transition, places)
        adata.obsm[keys[name]] = vectors
        placed = has_place(places)
        field = dynamics.grid_field(places[placed, :2], vectors[placed, :2])
        grids[name] = field.to_dict()
        reporter.step(4 + number)
    adata.uns["velovi"]["grids"] = grids


def gene_coherence(
    transition: sparse.csr_matrix, expression: np.ndarray, velocity: np.ndarray
) -> np.ndarray:
    """Share of cells in which a gene changes, towards where all genes lead, as its velocity says.

    Half by chance. Of the cells whose velocity of the gene is not 0, (genes,) from 0 to 1; NaN for
    genes without any.
    """
    shares = np.full(expression.shape[1], np.nan)
    for block in gene_blocks(*expression.shape):
        found = dynamics.velocity_coherence(
            transition, np.asarray(expression[:, block]), np.asarray(velocity[:, block])
        )
        moving = (found != 0).sum(axis=0)
        agree = (found > 0).sum(axis=0)
        shares[block] = np.where(moving > 0, agree / np.maximum(moving, 1), np.nan)
    return shares


def project_placed(transition: sparse.csr_matrix, places: np.ndarray) -> np.ndarray:
    """Velocities on a map, float32 (cells, columns); NaN for cells that have no place there.

    Cells with a place go to others with a place; columns beyond two with gaps are left out.
    """
    if np.isfinite(places).all():
        return dynamics.project(transition, places)
    placed = has_place(places)
    columns = [at for at in range(places.shape[1]) if np.isfinite(places[placed, at]).all()]
    part = sparse.csr_matrix(transition[placed][:, placed])
    total = np.asarray(part.sum(axis=1)).ravel()
    part = sparse.csr_matrix(sparse.diags(1 / np.where(total != 0, total, 1)) @ part)
    vectors = np.full((len(places), len(columns)), np.nan, dtype=np.float32)
    vectors[placed] = dynamics.project(part, places[placed][:, columns])
    return vectors
