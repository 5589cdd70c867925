"""The error of direction against cells whose true velocity is known."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from velovi import simulate
from velovi.evidence.direction import (
    FEATURES,
    LEVELS,
    direction_error,
    direction_features,
)
from velovi.numerics.vectors import row_cosines
from velovi.runs.demo import DEMO_CELLS, DEMO_GENES, DEMO_SEED
from velovi.runs.workspace import DEMO_FOLDER


@pytest.fixture(scope="module")
def demo():
    """The demo's result and the true angle of each cell, in degrees."""
    result = anndata.read_zarr(DEMO_FOLDER / "result.zarr")
    cells = simulate(DEMO_CELLS, DEMO_GENES, seed=DEMO_SEED)
    true = np.asarray(cells[result.obs_names, result.var_names].layers["true_velocity"])
    span = (result.var["ms_max"] - result.var["ms_min"]).to_numpy()
    cosine = row_cosines(np.asarray(result.layers["velocity"], dtype=float), true / span)
    return result, np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def test_the_error_ranks_cells_by_how_far_they_are_off(demo):
    result, truth = demo
    rank = spearmanr(result.obs["direction_error"], truth)[0]
    assert rank > 0.7
    assert rank > spearmanr(-result.obs["velocity_length"], truth)[0] - 0.02


def test_the_bound_holds_for_nearly_all_cells_whose_truth_is_known(demo):
    result, truth = demo
    assert 0.85 < (truth <= result.obs["direction_error_upper"]).mean() <= 1
    assert 0.2 < (truth <= result.obs["direction_error"]).mean() < 0.9


def test_features_are_angles_and_a_speed_beside_the_median():
    velocity = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 4.0]])
    steady = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    found = direction_features(velocity, steady, np.array([1.0, 0.0, np.nan]))
    np.testing.assert_allclose(found["steady_state_angle"], [0, 90, 180])
    np.testing.assert_allclose(found["log_speed"], np.log([0.5, 1, 2]))
    np.testing.assert_allclose(found["gene_half_angle"], [0, 90, 90])


def cells(n=4):
    rng = np.random.default_rng(0)
    values = np.stack([rng.uniform(20, 120, n), rng.uniform(-2, 1, n), rng.uniform(0, 90, n)])
    return pd.DataFrame(values.T, columns=list(FEATURES))


def test_bounds_rise_with_the_share_they_hold_for():
    found = direction_error(cells(200), ["supported"] * 200)
    assert list(found.columns) == list(LEVELS)
    assert (np.diff(found.to_numpy(), axis=1) >= 0).all()
    assert found.to_numpy().min() >= 0
    assert found.to_numpy().max() <= 180


def test_without_evidence_the_error_is_that_of_cells_without_velocity():
    given = cells(300)
    found = direction_error(given, ["no evidence"] * 300)
    # neither speed nor the steady-state model says anything of cells without velocity
    moved = given.assign(steady_state_angle=5.0, log_speed=1.0)
    assert direction_error(moved, ["cannot tell"] * 300).equals(found)
    assert found[0.5].between(75, 90).all()
    assert found[0.95].between(100, 110).all()
    assert spearmanr(found[0.5], given["gene_half_angle"])[0] == pytest.approx(1)
    assert (direction_error(given, ["weak"] * 300)[0.5] != found[0.5]).all()


def test_where_ways_join_the_direction_is_likely_the_opposite_and_has_no_bound():
    straight = direction_error(cells(), ["weak"] * 4)
    joined = direction_error(cells(), ["weak"] * 4, joins=True)
    np.testing.assert_allclose(joined[0.5], 180 - straight[0.5])
    assert (joined[0.95] == 180).all()
