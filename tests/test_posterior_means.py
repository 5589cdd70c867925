"""The compiled passes behind single calls and quantiles, judged by tensor arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from modelling import scaled_data, trained_model

from velovi.model import posterior
from velovi.model.compiled.decoding import Decoding, sigmoid_in_place, softplus_in_place
from velovi.model.compiled.sample_quantiles import exchanges, quantiles
from velovi.model.decoder import DecoderVELOVI
from velovi.model.posterior_means import LIKELIHOOD, compiled_means

QUANTITIES = {
    "velocity": posterior.velocity("spliced"),
    "velocity_u": posterior.velocity("unspliced"),
    "fit_t": posterior.latent_time(),
    "fit_s": posterior.fit("spliced"),
    "fit_u": posterior.fit("unspliced"),
    "states": posterior.states,
    LIKELIHOOD: posterior.log_likelihood,
}


@pytest.fixture(scope="module")
def model():
    return trained_model(scaled_data())


@pytest.mark.parametrize("name", QUANTITIES)
@pytest.mark.parametrize("genes", [None, np.array([3, 0])])
@torch.inference_mode()
def test_means_are_those_of_tensor_arithmetic(model, name, genes):
    data = model._cells()
    likelihood = name == LIKELIHOOD

    def minibatches():
        return data.minibatches(None, 37)  # the last one is smaller

    torch.manual_seed(3)
    found = compiled_means(
        model.module,
        minibatches(),
        [name],
        exact_states=not likelihood,
        n_cells=data.n_cells,
        n_samples=4,
        genes=genes,
    )
    torch.manual_seed(3)
    samples = posterior.iterate(model.module, minibatches(), n_samples=4, draw_states=likelihood)
    expected = posterior.collect(
        samples, {name: QUANTITIES[name]}, n_cells=data.n_cells, n_samples=4, genes=genes
    )
    assert found is not None
    np.testing.assert_allclose(found[name], expected[name], rtol=2e-4, atol=2e-5)


def test_what_no_compiled_pass_has_is_left_to_tensors(model):
    nothing = compiled_means(
        model.module, [], ["velocity"], exact_states=False, n_cells=0, n_samples=1
    )
    assert nothing is None


@pytest.mark.parametrize("n_samples", [1, 2, 3, 7, 25, 26, 100])
def test_quantiles_are_those_of_torch(n_samples):
    samples = torch.randn(n_samples, 19, 301)
    levels = (0.0, 0.05, 0.5, 0.95, 1.0)
    expected = torch.quantile(samples.double(), torch.tensor(levels, dtype=torch.float64), dim=0)
    torch.testing.assert_close(quantiles(samples, levels).double(), expected, rtol=0, atol=1e-6)
    least = torch.full((19, 301), 0.2)
    bounded = torch.quantile(
        samples.clamp(min=-0.2).double(), torch.tensor(levels, dtype=torch.float64), dim=0
    )
    found = quantiles(samples, levels, least).double()
    torch.testing.assert_close(found, bounded, rtol=0, atol=1e-6)


@pytest.mark.parametrize("n", range(1, 20))
def test_the_network_sorts_every_order_of_zeros_and_ones(n):
    """A network that sorts all zeros and ones sorts everything (Knuth 1973)."""
    rng = np.random.default_rng(n)
    tries = np.array(
        [[(number >> bit) & 1 for bit in range(n)] for number in range(2 ** min(n, 10))]
    )
    tries = np.vstack([tries, rng.integers(2, size=(500, n))])
    for low, high in exchanges(n):
        first, second = tries[:, low].copy(), tries[:, high].copy()
        tries[:, low], tries[:, high] = np.minimum(first, second), np.maximum(first, second)
    assert (np.diff(tries, axis=1) >= 0).all()


EVERYWHERE = torch.cat(
    [torch.linspace(-86, 90, 100_001), torch.tensor([0.0, -0.0, 1e-8, 20.0, 20.1])]
)


@pytest.mark.parametrize(
    ("function", "oracle"),
    [(softplus_in_place, torch.nn.functional.softplus), (sigmoid_in_place, torch.sigmoid)],
)
def test_functions_of_the_heads_are_those_of_torch_to_single_precision(function, oracle):
    expected = oracle(EVERYWHERE.double())
    found = function(EVERYWHERE.clone()[None], torch.zeros(len(EVERYWHERE)))[0].double()
    assert ((found - expected).abs() / expected).max() < 5e-7
    shifted = function((EVERYWHERE - 1)[None], torch.ones(len(EVERYWHERE)))[0].double()
    np.testing.assert_allclose(shifted, expected, rtol=1e-4)


@pytest.mark.parametrize("linear_decoder", [False, True])
@pytest.mark.parametrize("latent_dim", [None, 1])
@torch.inference_mode()
def test_decoding_is_the_decoder(linear_decoder, latent_dim):
    torch.manual_seed(0)
    decoder = DecoderVELOVI(3, 17, n_hidden=8, linear_decoder=linear_decoder).eval()
    decode, only_states = Decoding(decoder), Decoding(decoder, times=False)
    for n_cells in (5, 9, 2):  # more cells than before, and fewer
        cell_state = torch.randn(n_cells, 3)
        expected = decoder(cell_state, latent_dim)
        for found, right in zip(decode(cell_state, latent_dim), expected, strict=True):
            torch.testing.assert_close(found, right)
        states, *times = only_states(cell_state, latent_dim)
        torch.testing.assert_close(states, expected[0])
        assert all(len(empty) == 0 for empty in times)
