"""From counts to the smoothed, scaled expression that the model sees, and why genes were dropped.

The order of the steps and their formulas are those that users of RNA velocity know: count filter,
cell-size normalisation, variable genes, PCA, neighbours, neighbourhood means ("moments"), min-max
scaling, and a filter on the steady-state line of each gene.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from velovi.config import PreprocessOptions
from velovi.data import Preprocessed, PreprocessReport
from velovi.data.clean import (
    as_counts,
    gene_mask,
    label_colors,
    unique_names,
    without_missing_labels,
)
from velovi.data.embeddings import has_place, is_map, is_picture
from velovi.data.read import READING
from velovi.data.storable import storable_name
from velovi.data.validate import has_integer_values, require_cells, validate
from velovi.errors import DataError, first_named
from velovi.neighbors import neighbor_graph
from velovi.numerics.out_of_core import Allocator, gene_blocks, in_memory, release_pages
from velovi.scaling import (
    MIN_GAMMA,
    TrainedModel,
    filter_signal,
    match_training_scale,
    min_max,
    require_genes,
    require_scale,
    steady_state_line,
)

if TYPE_CHECKING:
    from anndata import AnnData

Progress = Callable[[str, float], None]
COMPUTED_UMAP = "X_umap_computed"
"""Name of a UMAP of ours beside one that the file brought."""
_ALIKE = 1e-5  # of log1p of normalised counts
_FEW_GENES = 50  # neighbours of so few are found by the genes themselves, not by their components
_UMAP_CELLS_A_MINUTE = 50_000  # on one core of 2026; umap-learn uses one when it has a seed


@dataclass
class _State:
    """The genes still in play; matrices are (cells, genes) and never written in place."""

    table: pd.DataFrame  # one row for each input gene
    spliced: sp.csr_matrix  # counts as given
    unspliced: sp.csr_matrix
    x: sp.csr_matrix  # what genes and neighbours are chosen by
    factors: dict[str, np.ndarray | None]  # of each cell; None leaves a matrix as it is
    forced: np.ndarray  # bool, one for each input gene
    columns: np.ndarray  # positions of these genes in the input
    notes: list[str]
    passed: list[str] = field(default_factory=list)

    def drop(self, step: str, keep: np.ndarray, reasons: Sequence[str]) -> None:
        """Keep genes where ``keep`` (genes,) is true or the user insists; note why for others."""
        keep = keep | self.forced[self.columns]
        lost = self.columns[~keep]
        self.table.loc[self.table.index[lost], "reason"] = np.asarray(reasons, dtype=object)[~keep]
        self.table.loc[self.table.index[lost], "kept"] = False
        for name in ("spliced", "unspliced", "x"):
            setattr(self, name, getattr(self, name)[:, keep])
        self.columns = self.columns[keep]
        self.passed.append(f"{len(self.columns)} {step}")

    def scaled(self, name: str) -> sp.csr_matrix:
        """One of the matrices after size normalisation, float32."""
        factors, matrix = self.factors[name], getattr(self, name)
        if factors is None:
            return matrix
        return sp.csr_matrix(sp.diags(factors) @ matrix, dtype=np.float32)


def preprocess(
    adata: AnnData,
    options: PreprocessOptions | None = None,
    *,
    progress: Progress | None = None,
    allocate: Allocator = in_memory,
    scale_of: TrainedModel | pd.DataFrame | None = None,
) -> Preprocessed:
    """Filter, normalise, smooth and scale.

    Parameters
    ----------
    adata
        Spliced and unspliced counts in two layers, (cells, genes). It is not changed.
    options
        See :class:`velovi.config.PreprocessOptions`.
    progress
        Called as ``progress(message, fraction)`` before each step, fraction from 0 to 1.
    allocate
        Gives the dense matrices ``Ms`` and ``Mu``; see
        :class:`velovi.numerics.out_of_core.MatrixAllocator`.
    scale_of
        A trained model to which these cells will be given, or its
        :attr:`~velovi.VELOVI.training_scale`: exactly the genes of that model are kept, in the
        order of the data, whatever the filters say and even without any counts, and scaled as its
        training data was, which is what makes times and velocities of these cells comparable with
        those of the others.

    Returns
    -------
    Preprocessed
        ``adata`` holds the kept genes only: layers ``spliced`` and ``unspliced`` (counts as
        given), ``Ms`` and ``Mu`` (neighbourhood means of normalised counts, min-max scaled per
        gene), X (log1p of normalised counts), the neighbour graph, the input's embeddings and
        ``X_pca``; var holds the scalers and the steady-state line.

    Raises
    ------
    DataError
        Fewer than 30 cells, unusable layers, no gene left, or a gene of ``scale_of`` is missing.
    UnknownNameError
        ``genes_to_keep`` names a gene that is not there.

    Examples
    --------
    New cells for a model that was trained on others:

    >>> from velovi import preprocess, simulate
    >>> new_cells = simulate(60, 40, seed=1)
    >>> prepared = preprocess(new_cells, scale_of=model)
    >>> list(prepared.adata.var_names) == list(model.get_var_names())
    True
    """
    options = options or PreprocessOptions()
    scale = (
        scale_of
        if scale_of is None or isinstance(scale_of, pd.DataFrame)
        else scale_of.training_scale
    )
    if scale is not None:
        require_scale(scale)
        require_genes(adata, scale.index)
        options = replace(options, genes_to_keep=tuple(scale.index))
    tell: Progress = progress or (lambda message, fraction: None)
    adata, state, graph = _genes_and_graph(adata, options, tell, keep_empty=scale is not None)
    tell("Averaging over neighbours", 0.5)
    weights = moment_weights(graph.obsp["connectivities"])
    fallback = _filter_r2(state, weights, apply=options.filter_on_r2)
    _check_genes_left(state)
    out = _assemble(adata, state, graph, weights, allocate)
    if options.compute_umap and not any(is_picture(*key) for key in out.obsm.items()):
        minutes = 1 + out.n_obs // _UMAP_CELLS_A_MINUTE
        wait = "the first one takes up to a minute" if minutes == 1 else f"about {minutes} minutes"
        tell(f"Computing the UMAP ({wait})", 0.7)
        _add_umap(out, options.seed, state.notes)
    tell("Preprocessing is done", 1.0)
    factors = {
        name: values
        for name, values in state.factors.items()
        if name in out.layers and values is not None
    }
    prepared = Preprocessed(out, _report(adata, state, options, fallback), factors)
    return prepared if scale is None else match_training_scale(prepared, scale)


def choose_genes(adata: AnnData, options: PreprocessOptions | None = None) -> AnnData:
    """The first half of :func:`preprocess`: genes with enough counts, and neighbours of cells.

    Parameters
    ----------
    adata
        Spliced and unspliced counts in two layers, (cells, genes). It is not changed.
    options
        See :class:`velovi.config.PreprocessOptions`; nothing is filtered by the steady-state line.

    Returns
    -------
    AnnData of the genes kept: X (log1p of normalised counts), layers ``spliced`` and ``unspliced``
    (counts as given), ``distances`` and ``connectivities`` in obsp, and the input's obs.

    Raises
    ------
    DataError, UnknownNameError
        As :func:`preprocess`.

    Examples
    --------
    >>> from velovi import simulate
    >>> from velovi.preprocessing import choose_genes
    >>> chosen = choose_genes(simulate(60, 40, seed=1))
    >>> chosen.obsp["connectivities"].shape
    (60, 60)
    """
    options = options or PreprocessOptions()
    adata, state, graph = _genes_and_graph(adata, options, lambda message, fraction: None)
    graph.obs = without_missing_labels(adata.obs)
    graph.var_names = list(state.table.index[state.columns])
    graph.layers["spliced"], graph.layers["unspliced"] = state.spliced, state.unspliced
    return graph


def _genes_and_graph(
    adata: AnnData, options: PreprocessOptions, tell: Progress, *, keep_empty: bool = False
) -> tuple[AnnData, _State, AnnData]:
    """The data in memory, the genes in play, and the neighbours of cells."""
    if adata.isbacked:
        adata = adata.to_memory()
    tell("Checking the counts", 0.0)
    validate(adata, options.spliced_layer, options.unspliced_layer)
    require_cells(adata.n_obs)
    state = _start(adata, unique_names(adata.var_names), options)
    tell("Filtering genes by counts", 0.05)
    _filter_counts(state, options.min_shared_counts, keep_empty=keep_empty)
    _check_genes_left(state)
    tell("Choosing variable genes", 0.15)
    logged = _filter_variable(state, options.n_top_genes)
    tell("Finding neighbouring cells", 0.25)
    return adata, state, _neighbours(logged, options)


def shared_counts(spliced: sp.csr_matrix, unspliced: sp.csr_matrix) -> np.ndarray:
    """Counts of each gene over cells that have both kinds, (genes,)."""
    # zeros stored explicitly must not count as "present"
    both = (spliced > 0).multiply(unspliced > 0)
    return np.asarray((spliced + unspliced).multiply(both).sum(axis=0, dtype=np.float64)).ravel()


def size_factors(counts: sp.csr_matrix) -> np.ndarray:
    """Median cell size over each cell's own size, (cells,); finite for empty cells too.

    Give it all genes: sizes are meant to be those before any filter.
    """
    sizes = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    middle = np.median(sizes)
    if middle == 0 and sizes.any():  # most cells are empty: the median of the others
        middle = np.median(sizes[sizes > 0])
    return middle / np.where(sizes > 0, sizes, 1.0)


def moment_weights(connectivities: sp.spmatrix) -> sp.csr_matrix:
    """Each row averages a cell with its neighbours, all alike, (cells, cells) float32."""
    # of the pattern only: a stored zero is not a neighbour
    pattern = sp.csr_matrix(connectivities > 0, dtype=np.float32)
    pattern = sp.csr_matrix(pattern + sp.identity(pattern.shape[0], dtype=np.float32))
    pattern.data[:] = 1.0
    share = 1.0 / np.asarray(pattern.sum(axis=1)).ravel()
    return sp.csr_matrix(sp.diags(share) @ pattern, dtype=np.float32)


def _start(adata: AnnData, names: pd.Index, options: PreprocessOptions) -> _State:
    notes = [
        f"{kind} names occurred more than once and were made unique with -1, -2, ..."
        for kind, index in (("Gene", adata.var_names), ("Cell", adata.obs_names))
        if not index.is_unique
    ]
    notes += [str(note) for note in adata.uns.get(READING, {}).get("notes", ())]
    if "Ms" in adata.layers:
        notes.append("The smoothed layers of the file were ignored and computed anew from counts.")
    spliced = as_counts(adata.layers[options.spliced_layer])
    unspliced = as_counts(adata.layers[options.unspliced_layer])
    x, x_is_counts = _choose_x(adata, spliced, notes)
    raw = _is_raw(spliced, unspliced, options, notes)
    table = pd.DataFrame(
        {"kept": True, "reason": "", "shared_counts": 0.0, "r2": np.nan, "gamma": np.nan},
        index=names,
    )
    table["shared_counts"] = shared_counts(spliced, unspliced)
    return _State(
        *(table, spliced, unspliced, x),
        factors={
            "spliced": size_factors(spliced) if raw else None,
            "unspliced": size_factors(unspliced) if raw else None,
            "x": size_factors(x) if raw or (x_is_counts and options.counts == "auto") else None,
        },
        forced=gene_mask(names, options.genes_to_keep),
        columns=np.arange(adata.n_vars),
        notes=notes,
    )


def _choose_x(
    adata: AnnData, spliced: sp.csr_matrix, notes: list[str]
) -> tuple[sp.csr_matrix, bool]:
    """X and True when it holds counts; else the spliced layer, whose scale we know, and False."""
    if adata.X is None:
        return spliced, False
    x = as_counts(adata.X)
    if has_integer_values(x) and x.count_nonzero() and x.data.min() >= 0:
        return x, True
    notes.append(
        "X of the file does not hold counts, so variable genes and neighbouring cells were found "
        "from the spliced layer."
    )
    return spliced, False


def _is_raw(
    spliced: sp.csr_matrix, unspliced: sp.csr_matrix, options: PreprocessOptions, notes: list[str]
) -> bool:
    if options.counts != "auto" or (has_integer_values(spliced) and has_integer_values(unspliced)):
        return options.counts != "normalised"
    notes.append(
        "The spliced and unspliced layers hold fractions rather than counts: they were taken as "
        "already normalised and not divided by cell size. Set 'Counts are' to raw if they are "
        "estimated counts."
    )
    return False


def _check_genes_left(state: _State) -> None:
    if len(state.columns) < 2:
        raise DataError(
            "the filters leave too few genes",
            where="genes",
            expected="at least 2",
            found=f"{len(state.table)} in the file, of these " + ", then ".join(state.passed),
            remedy="Lower 'Minimum shared counts', switch off 'Drop genes without "
            "signal', or name genes to keep; if that does not help, check that the spliced and "
            "unspliced layers are the right ones",
        )


def _filter_counts(state: _State, minimum: int, *, keep_empty: bool) -> None:
    total = np.asarray((state.spliced + state.unspliced).sum(axis=0)).ravel()
    empty = total == 0
    if keep_empty:
        if (kept := state.table.index[empty & state.forced]).size:
            state.notes.append(
                f"Genes of the trained model without any counts here: {first_named(kept)}. They "
                "were kept as zeros."
            )
        empty = empty & ~state.forced
    if (lost := state.table.index[empty & state.forced]).size:
        state.notes.append(f"Without any counts and so not kept: {first_named(lost)}.")
    state.forced = state.forced & ~empty
    shared = state.table["shared_counts"].to_numpy()
    reasons = [
        "no counts at all" if none else f"only {count:.4g} shared counts (needs {minimum})"
        for none, count in zip(empty, shared, strict=True)
    ]
    state.drop("with enough shared counts", (shared >= minimum) & ~empty, reasons)


def _filter_variable(state: _State, n_top: int) -> sp.csr_matrix:
    """Keep the most variable genes; returns log1p of normalised X for the genes kept."""
    logged = state.scaled("x").log1p()
    if n_top >= len(state.columns):
        return logged
    import scanpy as sc
    from anndata import AnnData

    with warnings.catch_warnings(action="ignore"):  # about constant genes and pandas' future
        found = sc.pp.highly_variable_genes(
            AnnData(logged), flavor="seurat", n_top_genes=n_top, inplace=False
        )
    before, variable = state.columns, found["highly_variable"].to_numpy()
    reasons = [f"not among the {n_top} most variable genes"] * len(before)
    state.drop(f"among the {n_top} most variable", variable, reasons)
    return logged[:, np.isin(before, state.columns)]


def _neighbours(logged: sp.csr_matrix, options: PreprocessOptions) -> AnnData:
    import scanpy as sc
    from anndata import AnnData

    spread = (logged.max(axis=0) - logged.min(axis=0)).max()
    if not spread > _ALIKE:
        raise DataError(
            "all cells are alike, so that none has neighbours to be told from others",
            where="cells",
            expected="cells whose expression differs",
            found=f"{logged.shape[0]:,} cells with the same expression of all genes",
            remedy="Check how the file was made; perhaps one cell was repeated",
        )
    graph = AnnData(logged)
    n_pcs = min(options.n_pcs, *(side - 1 for side in logged.shape))
    n_neighbors = min(options.n_neighbors, graph.n_obs - 1)
    with warnings.catch_warnings(action="ignore"):
        sc.pp.pca(graph, n_comps=n_pcs, random_state=options.seed)
    # as scanpy does, by whose rule earlier models were trained
    places = graph.obsm["X_pca"] if graph.n_vars > _FEW_GENES else logged.toarray()
    graph.obsp["distances"], graph.obsp["connectivities"] = neighbor_graph(
        places, n_neighbors, search=options.neighbor_search, seed=options.seed
    )
    # read by scanpy.tl.umap and whoever opens the result with scanpy
    graph.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "distances_key": "distances",
        "params": {
            "n_neighbors": n_neighbors,
            "method": "umap",
            "random_state": options.seed,
            "metric": "euclidean",
            "n_pcs": n_pcs,
        },
    }
    return graph


def _filter_r2(state: _State, weights: sp.csr_matrix, *, apply: bool) -> bool:
    """Fit the steady-state line of each gene and drop those without one; True for the fallback."""
    n_genes = len(state.columns)
    gamma, r2, seen = np.zeros(n_genes), np.zeros(n_genes), np.zeros(n_genes, dtype=bool)
    spliced, unspliced = state.scaled("spliced").tocsc(), state.scaled("unspliced").tocsc()
    for block in gene_blocks(weights.shape[0], n_genes):
        s, _, s_max = min_max(weights @ spliced[:, block].toarray())
        u, _, u_max = min_max(weights @ unspliced[:, block].toarray())
        gamma[block], r2[block] = steady_state_line(s, u)
        seen[block] = (s_max > 0) & (u_max > 0)
    rows = state.table.index[state.columns]
    state.table.loc[rows, "gamma"], state.table.loc[rows, "r2"] = gamma, r2
    if not apply:
        return False
    signal = filter_signal(gamma, r2, seen)
    if signal.fallback:
        state.notes.append(
            f"WARNING: only {signal.n_strict} of {n_genes} genes showed a velocity signal, so the "
            f"filter was relaxed to the best fifth of the genes (R2 above {signal.limit:.3g}). "
            "Results may mean little: check the unspliced counts."
        )
    reasons = [_r2_reason(*item, signal.limit) for item in zip(seen, gamma, r2, strict=True)]
    state.drop("with a velocity signal", signal.keep, reasons)
    return signal.fallback


def _r2_reason(seen: bool, gamma: float, r2: float, limit: float) -> str:
    if not seen:
        return "no spliced or no unspliced counts"
    if r2 <= limit:
        return f"R2 {r2:.3g} of the steady-state line is below {limit:.3g}"
    return f"slope {gamma:.3g} of the steady-state line is below {MIN_GAMMA:.3g}"


def _assemble(
    adata: AnnData,
    state: _State,
    graph: AnnData,
    weights: sp.csr_matrix,
    allocate: Allocator,
) -> AnnData:
    from anndata import AnnData

    obs = without_missing_labels(adata.obs)
    obs.index = unique_names(adata.obs_names)
    rows = state.table.iloc[state.columns]
    var = adata.var.iloc[state.columns].copy()
    var.index = rows.index
    layers = {"spliced": state.spliced, "unspliced": state.unspliced}
    for name, source in (("Ms", "spliced"), ("Mu", "unspliced")):
        scaled = state.scaled(source).tocsc()
        layers[name] = allocate(name, scaled.shape, "cells")
        low, high = np.empty((2, scaled.shape[1]), dtype=np.float32)
        for block in gene_blocks(*scaled.shape):
            smooth = weights @ scaled[:, block].toarray()
            layers[name][:, block], low[block], high[block] = min_max(smooth)
        release_pages(layers[name])
        var[f"{name.lower()}_min"], var[f"{name.lower()}_max"] = low, high
    var["velocity_gamma"], var["velocity_r2"] = rows["gamma"], rows["r2"]
    var["shared_counts"] = rows["shared_counts"]
    logged, obsp = state.scaled("x").log1p(), dict(graph.obsp)
    out = AnnData(logged, obs=obs, var=var, layers=layers, obsp=obsp)
    _add_embeddings(adata, out, state.notes)
    out.obsm["X_pca"] = graph.obsm["X_pca"]
    out.uns["neighbors"] = dict(graph.uns["neighbors"])
    colors, notes = label_colors(adata, obs)
    out.uns.update(colors)
    state.notes += notes
    if READING in adata.uns:
        out.uns[READING] = adata.uns[READING]
    return out


def _add_umap(adata: AnnData, seed: int, notes: list[str]) -> None:
    """Compute a UMAP; one that the file brought, though nobody can draw it, keeps its name."""
    import scanpy as sc

    brought = adata.obsm.pop("X_umap", None)
    with warnings.catch_warnings(action="ignore"):
        sc.tl.umap(adata, random_state=seed)
    if brought is not None:
        adata.obsm[COMPUTED_UMAP] = adata.obsm["X_umap"]
        adata.obsm["X_umap"] = brought
        notes.append(
            f"The file's own X_umap has no two columns of places that can be drawn; a UMAP was "
            f"computed and is called {COMPUTED_UMAP}."
        )


def _add_embeddings(adata: AnnData, out: AnnData, notes: list[str]) -> None:
    """Take over what ``obsm`` holds of numbers, as it is."""
    for name, values in adata.obsm.items():
        if hasattr(values, "to_numpy"):
            if not all(kind.kind in "fiub" for kind in values.dtypes):
                notes.append(f"'{name}' of obsm was left out: its columns are not all numbers.")
                continue
            values = values.to_numpy(dtype=np.float64)
        if isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype.kind in "fiu":
            out.obsm[name] = values.copy()
            lost = int((~has_place(values)).sum()) if is_map(name, values) else 0
            if lost:
                cells = "1 cell has" if lost == 1 else f"{lost:,} cells have"
                notes.append(f"{cells} no place in '{name}' and will not be drawn there.")
        else:
            notes.append(f"'{name}' of obsm was left out: it is no table of numbers.")
    if "X_pca" in out.obsm:
        kept = storable_name("X_pca_from_file", out.obsm)
        out.obsm[kept] = out.obsm["X_pca"]
        notes.append(
            f"The file's own X_pca is kept as {kept}; X_pca is the space in which neighbours were "
            "found."
        )


def _report(
    adata: AnnData, state: _State, options: PreprocessOptions, fallback: bool
) -> PreprocessReport:
    # .data: the sum of a whole sparse matrix would sort the input in place
    chosen = (options.spliced_layer, options.unspliced_layer)
    spliced, unspliced = (
        float(as_counts(adata.layers[name]).data.sum(dtype=np.float64)) for name in chosen
    )
    total = spliced + unspliced
    return PreprocessReport(
        genes=state.table,
        n_cells=adata.n_obs,
        n_genes_in=adata.n_vars,
        n_genes_kept=len(state.columns),
        unspliced_fraction=unspliced / total if total else float("nan"),
        notes=tuple(state.notes),
        used_fallback=fallback,
    )
