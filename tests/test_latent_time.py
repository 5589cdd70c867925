"""Shared time on a simulated tree, and odd input."""

import numpy as np
import pytest
from _dynamics_data import simulate_tree
from scipy import sparse
from scipy.stats import spearmanr

from velovi.dynamics import shared_latent_time, transition_matrix, velocity_graph
from velovi.errors import DataError, OptionError


def transitions(tree):
    return transition_matrix(velocity_graph(tree.velocity, tree.expression, tree.distances))


@pytest.fixture(scope="module")
def tree():
    data = simulate_tree()
    return data, transitions(data)


def correlation(a, b):
    return spearmanr(a, b)[0]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [0.05, 0.3])
def test_recovers_true_time(seed, noise):
    data = simulate_tree(cells=400, noise=noise, seed=seed)
    found = shared_latent_time(data.gene_time, transitions(data), data.connectivities)
    assert correlation(found.time, data.time) > 0.95
    assert found.time.min() == 0
    assert found.time.max() == 1
    early = data.time[found.root_cells > 0.8]
    late = data.time[found.end_points > 0.8]
    assert early.mean() < 0.3
    assert late.mean() > 0.7


def test_better_than_the_mean_of_the_genes(tree):
    data, t = tree
    mean = data.gene_time.argsort(0).argsort(0).mean(1)
    found = shared_latent_time(data.gene_time, t, data.connectivities)
    assert correlation(found.time, data.time) > correlation(mean, data.time) + 0.03


def test_each_gene_may_have_its_own_scale(tree):
    data, t = tree
    rng = np.random.default_rng(0)
    genes = data.gene_time.shape[1]
    other = data.gene_time * rng.uniform(0.01, 100, genes) + rng.normal(size=genes) * 50
    one = shared_latent_time(data.gene_time, t, data.connectivities)
    two = shared_latent_time(other, t, data.connectivities)
    assert correlation(one.time, two.time) > 0.999


def test_root_is_obeyed(tree):
    data, t = tree
    first, last = int(data.time.argmin()), int(data.time.argmax())
    right = shared_latent_time(data.gene_time, t, data.connectivities, root=first)
    assert correlation(right.time, data.time) > 0.95
    assert right.time[first] < 0.05
    wrong = shared_latent_time(data.gene_time, t, data.connectivities, root=[last])
    assert wrong.time[last] < 0.2
    assert wrong.root_cells.argmax() == last


def test_gene_weights(tree):
    data, t = tree
    weights = np.zeros(data.gene_time.shape[1])
    weights[:40] = 1
    one = shared_latent_time(data.gene_time, t, data.connectivities, gene_weights=weights)
    two = shared_latent_time(data.gene_time[:, :40], t, data.connectivities)
    np.testing.assert_array_equal(one.time, two.time)
    none = shared_latent_time(data.gene_time, t, data.connectivities, gene_weights=0 * weights)
    assert correlation(none.time, data.time) > 0.9  # the graph alone


def test_disconnected_parts_each_get_roots_and_ends():
    a, b = simulate_tree(cells=200, seed=1), simulate_tree(cells=200, seed=1)
    t = sparse.block_diag([transitions(a), transitions(b)], format="csr")
    near = sparse.block_diag([a.connectivities, b.connectivities], format="csr")
    found = shared_latent_time(np.concatenate([a.gene_time, b.gene_time]), t, near)
    np.testing.assert_allclose(found.time[:200], found.time[200:], atol=1e-3)
    for part in (slice(0, 200), slice(200, 400)):
        assert correlation(found.time[part], a.time) > 0.95
        assert found.root_cells[part].max() == found.end_points[part].max() == 1


def test_degenerate_input_gives_finite_times():
    rng = np.random.default_rng(0)
    none = sparse.csr_matrix((6, 6))
    for times in (rng.uniform(size=(6, 3)), np.zeros((6, 3)), np.zeros((6, 0))):
        found = shared_latent_time(times, none, none)
        for item in (found.time, found.root_cells, found.end_points):
            assert item.shape == (6,)
            assert item.dtype == np.float32
            assert np.isfinite(item).all()
            assert item.min() >= 0
            assert item.max() <= 1
    rooted = shared_latent_time(rng.uniform(size=(6, 3)), none, none, root=2)
    assert np.isfinite(rooted.time).all()
    for n in (0, 1):
        tiny = sparse.csr_matrix((n, n))
        assert shared_latent_time(np.zeros((n, 2)), tiny, tiny).time.shape == (n,)


def test_errors(tree):
    data, t = tree
    with pytest.raises(DataError, match="transition"):
        shared_latent_time(data.gene_time[:5], t, data.connectivities)
    for root in (-1, 10**6, 0.5, []):
        with pytest.raises(OptionError, match="root"):
            shared_latent_time(data.gene_time, t, data.connectivities, root=root)
    with pytest.raises(OptionError, match="gene_weights"):
        shared_latent_time(data.gene_time, t, data.connectivities, gene_weights=[1.0])
