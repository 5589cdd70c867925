"""Places and colours of cells as the browser's map reads them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from velovi.errors import OptionError
from velovi.keys import UNLABELLED
from velovi.plotting.arrows import grid_arrows
from velovi.plotting.cell_codes import (
    COORD_MAX,
    LEVELS,
    MISSING,
    MISSING_COORDINATE,
    field_parts,
    label_colors,
    name_places,
    palette_of,
    plain_colors,
    quantize_embedding,
    value_colors,
)
from velovi.plotting.embedding import StreamlineSet
from velovi.plotting.message import pack, unpack
from velovi.plotting.theme import DARK, LIGHT

RNG = np.random.default_rng(0)


def test_places_keep_proportions_and_can_be_taken_back():
    positions = RNG.normal(size=(500, 2)) * [30, 4] + [100, -7]
    where = quantize_embedding(positions)
    back = where.points / COORD_MAX * where.half + where.centre
    np.testing.assert_allclose(back, positions, atol=where.half / COORD_MAX)
    assert where.extent[0] == 1.0
    ratio = np.ptp(positions[:, 1]) / np.ptp(positions[:, 0])
    assert where.extent[1] == pytest.approx(ratio, rel=1e-3)
    np.testing.assert_allclose(where.relative(positions), where.points / COORD_MAX, atol=1e-4)


@pytest.mark.parametrize("positions", [np.zeros((3, 2)), np.full((3, 2), np.nan), np.empty((0, 2))])
def test_places_of_odd_embeddings(positions):
    where = quantize_embedding(positions)
    assert where.half > 0
    assert min(where.extent) > 0
    assert (where.points == MISSING_COORDINATE).all() == bool(np.isnan(positions).all())


def test_a_cell_without_a_place_is_marked():
    where = quantize_embedding(np.array([[0, 0], [np.nan, 1], [1, 1]]))
    assert (where.points[1] == MISSING_COORDINATE).all()
    assert (where.points[[0, 2]] != MISSING_COORDINATE).all()


def test_codes_of_labels_are_the_categories():
    labels = pd.Series(pd.Categorical(["b", "a", None, "b"], categories=["a", "b", "never"]))
    found = label_colors("clusters", labels, LIGHT, colors={"a": "#112233"})
    assert found.labels == ("a", "b", "never", UNLABELLED)
    assert found.codes.tolist() == [1, 0, 3, 1]
    assert found.counts == (1, 2, 0, 1)
    assert found.palette[0] == "#112233"
    assert found.palette[3] == LIGHT.missing
    assert len(set(found.palette)) == 4


def test_too_many_groups_are_refused():
    with pytest.raises(OptionError, match="too many groups"):
        label_colors("barcode", pd.Series(np.arange(300).astype(str), dtype="category"), LIGHT)


@pytest.mark.parametrize("scale", ["abundance", "diverging", "time"])
def test_codes_of_values_are_their_place_between_the_percentiles(scale):
    values = RNG.normal(size=2000).astype(np.float32)
    values[:3] = np.nan
    found = value_colors("speed", values, DARK, scale=scale, clip=(5, 95))
    finite = values[np.isfinite(values)].astype(float)
    low, high = np.percentile(finite, (5, 95))
    if scale == "diverging":
        low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert (found.codes[:3] == MISSING).all()
    wanted = [round(min(max((v - low) / (high - low), 0), 1) * LEVELS) for v in finite]
    assert np.abs(found.codes[3:].astype(int) - wanted).max() <= 1  # halves may round either way
    assert found.symmetric == (scale == "diverging")
    assert len(found.palette) == LEVELS + 1


def test_values_of_nobody_are_no_scale():
    assert value_colors("x", np.full(4, np.nan), LIGHT).kind == "plain"
    assert plain_colors("cells", 4, LIGHT).codes.tolist() == [MISSING] * 4
    same = value_colors("x", np.full(4, 2.0), LIGHT)
    assert same.high > same.low


def test_steps_are_those_of_the_scale():
    palette = palette_of(LIGHT.diverging, 7)
    assert palette == tuple(color for _, color in LIGHT.diverging)


def test_names_stand_on_a_cell_of_their_group():
    positions = np.concatenate([RNG.normal(size=(200, 2)), RNG.normal(size=(100, 2)) + 20])
    labels = pd.Series(["a"] * 200 + ["b"] * 100, dtype="category")
    where, colors = quantize_embedding(positions), label_colors("x", labels, LIGHT)
    for code, x, y in name_places(where, colors):
        mine = where.points[colors.codes == code] / COORD_MAX
        away = np.hypot(*(mine - [x, y]).T)
        assert away.min() < 1e-4
        middle = np.median(mine, axis=0)
        assert np.hypot(x - middle[0], y - middle[1]) <= np.hypot(*(mine - middle).T).min() + 1e-4


def test_a_message_holds_what_went_in():
    parts = {
        "places": RNG.integers(-9, 9, (5, 2)).astype(np.int16),
        "codes0": np.arange(5, dtype=np.uint8),
        "path": RNG.normal(size=(3, 2)).astype(np.float32),
        "starts": np.array([0, 3], dtype=np.uint32),
    }
    header, found = unpack(pack({"run": "é"}, parts))
    assert header["run"] == "é"
    for name, values in parts.items():
        np.testing.assert_array_equal(found[name], values.ravel())


def test_lines_arrive_in_the_maps_coordinates():
    where = quantize_embedding(np.array([[0.0, 0.0], [10.0, 4.0]]))
    lines = (np.array([[0.0, 0.0], [5.0, 2.0], [10.0, 4.0]]), np.array([[5.0, 2.0], [5.0, 3.0]]))
    streams = StreamlineSet(lines, np.array([[10.0, 4.0]]), np.array([[0.6, 0.8]]))
    parts = field_parts(where, streams)
    assert parts["starts"].tolist() == [0, 3, 5]
    np.testing.assert_allclose(parts["path"][:3], [[-1, -0.4], [0, 0], [1, 0.4]], atol=1e-6)
    np.testing.assert_allclose(parts["heads"], [[1, 0.4, 0.6, 0.8]], atol=1e-6)
    empty = field_parts(where, StreamlineSet())
    assert (empty["starts"].tolist(), empty["path"].size, empty["heads"].size) == ([0], 0, 0)


def test_arrows_point_along_the_field_and_are_as_long_as_it_is_fast():
    x, y = np.linspace(0, 10, 21), np.linspace(0, 5, 11)
    u = np.tile(np.linspace(0.5, 2, 21), (11, 1))
    v = np.full_like(u, 0.25)
    u[3:5, 4:9] = np.nan
    streams = grid_arrows(x, y, u, v, density=0.8)
    assert len(streams.lines) == len(streams.arrowheads)
    for (start, end), head, direction in zip(
        streams.lines, streams.arrowheads, streams.directions, strict=True
    ):
        middle = (start + end) / 2
        i, j = np.argmin(abs(y - middle[1])), np.argmin(abs(x - middle[0]))
        assert np.isfinite(u[i, j])
        along = np.array([u[i, j], v[i, j]])
        np.testing.assert_allclose(direction, along / np.hypot(*along), atol=1e-9)
        np.testing.assert_array_equal(head, end)
    lengths = np.array([np.hypot(*(end - start)) for start, end in streams.lines])
    speeds = np.array(
        [np.hypot(u[0, np.argmin(abs(x - (s + e)[0] / 2))], 0.25) for s, e in streams.lines]
    )
    np.testing.assert_allclose(lengths / lengths.max(), speeds / speeds.max(), rtol=1e-6)
    assert grid_arrows(x, y, u * np.nan, v).lines == ()
    with pytest.raises(OptionError, match="above zero"):
        grid_arrows(x, y, u, v, length=0)
