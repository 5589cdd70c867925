"""Evidence of results of every shape: without groups, places, genes or cells enough."""

from __future__ import annotations

import json

import anndata
import numpy as np
import pandas as pd
import pytest

from velovi.config import EvidenceOptions
from velovi.evidence.numbers import NUMBERS
from velovi.evidence.support import SUPPORTS
from velovi.keys import UNLABELLED
from velovi.neighbors import neighbor_graph
from velovi.runs.evidence import (
    add_evidence,
    compared_on,
    contradictions,
    evidence_notes,
    keep_null,
    keep_why_no_null,
    support_of,
)
from velovi.runs.evidence_summary import EvidenceSummary
from velovi.runs.user_columns import keep_user_columns
from velovi.runs.workspace import DEMO_FOLDER

SIGNAL = {"strength": "clear", "sentence": "60 % of genes.", "groups": []}


@pytest.fixture(scope="module")
def whole():
    return anndata.read_zarr(DEMO_FOLDER / "result.zarr")


@pytest.fixture
def demo(whole):
    """Some cells of the demo, with neighbours of their own."""
    some = whole[np.arange(0, whole.n_obs, 8)].copy()
    near, connected = neighbor_graph(np.asarray(some.obsm["X_pca"]), 15)
    some.obsp["distances"], some.obsp["connectivities"] = near, connected
    for name in ("velocity_signal", "evidence", "steady_state_grids"):
        del some.uns["velovi"][name]
    return some


def judged(adata, signal=None):
    """The evidence of a result as a page reads it."""
    found = add_evidence(adata, signal, EvidenceOptions())
    kept = EvidenceSummary.from_details(adata.uns["velovi"])
    assert kept is not None
    assert set(kept.numbers) == set(NUMBERS)
    assert set(adata.obs["velocity_support"].cat.categories) == set(SUPPORTS)
    assert kept.verdict().support == found.verdict.support
    return kept


def test_evidence_is_added_to_a_result(demo):
    kept = judged(demo)
    assert kept.embedding == "X_umap"
    assert kept.label_column == "clusters"
    assert set(kept.groups.index) == set(demo.obs["clusters"].cat.categories)
    assert demo.obsm["velocity_stochastic"].shape == (demo.n_obs, 2)
    assert set(demo.uns["velovi"]["steady_state_grids"]) == {"deterministic", "stochastic"}
    assert demo.obs["agreement_stochastic"].median() > 0.8
    assert kept.verdict().support == "cannot tell"  # nobody looked into the counts


def test_cells_without_groups_are_judged_as_a_whole(demo):
    del demo.obs["clusters"]
    kept = judged(demo)
    assert kept.flow is None
    assert kept.label_column is None
    assert kept.verdict().groups.empty


def test_one_group_has_no_flow(demo):
    demo.obs["clusters"] = pd.Categorical(["all"] * demo.n_obs)
    assert judged(demo).flow is None


def test_cells_without_a_label_are_in_no_group(demo):
    labels = demo.obs["clusters"].astype(object)
    labels.iloc[:50] = None
    demo.obs["clusters"] = pd.Categorical(labels)
    kept = judged(demo)
    assert kept.groups["n_cells"].sum() == demo.n_obs - 50
    assert demo.obs["velocity_support"].notna().all()


def test_unlabelled_cells_are_no_group(demo):
    names = demo.obs["clusters"].astype(str).where(np.arange(demo.n_obs) >= 60, UNLABELLED)
    demo.obs["clusters"] = pd.Categorical(names)
    kept = judged(demo)
    assert UNLABELLED not in kept.groups.index
    assert UNLABELLED not in kept.flow.labels


def test_numbers_are_no_groups(demo):
    demo.obs["clusters"] = demo.obs["clusters"].cat.codes.to_numpy()
    assert judged(demo).label_column is None


def test_a_null_beside_a_result_is_judged_with_it(demo):
    add_evidence(demo, None, EvidenceOptions())
    null = demo.copy()
    demo.uns["velovi"]["velocity_signal"] = json.dumps(SIGNAL)
    keep_null(demo, null)
    kept = EvidenceSummary.from_details(demo.uns["velovi"])
    assert kept.null.numbers["gene_half_agreement"] == kept.numbers["gene_half_agreement"]
    assert any("do not agree with each other" in item for item in kept.verdict().reasons)
    assert support_of(demo) == "weak"
    assert (demo.obs["velocity_support"] != "supported").all()


def test_why_there_is_no_null_is_kept(demo):
    add_evidence(demo, None, EvidenceOptions())
    keep_why_no_null(demo, "The disk was full.")
    assert EvidenceSummary.from_details(demo.uns["velovi"]).why_no_null == "The disk was full."
    assert "The disk was full." in evidence_notes(demo)


def test_columns_of_an_earlier_result_make_room(demo):
    add_evidence(demo, None, EvidenceOptions())
    keep_user_columns(demo)
    assert not {"velocity_support", "direction_error", "gene_half_agreement"} & set(demo.obs)
    assert not {"velocity_coherence", "steady_state_gamma"} & set(demo.var)


def test_without_a_map_arrows_are_compared_in_components(demo):
    for name in [name for name in demo.obsm if name != "X_pca"]:
        del demo.obsm[name]
    kept = judged(demo)
    assert kept.embedding == "X_pca"
    assert "steady_state_grids" not in demo.uns["velovi"]
    assert np.isfinite(kept.numbers["gene_half_agreement"])


def test_cells_without_a_place_have_no_numbers(demo):
    demo.obsm["X_umap"] = np.array(demo.obsm["X_umap"])
    demo.obsm["X_umap"][:30] = np.nan
    judged(demo)
    assert demo.obs["gene_half_agreement"].iloc[:30].isna().all()
    assert demo.obs["gene_half_agreement"].iloc[30:].notna().mean() > 0.9


def test_one_gene_cannot_be_halved(demo):
    kept = judged(demo[:, :1].copy())
    assert np.isnan(kept.numbers["gene_half_agreement"])
    assert kept.verdict().support == "cannot tell"


def test_thirty_cells_are_enough_for_an_answer(demo):
    few = demo[:30].copy()
    few.obsp["distances"], few.obsp["connectivities"] = neighbor_graph(
        np.asarray(few.obsm["X_pca"]), 10
    )
    assert judged(few).verdict().support == "cannot tell"


def test_a_result_without_slopes_has_no_consensus(demo):
    demo.var = demo.var.drop(columns=["steady_state_gamma", "steady_state_gamma_stochastic"])
    kept = judged(demo)
    assert np.isnan(kept.numbers["agreement_stochastic"])


def test_cells_beyond_a_sample_take_the_values_of_the_nearest(demo, monkeypatch):
    monkeypatch.setattr("velovi.evidence.assessment.MOST_CELLS", 120)
    demo.obsm["X_umap"] = np.array(demo.obsm["X_umap"])
    demo.obsm["X_umap"][:30] = np.nan
    judged(demo)
    assert demo.obs["gene_half_agreement"].iloc[:30].isna().all()
    assert demo.obs["gene_half_agreement"].iloc[30:].notna().mean() > 0.9
    assert demo.obs["gene_half_agreement"].nunique() <= 120


def test_time_that_runs_backwards_is_told(whole):
    demo = whole.copy()
    kept = add_evidence(demo, None, EvidenceOptions())
    assert not contradictions(demo, kept, "clusters")
    demo.obs["latent_time"] = 1 - demo.obs["latent_time"]
    told = contradictions(demo, kept, "clusters")
    assert any("Time runs against the arrows" in item for item in told)


def test_maps_are_preferred_to_components(demo):
    assert compared_on(demo) == "X_umap"
    demo.obsm["X_tsne"] = demo.obsm["X_umap"]
    assert compared_on(demo) == "X_umap"
    del demo.obsm["X_umap"]
    assert compared_on(demo) == "X_tsne"


def test_what_is_kept_can_be_stored(demo, tmp_path):
    judged(demo)
    demo.write_h5ad(tmp_path / "a.h5ad")
    again = anndata.read_h5ad(tmp_path / "a.h5ad")
    assert json.loads(again.uns["velovi"]["evidence"])["label_column"] == "clusters"
    assert again.obs["velocity_support"].dtype == "category"
