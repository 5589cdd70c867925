"""Numbers behind the pages Time, States and rates, and Uncertainty."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from velovi.errors import OptionError
from velovi.plotting.density2d import binned_quantiles, density2d, density_figure, rank_correlation
from velovi.plotting.group_quantiles import QUANTILES, group_quantiles, group_quantiles_figure
from velovi.plotting.rates import (
    StateShares,
    rate_figure,
    rate_pair,
    shares_by_gene,
    shares_by_group,
    state_shares_figure,
)
from velovi.plotting.theme import DARK, LIGHT
from velovi.plotting.time_heatmap import (
    gene_time,
    gene_time_figure,
    time_agreement,
    time_heatmap,
    time_heatmap_figure,
)

RNG = np.random.default_rng(0)
LABELS = pd.Series(pd.Categorical(RNG.choice(["a", "b", "c"], 400), ["c", "a", "b", "none"]))
VALUES = np.where(RNG.random(400) < 0.05, np.nan, RNG.gamma(2, 1, 400))


@pytest.mark.parametrize("only", [None, RNG.random(400) < 0.4])
def test_quantiles_of_groups_are_numpys(only):
    data = group_quantiles("speed", VALUES, LABELS, only=only)
    chosen = np.isfinite(VALUES) if only is None else np.isfinite(VALUES) & only
    for name, count, row in zip(data.groups, data.counts, data.quantiles, strict=True):
        mine = VALUES[chosen & (name == LABELS).to_numpy()]
        assert count == len(mine)
        np.testing.assert_allclose(row, np.quantile(mine, QUANTILES))
    assert list(data.quantiles[:, 2]) == sorted(data.quantiles[:, 2])
    assert set(data.groups) == {"a", "b", "c"}
    assert len(data.to_frame()) == 3


def test_without_groups_all_cells_are_one():
    data = group_quantiles("speed", VALUES)
    assert data.groups == ("all cells",)
    assert data.counts.tolist() == [np.isfinite(VALUES).sum()]
    empty = group_quantiles("speed", np.full(5, np.nan))
    assert empty.groups == ()
    assert len(group_quantiles_figure(empty, LIGHT).data) == 0


def test_rank_correlation_is_scipys():
    x = RNG.integers(0, 9, 300).astype(float)
    y = x + RNG.normal(size=300)
    assert rank_correlation(x, y) == pytest.approx(spearmanr(x, y).statistic)
    assert np.isnan(rank_correlation(x, np.ones(300)))
    assert np.isnan(rank_correlation(x[:1], y[:1]))


def test_squares_hold_the_cells_and_the_line_is_the_median():
    x, y = RNG.normal(size=2000), RNG.normal(size=2000)
    x[:7] = np.nan
    data = density2d(x, y, "x", "y", bins=20)
    inside = np.isfinite(x)
    for edges, values in ((data.x_edges, x), (data.y_edges, y)):
        inside &= (values >= edges[0]) & (values <= edges[-1])
    assert data.counts.sum() == inside.sum()
    for i in (5, 10):
        for j in (4, 12):
            mine = (
                (x >= data.x_edges[j])
                & (x < data.x_edges[j + 1])
                & (y >= data.y_edges[i])
                & (y < data.y_edges[i + 1])
            )
            assert data.counts[i, j] == mine.sum()
        in_bin = (x >= data.x_edges[i]) & (x < data.x_edges[i + 1])
        assert data.median[i] == pytest.approx(np.median(y[in_bin]))
    assert data.to_frame()["cells"].sum() == data.counts.sum()
    assert density2d(np.empty(0), np.empty(0), "x", "y").counts.sum() == 0


def test_quantiles_in_bins_leave_empty_bins_out():
    found = binned_quantiles(
        np.array([0.1, 0.2, 2.5]), np.array([1.0, 3, 7]), np.arange(4.0), (0.5,)
    )
    np.testing.assert_array_equal(found, [[2.0, np.nan, 7.0]])


def test_genes_are_ordered_by_their_peak_and_scaled():
    time = RNG.random(3000)
    columns = {
        f"peak {p}": np.exp(-((time - p) ** 2) / 0.02) + 0.01 * RNG.normal(size=3000)
        for p in (0.8, 0.2, 0.5)
    }
    columns["silent"] = np.zeros(3000)
    columns["unknown"] = np.full(3000, np.nan)
    data = time_heatmap("Spliced", time, columns)
    order = [item for item in data.genes if item.startswith("peak")]
    assert order == ["peak 0.2", "peak 0.5", "peak 0.8"]
    for gene, row, peak in zip(data.genes, data.values, data.peak, strict=True):
        if gene.startswith("peak"):
            assert (np.nanmin(row), np.nanmax(row)) == (0.0, 1.0)
            assert abs(peak - float(gene.split()[1])) < 0.05
    assert (data.values[data.genes.index("silent")] == 0).all()
    assert np.isnan(data.values[data.genes.index("unknown")]).all()
    late = data.genes.index("peak 0.8")
    assert data.correlation[late] == pytest.approx(spearmanr(time, columns["peak 0.8"]).statistic)


@pytest.mark.parametrize("time", [np.full(50, np.nan), np.full(50, 0.3), np.empty(0)])
def test_courses_of_odd_times(time):
    data = time_heatmap("Spliced", time, {"g": np.ones(len(time))})
    assert data.genes == ("g",)
    time_heatmap_figure(data, LIGHT)
    assert len(time_heatmap("Spliced", time, {}).genes) == 0


def test_a_genes_own_time_is_its_median_in_bins():
    shared = RNG.random(5000)
    own = 20 * shared + RNG.normal(size=5000)
    data = gene_time("g", shared, own)
    width = 1 / 40
    for t, low, median, high in zip(data.time, data.low, data.median, data.high, strict=True):
        mine = own[(shared >= t - width / 2) & (shared < t + width / 2)]
        np.testing.assert_allclose([low, median, high], np.quantile(mine, (0.1, 0.5, 0.9)))
    assert data.correlation == pytest.approx(spearmanr(shared, own).statistic)
    assert len(gene_time("g", np.full(4, np.nan), own[:4]).time) == 0


@pytest.mark.parametrize(("turn", "share"), [(0.0, 1.0), (np.pi, 0.0)])
def test_agreement_is_full_along_the_rise_of_time_and_none_against_it(turn, share):
    positions = RNG.random((4000, 2)) * [10, 5]
    time = positions @ [0.06, 0.08]
    angle = np.arctan2(0.08, 0.06) + turn
    velocity = np.tile([np.cos(angle), np.sin(angle)], (4000, 1))
    labels = pd.Series(pd.Categorical(np.where(positions[:, 0] < 5, "left", "right")))
    data = time_agreement(positions, velocity, time, labels)
    assert data.groups == ("all cells", "left", "right")
    np.testing.assert_allclose(data.share, share, atol=0.02)
    np.testing.assert_allclose(data.cosine, np.cos(turn), atol=0.15)
    assert data.cells[0] == data.cells[1:].sum()


def test_agreement_by_chance_is_about_half_and_of_few_cells_nothing():
    positions, velocity = RNG.random((20_000, 2)), RNG.normal(size=(20_000, 2))
    data = time_agreement(positions, velocity, positions[:, 0])
    assert data.share[0] == pytest.approx(0.5, abs=0.1)
    few = time_agreement(positions[:3], velocity[:3], np.arange(3.0))
    assert few.groups == ()
    nothing = time_agreement(np.full((9, 2), np.nan), velocity[:9], np.arange(9.0))
    assert len(nothing.to_frame()) == 0


VAR = pd.DataFrame(
    {
        "fit_alpha": [1, 2, np.nan, -1],
        "fit_beta": [0.5, 0.1, 1, 1],
        "fit_explained": [0.9, 0.2, 1, 1],
    },
    index=["w", "x", "y", "z"],
)


def test_rates_are_the_tables_and_only_those_above_zero():
    data = rate_pair(VAR, "fit_alpha", "fit_beta")
    assert data.genes.tolist() == ["w", "x"]
    assert data.x.tolist() == [1, 2]
    assert data.y.tolist() == [0.5, 0.1]
    assert data.quality.tolist() == [0.9, 0.2]
    assert len(rate_pair(VAR, "fit_alpha", "fit_gamma").genes) == 0
    assert len(rate_figure(data, LIGHT, gene="x").data) == 2
    assert len(rate_figure(data, DARK, gene="not there").data) == 1


@pytest.mark.parametrize("only", [None, RNG.random(400) < 0.5])
def test_shares_by_group_are_means(only):
    states = {
        name: RNG.random(400)
        for name in ("induction", "induction_steady", "repression", "repression_steady")
    }
    states["repression"][3] = np.nan
    data = shares_by_group("g", states, LABELS, only=only)
    known = np.isfinite(states["repression"])
    if only is not None:
        known &= only
    for name, count, row in zip(data.rows, data.counts, data.shares, strict=True):
        mine = known & (name == LABELS).to_numpy()
        assert count == mine.sum()
        np.testing.assert_allclose(row, [states[state][mine].mean() for state in data.states])
    assert set(data.rows) == {"a", "b", "c"}
    whole = shares_by_group("g", states, None)
    assert whole.rows == ("all cells",)


def test_genes_in_one_state_stand_together():
    means = {
        "induction": {"a": 0.7, "b": 0.1, "c": 0.9, "d": np.nan},
        "repression": {"a": 0.3, "b": 0.9, "c": 0.1, "d": 0.5},
    }
    data = shares_by_gene(["a", "b", "c", "d"], means, 12)
    assert data.rows == ("c", "a", "b")
    assert data.likeliest == ["induction", "induction", "repression"]
    assert len(state_shares_figure(data, LIGHT).data) == 2
    assert shares_by_gene([], {"induction": {}}, 0).rows == ()
    with pytest.raises(OptionError, match="rows by states"):
        StateShares("g", ("a",), ("induction",), np.zeros((2, 1)), np.zeros(1))


def test_figures_hold_their_numbers():
    shared = np.linspace(0, 1, 300)
    data = gene_time("g", shared, 20 * shared)
    np.testing.assert_array_equal(gene_time_figure(data, LIGHT).data[2].y, data.median)
    density = density2d(shared, shared**2, "a", "b")
    figure = density_figure(density, DARK)
    np.testing.assert_array_equal(figure.data[0].customdata, density.counts)
    spread = group_quantiles("speed", VALUES, LABELS)
    medians = [item.x[0] for item in group_quantiles_figure(spread, LIGHT).data[2::3]]
    np.testing.assert_array_equal(medians, spread.quantiles[:, 2])
