"""The model's interface by itself: arguments, shapes, errors, reproducibility."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from modelling import QUIET, made_model, scaled_data, trained_model
from scvi import settings
from scvi.external import VELOVI as Reference
from scvi.train import TrainingPlan

from velovi import VELOVI
from velovi.errors import DataError, NotTrainedError, OptionError, UnknownNameError
from velovi.model.module import STATES
from velovi.model.training import Plan


@pytest.fixture(scope="module")
def model():
    return trained_model(scaled_data(), epochs=5)


@pytest.mark.parametrize(
    "name",
    [
        "__init__",
        "train",
        "get_velocity",
        "get_latent_time",
        "get_state_assignment",
        "get_expression_fit",
        "get_gene_likelihood",
        "get_directional_uncertainty",
    ],
)
def test_signatures_are_the_reference_ones(name):
    ours = inspect.signature(getattr(VELOVI, name)).parameters
    theirs = inspect.signature(getattr(Reference, name)).parameters
    assert {k: v.default for k, v in ours.items()} == {k: v.default for k, v in theirs.items()}
    assert list(ours) == list(theirs)


FRAMES = {
    "get_velocity": lambda m, **k: m.get_velocity(**k),
    "get_latent_time": lambda m, **k: m.get_latent_time(**k),
    "get_expression_fit": lambda m, **k: m.get_expression_fit(**k)[1],
    "get_gene_likelihood": lambda m, **k: m.get_gene_likelihood(**k),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_are_labelled_and_in_the_order_asked(model, name):
    frame = FRAMES[name](model, indices=[5, 3, 119], gene_list=["gene7", "gene2"], n_samples=2)
    assert list(frame.index) == ["cell5", "cell3", "cell119"]
    assert list(frame.columns) == ["gene7", "gene2"]
    assert np.isfinite(frame.to_numpy()).all()


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("batch_size", [None, 50, 7])
def test_samples_have_an_axis_of_their_own(model, name, batch_size):
    found = FRAMES[name](model, n_samples=3, return_mean=False, batch_size=batch_size)
    assert isinstance(found, np.ndarray)
    assert found.shape == (3, 120, 12)
    one = FRAMES[name](model, n_samples=1, return_mean=False, batch_size=batch_size)
    assert isinstance(one, pd.DataFrame)
    assert one.shape == (120, 12)
    array = FRAMES[name](model, return_numpy=True, batch_size=batch_size)
    assert isinstance(array, np.ndarray)
    assert array.shape == (120, 12)


def test_cells_may_be_a_list_an_array_or_a_mask(model):
    mask = np.zeros(120, dtype=bool)
    mask[[3, 7]] = True
    for chosen in ([3, 7], np.array([3, 7]), mask, [-117, -113]):
        assert list(model.get_velocity(indices=chosen).index) == ["cell3", "cell7"]
    assert model.get_velocity(indices=mask, n_samples_overall=40).shape == (40, 12)
    assert model.get_latent_time(n_samples=5, n_samples_overall=6, return_mean=False).shape == (
        6,
        12,
    )


def test_states(model):
    shares, names = model.get_state_assignment(n_samples=3)
    assert names == list(STATES)
    assert shares.shape == (120, 12, 4)
    np.testing.assert_allclose(shares.sum(-1), 1, rtol=1e-5)
    drawn, _ = model.get_state_assignment(n_samples=3, return_mean=False, batch_size=50)
    assert drawn.shape == (3, 120, 12, 4)
    hard, _ = model.get_state_assignment(
        hard_assignment=True, indices=[4, 9], gene_list=["gene3", "gene1"]
    )
    assert list(hard.columns) == ["gene3", "gene1"]
    settings.seed = 0
    assert set(np.unique(hard)) <= set(STATES)


def test_velocity_is_clipped_by_the_data_it_is_asked_for(model):
    other = scaled_data(seed=5)
    for layer in ("Ms", "Mu"):
        other.layers[layer] *= 0.01
    for mode, layer in (("spliced", "Ms"), ("unspliced", "Mu")):
        arguments = {"adata": other, "velo_mode": mode, "n_samples": 20, "return_mean": False}
        found = model.get_velocity(**arguments)
        assert (found >= -other.layers[layer] - 1e-7).all()
        assert (model.get_velocity(**arguments, clip=False) < -other.layers[layer]).any()


def test_velocity_of_one_gene_equals_that_of_all(model):
    settings.seed = 1
    whole = model.get_velocity(n_samples=2)
    settings.seed = 1
    one = model.get_velocity(n_samples=2, gene_list=["gene4"])
    pd.testing.assert_series_equal(whole["gene4"], one["gene4"])


def test_the_mean_is_the_mean_of_the_samples(model):
    settings.seed = 2
    mean = model.get_velocity(n_samples=400, clip=False, return_numpy=True)
    drawn = model.get_velocity(n_samples=400, clip=False, return_mean=False)
    error = np.abs(drawn.mean(0) - mean)
    assert (error < 6 * drawn.std(0) / np.sqrt(200) + 1e-6).all()


def test_genes_in_another_order_give_the_same_numbers(model):
    data = scaled_data()
    settings.seed = 3
    expected = model.get_velocity(adata=data)
    settings.seed = 3
    found = model.get_velocity(adata=data[:, ::-1].copy())
    pd.testing.assert_frame_equal(found, expected)


def test_missing_genes_are_named(model):
    with pytest.raises(DataError, match="gene0, gene1"):
        model.get_velocity(adata=scaled_data()[:, 2:].copy())


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"indices": []}, OptionError, "at least one cell"),
        ({"indices": [120]}, OptionError, "0 to 119"),
        ({"indices": np.zeros(3, dtype=bool)}, OptionError, "120 values"),
        ({"gene_list": []}, OptionError, "at least one gene"),
        ({"gene_list": ["gene1", "Sox2"]}, UnknownNameError, "Sox2"),
        ({"velo_mode": "both"}, OptionError, "spliced, unspliced"),
        ({"velo_statistic": "median"}, OptionError, "mean, max"),
    ],
)
def test_bad_arguments_are_named(model, arguments, error, says):
    with pytest.raises(error, match=says):
        model.get_velocity(**arguments)


def test_an_untrained_model_says_so():
    model = made_model(scaled_data())
    for call in (model.get_velocity, model.get_rates, model.get_directional_uncertainty):
        with pytest.raises(NotTrainedError, match=r"train\(\)"):
            call()
    with pytest.raises(NotImplementedError):
        model.get_normalized_expression()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_bad_numbers_are_found_at_setup(bad):
    adata = scaled_data()
    adata.layers["Mu"][4, 2] = bad
    with pytest.raises(DataError, match="Mu"):
        VELOVI.setup_anndata(adata, spliced_layer="Ms", unspliced_layer="Mu")


def test_sparse_layers_are_accepted():
    adata = scaled_data()
    for name in ("Ms", "Mu"):
        adata.layers[name] = sp.csr_matrix(adata.layers[name])
    sparse, dense = trained_model(adata, epochs=1), trained_model(scaled_data(), epochs=1)
    settings.seed = 4
    one = sparse.get_velocity()
    settings.seed = 4
    pd.testing.assert_frame_equal(one, dense.get_velocity(), rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_model_and_numbers():
    found = []
    for _ in range(2):
        model = trained_model(scaled_data(), epochs=2, seed=9)
        settings.seed = 1
        found.append(model.get_velocity(n_samples=2))
    pd.testing.assert_frame_equal(*found)


def test_a_last_batch_of_one_cell_trains():
    model = made_model(scaled_data(n_cells=130))
    model.train(max_epochs=1, batch_size=128, train_size=129 / 130, **QUIET)
    assert model.is_trained


def test_training_on_all_cells_goes_on_without_early_stopping():
    model = made_model(scaled_data())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.train(max_epochs=1, train_size=1.0, **QUIET)
    assert any("held-out" in str(item.message) for item in told)
    assert model.is_trained


def test_a_list_of_callbacks_is_left_alone():
    callbacks: list = []
    model = made_model(scaled_data())
    model.train(max_epochs=1, callbacks=callbacks, **QUIET)
    assert callbacks == []


def test_an_explicit_learning_rate_wins():
    from velovi.model.training import epochs_or_heuristic, plan_arguments

    assert plan_arguments(0.5, 0.01, {"lr": 0.1})["lr"] == 0.5
    assert plan_arguments(0.01, 0.01, {"lr": 0.1})["lr"] == 0.1
    assert epochs_or_heuristic(None, 80_000) == 100
    assert epochs_or_heuristic(7, 80_000) == 7


def test_every_trainable_parameter_gets_a_gradient():
    module = made_model(scaled_data(), time_dep_transcription_rate=True).module
    adata = scaled_data()
    tensors = {
        "X": torch.from_numpy(adata.layers["Ms"]),
        "U": torch.from_numpy(adata.layers["Mu"]),
    }
    module(tensors, loss_kwargs={"kl_weight": 0.5})[2].loss.backward()
    unused = {"decoder.linear_scaling_tau", "decoder.linear_scaling_tau_intercept"}
    for name, parameter in module.named_parameters():
        if name in unused:  # of the linear decoder; kept for the files' sake
            assert parameter.grad is None
            continue
        assert torch.isfinite(parameter.grad).all(), name
        assert (parameter.grad != 0).any(), name


@pytest.mark.parametrize("case", ["zero cells", "zero gene", "constant gene", "one gene"])
def test_awkward_data_gives_finite_losses(case):
    adata = scaled_data()
    if case == "zero cells":
        for name in ("Ms", "Mu"):
            adata.layers[name][:20] = 0
    elif case == "zero gene":
        adata.layers["Mu"][:, 0] = adata.layers["Ms"][:, 0] = 0
    elif case == "constant gene":
        adata.layers["Mu"][:, 0] = 0.5
    else:
        adata = adata[:, :1].copy()
    model = trained_model(adata, epochs=2, gamma_init_data=True)
    assert np.isfinite(model.history["elbo_train"].to_numpy(dtype=float)).all()
    assert np.isfinite(model.get_velocity(return_numpy=True)).all()


def test_views_are_accepted(model):
    assert model.get_velocity(adata=scaled_data()[:10]).shape == (10, 12)


def test_directional_uncertainty_of_other_data_and_few_genes(model):
    found, cosines = model.get_directional_uncertainty(
        adata=scaled_data(n_cells=40, seed=2), n_samples=6, gene_list=["gene1", "gene5", "gene2"]
    )
    assert found.shape == (40, 5)
    assert cosines.shape == (40, 6)
    assert np.isfinite(found.to_numpy()).all()


def test_threads_are_at_least_one_and_at_most_the_cores(monkeypatch):
    from velovi.model import training

    for busy, expected in ((0.0, 4), (50.0, 2), (100.0, 1)):
        monkeypatch.setattr(training, "usable_cores", lambda: 4)
        monkeypatch.setattr(training.psutil, "cpu_count", lambda: 4)
        monkeypatch.setattr(training.psutil, "cpu_percent", lambda interval, busy=busy: busy)
        assert training.free_cores() == expected


def test_no_samples_is_an_error(model):
    with pytest.raises(OptionError, match="n_samples"):
        model.get_velocity(n_samples=0)


def test_the_history_is_that_of_metrics_logged_at_every_step(monkeypatch):
    """The training plan tells Lightning of a metric once an epoch; scvi-tools does at each step."""
    plain = TrainingPlan.compute_and_log_metrics
    histories = []
    for method in (Plan.compute_and_log_metrics, plain):
        monkeypatch.setattr(Plan, "compute_and_log_metrics", method)
        settings.seed = 0
        adata = scaled_data(120, 6)
        VELOVI.setup_anndata(adata, spliced_layer="Ms", unspliced_layer="Mu")
        model = VELOVI(adata)
        model.train(max_epochs=3, batch_size=32, check_val_every_n_epoch=1, **QUIET)
        histories.append(model.history)
    ours, theirs = histories
    assert list(ours) == list(theirs)
    for name in ours:
        np.testing.assert_allclose(
            ours[name].to_numpy(float), theirs[name].to_numpy(float), rtol=1e-6, err_msg=name
        )


@pytest.mark.parametrize("steps", [1, 2, 5, 10])
def test_a_rate_that_rises_and_falls_takes_any_number_of_steps(steps):
    model = made_model(scaled_data())
    model.train(max_epochs=steps, batch_size=10_000, plan_kwargs={"one_cycle": True}, **QUIET)
    assert len(model.history["elbo_train"]) == steps
