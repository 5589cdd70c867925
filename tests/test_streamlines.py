"""Streamlines follow known fields, stay inside, keep apart and are quick."""

import subprocess
import sys

import numpy as np
import pytest
from counting import python_calls

from velovi.errors import DataError, OptionError
from velovi.plotting.streamlines import arrowheads, streamlines

X = np.linspace(-5, 5, 50)
Y = np.linspace(-2, 6, 40)
GX, GY = np.meshgrid(X, Y)
ROTATION = (-GY, GX)


def length(line):
    return np.linalg.norm(np.diff(line, axis=0), axis=1).sum()


def test_uniform_field_gives_straight_lines():
    u, v = np.full_like(GX, 2.0), np.full_like(GX, 1.0)
    lines = streamlines(X, Y, u, v)
    assert len(lines) > 10
    for line in lines:
        step = np.diff(line, axis=0)
        np.testing.assert_allclose(step[:, 1], step[:, 0] / 2, atol=1e-9)
        assert (step[:, 0] > 0).all()  # in the direction of flow


def test_rotation_keeps_its_radius():
    lines = streamlines(X, Y, *ROTATION, max_length=4.0)
    for line in lines:
        radius = np.linalg.norm(line, axis=1)
        assert np.ptp(radius) < 0.02 * radius.mean() + 0.02
        middle, step = (line[1:] + line[:-1]) / 2, np.diff(line, axis=0)
        tangent = np.column_stack([-middle[:, 1], middle[:, 0]])
        cos = (tangent * step).sum(1)
        cos /= np.linalg.norm(tangent, axis=1) * np.linalg.norm(step, axis=1)
        assert cos.min() > 0.99
        # a loop closes once and does not wind on
        assert length(line) < 2 * np.pi * radius.mean() * 1.05 + 0.5


def test_lines_stay_in_the_domain_and_out_of_holes():
    hole = (GX - 1) ** 2 + (GY - 1) ** 2 < 2
    u = np.where(hole, np.nan, ROTATION[0])
    masked = np.ma.masked_array(ROTATION[0], hole)
    lines = streamlines(X, Y, u, ROTATION[1], density=1.5)
    assert lines
    points = np.concatenate(lines)
    assert points[:, 0].min() >= X[0]
    assert points[:, 0].max() <= X[-1]
    assert points[:, 1].min() >= Y[0]
    assert points[:, 1].max() <= Y[-1]
    assert np.hypot(points[:, 0] - 1, points[:, 1] - 1).min() > np.sqrt(2) - 0.01
    for line, two in zip(lines, streamlines(X, Y, masked, ROTATION[1], density=1.5), strict=True):
        np.testing.assert_array_equal(line, two)


def test_no_two_lines_share_a_lane():
    width = 10 / 30  # 30 lanes along the longer side
    seen = set()
    for line in streamlines(X, Y, np.cos(GX), np.sin(GY) + 0.3):
        lanes = {tuple(p) for p in np.floor((line - [X[0], Y[0]]) / width + 1e-9).astype(int)}
        assert len(lanes & seen) <= 2  # rounding at the border of a lane
        seen |= lanes


def test_density_and_lengths():
    few, many = (streamlines(X, Y, *ROTATION, density=d) for d in (0.5, 2.0))
    assert len(many) > 2 * len(few)
    lines = streamlines(X, Y, *ROTATION, max_length=0.3, min_length=0.1)
    lengths = np.array([length(line) for line in lines])
    assert lengths.max() < 0.32 * 10
    assert lengths.min() > 0.09 * 8


def test_same_input_same_lines():
    one, two = (streamlines(X, Y, *ROTATION) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_float32_with_a_large_offset():
    shifted = (X + 3000).astype(np.float32), (Y - 800).astype(np.float32)
    field = [item.astype(np.float32) for item in ROTATION]
    lines = streamlines(*shifted, *field)
    assert lines
    assert abs(len(lines) - len(streamlines(X, Y, *ROTATION))) <= 0.2 * len(lines)
    assert all(np.isfinite(line).all() and line.dtype == np.float64 for line in lines)


def test_nothing_to_draw():
    zero = np.zeros_like(GX)
    assert streamlines(X, Y, zero, zero) == []
    assert streamlines(X, Y, zero * np.nan, zero) == []
    assert isinstance(streamlines([0, 1], [0, 1], np.ones((2, 2)), np.ones((2, 2))), list)
    positions, directions = arrowheads([], 1.0)
    assert positions.shape == directions.shape == (0, 2)


def test_arrowheads_lie_on_the_lines():
    line = np.column_stack([np.linspace(0, 10, 101), np.zeros(101)])
    positions, directions = arrowheads([line, line[:3], line[:1]], 2.0)
    np.testing.assert_allclose(positions[:, 0], [1, 3, 5, 7, 9, 0.1], atol=1e-9)
    np.testing.assert_allclose(directions, [[1, 0]] * 6)


def test_takes_few_steps_for_a_page():
    axis = np.linspace(-5, 5, 50)
    gx, gy = np.meshgrid(axis, axis)
    u, v = np.cos(gx) + 0.3 * gy, np.sin(gy)
    # lines are followed together, a step of all at a time, not point by point
    assert python_calls(lambda: streamlines(axis, axis, u, v, density=1.5)) < 120_000


def test_imports_only_numpy():
    code = (
        "import sys; before = set(sys.modules); import velovi.plotting.streamlines;"
        "bad = {'numba', 'scipy', 'torch', 'plotly', 'pandas'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_errors():
    with pytest.raises(DataError, match="u: "):
        streamlines(X, Y, GX.T, GY)
    with pytest.raises(DataError, match="x: "):
        streamlines(X**3, Y, *ROTATION)
    with pytest.raises(DataError, match="y: "):
        streamlines(X, Y[::-1], *ROTATION)
    with pytest.raises(OptionError, match="density"):
        streamlines(X, Y, *ROTATION, density=0)
    with pytest.raises(OptionError, match="spacing"):
        arrowheads([], 0)
