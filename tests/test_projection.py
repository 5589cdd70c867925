"""Projection and grid field against brute force."""

import numpy as np
import pytest
from _dynamics_data import random_cells
from scipy import sparse

from velovi.dynamics import grid_field, project, transition_matrix, velocity_graph
from velovi.errors import DataError, OptionError


def naive_projection(t, y):
    t, y = t.toarray().astype(float), y.astype(float)
    out = np.zeros_like(y)
    for i in range(len(y)):
        near = [j for j in range(len(y)) if j != i and t[i, j] != 0]
        for j in near:
            step = y[j] - y[i]
            length = np.linalg.norm(step)
            if length > 0:
                out[i] += (t[i, j] - np.mean(t[i, near])) * step / length
    return out


@pytest.mark.parametrize("dims", [2, 3])
def test_project_equals_double_loop(dims):
    x, v, knn = random_cells()
    v[2] = 0
    y = x[:, :dims].copy()
    y[5] = y[6]
    t = transition_matrix(velocity_graph(v, x, knn))
    found = project(t, y)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, naive_projection(t, y), atol=1e-6)
    assert not found[2].any()


def test_autoscale_changes_length_only():
    x, v, knn = random_cells()
    t = transition_matrix(velocity_graph(v, x, knn))
    plain, scaled = (project(t, x[:, :2], autoscale=a) for a in (False, True))
    ratio = scaled[plain != 0] / plain[plain != 0]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
    mean = np.linalg.norm(scaled, axis=1).mean()
    np.testing.assert_allclose(mean, np.ptp(x[:, :2], axis=0).max() / 50, rtol=1e-4)


def test_project_degenerate():
    stay = sparse.eye(4, format="csr")
    assert not project(stay, np.zeros((4, 2)), autoscale=True).any()
    assert project(sparse.csr_matrix((0, 0)), np.zeros((0, 2))).shape == (0, 2)
    with pytest.raises(DataError, match="transition"):
        project(stay, np.zeros((5, 2)))


def naive_field(y, vectors, field, sigma):
    mass, out = np.zeros((field.y.size, field.x.size)), np.zeros((2, field.y.size, field.x.size))
    for r, py in enumerate(field.y):
        for c, px in enumerate(field.x):
            for at, vector in zip(y, vectors, strict=True):
                w = np.exp(-((px - at[0]) ** 2 + (py - at[1]) ** 2) / (2 * sigma**2))
                mass[r, c] += w
                out[:, r, c] += w * vector
    return mass, out / mass


def test_grid_field_equals_brute_force(monkeypatch):
    monkeypatch.setattr("velovi.dynamics.projection.BLOCK", 37)
    rng = np.random.default_rng(0)
    y = (rng.normal(size=(100, 2)) * [3, 1]).astype(np.float32)
    vectors = rng.normal(size=(100, 2)).astype(np.float32)
    field = grid_field(y, vectors, resolution=20, smooth=1.5)
    step = field.x[1] - field.x[0]
    np.testing.assert_allclose([np.diff(field.x), step + 0 * np.diff(field.x)][0], step)
    np.testing.assert_allclose(np.diff(field.y), step)
    assert field.x.size == 20
    assert field.y.size < 20
    assert field.x[0] < y[:, 0].min()
    assert field.x[-1] > y[:, 0].max()
    assert field.y[0] < y[:, 1].min()
    assert field.y[-1] > y[:, 1].max()
    mass, mean = naive_field(y.astype(float), vectors, field, 1.5 * step)
    np.testing.assert_allclose(field.mass, mass, rtol=1e-9)
    shown = ~field.mask
    np.testing.assert_allclose(field.u[shown], mean[0][shown], rtol=1e-7)
    np.testing.assert_allclose(field.v[shown], mean[1][shown], rtol=1e-7)
    np.testing.assert_array_equal(np.isnan(field.u), field.mask)
    np.testing.assert_array_equal(field.mask, mass < np.percentile(mass, 99) / 100)


def test_grid_field_masks_empty_regions():
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.normal(0, 0.5, (200, 2)), rng.normal(20, 0.5, (200, 2))])
    field = grid_field(y, np.ones_like(y))
    gx, gy = np.meshgrid(field.x, field.y)
    assert field.mask[(np.abs(gx - 10) < 3) | (np.abs(gy - 10) < 3)].all()
    np.testing.assert_allclose(field.u[~field.mask], 1)


def test_grid_field_survives_one_place_and_float32_offsets():
    one = grid_field(np.full((5, 2), 3.0), np.ones((5, 2)))
    assert np.isfinite(one.x).all()
    assert not one.mask.all()
    far = (1e6 + np.random.default_rng(0).uniform(0, 50, (300, 2))).astype(np.float32)
    field = grid_field(far, np.ones((300, 2), np.float32))
    assert (np.diff(field.x) > 0).all()
    assert not field.mask.all()


def test_grid_field_errors():
    with pytest.raises(DataError, match="no cells"):
        grid_field(np.zeros((0, 2)), np.zeros((0, 2)))
    with pytest.raises(DataError, match="embedding"):
        grid_field(np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(OptionError, match="smooth"):
        grid_field(np.zeros((4, 2)), np.zeros((4, 2)), smooth=0)
