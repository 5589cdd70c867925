import tracemalloc

import numpy as np
import pytest
from _dynamics_data import random_cells
from scipy import sparse

from velovi.dynamics import velocity_confidence, velocity_length
from velovi.errors import DataError


def naive_confidence(v, knn):
    out = np.zeros(len(v))
    for i in range(len(v)):
        near = [j for j in knn[i].indices if j != i]
        values = [np.corrcoef(v[i], v[j])[0, 1] if v[i].any() and v[j].any() else 0.0 for j in near]
        out[i] = max(0, np.mean(values)) if values else 0
    return out


def test_equals_double_loop():
    _, v, knn = random_cells(genes=6)
    v += np.linspace(0, 3, 6, dtype=np.float32)  # most agree, some do not
    v[4] = 0
    found = velocity_confidence(v, knn)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, naive_confidence(v.astype(float), knn), atol=1e-6)
    assert found[4] == 0


@pytest.mark.parametrize(("work", "copies"), [("confidence", 1.0), ("length", 0.0)])
def test_memory_is_that_of_one_copy_at_most(work, copies):
    v = np.random.default_rng(0).normal(size=(60_000, 1_000)).astype(np.float32)
    i = np.arange(len(v))
    knn = sparse.csr_matrix((np.ones(len(v)), (i, (i + 1) % len(v))), shape=(len(v),) * 2)
    tracemalloc.start()
    try:
        velocity_confidence(v, knn) if work == "confidence" else velocity_length(v)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (copies + 0.5) * v.nbytes


def test_stored_diagonal_does_not_count():
    _, v, knn = random_cells()
    with_self = (knn + sparse.eye(60)).tocsr()
    np.testing.assert_array_equal(velocity_confidence(v, knn), velocity_confidence(v, with_self))


def test_equal_velocities_agree_fully():
    _, v, knn = random_cells()
    v[:] = v[0]
    np.testing.assert_allclose(velocity_confidence(v, knn), 1, atol=1e-5)


def test_degenerate():
    assert not velocity_confidence(np.ones((3, 4)), sparse.csr_matrix((3, 3))).any()
    assert velocity_confidence(np.ones((0, 4)), sparse.csr_matrix((0, 0))).shape == (0,)
    with pytest.raises(DataError, match="neighbours"):
        velocity_confidence(np.ones((3, 4)), sparse.csr_matrix((4, 4)))


def test_length_is_centred_norm():
    _, v, _ = random_cells()
    wanted = np.linalg.norm(v - v.mean(1, keepdims=True), axis=1)
    np.testing.assert_allclose(velocity_length(v), wanted, rtol=1e-5)
    np.testing.assert_allclose(velocity_length(v + 5), wanted, rtol=1e-4)
    assert not velocity_length(np.full((2, 3), 4.0)).any()
