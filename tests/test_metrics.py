import numpy as np
import pytest
from _dynamics_data import random_cells
from scipy import sparse

from velovi.dynamics import (
    cbdir,
    in_cluster_coherence,
    transition_matrix,
    velocity_coherence,
    velocity_graph,
)
from velovi.errors import DataError, UnknownNameError


def cosine(a, b):
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return a @ b / norm if norm > 0 else 0.0


def naive_cbdir(x, v, knn, labels, a, b):
    per_cell = []
    for i in range(len(x)):
        near = [j for j in knn[i].indices if labels[j] == b and j != i]
        if labels[i] == a and near:
            per_cell.append(np.mean([cosine(x[j] - x[i], v[i]) for j in near]))
    return (np.mean(per_cell) if per_cell else np.nan), len(per_cell)


@pytest.fixture
def labelled():
    x, v, knn = random_cells(cells=90, seed=3)
    labels = np.array(["a", "b", "c"])[np.digitize(x[:, 0], [1.2, 2.4])]
    return x[:, :2], v[:, :2], knn, labels


def test_cbdir_equals_double_loop(labelled):
    x, v, knn, labels = labelled
    v[3] = 0
    edges = [("a", "b"), ("b", "c"), ("c", "a"), ("b", "b")]
    found = cbdir(x, v, knn, labels, edges)
    wanted = [naive_cbdir(x.astype(float), v.astype(float), knn, labels, *e) for e in edges]
    np.testing.assert_allclose(found.mean, [w[0] for w in wanted], rtol=1e-9)
    assert found.n_cells.tolist() == [w[1] for w in wanted]
    np.testing.assert_allclose(found.total, np.mean([w[0] for w in wanted]))
    assert found.edges == tuple(edges)


def test_cbdir_sign():
    x = np.column_stack([np.arange(10.0), np.zeros(10)])
    knn = sparse.diags([1.0, 1.0], [-1, 1], shape=(10, 10), format="csr")
    labels = np.repeat(["early", "late"], 5)
    right = np.tile([1.0, 0.0], (10, 1))
    assert cbdir(x, right, knn, labels, [("early", "late")]).total == 1
    assert cbdir(x, -right, knn, labels, [("early", "late")]).total == -1


def test_cbdir_without_border_is_nan_and_left_out_of_the_total(labelled):
    x, v, knn, _ = labelled
    labels = np.repeat("a", 90).astype(object)
    labels[:2] = "b"
    lonely = sparse.csr_matrix((90, 90))
    none = cbdir(x, v, lonely, labels, [("a", "b")])
    assert np.isnan(none.mean[0])
    assert none.n_cells[0] == 0
    assert np.isnan(none.total)
    with pytest.raises(UnknownNameError, match="zebra"):
        cbdir(x, v, knn, labels, [("a", "zebra")])
    with pytest.raises(DataError, match="labels"):
        cbdir(x, v, knn, labels[:4], [("a", "b")])


def test_in_cluster_coherence_equals_double_loop(labelled):
    _, v, knn, labels = labelled
    found = in_cluster_coherence(v, knn, labels)
    for k, name in enumerate(found.labels):
        per_cell = []
        for i in np.flatnonzero(labels == name):
            near = [j for j in knn[i].indices if labels[j] == name]
            if near:
                per_cell.append(np.mean([cosine(v[i], v[j]) for j in near]))
        np.testing.assert_allclose(found.mean[k], np.mean(per_cell), atol=1e-6)
        assert found.n_cells[k] == len(per_cell)
    np.testing.assert_allclose(found.total, found.mean.mean())


def test_in_cluster_coherence_without_neighbours():
    found = in_cluster_coherence(np.ones((3, 2)), sparse.csr_matrix((3, 3)), ["a", "a", "b"])
    assert np.isnan(found.mean).all()
    assert found.n_cells.tolist() == [0, 0]


@pytest.mark.parametrize("stay", [True, False])
def test_velocity_coherence(stay):
    x, v, knn = random_cells()
    v[2] = 0
    t = transition_matrix(
        velocity_graph(v, x, knn), self_transitions=stay, use_negative_cosines=False
    )
    dense = t.toarray().astype(float)
    np.fill_diagonal(dense, 0)
    total = dense.sum(1, keepdims=True)
    dense /= np.where(total > 0, total, 1)
    wanted = np.where(total > 0, (dense @ x - x) * v, 0)
    found = velocity_coherence(t, x, v)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert not found[2].any()
