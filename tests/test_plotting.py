"""Numbers first: what the *_data functions choose and bound, and that every figure draws it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.io as pio
import pytest
from charts import whole_chart
from scipy.integrate import solve_ivp

from velovi.errors import OptionError
from velovi.keys import STATE_TITLES, UNLABELLED
from velovi.plotting.bands import TimeBins
from velovi.plotting.chart import path
from velovi.plotting.dataset import unspliced_data, unspliced_figure
from velovi.plotting.embedding import (
    EmbeddingData,
    StreamlineSet,
    centroids,
    color_bounds,
    embedding_data,
)
from velovi.plotting.fitted_curve import NO_CELLS, fitted_curve
from velovi.plotting.gene import course_band, course_chart, gene_data, phase_chart
from velovi.plotting.sampling import showing, stratified_sample
from velovi.plotting.states import StateCourse, state_course_chart, state_course_data
from velovi.plotting.theme import DARK, LIGHT, PALETTE, category_colors
from velovi.plotting.training import loss_range, training_data, training_figure

THEMES = (LIGHT, DARK)


def drawn(figure) -> str:
    """The figure as the browser gets it; fails when Plotly does not accept it."""
    return pio.to_json(figure, validate=True)


@pytest.mark.parametrize("gamma", [0.2, 0.5, 0.5 + 1e-10, 0.5 + 1e-6, 3.0, 40.0])
def test_fitted_curve_solves_the_splicing_equations(gamma):
    alpha, beta, switch = 0.7, 0.5, 6.0
    curve = fitted_curve(alpha, beta, gamma, switch, t_max=20.0, points=50)

    def oracle(rate, start, end):
        def slope(t, y):
            return [rate - beta * y[0], beta * y[0] - gamma * y[1]]

        at = np.linspace(0, end, 50)
        return solve_ivp(slope, (0, end), start, "LSODA", at, rtol=1e-10, atol=1e-12).y

    u_on, s_on = oracle(alpha, [0, 0], switch)
    u_off, s_off = oracle(0.0, [u_on[-1], s_on[-1]], 20.0)
    for mine, theirs in (
        (curve.u_on, u_on),
        (curve.s_on, s_on),
        (curve.u_off, u_off),
        (curve.s_off, s_off),
    ):
        np.testing.assert_allclose(mine, theirs, atol=1e-7)


def test_a_curve_is_measured_only_where_cells_lie():
    curve = fitted_curve(1.0, 0.5, 0.3, 8.0, points=81)
    time = np.concatenate([np.linspace(1, 4, 300), np.linspace(12, 15, 300), [19.0, np.nan]])
    told = curve.with_cells(time)
    slow = [int((np.abs(time - t) <= 0.6).sum()) >= 3 for t in (*told.t_on, *told.t_off)]
    np.testing.assert_array_equal([*told.measured_on, *told.measured_off], slow)
    pieces = list(told.segments())
    assert [(p.part, p.measured) for p in pieces] == [
        *(("induction", flag) for flag in (False, True, False)),
        *(("repression", flag) for flag in (False, True, False)),
    ]
    assert [p.name for p in pieces] == [NO_CELLS, "induction", "", "", "repression", ""]
    for one, following in pairwise(pieces):
        assert (one.t[-1], one.s[-1]) == (following.t[0], following.s[0])
    assert max(p.t.max() for p in told.segments(15.0)) <= 15.0


def test_cells_at_rest_do_not_make_a_curve_measured():
    curve, time = fitted_curve(1.0, 0.5, 0.3, 8.0), np.linspace(0, 20, 1000)
    told = curve.with_cells(time, weights=np.zeros(1000))
    assert not told.measured_on.any()
    assert not told.measured_off.any()
    # a part without any cells is still named, so that its colour can be read
    assert [p.name for p in told.segments()] == [
        f"induction ({NO_CELLS})",
        f"repression ({NO_CELLS})",
    ]


def test_cells_in_which_the_gene_rests_are_grey_over_its_time():
    resting = np.arange(60) >= 40
    data = gene(weights=np.where(resting, 0.1, 0.9))
    chart = course_chart(data, LIGHT, what="spliced")
    grey = next(points for points in chart.points if points.name == "gene at rest")
    assert (grey.color, len(grey.x)) == (LIGHT.missing, 20)
    # they have a place in the phase portrait, which asks for no time
    assert not any(points.name == "gene at rest" for points in phase_chart(data, LIGHT).points)


@pytest.mark.parametrize("rates", [(np.nan, 1, 1, 1), (1, 0, 1, 1), (1, 1, -1, 1), (1, 1, 1, -2)])
def test_rates_that_make_no_sense_give_no_curve(rates):
    assert fitted_curve(*rates) is None


def test_extreme_rates_stay_finite():
    curve = fitted_curve(1.0, 500.0, 0.01, 20.0)
    assert all(np.isfinite(var).all() for var in vars(curve).values() if var is not None)


def test_sampling_keeps_shares_and_small_groups():
    strata = np.repeat([0, 1, 2], [90_000, 9_990, 10])
    chosen = stratified_sample(100_000, strata, 1000)
    counts = np.bincount(strata[chosen])
    assert counts.tolist() == [900, 100, 1]
    assert len(set(chosen.tolist())) == len(chosen)
    assert sorted(stratified_sample(5)) == [0, 1, 2, 3, 4]
    assert len(stratified_sample(100, None, 10)) == 10


def test_showing_tells_when_cells_are_left_out():
    assert showing(5, 5) == "5 cells"
    assert showing(5, 1000) == "showing 5 of 1,000 cells"


def test_colours_never_repeat_and_the_files_own_win():
    names = [f"g{i}" for i in range(80)]
    colors = category_colors(names, {"g3": PALETTE[0]})
    assert colors["g3"] == PALETTE[0]
    assert len(set(colors.values())) == 80


def test_diverging_bounds_are_symmetric_and_ignore_what_is_not_finite():
    values = np.array([-1.0, 0.0, 3.0, np.nan, np.inf])
    assert color_bounds(values, (0, 100), "diverging") == (-3.0, 3.0)
    assert color_bounds(values, (0, 100), "abundance") == (-1.0, 3.0)
    assert color_bounds(np.array([np.nan]), (1, 99), "abundance") == (0.0, 1.0)
    low, high = color_bounds(np.zeros(4), (1, 99), "diverging")
    assert low < 0 < high


def test_percentiles_clip_the_scale():
    data = embedding_data(
        np.random.default_rng(0).random((101, 2)),
        range(101),
        title="x",
        values=np.arange(101.0),
        clip=(10, 90),
    )
    assert (data.low, data.high) == (10.0, 90.0)


def test_embedding_table_has_the_cells_own_values():
    values = np.array([3.0, 1.0, 2.0])
    data = embedding_data(np.eye(3)[:, :2], ["a", "b", "c"], title="gene", values=values)
    frame = data.to_frame().set_index("cell")["gene"]
    assert frame.to_dict() == {"a": 3.0, "b": 1.0, "c": 2.0}


def test_cells_without_a_place_or_a_label():
    positions = np.array([[0.0, 0], [1, 1], [np.nan, 0], [2, 2]])
    labels = pd.Categorical(["A", None, "A", "B"])
    data = embedding_data(positions, list("abcd"), title="t", labels=labels)
    assert set(data.cells) == {"a", "b", "d"}
    assert UNLABELLED in data.labels.categories
    assert set(centroids(data)["label"]) == {"A", "B", UNLABELLED}


def test_centroid_is_one_of_the_cells():
    angle = np.linspace(0, 2 * np.pi, 40)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    data = embedding_data(ring, range(40), title="t", labels=pd.Categorical(["ring"] * 40))
    row = centroids(data).iloc[0]
    assert np.isclose(np.hypot(row.x, row.y), 1.0, atol=1e-5)


def test_embedding_data_checks_itself():
    with pytest.raises(OptionError):
        EmbeddingData("t", np.arange(2), np.zeros((2, 2)), 2)
    with pytest.raises(OptionError):
        EmbeddingData("t", np.arange(2), np.zeros((2, 2)), 2, values=np.zeros(3))
    with pytest.raises(OptionError):
        StreamlineSet((), np.zeros((2, 2)), np.zeros((1, 2)))


def test_path_leaves_gaps_out():
    assert path([0, np.nan, 1], [0, 1, 2]).tolist() == [[0, 0], [1, 2]]
    assert path([], []).shape == (0, 2)


def gene(n=60, **extra):
    t = np.linspace(0, 20, n)
    spliced, unspliced = np.sin(t / 8), np.cos(t / 20)
    fitted = {"spliced": (spliced, np.full(n, 0.1)), "unspliced": (unspliced, np.full(n, 0.05))}
    values = {
        "time": t,
        "fitted": fitted,
        "curve": fitted_curve(1, 0.5, 0.3, 8),
        "steady_slope": 0.6,
        **extra,
    }
    return gene_data("Actb", [f"c{i}" for i in range(n)], spliced, unspliced, **values)


def test_band_follows_mean_and_spread():
    t = np.linspace(0, 20, 2000)
    band = TimeBins.of(t, bins=20).band(2 * t, np.full(2000, 0.5))
    np.testing.assert_allclose(band.mean, 2 * band.t)
    np.testing.assert_allclose(band.high - band.mean, 0.98)
    assert (np.diff(band.t) > 0).all()
    assert (band.low >= 0).all()
    assert len(TimeBins.of(np.full(3, np.nan)).band(np.ones(3), None).t) == 0


def test_band_leaves_out_cells_at_rest():
    t, mean = np.tile(np.linspace(0, 20, 500), 2), np.repeat([1.0, 0.0], 500)
    band = TimeBins.of(t, weights=mean).band(mean, None)
    np.testing.assert_allclose(band.mean, 1)
    assert len(TimeBins.of(t, weights=np.zeros(1000)).band(mean, None).t) == 0


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("n", [0, 1, 60])
def test_gene_figures_draw_with_and_without_parts(theme, n):
    bare = {"time": None, "fitted": None, "curve": None, "steady_slope": np.nan}
    for data in (gene(n), gene(n, **bare)):
        whole_chart(phase_chart(data, theme))
        for what in ("spliced", "unspliced"):
            whole_chart(course_chart(data, theme, what=what))
    assert gene(n).to_frame().shape[0] == n


def test_phase_portrait_names_its_lines():
    names = {line.name for line in phase_chart(gene(), LIGHT).lines}
    assert {"induction", "repression", "steady state"} <= names


def test_gene_values_that_are_not_finite_are_left_out():
    data = gene_data("g", ["a", "b"], np.array([1.0, np.nan]), np.array([1.0, 1.0]))
    assert data.cells.tolist() == ["a"]
    whole_chart(phase_chart(data, LIGHT))


def test_states_are_averaged_in_bins_of_the_genes_time():
    rng = np.random.default_rng(0)
    time = np.append(rng.uniform(0, 20, 999), np.nan)
    states = dict(zip(STATE_TITLES, rng.dirichlet(np.ones(4), 1000).T, strict=True))
    data = state_course_data("g", time, states, bins=10)
    frame = data.to_frame()
    edges = np.quantile(time[:-1], np.linspace(0, 1, 11))
    for i, row in frame.iterrows():
        last = i == len(frame) - 1
        mine = (time >= edges[i]) & ((time <= edges[i + 1]) if last else (time < edges[i + 1]))
        assert row["cells"] == mine.sum()
        assert row["gene_time"] == pytest.approx(time[mine].mean())
        for name, values in states.items():
            assert row[name] == pytest.approx(values[mine].mean())
    assert frame["cells"].sum() == 999
    np.testing.assert_allclose(frame[list(states)].sum(axis=1), 1)


@pytest.mark.parametrize("theme", THEMES)
def test_states_draw_with_and_without_parts(theme):
    for time in (np.empty(0), np.full(5, np.nan), np.full(5, 3.0), np.linspace(0, 30, 5)):
        states = {"induction": np.linspace(0, 1, len(time)), "other": np.full(len(time), np.nan)}
        data = state_course_data("g", time, states)
        chart = state_course_chart(data, theme)
        whole_chart(chart)
        assert list(chart.stack.layers) == list(chart.stack.colors) == ["Induction", "other"]
        assert all(len(layer) == len(chart.stack.x) for layer in chart.stack.layers.values())
    assert data.last == 30
    with pytest.raises(OptionError):
        StateCourse("g", np.zeros(2), np.zeros(2), {"induction": np.zeros(3)}, 20.0)


def test_training_history_copes_with_missing_values():
    records = [
        {"epoch": 0, "train_loss": 5.0},
        {"epoch": 1, "elbo_train": 4.0, "elbo_validation": float("inf")},
        {"epoch": 2, "elbo_validation": -3.0},
    ]
    data = training_data(records)
    assert data.best == (2, -3.0)
    assert data.train[:2].tolist() == [5.0, 4.0]
    assert np.isnan(data.train[2])
    drawn(training_figure(data, LIGHT))
    empty = training_data([])
    assert empty.best is None
    drawn(training_figure(empty, DARK))


def test_first_epochs_leave_the_picture_later():
    records = [{"epoch": i, "elbo_validation": 1e6 if i == 0 else -700 - i} for i in range(60)]
    low, high = loss_range(training_data(records))
    assert low < -759
    assert high < 0


def test_unspliced_bars_are_ordered():
    data = unspliced_data("clusters", {"A": 0.3, "B": 0.1, "C": float("nan")})
    assert data.names == ("B", "A")
    drawn(unspliced_figure(data, LIGHT))
    drawn(unspliced_figure(unspliced_data("x", {}), DARK))


def test_course_over_time_is_the_fitted_curve():
    curve = fitted_curve(1.0, 0.5, 0.3, 8.0)
    data = gene(60, curve=curve)
    band = course_band(data, "spliced", 20.0)
    assert band.t.max() <= 20.0
    assert (np.diff(band.t) >= 0).all()
    at_switch = np.argmin(np.abs(band.t - 8.0))
    assert band.mean[at_switch] == pytest.approx(curve.s_on[-1])
    assert (band.high >= band.mean).all()
    assert course_band(gene(60, fitted=None), "spliced", 20.0) is None
