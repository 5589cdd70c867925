"""Uncertainty and coherence against plain loops; options of the module; reproducibility."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import torch
from modelling import QUIET, made_model, scaled_data, trained_model
from scipy.stats import pearsonr
from scvi import settings

from velovi import VELOVI, dynamics
from velovi.errors import DataError, OptionError, UnknownNameError
from velovi.model.module import STATES
from velovi.model.summary import CELLS_TOGETHER


def with_neighbours(adata):
    with warnings.catch_warnings(action="ignore"):
        sc.pp.neighbors(adata, n_neighbors=8, use_rep="X_pca")
    return adata


@pytest.fixture(scope="module")
def model():
    adata = scaled_data(n_cells=90)
    adata.obsm["X_pca"] = adata.layers["Ms"][:, :5].copy()
    return trained_model(with_neighbours(adata), epochs=15)


def naive_statistics(vectors: np.ndarray) -> pd.DataFrame:
    """The five statistics of (samples, cells, genes), one cell and one sample at a time."""
    rows = []
    for cell in range(vectors.shape[1]):
        middle = vectors[:, cell].mean(0)
        cosines = np.array([pearsonr(vector, middle).statistic for vector in vectors[:, cell]])
        angles = np.arccos(np.clip(cosines, -1, 1))
        spread = [np.percentile(x, 95) - np.percentile(x, 5) for x in (angles, cosines)]
        rows.append([angles.var(), spread[0], cosines.var(), spread[1], cosines.mean()])
    return pd.DataFrame(rows)


def test_extrinsic_uncertainty_is_that_of_the_expected_next_states(model, monkeypatch):
    monkeypatch.setattr(model.module, "compiled_draws", False)
    found, cosines = model.get_extrinsic_uncertainty(n_samples=6, seed=4)
    torch.manual_seed(4)
    reached, expression = [], model.adata.layers["Ms"]
    drawn = model.get_velocity(n_samples=6, return_mean=False, batch_size=CELLS_TOGETHER)
    for velocity in drawn:
        graph = dynamics.velocity_graph(velocity, expression, model.adata.obsp["distances"])
        reached.append(dynamics.transition_matrix(graph).toarray() @ expression)
    expected = naive_statistics(np.stack(reached).astype(float))
    assert cosines.shape == (90, 6)
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), rtol=1e-2, atol=2e-5)
    again, _ = model.get_extrinsic_uncertainty(n_samples=6, seed=4)
    pd.testing.assert_frame_equal(found, again)
    other, _ = model.get_extrinsic_uncertainty(n_samples=6, seed=5)
    assert not np.allclose(found, other)


def test_intrinsic_uncertainty_is_that_of_velocity_samples(model, monkeypatch):
    monkeypatch.setattr(model.module, "compiled_draws", False)  # which have draws of their own
    settings.seed = 2
    found, _ = model.get_directional_uncertainty(n_samples=7)
    settings.seed = 2
    drawn = model.get_velocity(n_samples=7, return_mean=False, batch_size=CELLS_TOGETHER)
    expected = naive_statistics(drawn.astype(float))
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), rtol=1e-2, atol=1e-6)


def test_uncertainty_with_compiled_draws_is_about_the_same(model, monkeypatch):
    fast = model.get_directional_uncertainty(n_samples=400)[0]
    monkeypatch.setattr(model.module, "compiled_draws", False)
    slow = model.get_directional_uncertainty(n_samples=400)[0]
    for column in fast:
        assert abs(fast[column].mean() / slow[column].mean() - 1) < 0.03, column
        np.testing.assert_allclose(fast[column], slow[column], rtol=0.5, err_msg=column)


def test_extrinsic_uncertainty_of_other_cells_and_some_genes(model):
    other = model.adata[10:60].copy()
    with pytest.raises(UnknownNameError, match="Sox2"):
        model.get_extrinsic_uncertainty(adata=other, gene_list=["Sox2"])
    found, _ = model.get_extrinsic_uncertainty(
        adata=with_neighbours(other), gene_list=["gene1", "gene4", "gene2"], n_samples=3, seed=0
    )
    assert found.shape == (50, 5)
    assert np.isfinite(found.to_numpy()).all()
    with pytest.raises(DataError, match=r"scanpy\.pp\.neighbors"):
        model.get_extrinsic_uncertainty(adata=scaled_data())


def test_coherence_is_the_expected_change_times_the_velocity(model):
    found = model.get_velocity_coherence(n_samples=3, seed=1, gene_list=["gene5", "gene0"])
    torch.manual_seed(1)
    velocity, expression = model.get_velocity(n_samples=3), model.adata.layers["Ms"]
    transition = dynamics.transition_matrix(
        dynamics.velocity_graph(velocity.to_numpy(), expression, model.adata.obsp["distances"])
    ).toarray()
    np.fill_diagonal(transition, 0)
    transition /= np.abs(transition).sum(1, keepdims=True)
    expected = (transition @ expression - expression) * velocity
    pd.testing.assert_frame_equal(
        found, expected[["gene5", "gene0"]].astype(np.float32), rtol=1e-3, atol=1e-6
    )


# the summary


def test_summary_quantiles_are_those_of_the_same_samples(model):
    levels = (0.0, 0.1, 0.5, 0.95, 1.0)
    found = model.get_posterior_summary(9, seed=3, quantiles=levels, gene_list=["gene3", "gene1"])
    torch.manual_seed(3)
    drawn = model.get_velocity(n_samples=9, return_mean=False, gene_list=["gene3", "gene1"])
    for level in levels:
        expected = np.quantile(drawn, level, axis=0)
        np.testing.assert_allclose(found.table("velocity", level), expected, atol=1e-5)
    torch.manual_seed(3)
    fit = model.get_expression_fit(n_samples=9, return_mean=False, gene_list=["gene3", "gene1"])
    np.testing.assert_allclose(
        found.table("fit_u", 0.5), np.quantile(fit[1], 0.5, axis=0), atol=1e-5
    )
    table = found.table("velocity_sd")
    assert list(table.columns) == ["gene3", "gene1"]
    assert list(table.index) == list(model.adata.obs_names)
    with pytest.raises(UnknownNameError, match="level"):
        found.table("velocity", 0.33)
    with pytest.raises(UnknownNameError, match="speed"):
        found.table("speed")


def test_summary_is_seeded_and_leaves_the_generator_alone(model):
    torch.manual_seed(8)
    expected = torch.rand(3)
    torch.manual_seed(8)
    one = model.get_posterior_summary(3, seed=1)
    assert torch.equal(torch.rand(3), expected)
    two = model.get_posterior_summary(3, seed=1, quantiles=())
    for name, layer in one.layers.items():
        np.testing.assert_array_equal(layer, two.layers[name])
    assert not two.quantiles
    part = model.get_posterior_summary(3, seed=1, indices=[4, 2])
    assert list(part.cell_names) == ["cell4", "cell2"]
    assert part.layers["velocity"].shape == (2, 12)


def test_batches_of_a_summary_do_not_matter_beyond_sampling(model):
    whole = model.get_posterior_summary(200, quantiles=())
    parts = model.get_posterior_summary(200, quantiles=(), batch_size=17)
    error = np.abs(whole.layers["velocity"] - parts.layers["velocity"])
    assert (error < 6 * whole.layers["velocity_sd"] / np.sqrt(100) + 1e-6).all()


def test_scvelo_finds_its_names(model):
    before = sorted(model.adata.layers), sorted(model.adata.uns), sorted(model.adata.var)
    found = model.to_scvelo(n_samples=4)
    for name in ("Ms", "Mu", "velocity", "velocity_u", "fit_t", "fit_s", "fit_u", "velocity_sd"):
        assert found.layers[name].shape == found.shape, name
    for name in ("fit_alpha", "fit_beta", "fit_gamma", "fit_t_", "fit_scaling", "fit_likelihood"):
        assert np.isfinite(found.var[name]).all(), name
    np.testing.assert_allclose(found.layers["fit_t"].max(axis=0), 20, rtol=1e-5)
    stretch = found.var["time_scaling"].to_numpy()
    summary = model.get_posterior_summary(4, quantiles=(), directional_samples=50)
    np.testing.assert_allclose(
        found.layers["velocity"], summary.layers["velocity"] / stretch, rtol=1e-5
    )
    np.testing.assert_allclose(found.var["fit_beta"], model.get_rates()["beta"] / stretch)
    assert found.var["velocity_genes"].all()
    assert found.obsp["connectivities"].shape == (90, 90)
    assert not any(key.startswith("_scvi") for key in found.uns)
    assert before == (sorted(model.adata.layers), sorted(model.adata.uns), sorted(model.adata.var))


# options of the module, through **model_kwargs

OPTIONS = {
    "linear_decoder": {"linear_decoder": True},
    "time_dep_transcription_rate": {"time_dep_transcription_rate": True},
    "log_variational": {"log_variational": True},
    "latent_distribution": {"latent_distribution": "ln"},
    "no batch norm": {"use_batch_norm": "none"},
    "batch norm in the encoder": {"use_batch_norm": "encoder"},
    "layer norm in the decoder": {"use_layer_norm": "decoder"},
    "no layer norm": {"use_layer_norm": "none"},
    "model_steady_states": {"model_steady_states": False},
    "gamma_init_data": {"gamma_init_data": True},
    "t_max": {"t_max": 10},
    "penalty_scale": {"penalty_scale": 0.0},
    "dirichlet_concentration": {"dirichlet_concentration": 0.5},
    "var_activation": {"var_activation": torch.exp},
    "depth": {"n_layers": 2, "n_hidden": 16, "n_latent": 3},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_train_and_survive_saving(name, tmp_path):
    options = OPTIONS[name]
    model = made_model(scaled_data(), **options)
    before = {key: value.clone() for key, value in model.module.state_dict().items()}
    model.train(max_epochs=2, **QUIET)
    after = model.module.state_dict()
    moved = {key for key in after if not torch.equal(before[key], after[key])}
    assert {"beta_mean_unconstr", "gamma_mean_unconstr", "alpha_unconstr"} <= moved
    assert ("lambda_alpha_unconstr" in moved) == ("time_dep" in name)
    assert ("decoder.linear_scaling_tau" in moved) == (name == "linear_decoder")
    assert np.isfinite(model.history["elbo_train"].to_numpy(dtype=float)).all()
    times = model.get_latent_time(return_numpy=True)
    assert (times >= 0).all()
    assert (times <= options.get("t_max", 20) + 1e-4).all()
    model.save(str(tmp_path / "model"))
    loaded = VELOVI.load(str(tmp_path / "model"), adata=scaled_data(), accelerator="cpu")
    found = []
    for item in (model, loaded):
        item.to_device("cpu")
        settings.seed = 1
        found.append(item.get_velocity(n_samples=2))
    pd.testing.assert_frame_equal(*found)


def test_loadings_are_the_effect_of_each_dimension():
    model = trained_model(scaled_data(), linear_decoder=True, epochs=2)
    model.to_device("cpu")
    module, table = model.module.eval(), model.get_loadings()
    assert list(table.index) == list(model.adata.var_names)
    loadings = table.to_numpy()
    assert loadings.shape == (12, 10)
    zero = torch.zeros(1, 10)
    for dimension in range(3):
        one = zero.clone()
        one[0, dimension] = 1.0
        with torch.no_grad():
            change = torch.logit(module.decoder(one)[1]) - torch.logit(module.decoder(zero)[1])
        np.testing.assert_allclose(change[0], loadings[:, dimension], atol=1e-4)
    with pytest.raises(OptionError, match="linear_decoder=True"):
        made_model(scaled_data()).module.get_loadings()


def test_a_logistic_normal_state_lies_on_the_simplex():
    model = trained_model(scaled_data(), latent_distribution="ln", epochs=1)
    for give_mean in (True, False):
        states = model.get_latent_representation(give_mean=give_mean, mc_samples=50)
        np.testing.assert_allclose(states.sum(axis=1), 1, rtol=1e-4)
    _, variance = model.get_latent_representation(return_dist=True)
    assert (variance > 0).all()
    model.differential_abundance(sample_key="label")
    assert np.isfinite(model.adata.obsm["da_log_probs"]).all().all()
    assert np.isfinite(model.get_marginal_ll(n_mc_samples=5))


# reproducibility


REPEATED = {
    "velocity": lambda m: m.get_velocity(n_samples=2),
    "time": lambda m: m.get_latent_time(n_samples=2),
    "states": lambda m: m.get_state_assignment()[0],
    "fit": lambda m: m.get_expression_fit()[1],
    "likelihood": lambda m: m.get_gene_likelihood(),
    "direction": lambda m: m.get_directional_uncertainty(n_samples=3)[1],
    "extrinsic": lambda m: m.get_extrinsic_uncertainty(n_samples=2)[1],
    "coherence": lambda m: m.get_velocity_coherence(n_samples=2),
    "permutation": lambda m: m.get_permutation_scores("label")[0],
    "marginal": lambda m: m.get_marginal_ll(n_mc_samples=3),
    "elbo": lambda m: m.get_elbo(),
    "reconstruction": lambda m: m.get_reconstruction_error()["reconstruction_loss"],
    "state": lambda m: m.get_latent_representation(give_mean=False),
    "overall": lambda m: m.get_velocity(n_samples_overall=20),
}


@pytest.mark.parametrize("name", REPEATED)
def test_a_seed_fixes_every_number_whatever_the_threads(model, name):
    found = []
    threads = torch.get_num_threads()
    try:
        for workers in (1, 1, 2):
            torch.set_num_threads(workers)
            settings.seed = 6
            found.append(np.asarray(REPEATED[name](model), dtype=float))
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[0], found[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_size", [7, 90, 4096])
def test_batch_size_changes_nothing_where_nothing_is_sampled(model, batch_size):
    expected = model.get_latent_representation()
    found = model.get_latent_representation(batch_size=batch_size)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_one_cell_type_and_one_gene_are_enough():
    model = trained_model(scaled_data(n_genes=1), epochs=2)
    model.adata.obs["label"] = "all the same"
    table, _ = model.get_permutation_scores("label")
    assert np.isfinite(table.to_numpy()).all()
    states, names = model.get_state_assignment()
    assert states.shape == (120, 1, 4)
    assert names == list(STATES)
    model.differential_abundance(sample_key="label")
    with warnings.catch_warnings(action="ignore"):  # one gene spans no direction after centring
        found, _ = model.get_directional_uncertainty(n_samples=3)
    assert np.isfinite(found.to_numpy()).all()


def test_adding_results_leaves_the_summary_as_it_is(model):
    summary = model.get_posterior_summary(2, quantiles=())
    before = {name: layer.copy() for name, layer in summary.layers.items()}
    result = model.adata.copy()
    model.add_results(result, summary)
    for name, layer in summary.layers.items():
        np.testing.assert_array_equal(layer, before[name])
    assert not np.allclose(result.layers["fit_t"], before["fit_t"])
