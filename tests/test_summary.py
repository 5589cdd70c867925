"""The one-pass summary against plain averages over many drawn samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from modelling import scaled_data, trained_model
from scipy.stats import ks_2samp

from velovi.model import posterior, summary
from velovi.model.compiled import moments


@pytest.fixture(scope="module")
def model():
    return trained_model(scaled_data(n_cells=60), epochs=8)


@pytest.fixture(scope="module")
def found(model):
    torch.manual_seed(0)
    with torch.inference_mode():
        return summary.summarise(
            model.module,
            model._cells().minibatches(batch_size=25),
            n_cells=60,
            n_samples=400,
            directional_samples=30,
        )


DRAWN = {
    "velocity": lambda m: m.get_velocity(n_samples=800, return_mean=False, clip=False),
    "fit_s": lambda m: m.get_expression_fit(n_samples=800, return_mean=False)[0],
    "fit_u": lambda m: m.get_expression_fit(n_samples=800, return_mean=False)[1],
}


@pytest.mark.parametrize("name", DRAWN)
def test_deviations_are_those_of_drawn_samples(model, found, name):
    drawn = DRAWN[name](model).astype(float)
    expected, got = drawn.std(axis=0, ddof=1), found.layers[f"{name}_sd"]
    big = expected > 0.05 * expected.max()
    assert np.median(np.abs(got[big] / expected[big] - 1)) < 0.05
    assert np.percentile(np.abs(got[big] / expected[big] - 1), 99) < 0.25


def test_means_are_those_of_the_posterior_methods(model, found):
    time = model.get_latent_time(n_samples=400, return_numpy=True)
    np.testing.assert_allclose(found.layers["fit_t"], time, atol=0.35)
    velocity = model.get_velocity(n_samples=400, return_numpy=True)
    error = np.abs(found.layers["velocity"] - velocity)
    assert (error < 6 * found.layers["velocity_sd"] / np.sqrt(200) + 1e-6).all()
    states, _ = model.get_state_assignment(n_samples=400)
    np.testing.assert_allclose(found.layers["p_induction"], states[..., 0], atol=0.05)
    total = sum(found.layers[f"p_{s}"] for s in summary.STATES)
    np.testing.assert_allclose(total, 1, rtol=1e-5)


def test_likelihood_is_the_mean_over_cells(model, found):
    expected = model.get_gene_likelihood(n_samples=200).mean(axis=0)
    np.testing.assert_allclose(found.log_likelihood, expected, atol=0.1)


def test_batches_do_not_matter_and_cosines_are_cosines(model, found):
    assert found.cosines.shape == (60, 30)
    assert (np.abs(found.cosines) <= 1).all()
    assert found.cosines.mean() > 0.3
    torch.manual_seed(1)
    with torch.inference_mode():
        whole = summary.summarise(
            model.module,
            model._cells().minibatches(),
            n_cells=60,
            n_samples=400,
        )
    assert whole.cosines.shape == (60, 0)
    error = np.abs(whole.layers["velocity"] - found.layers["velocity"])
    assert (error < 6 * found.layers["velocity_sd"] / np.sqrt(200) + 1e-6).all()


def in_both_forms(model, ask):
    """What the compiled loops give, and the tensor form in double precision or single."""
    found = []
    for fused in (True, False):
        model.module.fused = fused
        torch.manual_seed(5)
        with torch.inference_mode():
            found.append(ask())
    del model.module.fused
    return found


@pytest.mark.parametrize("n_samples", [1, 2, 25])
def test_the_compiled_moments_are_those_of_the_tensor_form(model, n_samples):
    fast, slow = in_both_forms(
        model,
        lambda: summary.summarise(
            model.module, model._cells().minibatches(), n_cells=60, n_samples=n_samples
        ),
    )
    assert fast.layers.keys() == slow.layers.keys()
    for name, values in slow.layers.items():
        # a deviation close to none is a difference of squares in the tensor form
        loose = 2e-3 if name.endswith("_sd") else 2e-5
        np.testing.assert_allclose(
            fast.layers[name], values, rtol=loose, atol=loose * np.abs(values).max(), err_msg=name
        )
    np.testing.assert_allclose(fast.log_likelihood, slow.log_likelihood, rtol=1e-5)


def test_drawn_velocities_have_the_moments_of_the_posterior(model):
    tensors = next(iter(model._cells().minibatches()))
    n = 4000
    torch.manual_seed(2)
    with torch.inference_mode():
        sample = next(posterior.iterate(model.module, [tensors]))
        decoded = moments.Decoded(sample.concentration, sample.rho, sample.tau)
        unbounded = torch.full_like(sample.spliced, torch.inf)
        drawn = torch.stack(
            [moments.draw_velocities(decoded, unbounded, sample.genes, 20.0) for _ in range(n)]
        ).double()
        total = sample.concentration.sum(dim=-1)
        shares = sample.concentration / total.unsqueeze(-1)
        values = posterior.state_velocities(sample, "spliced")
        mean, variance = summary._moments(shares, total, values)
    assert ((drawn.mean(0) - mean).abs() < 6 * (variance / n).sqrt() + 1e-6).all()
    ratio = (drawn.var(0) / variance)[variance > 1e-3 * variance.max()]
    assert (ratio.median() - 1).abs() < 0.01
    assert ((ratio - 1).abs() < 0.4).all()
    # the tails: what is drawn and what torch draws
    states = torch.distributions.Dirichlet(sample.concentration).sample((n,))
    other = (states * torch.stack(values, dim=-1)).sum(dim=-1)
    worst = min(
        ks_2samp(drawn[:, cell, gene], other[:, cell, gene]).pvalue
        for cell in range(0, 60, 6)
        for gene in range(12)
    )
    assert worst > 1e-5


def test_drawn_velocities_are_bounded_and_of_the_genes_asked_for(model):
    tensors = next(iter(model._cells().minibatches()))
    with torch.inference_mode():
        torch.manual_seed(5)
        whole = summary.velocity_samples(model.module, tensors, 4)
        torch.manual_seed(5)
        some = summary.velocity_samples(model.module, tensors, 4, genes=np.array([7, 2]))
    assert torch.equal(some, whole[..., [7, 2]])
    assert (whole >= -tensors["X"]).all()
    assert (whole == -tensors["X"]).any()
