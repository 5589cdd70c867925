"""Which rates are known: ranks found again, and counts drawn from a fit."""

from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from velovi.config import EvidenceOptions, RunOptions, TrainOptions
from velovi.data.simulate import simulate
from velovi.errors import DataError, OptionError
from velovi.evidence import counts_of_fit, rate_recovery
from velovi.evidence.rates import RATE_NAMES, recovery_from_dict, recovery_to_dict
from velovi.runs.folder import RunFolder, RunSpec
from velovi.runs.results import ResultStore
from velovi.runs.worker import work


def _rates(n, seed, **columns):
    rng = np.random.default_rng(seed)
    table = {name: rng.lognormal(size=n) for name in RATE_NAMES}
    return pd.DataFrame({**table, **columns}, index=[f"g{i}" for i in range(n)])


def test_rates_that_are_found_again_are_identified_and_noise_is_not():
    fitted = _rates(300, 0)
    near = fitted["fit_beta"] * np.random.default_rng(1).lognormal(sigma=0.3, size=300)
    found = rate_recovery(fitted, _rates(300, 2, fit_beta=near.to_numpy())[::-1])
    rho, _ = spearmanr(fitted["fit_beta"], near)
    assert found.loc["fit_beta", "spearman"] == pytest.approx(rho)
    assert found["identified"].to_dict() == {name: name == "fit_beta" for name in RATE_NAMES}
    # uniform ranks without an order lie within 68 of each other in nine of ten cases
    assert found.loc["fit_gamma", "rank_error"] == pytest.approx(68, abs=6)
    assert found.loc["fit_beta", "rank_error"] < 35


def test_the_interval_of_the_correlation_holds_what_it_says():
    rng = np.random.default_rng(0)
    truth, inside = 6 / np.pi * np.arcsin(0.6 / 2), 0  # Spearman of normals that correlate by .6
    for _ in range(400):
        a = rng.normal(size=120)
        b = 0.6 * a + 0.8 * rng.normal(size=120)
        names = [f"g{i}" for i in range(120)]
        row = rate_recovery(
            pd.DataFrame({"fit_beta": a}, names), pd.DataFrame({"fit_beta": b}, names)
        ).loc["fit_beta"]
        inside += row["low"] <= truth <= row["high"]
    assert 0.92 <= inside / 400 <= 0.98


def test_a_rate_that_is_the_same_for_all_genes_is_not_identified():
    found = rate_recovery(_rates(40, 0), _rates(40, 0, fit_beta=np.ones(40)))
    assert not found.loc["fit_beta", "identified"]
    assert found.loc["fit_gamma", "identified"]


def test_a_few_genes_in_order_are_no_proof():
    assert not rate_recovery(_rates(29, 0), _rates(29, 0))["identified"].any()
    assert rate_recovery(_rates(30, 0), _rates(30, 0))["identified"].all()


@pytest.mark.parametrize(
    ("fitted", "factors"), [(np.nan, [1.0, 1]), (1e20, [1.0, 1]), (1, [0.0, 1]), (1, [1.0])]
)
def test_a_fit_of_which_no_counts_can_be_drawn_is_told(fitted, factors):
    with pytest.raises(OptionError):
        counts_of_fit(np.full((2, 2), fitted), np.zeros(2), np.ones(2), np.array(factors), seed=0)


def test_too_few_genes_and_shapes_that_do_not_match_are_told():
    with pytest.raises(DataError, match="rates cannot be compared"):
        rate_recovery(_rates(3, 0), _rates(3, 1))
    with pytest.raises(OptionError, match="do not match"):
        counts_of_fit(np.ones((3, 2)), np.zeros(3), np.ones(3), None, seed=0)


def test_a_recovery_is_kept_as_plain_values():
    found = rate_recovery(_rates(30, 0), _rates(30, 1))
    again = recovery_from_dict(json.loads(json.dumps(recovery_to_dict(found))))
    numbers = ["spearman", "low", "high", "rank_error"]
    np.testing.assert_allclose(
        again[numbers].to_numpy(float), found[numbers].to_numpy(float), atol=1e-4
    )


def test_drawn_counts_have_the_mean_that_the_fit_expects():
    fitted = np.tile(np.array([[0.0, 0.5, 1.0]]), (20_000, 1))
    low, high, factors = np.array([1.0, 0.0, 2.0]), np.array([3.0, 4.0, 10.0]), np.full(20_000, 2.0)
    counts = counts_of_fit(fitted, low, high, factors, seed=0)
    expected = np.array([0.5, 1.0, 5.0])
    np.testing.assert_allclose(counts.mean(axis=0), expected, rtol=0.03)
    np.testing.assert_allclose(counts.var(axis=0), expected, rtol=0.06)
    assert (counts == np.round(counts)).all()


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rates")
    source = folder / "cells.h5ad"
    simulate(150, 30, seed=1).write_h5ad(source)
    run = RunFolder(folder / "run")
    run.path.mkdir()
    options = RunOptions(
        train=TrainOptions(max_epochs=3),
        evidence=EvidenceOptions(null_run=False, rate_check=True),
    )
    run.write_spec(RunSpec("run", "run", "", str(source), options, time.time()))
    assert work(run) == "done", run.progress().error
    return run


def test_a_run_keeps_which_rates_it_found_again(checked):
    store = ResultStore(checked.result_path)
    found = recovery_from_dict(json.loads(store.details["rates"]))
    assert list(found.index) == list(RATE_NAMES)
    assert found["spearman"].between(-1, 1).all()
    assert not checked.rate_check_path.exists()
    assert checked.progress().stage == "write"
