"""Simulated data against an ODE solver, finite differences and its own promises."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.integrate import solve_ivp

from velovi.data.simulate import TIME_END, TRUNK_END, abundances, draw_programme, simulate
from velovi.errors import OptionError


@pytest.fixture(scope="module")
def programme():
    return draw_programme(24, 3, np.random.default_rng(1))


def alpha_at(programme, fate, gene, t):
    first, second = programme.switches[fate, gene]
    return programme.alpha[fate, gene, int(t >= first) + int(t >= second)]


@pytest.mark.parametrize("gene", range(8))
@pytest.mark.parametrize("fate", [0, 2])
def test_abundances_agree_with_an_ode_solver(programme, gene, fate):
    beta, gamma = programme.beta[gene], programme.gamma[gene]
    start = programme.alpha[fate, gene, 0]
    times = np.linspace(0, TIME_END, 30)
    solved = solve_ivp(
        lambda t, y: [alpha_at(programme, fate, gene, t) - beta * y[0], beta * y[0] - gamma * y[1]],
        (0, TIME_END),
        [start / beta, start / gamma],
        t_eval=times,
        max_step=0.02,
        rtol=1e-8,
    )
    u, s, _ = abundances(programme, times, np.full(30, fate))
    # max_step limits how well the solver sees a switch
    np.testing.assert_allclose(u[:, gene], solved.y[0], rtol=5e-3)
    np.testing.assert_allclose(s[:, gene], solved.y[1], rtol=5e-3)


def test_velocity_is_the_slope_of_spliced(programme):
    time = np.random.default_rng(0).uniform(0.1, TIME_END, 200)
    fate = np.arange(200) % 3
    step = 1e-5
    _, before, _ = abundances(programme, time - step, fate)
    _, after, _ = abundances(programme, time + step, fate)
    _, _, velocity = abundances(programme, time, fate)
    np.testing.assert_allclose((after - before) / (2 * step), velocity, atol=2e-3)


def test_equal_rates_are_the_limit_of_nearly_equal_rates(programme):
    time, fate = np.linspace(0, TIME_END, 20), np.zeros(20, dtype=int)
    same = abundances(replace(programme, gamma=programme.beta), time, fate)
    near = abundances(replace(programme, gamma=programme.beta * (1 + 1e-6)), time, fate)
    for item, other in zip(same, near, strict=True):
        np.testing.assert_allclose(item, other, rtol=1e-4, atol=1e-3)


def test_fates_agree_until_they_part(programme):
    time = np.linspace(0, TRUNK_END, 40)
    first = abundances(programme, time, np.zeros(40, dtype=int))
    last = abundances(programme, time, np.full(40, 2))
    for item, other in zip(first, last, strict=True):
        np.testing.assert_array_equal(item, other)


def test_sizes_layers_and_truth():
    adata = simulate(n_cells=700, n_genes=23, n_fates=4, seed=3)
    assert adata.shape == (700, 23)
    for name in ("spliced", "unspliced"):
        layer = adata.layers[name]
        assert sp.issparse(layer)
        assert layer.format == "csr"
        assert layer.dtype == np.float32
        np.testing.assert_array_equal(layer.data, np.rint(layer.data))
    assert (adata.layers["spliced"] != adata.X).nnz == 0
    assert list(adata.obs["clusters"].cat.categories) == [
        "Stem",
        "Progenitor",
        "Fate A",
        "Fate B",
        "Fate C",
        "Fate D",
    ]
    assert len(adata.uns["clusters_colors"]) == 6
    assert not list(adata.obsm)
    u, s = adata.layers["true_unspliced"], adata.layers["true_spliced"]
    slope = adata.var["true_beta"].to_numpy() * u - adata.var["true_gamma"].to_numpy() * s
    np.testing.assert_allclose(adata.layers["true_velocity"], slope, atol=1e-3)


def test_velocity_has_the_sign_of_the_gene_programme():
    adata = simulate(seed=1)
    stem_or_trunk = adata.obs["true_time"] < TRUNK_END
    down = adata.layers["true_velocity"][:, (adata.var["true_kind"] == "repressed").to_numpy()]
    assert (down <= 1e-4).all()
    own = (adata.var["true_fate"] == "Fate B").to_numpy()
    late = (adata.obs["clusters"] == "Fate B").to_numpy() & (adata.obs["true_time"] > 7.2)
    early_fate_b = (adata.obs["clusters"] == "Fate B").to_numpy() & ~late.to_numpy()
    assert adata.layers["true_velocity"][np.ix_(early_fate_b, own)].mean() > 0
    np.testing.assert_allclose(
        adata.layers["true_velocity"][np.ix_(stem_or_trunk.to_numpy(), own)], 0, atol=1e-4
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_share_of_unspliced_counts_is_usual(seed):
    adata = simulate(n_cells=500, seed=seed)
    u, s = adata.layers["unspliced"].sum(), adata.layers["spliced"].sum()
    assert 0.15 < u / (u + s) < 0.3


def test_seed_fixes_everything_and_truth_can_be_left_out():
    one, same = simulate(300, 20, seed=5), simulate(300, 20, seed=5)
    small, other = simulate(300, 20, seed=5, keep_truth=False), simulate(300, 20, seed=6)
    for name in one.layers:
        difference = one.layers[name] != same.layers[name]
        assert difference.sum() == 0
    assert (one.layers["unspliced"] != small.layers["unspliced"]).sum() == 0
    assert set(filter(None, small.layers)) == {"spliced", "unspliced"}
    assert (one.layers["unspliced"] != other.layers["unspliced"]).sum() > 0


@pytest.mark.parametrize(
    "wrong", [{"n_cells": 0}, {"n_genes": 0}, {"n_fates": 0}, {"n_fates": 99}, {"capture": 2.0}]
)
def test_impossible_arguments_are_named(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        simulate(**wrong)


def test_one_cell_one_gene():
    assert simulate(1, 1, 1).shape == (1, 1)
