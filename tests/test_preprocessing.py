"""Preprocessing against naive loops, known numbers, and every file that users bring."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from scipy.optimize import brentq

from velovi.config import PreprocessOptions
from velovi.data.read import read
from velovi.data.simulate import simulate
from velovi.errors import DataError, UnknownNameError
from velovi.keys import SCALERS
from velovi.neighbors import _memberships, neighbor_graph
from velovi.preprocessing import (
    moment_weights,
    preprocess,
    shared_counts,
    size_factors,
)
from velovi.scaling import min_max, preprocess_data, rescale_like, steady_state_line

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason=f"no shared data at {DATA}")
QUICK = PreprocessOptions(compute_umap=False)


def options(**changes):
    return PreprocessOptions(**{"compute_umap": False, **changes})


def fingerprint(adata):
    """Digest of every byte of an AnnData, with the order in which sparse entries are stored."""
    digest = hashlib.sha256()

    def add(value):
        if value is None:
            digest.update(b"none")
        elif sp.issparse(value):
            for part in (value.data, value.indices, value.indptr):
                digest.update(part.dtype.str.encode() + part.tobytes())
        elif isinstance(value, pd.DataFrame):
            digest.update(value.to_json(orient="split").encode() + str(value.dtypes).encode())
        elif isinstance(value, np.ndarray) and value.dtype != object:
            digest.update(value.tobytes())
        else:
            digest.update(repr(value).encode())

    for value in (adata.X, adata.obs, adata.var, list(adata.obs_names), list(adata.var_names)):
        add(value)
    for mapping in (adata.layers, adata.obsm, adata.obsp, adata.varm, adata.uns):
        for name in filter(None, mapping):  # anndata 0.13 lists X among the layers, as None
            digest.update(name.encode())
            add(mapping[name])
    return digest.hexdigest()


@pytest.fixture(scope="module")
def simulated():
    return simulate(300, 40, seed=2)


@pytest.fixture(scope="module")
def done(simulated):
    return preprocess(simulated, QUICK)


def reason_kinds(report):
    reasons = report.genes["reason"]
    return int((~reasons.str.contains("shared counts|no counts")).sum())


@needs_data
def test_pancreas_gives_the_known_numbers():
    adata = read(DATA / "pancreas_3696x2000.h5ad")
    before = fingerprint(adata)
    said = []
    result = preprocess(adata, QUICK, progress=lambda message, share: said.append(share))
    assert fingerprint(adata) == before
    assert reason_kinds(result.report) == 1126
    assert result.report.n_genes_kept == result.adata.n_vars == 371
    assert not result.report.used_fallback
    assert not result.report.notes
    assert result.report.unspliced_fraction == pytest.approx(0.17103, abs=1e-5)
    assert said == sorted(said)
    assert (said[0], said[-1]) == (0.0, 1.0)
    assert list(result.adata.obs["clusters"]) == list(adata.obs["clusters"])


@needs_data
def test_variable_genes_are_counted_and_named():
    adata = read(DATA / "dentategyrus_200x530.h5ad")
    result = preprocess(adata, options(n_top_genes=50, min_shared_counts=5, filter_on_r2=False))
    assert result.report.n_genes_kept == 50
    assert (result.report.genes["reason"] == "not among the 50 most variable genes").any()
    # the file's own two-dimensional embedding is kept, so a UMAP is not computed
    again = preprocess(adata, options(compute_umap=True, min_shared_counts=5))
    np.testing.assert_array_equal(again.adata.obsm["X_umap"], adata.obsm["X_umap"])


@needs_data
@pytest.mark.parametrize("path", sorted((DATA / "odd").glob("*.h5ad")), ids=lambda path: path.stem)
def test_odd_files_work_or_say_why(path):
    layers = ("mature", "nascent") if "mature" in path.name else ("spliced", "unspliced")
    chosen = options(
        spliced_layer=layers[0], unspliced_layer=layers[1], min_shared_counts=5, n_top_genes=500
    )
    if "pancreas" in path.name and "no_unspliced" not in path.name:
        result = preprocess(read(path), chosen)
        assert result.report.n_genes_kept > 20
        assert result.adata.var_names.is_unique
        named = any("Gene names" in note for note in result.report.notes)
        assert named == ("duplicate" in path.name)
    elif "no_filter" in path.name:  # int32 counts of very little unspliced RNA
        result = preprocess(read(path), options(min_shared_counts=1, filter_on_r2=False))
        assert result.adata.layers["spliced"].dtype == np.float32
    else:
        with pytest.raises(DataError) as caught:
            preprocess(read(path), chosen)
        assert caught.value.remedy


def test_shared_counts_against_loops(simulated):
    s, u = (simulated.layers[name].toarray() for name in ("spliced", "unspliced"))
    expected = np.zeros(s.shape[1])
    for cell in range(s.shape[0]):
        for gene in range(s.shape[1]):
            if s[cell, gene] > 0 and u[cell, gene] > 0:
                expected[gene] += s[cell, gene] + u[cell, gene]
    found = shared_counts(simulated.layers["spliced"], simulated.layers["unspliced"])
    np.testing.assert_array_equal(found, expected)
    with_zeros = simulated.layers["spliced"].copy()
    with_zeros.data[:50] = 0  # stored zeros are no counts
    pruned = with_zeros.copy()
    pruned.eliminate_zeros()
    np.testing.assert_array_equal(
        shared_counts(with_zeros, simulated.layers["unspliced"]),
        shared_counts(pruned, simulated.layers["unspliced"]),
    )


def test_normalisation_against_loops(simulated):
    counts = simulated.layers["spliced"].toarray().astype(float)
    counts[5] = 0
    sizes = [sum(row) for row in counts]
    middle = np.median(sizes)
    factors = size_factors(sp.csr_matrix(counts))
    assert np.isfinite(factors).all()
    for cell, size in enumerate(sizes):
        if size:
            np.testing.assert_allclose(factors[cell] * counts[cell], counts[cell] / size * middle)


def test_mostly_empty_cells_do_not_erase_the_others():
    counts = np.zeros((5, 3))
    counts[0] = [1, 2, 3]
    assert size_factors(sp.csr_matrix(counts))[0] == 1.0


def test_moments_against_loops(simulated, done):
    graph = done.adata.obsp["connectivities"].toarray()
    for layer, name in (("spliced", "s"), ("unspliced", "u")):
        counts = simulated.layers[layer].toarray().astype(float)
        factors = np.median(counts.sum(axis=1)) / counts.sum(axis=1)
        kept = counts[:, simulated.var_names.get_indexer(done.adata.var_names)]
        normalised = kept * factors[:, None]
        expected = np.empty_like(normalised)
        for cell in range(len(graph)):
            members = {cell, *np.flatnonzero(graph[cell] > 0)}
            expected[cell] = np.mean([normalised[member] for member in members], axis=0)
        low, high = done.adata.var[f"m{name}_min"], done.adata.var[f"m{name}_max"]
        smooth = done.adata.layers[f"M{name}"]
        assert smooth.dtype == np.float32
        assert smooth.min() == 0
        assert smooth.max() == 1
        unscaled = smooth * (high - low).to_numpy() + low.to_numpy()
        np.testing.assert_allclose(unscaled, expected, rtol=1e-4, atol=1e-4)


def test_weights_are_even_and_ignore_stored_zeros():
    graph = sp.csr_matrix(np.array([[0, 0.2, 0.9], [0.2, 0, 0.5], [0.9, 0.5, 0]]))
    graph.data[0] = 0
    np.testing.assert_allclose(moment_weights(graph).toarray()[0], [0.5, 0, 0.5])
    np.testing.assert_allclose(moment_weights(graph).toarray()[1], [1 / 3] * 3, rtol=1e-6)


def test_steady_state_line_against_loops(done):
    s, u = done.adata.layers["Ms"].astype(float), done.adata.layers["Mu"].astype(float)
    gamma, r2 = steady_state_line(s, u)
    for gene in range(s.shape[1]):
        x, y = s[:, gene], u[:, gene]
        level = x / x.max() + y / y.max()
        top = level >= np.percentile(level, 95)
        slope = sum(x[top] * y[top]) / sum(x[top] ** 2)
        assert gamma[gene] == pytest.approx(slope)
        fit = 1 - sum((y - slope * x) ** 2) / sum((y - y.mean()) ** 2)
        assert r2[gene] == pytest.approx(fit)
    np.testing.assert_allclose(done.adata.var["velocity_gamma"], gamma, rtol=1e-4)
    np.testing.assert_allclose(done.adata.var["velocity_r2"], r2, rtol=1e-4)
    assert (gamma > 0.01).all()
    assert (r2 > 0.01).all()


def test_steady_state_line_of_nothing_is_finite():
    for s, u in ((np.zeros((9, 2)), np.zeros((9, 2))), (np.ones((9, 2)), np.ones((9, 2)))):
        gamma, r2 = steady_state_line(s, u)
        assert np.isfinite(gamma).all()
        np.testing.assert_array_equal(r2, 0)


def places_of_cells(n_cells, *, seed=0):
    spread = np.linspace(5, 0.5, 30)
    return (np.random.default_rng(seed).normal(size=(n_cells, 30)) * spread).astype(np.float32)


@pytest.mark.parametrize(("n_cells", "n_neighbors"), [(5, 3), (300, 30), (1200, 15)])
def test_neighbours_are_those_of_scanpy(n_cells, n_neighbors):
    cells = anndata.AnnData(places_of_cells(n_cells))
    sc.pp.neighbors(cells, n_neighbors=n_neighbors, use_rep="X")
    distances, connectivities = neighbor_graph(cells.X, n_neighbors)
    assert distances.nnz == cells.obsp["distances"].nnz
    assert abs(distances - cells.obsp["distances"]).max() < 1e-5
    assert ((connectivities > 0) != (cells.obsp["connectivities"] > 0)).nnz == 0
    assert abs(connectivities - cells.obsp["connectivities"]).max() < 1e-5


@pytest.mark.parametrize("search", ["exact", "approximate"])
def test_twins_are_each_others_neighbours(search):
    places = places_of_cells(200)
    places[:30], places[30:33] = places[0], places[33]
    distances, connectivities = neighbor_graph(places, 10, search=search)
    assert (np.diff(distances.indptr) == 9).all()
    assert distances.diagonal().max() == 0
    assert connectivities.diagonal().max() == 0
    assert np.isfinite(connectivities.data).all()
    assert connectivities[30, [31, 32, 33]].toarray() == pytest.approx(1)


@pytest.mark.parametrize("n_genes", [30, 80])
def test_the_graph_of_a_preparation_is_that_of_scanpy(n_genes):
    out = preprocess(simulate(200, n_genes, seed=1), options(filter_on_r2=False)).adata
    cells = anndata.AnnData(out.X.copy())
    cells.obsm["X_pca"] = out.obsm["X_pca"]
    sc.pp.neighbors(cells, n_neighbors=30, n_pcs=out.obsm["X_pca"].shape[1])
    for name in ("distances", "connectivities"):
        assert abs(out.obsp[name] - cells.obsp[name]).max() < 1e-4
    assert out.uns["neighbors"]["params"].items() >= {"method": "umap", "n_neighbors": 30}.items()


def test_widths_are_what_a_root_finder_finds():
    away = np.sort(np.random.default_rng(0).gamma(4, size=(50, 14)), axis=1)
    found = _memberships(away)
    for row, distances in zip(found, away, strict=True):
        beyond = distances - distances[0]
        width = brentq(lambda w, b=beyond: np.exp(-b / w).sum() - np.log2(15), 1e-3, 1e3)
        np.testing.assert_allclose(row, np.exp(-beyond / width), atol=1e-4)


@pytest.mark.parametrize(("search", "least"), [("exact", 1.0), ("auto", 1.0), ("approximate", 0.9)])
def test_neighbours_are_the_nearest_cells(search, least):
    out = preprocess(simulate(300, 100, seed=0), options(neighbor_search=search)).adata
    assert out.n_vars > 50
    places, distances = out.obsm["X_pca"], out.obsp["distances"].toarray()
    found = []
    for cell, row in enumerate(distances):
        away = np.linalg.norm(places - places[cell], axis=1)
        away[cell] = np.inf
        listed = np.flatnonzero(row)
        found.append(np.isin(listed, np.argsort(away)[: len(listed)]).mean())
    assert np.mean(found) >= least


def test_output_holds_what_the_model_and_the_pages_need(simulated, done):
    out = done.adata
    assert {"distances", "connectivities"} <= set(out.obsp)
    assert "neighbors" in out.uns
    assert out.obsm["X_pca"].shape == (300, 30)
    assert list(out.uns["clusters_colors"]) == list(simulated.uns["clusters_colors"])
    kept = simulated[:, out.var_names]
    for name in ("spliced", "unspliced"):
        assert (out.layers[name] != kept.layers[name]).nnz == 0
        assert out.layers[name].format == "csr"
    assert {"velocity_gamma", "velocity_r2", "shared_counts", "ms_min", "mu_max"} <= set(out.var)
    assert out.n_vars >= 0.8 * simulated.n_vars
    assert "true_beta" in out.var


def test_every_dropped_gene_has_a_reason(simulated):
    report = preprocess(simulated, options(min_shared_counts=1500, n_top_genes=12)).report
    genes = report.genes
    assert list(genes.index) == list(simulated.var_names)
    assert (genes["kept"] == (genes["reason"] == "")).all()
    few = genes["shared_counts"] < 1500
    assert genes.loc[few, "reason"].str.contains("needs 1500").all()
    assert genes.loc[few, "r2"].isna().all()


def test_input_is_untouched_also_when_it_is_untidy(simulated):
    adata = simulated.copy()
    for name in ("spliced", "unspliced"):
        layer = adata.layers[name].copy()
        for row in range(layer.shape[0]):  # entries of a cell in reverse order
            span = slice(layer.indptr[row], layer.indptr[row + 1])
            layer.indices[span] = layer.indices[span][::-1].copy()
            layer.data[span] = layer.data[span][::-1].copy()
        adata.layers[name] = sp.csr_matrix((layer.data, layer.indices, layer.indptr), layer.shape)
    adata.obs["clusters"] = adata.obs["clusters"].where(np.arange(300) > 9)
    before = fingerprint(adata)
    result = preprocess(adata, QUICK)
    assert fingerprint(adata) == before
    assert (result.adata.obs["clusters"] == "unlabelled").sum() == 10
    assert len(result.adata.uns["clusters_colors"]) == 6
    result.adata.layers["spliced"].data[:] = -1
    result.adata.obs["true_time"] = -1.0
    assert fingerprint(adata) == before


@pytest.mark.parametrize("kind", ["csc", "dense", "int"])
def test_storage_does_not_matter(simulated, done, kind):
    adata = simulated.copy()
    for name in ("spliced", "unspliced"):
        layer = adata.layers[name]
        changed = {"csc": layer.tocsc(), "dense": layer.toarray(), "int": layer.astype(np.int32)}
        adata.layers[name] = changed[kind]
    result = preprocess(adata, QUICK)
    assert list(result.adata.var_names) == list(done.adata.var_names)
    np.testing.assert_allclose(result.adata.layers["Ms"], done.adata.layers["Ms"], atol=1e-5)


def test_fractions_are_not_normalised_and_it_is_said(simulated):
    adata = simulated.copy()
    adata.X = None
    for name in ("spliced", "unspliced"):
        adata.layers[name] = adata.layers[name] * np.float32(0.37)
    result = preprocess(adata, QUICK)
    assert any("already normalised" in note for note in result.report.notes)
    as_they_are = preprocess(adata, options(counts="normalised"))
    np.testing.assert_array_equal(as_they_are.adata.var["ms_max"], result.adata.var["ms_max"])
    raw = preprocess(adata, options(counts="raw"))
    assert not np.allclose(raw.adata.var["ms_max"].iloc[0], result.adata.var["ms_max"].iloc[0])


def test_without_x_the_spliced_layer_is_used(simulated, done):
    adata = simulated.copy()
    for x in (None, sp.csr_matrix(adata.shape, dtype=np.float32), adata.X.log1p()):
        adata.X = x
        result = preprocess(adata, QUICK)
        assert list(result.adata.var_names) == list(done.adata.var_names)
        assert bool(result.report.notes) == (x is not None)


def test_genes_to_keep(simulated):
    strict = options(min_shared_counts=1500)
    dropped = preprocess(simulated, strict).report.genes
    name = dropped.index[~dropped["kept"]][0]
    forced = preprocess(simulated, options(min_shared_counts=1500, genes_to_keep=(name,)))
    assert name in forced.adata.var_names
    assert forced.report.genes.loc[name, "kept"]
    with pytest.raises(UnknownNameError, match="'Nonsense'"):
        preprocess(simulated, options(genes_to_keep=("Nonsense", name)))
    adata = simulated.copy()
    for layer in ("spliced", "unspliced"):
        empty = adata.layers[layer].tolil()
        empty[:, 0] = 0
        adata.layers[layer] = empty.tocsr()
    result = preprocess(adata, options(genes_to_keep=(adata.var_names[0],)))
    assert result.report.genes["reason"].iloc[0] == "no counts at all"
    assert any(adata.var_names[0] in note for note in result.report.notes)


def test_fallback_is_said_loudly(simulated):
    adata = simulated.copy()
    shuffled = adata.layers["unspliced"].toarray()
    rng = np.random.default_rng(0)
    for gene in range(shuffled.shape[1]):
        shuffled[:, gene] = rng.permutation(shuffled[:, gene].max() - shuffled[:, gene])
    adata.layers["unspliced"] = sp.csr_matrix(shuffled)
    result = preprocess(adata, QUICK)
    assert result.report.used_fallback
    assert any(note.startswith("WARNING") for note in result.report.notes)
    genes = result.report.genes
    limit = np.percentile(genes["r2"].dropna(), 80)
    assert set(genes.index[genes["kept"]]) == set(genes.index[genes["r2"] > limit])


def test_too_few_cells_or_genes(simulated):
    with pytest.raises(DataError, match="too few cells"):
        preprocess(simulated[:29].copy(), QUICK)
    with pytest.raises(DataError, match="0 with enough shared counts") as caught:
        preprocess(simulated, options(min_shared_counts=100_000))
    assert "Minimum shared counts" in caught.value.remedy


def test_empty_and_repeated_cells_give_no_nan(simulated):
    adata = simulated[:60].copy()
    for name in ("spliced", "unspliced"):
        layer = adata.layers[name].tolil()
        layer[:12] = 0
        layer[12:50] = layer[12]
        adata.layers[name] = layer.tocsr()
    adata.X = adata.layers["spliced"].copy()
    adata.obs_names = ["same"] * 60
    result = preprocess(adata, options(min_shared_counts=1, filter_on_r2=False))
    assert np.isfinite(result.adata.layers["Ms"]).all()
    assert result.adata.obs_names.is_unique
    assert any("Cell names" in note for note in result.report.notes)


def test_small_data_limit_components_and_neighbours(simulated):
    result = preprocess(
        simulated[:31, :5].copy(), options(n_neighbors=500, min_shared_counts=1, filter_on_r2=False)
    )
    assert result.adata.obsm["X_pca"].shape[1] <= 4


def test_cells_that_are_all_alike_get_a_sentence():
    adata = simulate(60, 12, keep_truth=False)
    for name in ("spliced", "unspliced"):
        adata.layers[name] = sp.csr_matrix(np.tile(np.arange(1.0, 13.0), (60, 1)))
    adata.X = adata.layers["spliced"].copy()
    with pytest.raises(DataError, match="all cells are alike"):
        preprocess(adata, options(filter_on_r2=False))


def test_running_twice_gives_the_same_neighbourhoods(done):
    again = preprocess(done.adata, options(n_top_genes=2000))
    assert any("computed anew" in note for note in again.report.notes)
    assert again.report.n_genes_kept > 0.9 * done.report.n_genes_kept


def test_only_usable_embeddings_count(simulated):
    adata = simulated.copy()
    adata.obsm["X_tsne"] = np.zeros((300, 2))
    adata.obsm["frame"] = pd.DataFrame({"a": np.zeros(300)}, index=adata.obs_names)
    result = preprocess(adata, options(compute_umap=True))
    assert "X_umap" not in result.adata.obsm
    assert "X_tsne" in result.adata.obsm


def test_result_survives_a_file(done, tmp_path):
    done.adata.write_h5ad(tmp_path / "a.h5ad")
    again = anndata.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(again.layers["Ms"], done.adata.layers["Ms"])


@pytest.mark.slow
def test_umap_and_seed(simulated):
    result = preprocess(simulated, PreprocessOptions(seed=3))
    assert result.adata.obsm["X_umap"].shape == (300, 2)
    again = preprocess(simulated, PreprocessOptions(seed=3))
    np.testing.assert_array_equal(result.adata.obsm["X_umap"], again.adata.obsm["X_umap"])


def test_more_cells_than_exact_neighbours_are_searched_for(monkeypatch):
    monkeypatch.setattr("velovi.neighbors.EXACT_CELLS", 250)
    monkeypatch.setattr("velovi.neighbors._exact", None)
    result = preprocess(simulate(300, 50, keep_truth=False), QUICK)
    assert (np.diff(result.adata.obsp["distances"].indptr) == 29).all()


def test_scaling_and_filtering_of_smoothed_layers_as_the_first_package_did(simulated):
    ready = preprocess(simulated, QUICK).adata
    smooth = ready.copy()
    for name, stretch in (("Ms", 7.0), ("Mu", 3.0)):
        smooth.layers[name] = sp.csr_matrix(ready.layers[name] * stretch + 0.5)
    before = fingerprint(smooth)
    found = preprocess_data(smooth)
    assert fingerprint(smooth) == before
    np.testing.assert_allclose(
        found.layers["Ms"], ready[:, found.var_names].layers["Ms"], atol=1e-5
    )
    assert (found.var["velocity_r2"] > 0.01).all()
    assert (found.var["velocity_gamma"] > 0.01).all()
    everything = preprocess_data(smooth, "Ms", "Mu", min_max_scale=False, filter_on_r2=False)
    assert everything.shape == smooth.shape
    np.testing.assert_array_equal(everything.layers["Mu"], smooth.layers["Mu"].toarray())
    with pytest.raises(DataError, match="layer is missing"):
        preprocess_data(smooth, "spliced_moments", "Mu")


def test_a_part_of_the_cells_on_the_scale_of_all_has_the_values_of_all(simulated):
    whole = preprocess(simulated, QUICK).adata
    part = whole[:50].copy()
    for layer, name in (("Ms", "ms"), ("Mu", "mu")):
        low, high = (whole.var[f"{name}_{end}"].to_numpy() for end in ("min", "max"))
        smooth = part.layers[layer] * (high - low) + low
        part.layers[layer], part.var[f"{name}_min"], part.var[f"{name}_max"] = min_max(smooth)
    assert not np.allclose(part.layers["Ms"], whole.layers["Ms"][:50])
    rescale_like(part, whole.var[list(SCALERS)])
    for layer in ("Ms", "Mu"):
        np.testing.assert_allclose(part.layers[layer], whole.layers[layer][:50], atol=1e-5)
    pd.testing.assert_frame_equal(part.var[list(SCALERS)], whole.var[list(SCALERS)])


def test_new_cells_take_genes_and_scale_of_a_model(simulated):
    whole = preprocess(simulated, QUICK).adata
    scale = whole.var[list(SCALERS)]
    found = preprocess(simulated, QUICK, scale_of=SimpleNamespace(training_scale=scale))
    for layer in ("Ms", "Mu"):
        np.testing.assert_allclose(found.adata.layers[layer], whole.layers[layer], atol=1e-5)
    fewer = preprocess(simulated, QUICK, scale_of=2 * scale.iloc[:3])
    assert list(fewer.adata.var_names) == list(whole.var_names[:3])
    assert fewer.report.n_genes_kept == 3
    low, high = (scale[f"ms_{end}"].to_numpy()[:3] for end in ("min", "max"))
    values = whole.layers["Ms"][:, :3] * (high - low) + low
    wanted = np.maximum((values - 2 * low) / (2 * (high - low)), 0)
    np.testing.assert_allclose(fewer.adata.layers["Ms"], wanted, atol=1e-5)


def test_a_scale_that_nobody_knows_is_told(simulated):
    whole = preprocess(simulated, QUICK).adata
    unknown = pd.DataFrame(np.nan, index=whole.var_names[:4], columns=list(SCALERS))
    for scale in (unknown, unknown.fillna(-np.inf)):
        found = preprocess(simulated, QUICK, scale_of=scale)
        assert "does not say how its data was scaled" in found.report.notes[-1]
        np.testing.assert_array_equal(found.adata.layers["Mu"], whole.layers["Mu"][:, :4])
    for bad in (unknown[["ms_min"]], pd.concat([unknown, unknown])):
        with pytest.raises(DataError, match="no training scale"):
            preprocess(simulated, QUICK, scale_of=bad)
    with pytest.raises(DataError, match="genes of the trained model are not in this file"):
        preprocess(simulated, QUICK, scale_of=unknown.rename(index=str.swapcase))


def test_without_a_signal_there_is_a_sentence():
    noise = np.zeros((40, 3), dtype=np.float32)
    noise[0] = 1.0
    flat = anndata.AnnData(layers={"Ms": noise, "Mu": noise * 0})
    with pytest.raises(DataError, match="no gene has a velocity signal"):
        preprocess_data(flat)
