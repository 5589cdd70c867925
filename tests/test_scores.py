"""Marginal likelihood against brute force; permutation scores against scipy, gene by gene."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from modelling import scaled_data, trained_model
from scipy.stats import ttest_ind
from scvi import settings
from torch.distributions import Dirichlet, Normal

from velovi.errors import NotTrainedError, UnknownNameError
from velovi.model import scores


@pytest.fixture(scope="module")
def model():
    return trained_model(scaled_data(n_cells=60, n_genes=2), epochs=30, n_latent=1)


def density_by_drawing_states(model, z: torch.Tensor, draws: int) -> float:
    """Log-density of the first cell at ``z``, state probabilities drawn from their prior."""
    module, matrices = model.module.eval(), model._cells()
    _, rho, tau = module.decoder(z)
    means = module.get_state_means(module.get_rates(), rho, tau)
    pi = Dirichlet(torch.full((draws, module.n_input, 4), module.dirichlet_concentration)).sample()
    noise_unspliced, noise_spliced = module.get_noise()
    density = torch.ones(draws, module.n_input, dtype=torch.float64)
    for kind, noise in (("spliced", noise_spliced), ("unspliced", noise_unspliced)):
        x = torch.from_numpy(getattr(matrices, kind)[0])
        centres = [*(getattr(state, kind).expand_as(rho) for state in means), torch.zeros(1, 1)]
        scales = [noise, noise, noise, 0.1 * noise]
        density *= sum(
            pi[..., k] * Normal(centres[k], scales[k]).log_prob(x).exp() for k in range(4)
        )
    return float(density.mean(0).log().sum())


def test_state_probabilities_are_integrated_exactly(model):
    matrices = model._cells()
    s, u = (torch.from_numpy(m[:1]) for m in (matrices.spliced, matrices.unspliced))
    settings.seed = 0
    with torch.inference_mode():
        for z in torch.randn(5, 1, 1):
            exact = float(scores._log_density(model.module.eval(), s, u, z))
            assert exact == pytest.approx(density_by_drawing_states(model, z, 300_000), abs=0.02)


@pytest.fixture
def wider(model, monkeypatch):
    """The model with an encoder wider than the true posterior: no weight is huge, ever."""
    encode = model.module.inference

    def widened(*data, **named):
        encoded = encode(*data, **named)
        return {**encoded, "qzv": encoded["qzv"] + 1.0}

    monkeypatch.setattr(model.module, "inference", widened)
    return model


def test_importance_weighting_agrees_with_quadrature(wider):
    model = wider
    data, module = model._cells(), model.module.eval()
    s, u = (torch.from_numpy(data.dense(kind)[:10]) for kind in ("spliced", "unspliced"))
    grid = torch.linspace(-7, 7, 4001)
    with torch.inference_mode():
        density = torch.stack([scores._log_density(module, s, u, z.expand(10, 1)) for z in grid])
    whole = density + Normal(0.0, 1.0).log_prob(grid)[:, None]
    expected = torch.logsumexp(whole, 0) + math.log(14 / 4000)
    settings.seed = 0
    found = model.get_marginal_ll(indices=np.arange(10), n_mc_samples=8_000, return_mean=False)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=0.1)


def test_marginal_likelihood_is_above_the_elbo_and_batches_do_not_matter(wider):
    settings.seed = 0
    whole = wider.get_marginal_ll(n_mc_samples=1000)
    parts = wider.get_marginal_ll(n_mc_samples=1000, batch_size=25)
    assert whole == pytest.approx(parts, abs=0.08)
    assert whole > float(wider.get_elbo())


def test_permutation_scores_equal_scipy_on_the_same_permutation():
    rng = np.random.default_rng(0)
    error, shuffled = rng.gamma(2, 1, (500, 7)), rng.gamma(2, 1.2, (500, 7))
    labels = pd.Categorical.from_codes(rng.integers(0, 3, 500), pd.Index(list("abc")))
    genes = pd.Index([f"g{i}" for i in range(7)])
    found, _ = scores.permutation_statistics(error, shuffled, labels, genes, rng)
    for label in "abc":
        rows = np.flatnonzero(np.asarray(labels) == label)
        if len(rows) > scores.CELLS_A_LABEL:
            continue
        for number, gene in enumerate(genes):
            expected = ttest_ind(shuffled[rows, number], error[rows, number]).statistic
            assert found.loc[gene, label] == pytest.approx(expected, rel=1e-6)
    assert found.notna().any().all()


def test_shuffling_stays_within_labels():
    rng = np.random.default_rng(0)
    spliced, unspliced = rng.random((30, 4)), rng.random((30, 4))
    labels = np.repeat([0, 1, -1], 10)
    found = scores.shuffle_within(spliced, unspliced, labels, rng)
    for before, after in zip((spliced, unspliced), found, strict=True):
        for code in (0, 1):
            rows = labels == code
            np.testing.assert_array_equal(np.sort(after[rows], 0), np.sort(before[rows], 0))
            assert not np.array_equal(after[rows], before[rows])
        np.testing.assert_array_equal(after[labels < 0], before[labels < 0])
    assert not np.array_equal(found.spliced.argsort(0), found.unspliced.argsort(0))


def test_permutation_scores_are_labelled_seeded_and_high_for_real_dynamics():
    model = trained_model(scaled_data(n_cells=300), epochs=40)
    before = model.adata.layers["Ms"].copy()
    found = []
    for _ in range(2):
        settings.seed = 3
        found.append(model.get_permutation_scores("label"))
    pd.testing.assert_frame_equal(found[0][0], found[1][0])
    table, shuffled = found[0]
    assert list(table.index) == list(model.adata.var_names)
    assert list(table.columns) == ["early", "late"]
    assert table.max(axis=1).median() > 3
    np.testing.assert_array_equal(model.adata.layers["Ms"], before)
    assert shuffled.shape == model.adata.shape
    assert not np.array_equal(shuffled.layers["Ms"], before)


def test_labels_may_be_missing_or_tiny(model):
    data = model.adata.copy()
    labels = np.array(["a"] * 30 + ["b"] + ["c"] * 29, dtype=object)
    labels[5] = None
    data.obs["some"] = labels
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        table, _ = model.get_permutation_scores("some", adata=data)
    assert any("b have fewer than two" in str(item.message) for item in told)
    assert table["b"].isna().all()
    assert table[["a", "c"]].notna().all().all()
    with pytest.raises(UnknownNameError, match="label"):
        model.get_permutation_scores("nothing")


def test_scores_need_a_trained_model(model):
    from modelling import made_model

    fresh = made_model(scaled_data())
    for call in (fresh.get_marginal_ll, lambda: fresh.get_permutation_scores("label")):
        with pytest.raises(NotTrainedError):
            call()
