"""Measures of evidence, on data of which it is known whether they hold velocity."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from tests.benchmarks.broken import broken, source
from velovi.data.simulate import simulate
from velovi.dynamics import project, transition_matrix, velocity_graph
from velovi.errors import DataError, OptionError, UnknownNameError
from velovi.evidence import (
    count_split,
    gene_half_agreement,
    gene_half_arrows,
    residual_reliability,
    velocity_signal,
)
from velovi.neighbors import neighbor_graph


@pytest.fixture(scope="module")
def cells():
    return source("simulated", n_cells=600)


def strength(adata, **options):
    return velocity_signal(adata, label_column="clusters", **options)


# --- the count-split null -----------------------------------------------------------------------


def test_a_split_keeps_every_molecule_and_the_share():
    rng = np.random.default_rng(0)
    spliced, unspliced = (sp.csr_matrix(rng.poisson(mean, (400, 50))) for mean in (6, 2))
    s, u = count_split(spliced, unspliced, seed=3)
    assert ((s + u) != spliced).nnz == 0
    assert u.sum() / spliced.sum() == pytest.approx(0.25, abs=0.01)
    again = count_split(spliced, unspliced, seed=3)
    other = count_split(spliced, unspliced, seed=4)
    assert (u != again[1]).nnz == 0
    assert (u != other[1]).nnz > 0
    # given the sum of both, what is unspliced says nothing of the gene
    per_gene = np.asarray(u.sum(axis=0) / spliced.sum(axis=0)).ravel()
    assert per_gene.std() < 3 * np.sqrt(0.25 * 0.75 / (400 * 6))


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_what_are_no_counts_cannot_be_split(value):
    counts = sp.csr_matrix(np.array([[1.0, value], [2.0, 3.0]]))
    with pytest.raises(DataError, match="cannot be split"):
        count_split(counts, counts)


def test_without_any_counts_nothing_is_split():
    empty = sp.csr_matrix((5, 4))
    s, u = count_split(empty, empty)
    assert s.nnz == u.nnz == 0


# --- residuals between halves of cells ----------------------------------------------------------


def obvious_reliability(spliced, unspliced, neighbors, half, groups):
    """The same number with loops: one gene, one halving."""
    means = []
    for cell in range(len(spliced)):
        near = [j for j in neighbors[cell].indices if j != cell and groups[j] == groups[cell]]
        sides = [[j for j in near if half[j] == side] for side in (True, False)]
        if all(sides):
            values = [[x[side].mean() for x in (spliced, unspliced)] for side in sides]
            means.append([groups[cell], *np.ravel(values)])
    table = pd.DataFrame(means, columns=["group", "s1", "u1", "s2", "u2"])
    table = table - table.groupby("group").transform("mean").assign(group=0)
    s, u = table["s1"] + table["s2"], table["u1"] + table["u2"]
    slope = (s * u).sum() / (s * s).sum()
    first, second = table["u1"] - slope * table["s1"], table["u2"] - slope * table["s2"]
    return (first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum())


def test_the_number_is_that_of_loops():
    rng = np.random.default_rng(0)
    places = rng.normal(size=(120, 3))
    graph, _ = neighbor_graph(places, 12)
    groups = rng.integers(0, 2, 120)
    s, u = (np.abs(places[:, :1] + rng.normal(size=(120, 2))) for _ in range(2))
    found = residual_reliability(
        sp.csr_matrix(s), sp.csr_matrix(u), graph, labels=groups, n_halvings=1, seed=5
    )
    half = np.random.default_rng(5).random((1, 120))[0] < 0.5
    for gene in range(2):
        for labels, number in ((np.zeros(120), found.overall), (groups, found.within)):
            expected = obvious_reliability(s[:, gene], u[:, gene], graph, half, labels)
            assert number[gene] == pytest.approx(expected, abs=1e-4)


def test_genes_without_counts_and_cells_without_groups():
    rng = np.random.default_rng(0)
    graph, _ = neighbor_graph(rng.normal(size=(100, 2)), 10)
    s, u = (rng.poisson(3, (100, 3)).astype(float) for _ in range(2))
    s[:, 0], u[:, 1] = 0, 0
    layers = (sp.csr_matrix(s), sp.csr_matrix(u))
    found = residual_reliability(*layers, graph)
    assert np.isnan(found.overall[0])
    np.testing.assert_array_equal(found.within, found.overall)
    none = residual_reliability(*layers, graph, labels=np.full(100, -1))
    assert np.isnan(none.within).all()
    alone = residual_reliability(*layers, graph, labels=np.arange(100))
    assert np.isnan(alone.within).all()
    with pytest.raises(DataError, match="do not belong together"):
        residual_reliability(layers[0], layers[1][:, :2], graph)


# --- the look at a file -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_velocity_is_found_where_it_is(seed):
    found = strength(source("simulated", seed=seed, n_cells=600), seed=seed)
    assert found.strength == "clear"
    assert found.share_above_null > 0.6
    assert "hold what velocity needs" in found.sentence


@pytest.mark.parametrize("kind", ["uperm", "uperm_within", "steady", "split"])
def test_no_velocity_is_called_none(cells, kind):
    found = strength(broken(cells, kind))
    assert found.strength == "none"
    assert found.share_above_null < 0.1
    assert "no more than chance" in found.sentence


def test_real_cells_hold_more_than_their_null(pancreas):
    found = strength(source("pancreas", n_cells=800, folder=pancreas.parent))
    assert found.strength in ("some", "clear")
    below = found.genes.dropna()
    assert (below["null_percentile"] > 95).mean() == pytest.approx(found.share_above_null, abs=0.01)


def test_few_cells_cannot_tell(dentate_gyrus):
    found = strength(source("dentate", folder=dentate_gyrus.parent))
    assert found.strength == "cannot tell"
    assert "cannot be told from chance" in found.sentence
    few = strength(broken(simulate(40, 20, seed=0), "split"))
    assert few.strength == "cannot tell"


def test_without_groups_all_cells_are_one(cells):
    found = velocity_signal(cells)
    assert list(found.unspliced_share.index) == ["all cells"]
    layers = [cells.layers[name].sum() for name in ("unspliced", "spliced")]
    assert found.unspliced_share.iloc[0] == pytest.approx(layers[0] / sum(layers))


def test_unspliced_share_by_group_is_that_of_the_counts(cells):
    found = strength(cells)
    for group, share in found.unspliced_share.items():
        inside = (cells.obs["clusters"] == group).to_numpy()
        u, s = (cells.layers[name][inside].sum() for name in ("unspliced", "spliced"))
        assert share == pytest.approx(u / (u + s))


def test_many_cells_are_sampled(cells, monkeypatch):
    monkeypatch.setattr("velovi.evidence.signal_in_counts.MOST_CELLS", 400)
    assert strength(cells).n_cells == 400


def test_averaged_values_cannot_tell(cells):
    smooth = broken(cells, "split")
    weights = neighbor_graph(smooth.X.toarray(), 30)[1]
    for name in ("spliced", "unspliced"):
        smooth.layers[name] = sp.csr_matrix(weights @ smooth.layers[name])
    found = strength(smooth)
    assert found.strength == "cannot tell"
    assert "no whole numbers" in found.sentence


def test_some_fractions_are_counts(cells):
    fractions = cells.copy()
    fractions.layers["unspliced"].data[::5] += 0.25
    assert strength(fractions).strength == "clear"


@pytest.mark.parametrize("labels", ["one", "each", "none", "half", "numbers"])
def test_groups_of_any_kind(cells, labels):
    made, n = cells.copy(), cells.n_obs
    half = cells.obs["clusters"].where(np.arange(n) % 2 == 0)
    made.obs["clusters"] = {
        "one": pd.Categorical(["x"] * n),
        "each": pd.Categorical([str(i) for i in range(n)]),
        "none": pd.Categorical([None] * n, categories=["x"]),
        "half": half,
        "numbers": np.arange(n) % 3,
    }[labels]
    found = strength(made)
    assert found.strength == ("cannot tell" if labels == "each" else "clear")
    expected = {"one": 1, "each": 0, "none": 1, "numbers": 3}.get(labels)
    assert expected is None or len(found.groups) == expected


def test_groups_with_and_without_signal_are_told_apart():
    cells = source("simulated", n_cells=2000)
    permuted = broken(cells, "uperm")
    mixed, here = cells.copy(), (cells.obs["clusters"] == cells.obs["clusters"].iloc[0]).to_numpy()
    unspliced = mixed.layers["unspliced"].tolil()
    unspliced[here] = permuted.layers["unspliced"][here]
    mixed.layers["unspliced"] = unspliced.tocsr()
    found = strength(mixed).groups["share_above_null"]
    broken_group = str(cells.obs["clusters"].iloc[0])
    assert found[broken_group] < 0.1
    assert found.drop(broken_group).min() > 0.15


def test_layers_that_are_not_there_are_named(cells):
    bare = cells.copy()
    del bare.layers["unspliced"]
    with pytest.raises(DataError, match="unspliced"):
        velocity_signal(bare)


def test_nothing_to_compare_is_no_number():
    empty = simulate(80, 20, seed=0)
    empty.layers["unspliced"] = empty.layers["spliced"].copy()
    found = velocity_signal(empty)
    assert found.strength == "cannot tell"
    assert found.to_dict()["share_above_null"] is None


def test_a_column_that_is_not_there_is_named(cells):
    with pytest.raises(UnknownNameError, match="no annotation 'cluster'"):
        velocity_signal(cells, label_column="cluster")


# --- halves of the genes ------------------------------------------------------------------------


def moving_cells(n_genes=40):
    """Cells on a line in gene space, all of which move up it."""
    rng = np.random.default_rng(0)
    time = rng.uniform(0, 4, 300)
    slope = rng.uniform(0.5, 1.5, n_genes)
    expression = np.outer(time, slope) + rng.normal(0, 0.1, (300, n_genes))
    graph, _ = neighbor_graph(expression, 20)
    embedding = np.stack([time, rng.normal(0, 0.1, 300)], axis=1)
    return np.tile(slope, (300, 1)), expression, graph, embedding


def test_genes_that_agree_send_cells_the_same_way():
    velocity, expression, graph, embedding = moving_cells()
    along = gene_half_agreement(gene_half_arrows(velocity, expression, graph, embedding))
    assert along.shape == (300,)
    assert np.median(along) > 0.9
    noise = np.random.default_rng(1).normal(size=velocity.shape)
    lost = gene_half_agreement(gene_half_arrows(noise, expression, graph, embedding))
    assert np.median(lost) < 0.5


def test_the_agreement_is_that_of_arrows_made_by_hand():
    velocity, expression, graph, embedding = moving_cells(12)
    velocity = velocity + np.random.default_rng(2).normal(size=velocity.shape)
    halves = gene_half_arrows(
        velocity, expression, graph, embedding, n_splits=1, max_neighbors=0, seed=7
    )
    found = gene_half_agreement(halves)
    order = np.random.default_rng(7).permutation(12)
    arrows = [
        project(
            transition_matrix(velocity_graph(velocity[:, half], expression[:, half], graph)),
            embedding,
        )
        for half in (order[:6], order[6:])
    ]
    lengths = [np.linalg.norm(arrow, axis=1) for arrow in arrows]
    expected = (arrows[0] * arrows[1]).sum(axis=1) / (lengths[0] * lengths[1])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_cells_that_stand_still_have_no_agreement():
    velocity, expression, graph, embedding = moving_cells()
    velocity[:5] = 0
    found = gene_half_agreement(gene_half_arrows(velocity, expression, graph, embedding))
    assert np.isnan(found[:5]).all()
    assert np.isfinite(found[5:]).all()


def test_genes_and_splits_are_needed():
    velocity, expression, graph, embedding = moving_cells(3)
    with pytest.raises(DataError, match="too few genes"):
        gene_half_arrows(velocity, expression, graph, embedding)
    with pytest.raises(OptionError, match="n_splits"):
        gene_half_arrows(*moving_cells(), n_splits=0)
