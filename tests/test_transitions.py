"""Transition probabilities against the written formula."""

import numpy as np
import pytest
from _dynamics_data import random_cells
from scipy import sparse

from velovi.dynamics import VelocityGraph, transition_matrix, velocity_graph
from velovi.errors import DataError, OptionError


def naive_transitions(graph, scale, stay, negative):
    cos = (graph.positive + graph.negative).toarray().astype(float)
    if stay:
        best = np.clip(cos, 0, None).max(1)
        np.fill_diagonal(cos, np.clip(np.percentile(best, 98) - best, 0, 1))
    out = np.zeros_like(cos)
    for i in range(len(cos)):
        for j in range(len(cos)):
            if cos[i, j] == 0:
                continue
            if negative:
                out[i, j] = np.sign(cos[i, j]) * np.expm1(scale * abs(cos[i, j]))
            else:
                out[i, j] = np.exp(scale * cos[i, j])
        total = np.abs(out[i]).sum()
        if total > 0:
            out[i] /= total
        else:
            out[i, i] = 1
    return out


@pytest.mark.parametrize("negative", [True, False])
@pytest.mark.parametrize("stay", [True, False])
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_equals_double_loop(scale, stay, negative):
    x, v, knn = random_cells()
    v[7] = 0
    graph = velocity_graph(v, x, knn)
    found = transition_matrix(
        graph, scale=scale, self_transitions=stay, use_negative_cosines=negative
    )
    wanted = naive_transitions(graph, scale, stay, negative)
    np.testing.assert_allclose(found.toarray(), wanted, atol=2e-6)
    np.testing.assert_allclose(np.abs(found.toarray()).sum(1), 1, atol=1e-5)
    assert found.dtype == np.float32


def test_probabilities_without_negative_cosines():
    x, v, knn = random_cells()
    chain = transition_matrix(velocity_graph(v, x, knn), use_negative_cosines=False)
    assert chain.data.min() > 0


def test_a_graph_without_edges_stays():
    empty = sparse.csr_matrix((3, 3), dtype=np.float32)
    stay = transition_matrix(VelocityGraph(empty, empty))
    np.testing.assert_array_equal(stay.toarray(), np.eye(3))
    none = sparse.csr_matrix((0, 0), dtype=np.float32)
    assert transition_matrix(VelocityGraph(none, none)).shape == (0, 0)


def test_graph_is_not_changed():
    x, v, knn = random_cells()
    graph = velocity_graph(v, x, knn)
    before = graph.positive.copy()
    transition_matrix(graph)
    assert (graph.positive != before).nnz == 0


def test_errors():
    empty = sparse.csr_matrix((3, 3), dtype=np.float32)
    with pytest.raises(OptionError, match="scale"):
        transition_matrix(VelocityGraph(empty, empty), scale=0)
    with pytest.raises(DataError):
        VelocityGraph(empty, sparse.csr_matrix((2, 2)))
