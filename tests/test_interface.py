"""The public interface: everything the reference has, documented and typed for this model."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pandas as pd
import pytest
from modelling import made_model, scaled_data, trained_model
from scvi.external import VELOVI as Reference
from scvi.model.base import BaseModelClass

import velovi
from velovi import VELOVI

ATTRIBUTES = {
    "adata",
    "adata_manager",
    "device",
    "get_normalized_function_name",
    "history",
    "is_trained",
    "registry",
    "run_id",
    "run_name",
    "summary_string",
    "test_indices",
    "train_indices",
    "validation_indices",
}
METHODS = {
    "setup_anndata",
    "register_manager",
    "deregister_manager",
    "get_anndata_manager",
    "data_registry",
    "get_from_registry",
    "get_setup_arg",
    "get_state_registry",
    "get_var_names",
    "transfer_fields",
    "update_setup_method_args",
    "view_anndata_setup",
    "view_registry",
    "view_setup_args",
    "view_setup_method_args",
    "train",
    "save",
    "load",
    "load_registry",
    "convert_legacy_save",
    "to_device",
    "get_velocity",
    "get_latent_time",
    "get_state_assignment",
    "get_expression_fit",
    "get_gene_likelihood",
    "get_rates",
    "get_directional_uncertainty",
    "get_permutation_scores",
    "get_latent_representation",
    "get_aggregated_posterior",
    "differential_abundance",
    "get_elbo",
    "get_reconstruction_error",
    "get_marginal_ll",
    "get_normalized_expression",
}
BEYOND = {
    "get_extrinsic_uncertainty",
    "get_velocity_coherence",
    "get_posterior_summary",
    "to_scvelo",
    "add_results",
    "load_untrusted",
    "get_loadings",
}


# what the base class of all models has and needs nothing of ours
INHERITED = ATTRIBUTES - {"adata"} | {"register_manager", "to_device", "view_setup_method_args"}


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_") and name != "mro"}


def test_the_interface_is_the_reference_one_and_a_little_more():
    ours = ATTRIBUTES | METHODS | BEYOND | {"training_scale"}
    assert ours <= public(VELOVI)
    # newer versions of scvi-tools may add to what all models have
    assert public(VELOVI) - ours <= public(BaseModelClass)
    assert public(Reference) <= public(VELOVI)
    assert not BEYOND & public(Reference)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_signatures_are_the_reference_ones(name):
    ours = inspect.signature(getattr(VELOVI, name)).parameters
    theirs = inspect.signature(getattr(Reference, name)).parameters
    # further arguments may follow, with defaults that change nothing
    assert list(ours)[: len(theirs)] == list(theirs)
    for key, parameter in theirs.items():
        assert ours[key].default == parameter.default, key
        assert ours[key].kind == parameter.kind, key
    for key in list(ours)[len(theirs) :]:
        assert ours[key].default is not inspect.Parameter.empty, key


@pytest.mark.parametrize("name", sorted(INHERITED))
def test_what_serves_as_it_is_is_inherited(name):
    assert inspect.getattr_static(VELOVI, name) is inspect.getattr_static(BaseModelClass, name)
    assert inspect.getdoc(getattr(VELOVI, name))


@pytest.mark.parametrize("name", sorted((METHODS | BEYOND) - INHERITED))
def test_methods_are_ours_typed_and_documented(name):
    method = getattr(VELOVI, name)
    function = getattr(method, "__wrapped__", method)
    assert function.__module__.startswith("velovi."), name
    text = inspect.getdoc(function)
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self" or name == "get_normalized_expression":
            continue
        assert re.search(rf"^[\w*, ]*\b{parameter.name}\b[\w*, ]*$", text, re.M), parameter.name
        assert parameter.annotation is not inspect.Parameter.empty, parameter.name
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty
    assert not re.search(r"\bscVI\b|\bRNA-seq\b|\bprotein\b|%\(", text)


def test_the_package_names_what_it_exports():
    for name in velovi.__all__:
        assert getattr(velovi, name) is not None
    assert set(velovi.__all__) >= {"VELOVI", "VELOVAE", "preprocess", "preprocess_data", "read"}


def test_registered_data_can_be_looked_up():
    model = trained_model(scaled_data(), epochs=1)
    adata = model.adata
    np.testing.assert_array_equal(model.data_registry("X"), adata.layers["Ms"])
    np.testing.assert_array_equal(model.get_from_registry(adata, "U"), adata.layers["Mu"])
    assert model.get_setup_arg("spliced_layer") == "Ms"
    assert model.get_state_registry("X").n_vars == 12
    assert list(model.get_var_names()) == list(adata.var_names)
    assert model.get_anndata_manager(adata, required=True) is model.adata_manager
    assert model.get_anndata_manager(scaled_data()) is None
    assert model.history["elbo_train"].shape[0] == 1
    covered = np.concatenate([model.train_indices, model.validation_indices, model.test_indices])
    assert sorted(covered) == list(range(120))
    assert "Trained" in model.summary_string
    assert repr(model) == model.summary_string
    assert model.run_name.startswith("run_")
    assert model.run_id == ""
    assert getattr(model, model.get_normalized_function_name)
    model.to_device("cpu")
    assert model.device.type == "cpu"


def test_other_data_can_be_registered_and_forgotten():
    model = trained_model(scaled_data(), epochs=1)
    other = scaled_data(n_cells=30, seed=3)
    manager = model.transfer_fields(other)
    assert model.get_anndata_manager(other, required=True) is manager
    VELOVI.setup_anndata(other, spliced_layer="Ms", unspliced_layer="Mu")
    model.deregister_manager(other)
    assert model.get_anndata_manager(other) is None
    model.transfer_fields(other)
    model.deregister_manager()
    assert model.get_anndata_manager(other) is None
    assert model.get_anndata_manager(model.adata) is model.adata_manager


def test_the_models_data_can_be_changed():
    model = trained_model(scaled_data(), epochs=1)
    wider = scaled_data(n_cells=30, n_genes=12, seed=3)[:, ::-1].copy()
    model.adata = wider
    assert list(model.adata.var_names) == list(model.get_var_names())
    assert model.get_velocity().shape == (30, 12)
    model.train(max_epochs=1, enable_progress_bar=False, accelerator="cpu")
    assert len(model.train_indices) == 27


def test_other_data_is_left_as_it_is():
    model = trained_model(scaled_data(), epochs=1)
    other = scaled_data(n_cells=30, seed=3)
    before = {name: other.layers[name].copy() for name in other.layers}
    view = other[:10]
    for data in (other, view):
        model.get_velocity(adata=data)
        model.get_elbo(adata=data)
        model.get_latent_representation(adata=data)
    assert view.is_view
    assert not other.uns
    for name, layer in before.items():
        np.testing.assert_array_equal(other.layers[name], layer)


def test_minibatches_may_be_given():
    model = trained_model(scaled_data(), epochs=1)
    loader = model._make_data_loader(model.adata, indices=np.arange(50), batch_size=20)
    np.testing.assert_allclose(
        model.get_latent_representation(dataloader=loader),
        model.get_latent_representation(indices=np.arange(50)),
        rtol=1e-4,
        atol=1e-6,
    )
    assert model.get_elbo(dataloader=loader, return_mean=False).shape == (50,)
    assert model.get_marginal_ll(dataloader=loader, n_mc_samples=3, return_mean=False).shape == (
        50,
    )
    with pytest.raises(velovi.VeloviError, match="dataloader"):
        model.get_elbo(adata=model.adata, dataloader=loader)


def test_frames_carry_the_names_of_the_data_asked_about():
    model = trained_model(scaled_data(), epochs=1)
    other = scaled_data(n_cells=7, seed=3)
    other.obs_names = pd.Index(list("abcdefg"))
    assert list(model.get_velocity(adata=other, indices=[6, 0]).index) == ["g", "a"]
    fresh = made_model(scaled_data())
    assert fresh.history is None
    assert fresh.train_indices is None


def test_data_changed_behind_the_models_back_is_still_read_rightly():
    model = trained_model(scaled_data(), epochs=1)
    expected = model.get_latent_representation()
    model.adata._inplace_subset_var(model.adata.var_names[::-1])
    np.testing.assert_allclose(model.get_latent_representation(), expected, rtol=1e-4)
    model.adata._inplace_subset_var(model.adata.var_names[2:])
    with pytest.raises(velovi.VeloviError, match="gene11"):
        model.get_velocity()


def test_genes_of_one_name_are_refused():
    twice = scaled_data()
    twice.var_names = ["gene0", "gene0", *twice.var_names[2:]]
    with pytest.raises(velovi.VeloviError, match="var_names_make_unique"):
        VELOVI.setup_anndata(twice, spliced_layer="Ms", unspliced_layer="Mu")


def test_a_renamed_layer_can_be_told(tmp_path):
    model = trained_model(scaled_data(), epochs=1)
    model.update_setup_method_args({"spliced_layer": "smooth"})
    renamed = scaled_data(seed=3)
    renamed.layers["smooth"] = renamed.layers.pop("Ms")
    assert model.get_velocity(adata=renamed).shape == (120, 12)


def test_loops_compile_without_a_place_to_keep_them(monkeypatch):
    from velovi.numerics import numba_utils

    def refuse(*_, cache=False, **options):
        if cache:
            raise RuntimeError("no locator available")
        return lambda function: function

    monkeypatch.setattr(numba_utils.numba, "njit", refuse)
    assert numba_utils.cached_njit()(len)("abc") == 3
