"""The Genes page: finding genes, lists of one's own, and results that lack something."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from fakes import add_run, fake_result
from streamlit.testing.v1 import AppTest

from velovi.plotting.message import unpack
from velovi.runs.folder import RunState
from velovi.runs.gene_sets import GeneSets
from velovi.runs.results import write_result
from velovi.runs.workspace import Workspace
from velovi.ui import gene_detail, selection
from velovi.ui.cached_result import open_result
from velovi.ui.chart import as_outline
from velovi.ui.gene_detail import apply_outline
from velovi.ui.gene_list import RATE_COLUMNS, filtered_genes, gene_table, matching_genes

KINDS = ("title", "markdown", "error", "info", "warning", "success", "caption")


def texts(app: AppTest) -> str:
    return "\n".join(str(item.value) for kind in KINDS for item in getattr(app, kind))


@pytest.fixture
def genes_page(workspace: Workspace, open_page):
    """Open the Genes page on a result made to measure."""

    def opened(adata=None, **query: str) -> AppTest:
        run = add_run(workspace, RunState.DONE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write_result(fake_result() if adata is None else adata, run.result_path)
        app = open_page("genes", run=run.run_id, **query)
        assert not app.exception
        assert not app.error
        return app

    return opened


def charts(app: AppTest) -> dict[str, dict]:
    """Every figure of a gene, or of several, on the page, by its key."""
    found = {}
    for item in app.get("plotly_chart"):
        found[item.proto.id.rsplit("-", 1)[-1]] = json.loads(item.proto.spec)
    return found | {
        item.proto.id.rsplit("-", 1)[-1]: unpack(item.proto.bytes)[0]
        for item in app.get("bidi_component")
        if item.proto.component_name.endswith("velovi.chart")
    }


def genes_drawn(app: AppTest) -> set[str]:
    """The genes whose charts are on the page."""
    return {
        unpack(item.proto.bytes)[0]["gene"]
        for item in app.get("bidi_component")
        if item.proto.component_name.endswith("velovi.chart")
    }


def table_said(app: AppTest) -> dict:
    """What the table of genes has to show."""
    (one,) = (
        item
        for item in app.get("bidi_component")
        if item.proto.component_name.endswith("velovi.table")
    )
    return json.loads(one.proto.json)


def table_shown(app: AppTest) -> pd.DataFrame:
    """The table of genes as it stands on the page."""
    said = table_said(app)
    names = [item["name"] or "gene" for item in said["columns"]]
    return pd.DataFrame(said["rows"], columns=names)


def listed(app: AppTest) -> list[str]:
    return table_shown(app)["gene"].tolist()


def test_page_shows_portrait_times_and_states(genes_page):
    app = genes_page()
    assert {"phase_portrait", "spliced_time", "unspliced_time", "state_time"} <= set(charts(app))
    assert "300 cells" in texts(app)
    assert {item.label for item in app.metric} >= {"Explained", "Likelihood", "Half-life (rank)"}
    assert all(item.proto.help for item in app.metric)


def test_table_holds_every_number_and_the_genes_left_out(genes_page):
    adata = fake_result()
    adata.var["permutation_score"] = np.linspace(0, 1, adata.n_vars)
    app = genes_page(adata)
    table = table_shown(app)
    expected = {
        "gene",
        "fit_explained",
        "fit_likelihood",
        "velocity_r2",
        "permutation_score",
        "fit_alpha",
        "fit_beta",
        "fit_gamma",
        "half_life",
        "fit_t_",
    }
    assert expected == set(table.columns)
    assert set(table["gene"]) == set(adata.var_names)
    assert table["fit_explained"].astype(float).is_monotonic_decreasing
    for name in expected - {"gene"}:
        shown = table.set_index("gene")[name].astype(float)
        known = gene_table(adata.var)[name]
        np.testing.assert_allclose(
            shown[known.index], known, atol=0.51 if name in RATE_COLUMNS else 0.006
        )
    app.button_group(key="genes_table_kind").set_value("Left out").run()
    table = table_shown(app)
    assert table["gene"].tolist() == [f"Dropped{i}" for i in range(5)]
    assert set(table["Why it was left out"]) == {"fewer than 20 shared counts"}


def test_narrowed_is_an_obvious_filter():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.random(50), "b": rng.random(50)}, [f"g{i}" for i in range(50)])
    table.iloc[3, 0] = np.nan
    wanted = ["g9", "g3", "nothing", "g20", "g1"]
    found = filtered_genes(table, only=wanted, least={"a": 0.2, "absent": 1})
    slow = [g for g in wanted if g in table.index and table.loc[g, "a"] >= 0.2]
    assert found.index.tolist() == slow
    assert filtered_genes(table).equals(table)
    assert filtered_genes(table, found=["g5", "g2"], only=wanted).empty
    assert matching_genes(" ", ["a"]) is None
    assert matching_genes("g1,g2", ["g2", "g1", "g12"]) == ["g1", "g12", "g2"]


def test_search_and_filter_narrow_the_table(genes_page):
    app = genes_page()
    app.text_input(key="genes_find").set_value("gene-1").run()
    assert listed(app)[0] == "Gene1"
    assert set(listed(app)) == {"Gene1", "Gene10", "Gene11"}
    app.text_input(key="genes_find").set_value("gnee7").run()
    assert listed(app) == ["Gene7"]
    app.text_input(key="genes_find").set_value("dropped3").run()
    assert "Look under **Left out**: 1" in texts(app)
    app.text_input(key="genes_find").set_value("").run()
    values = table_shown(app).set_index("gene")["fit_explained"].astype(float)
    app.number_input(key="genes_least_fit_explained").set_value(0.5).run()
    assert set(listed(app)) == set(values[values >= 0.5].index)
    assert f"of {len(values)}" in texts(app)
    app.button(key="genes_no_filter").click().run()
    assert len(listed(app)) == len(values)


def test_pasted_list_says_what_became_of_it(genes_page):
    app = genes_page()
    app.text_area(key="genes_list_text").set_value("gene-4, GENE2\nDropped1; Gene99 qqqqq").run()
    assert listed(app) == ["Gene4", "Gene2"]
    said = texts(app)
    assert "**2 of 5 names** of your list are in the model" in said
    assert "**Dropped1** (fewer than 20 shared counts)" in said
    assert "**Gene99** (near: Gene9" in said
    assert "**qqqqq**" in said
    app.button(key="genes_clear_list").click().run()
    assert len(listed(app)) == 12


def test_sets_are_kept_opened_and_deleted(genes_page, workspace):
    app = genes_page()
    app.text_area(key="genes_list_text").set_value("Gene4 Gene2").run()
    app.text_input(key="genes_set_name").set_value("beta cells").run()
    app.button(key="genes_keep_set").click().run()
    assert GeneSets(workspace).load("beta cells") == ["Gene4", "Gene2"]
    app.button(key="genes_clear_list").click().run()
    app.selectbox(key="genes_set").set_value(None).run()
    app.selectbox(key="genes_set").select("beta cells").run()
    assert listed(app) == ["Gene4", "Gene2"]
    app.button(key="genes_delete_set").click().run()
    assert GeneSets(workspace).names() == []
    assert not app.exception


def test_a_bad_name_of_a_set_is_a_sentence(genes_page, workspace):
    app = genes_page()
    app.text_input(key="genes_set_name").set_value("../../etc").run()
    app.button(key="genes_keep_set").click().run()
    assert not app.exception
    assert any("needs another name" in item.value for item in app.toast)
    assert GeneSets(workspace).names() == []


def test_without_a_list_the_listed_genes_are_kept(genes_page, workspace):
    app = genes_page()
    app.text_input(key="genes_find").set_value("gene1").run()
    shown = listed(app)
    app.text_input(key="genes_set_name").set_value("ones").run()
    app.button(key="genes_keep_set").click().run()
    assert GeneSets(workspace).load("ones") == shown


def test_a_list_comes_from_a_file(genes_page):
    app = genes_page()
    uploader = app.get("file_uploader")[0]
    uploader.upload("mine.csv", b"gene,score\nGene5,1\nGene3,2\n").run()
    assert listed(app) == ["Gene5", "Gene3"]
    uploader = app.get("file_uploader")[0]
    uploader.upload("mine.csv", b"\xff\xfe\x00\x01").run()
    assert not app.exception
    assert any("not text" in item.value for item in app.toast)


def test_several_genes_side_by_side(genes_page):
    app = genes_page()
    app.text_area(key="genes_list_text").set_value("Gene4 Gene2 Gene7").run()
    app.button_group(key="genes_shown").set_value("Several genes").run()
    app.run()
    assert [chart["name"] for chart in charts(app)["genes_grid"]["data"]] == [
        "Gene4",
        "Gene2",
        "Gene7",
    ]
    assert "Phase portraits of 3 of 3 listed genes" in texts(app)
    app.text_input(key="genes_find").set_value("dropped").run()
    app.run()
    assert "Widen them on the left" in texts(app)
    app.text_input(key="genes_find").set_value("").run()
    app.run()
    app.selectbox(key="genes_gene").select("Gene5").run()
    assert app.button_group(key="genes_shown").value == "One gene"
    assert "phase_portrait" in charts(app)


def test_grid_shows_as_many_as_asked(genes_page):
    app = genes_page(fake_result(120, 30))
    app.button_group(key="genes_shown").set_value("Several genes").run()
    for n in (12, 6, 24):
        app.button_group(key="genes_grid_size").set_value(n).run()
        assert len(charts(app)["genes_grid"]["data"]) == n
    assert not app.exception


def test_gene_of_a_link_that_was_left_out(genes_page):
    app = genes_page(gene="Dropped2")
    assert "**Dropped2** is in the file, but not in this model: fewer than 20" in texts(app)
    assert "phase_portrait" in charts(app)


def test_gene_of_a_link_that_is_unknown_offers_near_ones(genes_page):
    app = genes_page(gene="Gnee7")
    assert "**Gnee7** is not among the genes of this file" in texts(app)
    app.button(key="near_Gene7").click().run()
    assert app.selectbox(key="genes_gene").value == "Gene7"
    assert "not among the genes" not in texts(app)


@pytest.mark.parametrize("gene", ["**x**", "<script>", "[a](http://b)", "x" * 5000, "../..", "\0"])
def test_odd_genes_of_a_link_are_no_error(genes_page, gene):
    app = genes_page(gene=gene)
    assert "is not among the genes" in texts(app)
    assert "[a](http" not in texts(app)


def test_gene_without_values(genes_page):
    adata = fake_result()
    for layer in adata.layers:
        adata.layers[layer][:, 4] = np.nan
    numbers = adata.var.columns
    adata.var.loc["Gene4", numbers] = np.nan
    app = genes_page(adata, gene="Gene4")
    assert "No cell has both a spliced and an unspliced value of Gene4" in texts(app)
    assert {item.value for item in app.metric} == {"–"}
    app.button_group(key="genes_shown").set_value("Several genes").run()
    assert not app.exception
    assert not app.error


def test_gene_with_some_values_missing(genes_page):
    adata = fake_result()
    adata.layers["Ms"][:100, 4] = np.nan
    adata.layers["fit_t"][50:150, 4] = np.nan
    adata.layers["p_induction"][:, 4] = np.nan
    app = genes_page(adata, gene="Gene4")
    assert "Showing 200 of 300 cells" in texts(app)


def test_one_gene_only(genes_page):
    app = genes_page(fake_result(80, 1))
    app.button_group(key="genes_shown").set_value("Several genes").run()
    assert [chart["name"] for chart in charts(app)["genes_grid"]["data"]] == ["Gene0"]
    assert not app.error


def test_no_gene_at_all(genes_page):
    app = genes_page(fake_result(80, 3)[:, []].copy())
    assert "No gene is in this model" in texts(app)


def test_no_clusters(genes_page):
    app = genes_page(fake_result(labels=False))
    names = {chart.get("name") for chart in charts(app)["phase_portrait"]["points"]}
    assert "all cells" in names
    app.button_group(key="genes_shown").set_value("Several genes").run()
    assert not app.error


def test_no_embedding(genes_page):
    adata = fake_result()
    for name in list(adata.obsm):
        del adata.obsm[name]
    adata.uns["velovi"]["grids"] = {}
    app = genes_page(adata)
    assert "no two-dimensional embedding" in texts(app)
    assert "phase_portrait" in charts(app)


@pytest.mark.parametrize(
    ("layers", "said", "drawn"),
    [
        (["Ms"], "no smoothed spliced and unspliced RNA", set()),
        (["Mu"], "no smoothed spliced and unspliced RNA", set()),
        (["fit_t"], "no latent time for each gene", {"phase_portrait"}),
        (["fit_s", "fit_u", "fit_s_sd", "fit_u_sd"], "", {"phase_portrait", "state_time"}),
        (["velocity"], "", {"phase_portrait", "state_time"}),
        (
            [f"p_{title}" for title in gene_detail.STATE_TITLES],
            "",
            {"phase_portrait", "spliced_time"},
        ),
        (["p_induction"], "", {"phase_portrait", "state_time"}),
        (list(fake_result(10, 2).layers), "no smoothed spliced", set()),
    ],
)
def test_missing_layers(genes_page, layers, said, drawn):
    adata = fake_result()
    for layer in layers:
        del adata.layers[layer]
    app = genes_page(adata)
    assert said in texts(app)
    assert drawn <= set(charts(app))
    app.button_group(key="genes_shown").set_value("Several genes").run()
    assert not app.exception
    assert not app.error


def test_missing_columns_of_the_genes(genes_page):
    adata = fake_result()
    adata.var = adata.var[[]]
    app = genes_page(adata)
    assert "phase_portrait" in charts(app)
    app.button_group(key="genes_shown").set_value("Several genes").run()
    assert not app.exception
    assert not app.error


def test_selection_is_shown_and_cleared(genes_page, workspace):
    app = genes_page(gene="Gene2")
    run = workspace.runs(with_demo=False)[0]
    mask = np.zeros(300, dtype=bool)
    mask[:17] = True
    app.session_state[selection._KEY] = run.run_id, np.packbits(mask, bitorder="little")
    app.run()
    assert "300 cells, 17 selected." in texts(app)
    portrait = charts(app)["phase_portrait"]["points"]
    assert portrait[0]["name"] == "not selected"
    app.button(key="genes_clear_selection").click().run()
    assert "selected." not in texts(app)
    assert selection._KEY not in app.session_state


@pytest.fixture
def view(workspace):
    """A result of 500 cells and 3 genes, outside a page."""
    run = add_run(workspace, RunState.DONE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_result(fake_result(500, 3), run.result_path)
    return open_result(run, run.run_id)


def test_an_outline_selects_among_all_cells_of_the_run(view, monkeypatch):
    kept: dict[str, np.ndarray | None] = {"cells": None}
    monkeypatch.setattr(selection, "selected", lambda view: kept["cells"])
    monkeypatch.setattr(selection, "select", lambda view, cells: kept.update(cells=cells))
    spliced, unspliced = view.gene("Ms", "Gene1"), view.gene("Mu", "Gene1")
    edge, top = float(np.median(spliced)), float(np.median(unspliced))

    def around(left: float, right: float, low: float, high: float, how: str) -> None:
        corners = {"x": [left, right, right, left], "y": [low, low, high, high], "how": how}
        outline = as_outline({"gene": "Gene1", **corners}, "Gene1")
        apply_outline(view, "Gene1", outline)

    around(-1, edge, -1, 1e3, "replace")
    left = spliced < edge
    assert 200 < left.sum() < 300
    np.testing.assert_array_equal(kept["cells"], left)
    around(-1, 1e3, top, 1e3, "subtract")
    below = unspliced < top
    np.testing.assert_array_equal(kept["cells"], left & below)
    around(edge, 1e3, -1, top, "add")
    np.testing.assert_array_equal(kept["cells"], below)
    kept["cells"] = None
    around(-1, 1e3, -1, 1e3, "subtract")
    assert not kept["cells"].any()


@pytest.mark.parametrize(
    "said",
    [
        None,
        "lasso",
        {"gene": "Gene2", "x": [0, 1, 1], "y": [0, 0, 1], "how": "replace"},
        {"gene": "Gene1", "x": [0, 1, 1], "y": [0, 0, 1], "how": "all"},
        {"gene": "Gene1", "x": [0, 1], "y": [0, 0], "how": "add"},
        {"gene": "Gene1", "x": [0, 1, 1], "y": [0, 0], "how": "add"},
        {"gene": "Gene1", "x": [0, 1, None], "y": [0, 0, 1], "how": "add"},
        {"gene": "Gene1", "x": [0, 1, "b"], "y": [0, 0, 1], "how": "add"},
        {"gene": "Gene1", "x": [[0, 1, 1]], "y": [[0, 0, 1]], "how": "add"},
        {"gene": "Gene1", "x": [0] * 30_000, "y": [0] * 30_000, "how": "add"},
    ],
)
def test_what_is_no_outline_of_the_gene_is_ignored(said):
    assert as_outline(said, "Gene1") is None


def test_a_change_of_gene_goes_into_the_address(genes_page):
    app = genes_page()
    app.selectbox(key="genes_gene").select("Gene7").run()
    assert app.query_params["gene"] in ("Gene7", ["Gene7"])
    assert genes_drawn(app) == {"Gene7"}


def test_a_press_before_the_page_is_complete_draws_all_of_it():
    def script() -> None:
        import streamlit as st

        from velovi.ui.gene_list import _draw_anew

        @st.fragment(key="some_list")
        def part() -> None:
            st.button("Press", key="press", on_click=lambda: _draw_anew("not there yet"))

        part()
        st.caption("all of it")

    app = AppTest.from_function(script).run()
    app.button(key="press").click().run()
    assert not app.exception
    assert app.caption[0].value == "all of it"
