"""Expected next states of many velocity samples against one transition matrix for each."""

import numpy as np
import pytest
from _dynamics_data import random_cells
from scipy import sparse

from velovi.dynamics import ExpectedDisplacements, transition_matrix, velocity_graph
from velovi.errors import DataError, OptionError
from velovi.numerics.out_of_core import MatrixAllocator


def sampled(n_samples: int = 4):
    x, v, knn = random_cells()
    noise = np.random.default_rng(3).normal(size=(n_samples, *v.shape)).astype(np.float32)
    velocities = v + v.std() * noise
    velocities[1, 7] = 0  # a sample in which a cell does not move
    x[9] = x[11]  # two cells in one place
    return x, velocities, knn


@pytest.mark.parametrize("limits", [{}, {"max_neighbors": 5, "seed": 2}, {"recurse_neighbors": 1}])
@pytest.mark.parametrize("threads", [1, 3])
def test_equals_a_transition_matrix_for_each_sample(limits, threads):
    x, velocities, knn = sampled()
    expected = ExpectedDisplacements(x, knn, len(velocities), threads=threads, **limits)
    half = len(x) // 2
    expected.compare(half, velocities[:, half:])
    expected.compare(0, velocities[:, :half])
    found = np.concatenate([expected.states(0, 3), expected.states(3, len(x))], axis=1)
    for velocity, states in zip(velocities, found, strict=True):
        transition = transition_matrix(velocity_graph(velocity, x, knn, **limits))
        np.testing.assert_allclose(states, transition @ x, rtol=2e-4, atol=2e-5)


def test_cosines_in_a_file_give_the_same(tmp_path):
    x, velocities, knn = sampled()
    found = []
    for budget_gb in (1, 1e-9):
        with MatrixAllocator(tmp_path / "scratch", budget_gb) as matrices:
            expected = ExpectedDisplacements(
                x, knn, len(velocities), allocate=lambda s: matrices.empty("cosines", s, "genes")
            )
            expected.compare(0, velocities)
            found.append(expected.states(0, len(x)))
            del expected
    assert matrices.files == ["cosines"]
    np.testing.assert_array_equal(*found)


def test_a_cell_without_neighbours_stays():
    x, velocities, knn = sampled()
    lonely = knn.tolil()
    lonely[5] = 0
    lonely = sparse.csr_matrix(lonely)
    lonely.eliminate_zeros()
    expected = ExpectedDisplacements(x, lonely, len(velocities))
    expected.compare(0, velocities)
    found = expected.states(5, 6)
    np.testing.assert_allclose(found, np.broadcast_to(x[5], found.shape), rtol=1e-5)


def test_bad_arguments_are_named():
    x, velocities, knn = sampled()
    with pytest.raises(OptionError, match="recurse_neighbors"):
        ExpectedDisplacements(x, knn, 4, recurse_neighbors=0)
    with pytest.raises(DataError, match="neighbours"):
        ExpectedDisplacements(x, knn[:3, :3], 4)
    with pytest.raises(DataError, match="velocities"):
        ExpectedDisplacements(x, knn, 4).compare(0, np.full_like(velocities, np.nan))
