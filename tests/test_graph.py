"""The velocity graph against an obvious double loop, and odd input."""

import numpy as np
import pytest
from _dynamics_data import random_cells
from scipy import sparse

from velovi.dynamics import velocity_graph
from velovi.errors import DataError, OptionError


def naive_graph(v, x, knn, depth=2):
    cells = len(x)
    x, v = x.astype(float), v.astype(float)
    lists = [set(knn.indices[knn.indptr[i] : knn.indptr[i + 1]]) for i in range(cells)]
    out = np.zeros((cells, cells))
    for i in range(cells):
        near = {i}
        for _ in range(depth):
            near = near | {k for j in near for k in lists[j]}
        for j in near - {i}:
            d, w = x[j] - x[i], v[i]
            d, w = d - d.mean(), w - w.mean()
            norm = np.linalg.norm(d) * np.linalg.norm(w)
            out[i, j] = d @ w / norm if norm > 1e-9 else 0.0
    return out


def signed(graph):
    return (graph.positive + graph.negative).toarray()


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("genes", [2, 11, 700])
def test_equals_double_loop(depth, genes):
    x, v, knn = random_cells(genes=genes)
    graph = velocity_graph(v, x, knn, recurse_neighbors=depth)
    np.testing.assert_allclose(signed(graph), naive_graph(v, x, knn, depth), atol=2e-6)
    assert graph.positive.dtype == graph.negative.dtype == np.float32
    assert graph.positive.data.min() > 0
    assert graph.negative.data.max() < 0
    assert graph.positive.has_sorted_indices


def test_self_transition_is_gap_to_98th_percentile():
    x, v, knn = random_cells()
    graph = velocity_graph(v, x, knn)
    best = np.clip(naive_graph(v, x, knn), 0, None).max(1)
    np.testing.assert_allclose(graph.confidence, best, atol=2e-6)
    wanted = np.clip(np.percentile(best, 98) - best, 0, 1)
    np.testing.assert_allclose(graph.self_transition, wanted, atol=2e-6)


def test_zero_velocity_and_duplicate_cells_give_zero():
    x, v, knn = random_cells()
    v[3] = 0
    v[4] = 7.5  # the same in all genes: no direction after centring
    x[10] = x[11]
    knn = knn.tolil()
    knn[10, 11] = 1.0
    dense = signed(velocity_graph(v, x, knn.tocsr()))
    assert not dense[3].any()
    assert not dense[4].any()
    assert dense[10, 11] == 0


def test_nearly_equal_large_values_keep_precision():
    x, v, knn = random_cells(genes=40)
    # float32 resolves 1e-4 at 1000; centring before the difference would lose it
    x = (1000 + x).astype(np.float32)
    np.testing.assert_allclose(signed(velocity_graph(v, x, knn)), naive_graph(v, x, knn), atol=5e-5)


def test_max_neighbors_limits_and_is_reproducible():
    x, v, knn = random_cells(cells=600)
    full = signed(velocity_graph(v, x, knn))
    one = velocity_graph(v, x, knn, max_neighbors=4, seed=1, threads=1)
    two = velocity_graph(v, x, knn, max_neighbors=4, seed=1, threads=3)
    other = velocity_graph(v, x, knn, max_neighbors=4, seed=2)
    dense = signed(one)
    assert ((dense != 0).sum(1) <= 4).all()
    assert (dense != 0).sum() > 3.9 * 600
    np.testing.assert_array_equal(dense, signed(two))
    assert (dense != signed(other)).any()
    np.testing.assert_array_equal(dense[dense != 0], full[dense != 0])


def test_choice_is_even():
    n = 41
    x, v, _ = random_cells(cells=n)
    knn = sparse.csr_matrix(np.ones((n, n)) - np.eye(n))
    hits = sum(signed(velocity_graph(v, x, knn, max_neighbors=10, seed=s)) != 0 for s in range(200))
    share = hits[~np.eye(n, dtype=bool)] / 200
    assert abs(share.mean() - 0.25) < 0.01
    assert share.min() > 0.1
    assert share.max() < 0.45


def test_threads_do_not_change_the_result():
    x, v, knn = random_cells(cells=700)
    one, two = (velocity_graph(v, x, knn, threads=n) for n in (1, 2))
    np.testing.assert_array_equal(signed(one), signed(two))


def test_tiny_and_disconnected():
    x, v, _ = random_cells(cells=3, k=2)
    graph = velocity_graph(v, x, sparse.csr_matrix((3, 3)))
    assert graph.positive.nnz == graph.negative.nnz == 0
    assert not graph.self_transition.any()
    empty = velocity_graph(v[:0], x[:0], sparse.csr_matrix((0, 0)))
    assert empty.n_cells == 0
    assert empty.self_transition.shape == (0,)


def test_input_is_not_changed():
    x, v, knn = random_cells()
    before = x.copy(), v.copy(), knn.copy()
    velocity_graph(v, x, knn)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(v, before[1])
    np.testing.assert_array_equal(knn.data, before[2].data)


def test_errors_name_the_argument():
    x, v, knn = random_cells()
    with pytest.raises(DataError, match="velocity"):
        velocity_graph(v[:, :3], x, knn)
    with pytest.raises(DataError, match="neighbours"):
        velocity_graph(v, x, knn[:5, :5])
    with pytest.raises(DataError, match="neighbours"):
        velocity_graph(v, x, knn.toarray())
    with pytest.raises(OptionError, match="recurse_neighbors"):
        velocity_graph(v, x, knn, recurse_neighbors=0)
    v[0, 0] = np.nan
    with pytest.raises(DataError, match=r"velocity.*not finite"):
        velocity_graph(v, x, knn)
