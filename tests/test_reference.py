"""Our model against scvi.external.VELOVI: same start, same training, same posterior, same files.

With torch's own Dirichlet draws both use its global generator in the same order, so with one seed
and one set of weights every posterior sample must agree, not only averages.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from modelling import made_model, scaled_data, trained_model
from scvi import settings
from scvi.external import VELOVI as Reference
from scvi.external.velovi._model import _compute_directional_statistics_tensor
from scvi.external.velovi._module import VELOVAE as ReferenceModule

from velovi import VELOVI
from velovi.model.directional_statistics import centred_cosines, directional_statistics
from velovi.model.module import VELOVAE

BATCH = 40  # divides the cells: the reference fails on a ragged last batch


@pytest.fixture(scope="module", autouse=True)
def draws_of_torch():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VELOVAE, "compiled_draws", False)
        yield


@pytest.fixture(scope="module")
def pair():
    """The reference, trained, and our model with its weights."""
    reference = trained_model(scaled_data(), Reference, epochs=8)
    ours = made_model(scaled_data(), VELOVI)
    ours.module.load_state_dict(reference.module.state_dict())
    ours.module.eval()
    ours.is_trained = True
    return ours, reference


def seeded(call, *, loader: bool):
    settings.seed = 11
    if not loader:
        # the reference's data loader takes one number from the generator before it starts
        torch.empty((), dtype=torch.int64).random_()
    found = call()
    return [
        np.asarray(item, dtype=float) for item in (found if isinstance(found, tuple) else (found,))
    ]


SAMPLED = {
    "velocity": lambda m: m.get_velocity(n_samples=3, return_mean=False, batch_size=BATCH),
    "velocity, likeliest state": lambda m: m.get_velocity(
        n_samples=3, return_mean=False, batch_size=BATCH, velo_statistic="max"
    ),
    "unspliced velocity": lambda m: m.get_velocity(
        n_samples=3, return_mean=False, batch_size=BATCH, velo_mode="unspliced", clip=False
    ),
    "latent time": lambda m: m.get_latent_time(n_samples=3, return_mean=False, batch_size=BATCH),
    "fit": lambda m: m.get_expression_fit(n_samples=3, return_mean=False, batch_size=BATCH),
    "states": lambda m: m.get_state_assignment(n_samples=3, return_mean=False, batch_size=120)[0],
    "likelihood": lambda m: m.get_gene_likelihood(n_samples=3, return_mean=False, batch_size=120),
    "fit of one latent dimension": lambda m: m.get_expression_fit(
        n_samples=3, return_mean=False, batch_size=BATCH, restrict_to_latent_dim=2
    ),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_posterior_samples_agree(pair, name):
    ours = seeded(lambda: SAMPLED[name](pair[0]), loader=False)
    theirs = seeded(lambda: SAMPLED[name](pair[1]), loader=True)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())


def test_analytic_means_are_what_the_reference_samples_towards(pair):
    ours, reference = pair
    settings.seed = 0
    for call in (
        lambda m, n: m.get_velocity(n_samples=n, clip=False),
        lambda m, n: m.get_latent_time(n_samples=n),
        lambda m, n: m.get_expression_fit(n_samples=n)[0],
        lambda m, n: m.get_state_assignment(n_samples=n)[0],
    ):
        mine = np.asarray(call(ours, 300))
        halves = [np.asarray(call(reference, 150)) for _ in range(2)]
        noise = np.sqrt(np.mean((halves[0] - halves[1]) ** 2))
        error = np.sqrt(np.mean((mine - np.mean(halves, axis=0)) ** 2))
        assert noise > 0
        assert error < noise


def test_rates_agree(pair):
    ours, theirs = pair[0].get_rates(), pair[1].get_rates()
    assert ours.keys() == theirs.keys()
    for name, rate in theirs.items():
        np.testing.assert_allclose(ours[name], rate, rtol=1e-6)


@pytest.mark.parametrize("name", ["get_latent_representation", "get_elbo"])
def test_latent_representation_and_elbo_agree(pair, name):
    mine, other = (
        seeded(lambda model=model: getattr(model, name)(batch_size=BATCH), loader=model is pair[1])
        for model in pair
    )
    np.testing.assert_allclose(mine[0], other[0], rtol=1e-5)


def test_directional_statistics_agree_on_the_same_velocities(pair):
    velocities = pair[0].get_velocity(n_samples=25, return_mean=False)
    other, their_cosines = _compute_directional_statistics_tensor(velocities, 1, 120)
    cosines = centred_cosines(torch.from_numpy(velocities)).T.numpy()
    np.testing.assert_allclose(cosines, their_cosines, atol=1e-5)
    mine = directional_statistics(cosines)
    assert list(mine.columns) == list(other.columns)
    for column in other:
        np.testing.assert_allclose(mine[column], other[column].astype(float), rtol=5e-3, atol=1e-6)


def test_directional_uncertainty_has_the_same_form(pair):
    mine, cosines = pair[0].get_directional_uncertainty(n_samples=9)
    other, their_cosines = pair[1].get_directional_uncertainty(n_samples=9, n_jobs=1)
    assert list(mine.columns) == list(other.columns)
    assert list(mine.index) == list(other.index)
    assert cosines.shape == their_cosines.shape
    for column in other:
        ratio = mine[column].median() / other[column].median()
        assert 0.5 < ratio < 2


@pytest.mark.parametrize("concentrated", [False, True])
def test_float64_agrees_tighter(concentrated):
    settings.seed = 3
    known = {"switch_spliced": np.full(6, 0.8), "switch_unspliced": np.full(6, 0.7)}
    reference = ReferenceModule(6, **known).double().eval()
    if concentrated:  # as after training: nearly all weight on one state
        with torch.no_grad():
            reference.decoder.px_pi_decoder.bias[:] = torch.tensor([-8.0, -3, 1, -6] * 6)
    ours = VELOVAE(6, **known).double().eval()
    ours.load_state_dict(reference.state_dict())
    data = torch.rand(30, 12, dtype=torch.float64)
    tensors = {"X": data[:, :6], "U": data[:, 6:]}
    losses = []
    for module in (reference, ours):
        torch.manual_seed(5)
        with torch.no_grad():
            _, _, loss = module(tensors, loss_kwargs={"kl_weight": 0.5})
        losses.append((loss.loss, loss.reconstruction_loss["reconstruction_loss"]))
    for mine, other in zip(losses[1], losses[0], strict=True):
        # what remains is the 1e-6 that the reference adds to gamma - beta
        torch.testing.assert_close(mine, other, rtol=2e-6, atol=0)


def test_loss_gradients_agree():
    settings.seed = 3
    known = {"switch_spliced": np.full(6, 0.8), "switch_unspliced": np.full(6, 0.7)}
    modules = [ReferenceModule(6, **known).double(), VELOVAE(6, **known).double()]
    modules[1].load_state_dict(modules[0].state_dict())
    data = torch.rand(30, 12, dtype=torch.float64)
    for module in modules:
        torch.manual_seed(5)
        module({"X": data[:, :6], "U": data[:, 6:]})[2].loss.backward()
    other = dict(modules[0].named_parameters())
    for name, parameter in modules[1].named_parameters():
        if other[name].grad is None:
            assert parameter.grad is None, name
            continue
        scale = other[name].grad.abs().max()
        torch.testing.assert_close(
            parameter.grad, other[name].grad, rtol=1e-4, atol=float(1e-5 * scale) + 1e-12
        )


def test_one_seed_gives_the_same_start_and_the_same_training():
    models = [made_model(scaled_data(), kind) for kind in (Reference, VELOVI)]
    ours, theirs = (m.module.state_dict() for m in reversed(models))
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-6, msg=name)
    losses = [
        trained_model(scaled_data(), kind, epochs=2).history["elbo_train"].to_numpy(dtype=float)
        for kind in (Reference, VELOVI)
    ]
    np.testing.assert_allclose(losses[1][0], losses[0][0], rtol=1e-4)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-2)


@pytest.mark.parametrize(("from_kind", "to_kind"), [(Reference, VELOVI), (VELOVI, Reference)])
def test_saved_models_go_both_ways(tmp_path, from_kind, to_kind):
    adata = scaled_data()
    saved = trained_model(adata, from_kind)
    saved.save(str(tmp_path / "model"))
    loaded = to_kind.load(str(tmp_path / "model"), adata=scaled_data(), accelerator="cpu")
    assert loaded.is_trained
    before = saved.get_latent_representation()
    np.testing.assert_array_equal(loaded.get_latent_representation(), before)
    for name, rate in saved.get_rates().items():
        np.testing.assert_array_equal(loaded.get_rates()[name], rate)
