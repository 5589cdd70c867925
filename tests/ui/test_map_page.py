"""The Map page: colours, links, the selection and named sets."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from fakes import write_velocity_file

from velovi.plotting.theme import LIGHT
from velovi.runs.cell_sets import CellSets
from velovi.runs.folder import RunState
from velovi.ui.cached_result import open_result
from velovi.ui.cell_map import apply_selection, cell_colors, cell_facts
from velovi.ui.coloring import ColorBy

SELECTED = "selected_cells"


def as_said(run_id: str, mask: np.ndarray) -> dict:
    """What the browser sends after a lasso."""
    bits = np.packbits(mask, bitorder="little").tobytes()
    text = base64.b64encode(bits).decode() if mask.any() else ""
    return {"run": run_id, "count": int(mask.sum()), "bits": text}


def with_selection(app, run_id: str, mask: np.ndarray):
    app.session_state[SELECTED] = run_id, np.packbits(mask, bitorder="little")
    return app.run()


@pytest.fixture
def done(run_in):
    return run_in(RunState.DONE)


def texts(app) -> str:
    kinds = ("title", "markdown", "error", "info", "warning", "caption", "toast")
    return "\n".join(str(item.value) for kind in kinds for item in getattr(app, kind))


def test_every_annotation_and_quantity_colours_the_map(open_page, done):
    app = open_page("map", run=done.run_id)
    for column in ("latent_time", "n_counts", "clusters"):
        app.selectbox(key="map_color_obs").select(column).run()
        assert not app.exception
        assert app.query_params["color"] in (f"obs:{column}", [f"obs:{column}"])
    app.button_group(key="map_color_kind").set_value("layer").run()
    for layer in ("velocity", "fit_t", "p_induction"):
        app.selectbox(key="map_color_layer").select(layer).run()
        assert not app.exception
        assert not app.error


def test_a_link_shows_its_picture(open_page, done):
    app = open_page(
        "map",
        run=done.run_id,
        color="layer:velocity",
        gene="Gene3",
        maps="2",
        color2="obs:n_counts",
        velocity="arrows",
        embedding="X_pca",
    )
    assert app.button_group(key="map_color_kind").value == "layer"
    assert app.selectbox(key="map_color_gene").value == "Gene3"
    assert app.selectbox(key="map_color_layer").value == "velocity"
    assert app.selectbox(key="map_color2_obs").value == "n_counts"
    assert app.button_group(key="map_velocity").value == "arrows"
    link = next(item.value for item in app.code if "color=" in item.value)
    for part in ("color=layer%3Avelocity", "gene=Gene3", "maps=2", "velocity=arrows", done.run_id):
        assert part in link


def test_a_link_to_what_is_not_there_is_a_note(open_page, done):
    app = open_page(
        "map",
        run=done.run_id,
        color="obs:gone",
        embedding="X_nothing",
        maps="7",
        cells="no such set",
        velocity="<b>",
    )
    assert not app.error
    said = texts(app)
    assert "of this link is not here" in said
    assert app.selectbox(key="map_color_obs").value == "clusters"


def test_a_lasso_selects_and_the_page_says_what(open_page, done, store):
    app = open_page("map", run=done.run_id)
    mask = (store.obs["clusters"] == "Stem").to_numpy()
    with_selection(app, done.run_id, mask)
    assert f"{mask.sum():,} of {store.n_cells:,} cells selected" in texts(app)
    assert "Stem 100 %" in texts(app)
    app.button(key="clear_selection").click().run()
    assert "cells selected" not in texts(app)


@pytest.mark.parametrize("page", ["latent_time", "states", "evidence"])
def test_a_page_looks_at_the_selected_cells_alone_when_asked(open_page, done, store, page):
    app = open_page(page, run=done.run_id)
    assert not [item for item in app.toggle if item.key == "only_selected"]
    with_selection(app, done.run_id, np.arange(store.n_cells) % 3 == 0)
    before = texts(app)
    app.toggle(key="only_selected").set_value(True).run()
    assert not app.exception
    assert not app.error
    if page == "states":
        assert "among the selected cells" not in before
        assert "in each group among the selected cells" in texts(app)


def test_a_selection_is_kept_selected_again_and_deleted(open_page, done, store, workspace):
    app = open_page("map", run=done.run_id)
    mask = np.arange(store.n_cells) % 3 == 0
    with_selection(app, done.run_id, mask)
    app.text_input(key="new_set_name").set_value("thirds *of* it")
    app.button(key="keep_set").click().run()
    sets = CellSets(workspace, done.run_id, store.n_cells)
    np.testing.assert_array_equal(sets.load("thirds *of* it"), mask)
    app.button(key="clear_selection").click().run()
    app.button(key="take_set_0").click().run()
    assert f"{mask.sum():,} of" in texts(app)
    app.button_group(key="map_color_kind").set_value("set").run()
    assert app.selectbox(key="map_color_set").value == "thirds *of* it"
    app.selectbox(key="map_only").select("thirds *of* it").run()
    assert not app.error
    app.button(key="delete_set_0").click().run()
    assert sets.names() == []
    assert not app.exception


def test_a_link_selects_its_set(open_page, done, store, workspace):
    mask = np.arange(store.n_cells) < 40
    CellSets(workspace, done.run_id, store.n_cells).save("first", mask)
    app = open_page("map", run=done.run_id, cells="first")
    assert "40 of" in texts(app)


def test_a_selection_is_trained_on(open_page, done, store, workspace, launcher, tmp_path):
    spec = done.spec()
    dataset = workspace.add_dataset(write_velocity_file(tmp_path / "a.h5ad"), "Mine")
    from dataclasses import replace

    done.write_spec(replace(spec, source=str(dataset.source), dataset_id=dataset.dataset_id))
    app = open_page("map", run=done.run_id)
    mask = np.arange(store.n_cells) < 60
    with_selection(app, done.run_id, mask)
    app.button(key="train_selected").click().run()
    (run,) = launcher.waiting
    assert run.only_cells() == [str(item) for item in store.obs.index[:60]]
    assert workspace.run_again(run).only_cells() == run.only_cells()


@pytest.mark.parametrize(
    "said",
    [None, "x", {"run": "other"}, {"bits": "AAAA"}, {"bits": "!"}, {"bits": 3}],
)
def test_nonsense_from_the_browser_is_no_selection(done, store, monkeypatch, said):
    view = open_result(done, done.run_id)
    taken = []
    monkeypatch.setattr("velovi.ui.cell_map.select", lambda view, mask: taken.append(mask))
    if isinstance(said, dict):
        said = {"run": view.run_id, **said}
    apply_selection(view, said)
    assert taken == []


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_what_the_browser_says_becomes_the_selection(done, store, monkeypatch, share):
    view = open_result(done, done.run_id)
    mask = np.random.default_rng(0).random(store.n_cells) < share
    taken = []
    monkeypatch.setattr("velovi.ui.cell_map.select", lambda view, mask: taken.append(mask))
    apply_selection(view, as_said(view.run_id, mask))
    (found,) = taken
    assert (found is None and not mask.any()) or (found == mask).all()


def test_the_card_tells_the_stores_numbers(done, store):
    view = open_result(done, done.run_id)
    facts = cell_facts(view, [ColorBy(column="n_counts"), ColorBy(gene="Gene2", layer="Ms")], 7)
    assert facts["name"] == store.obs.index[7]
    told = dict(facts["values"])
    assert told["n_counts"] == f"{store.obs['n_counts'].iloc[7]:.4g}"
    assert told["Gene2: Spliced RNA"] == f"{store.gene('Ms', 'Gene2')[7]:.4g}"
    assert told["clusters"] == store.obs["clusters"].iloc[7]
    for cell in (-1, store.n_cells, "7", None):
        assert cell_facts(view, [], cell) is None


def test_colours_are_the_stores_numbers(done, store):
    view = open_result(done, done.run_id)
    colors = cell_colors(view, ColorBy(gene="Gene1", layer="velocity"), LIGHT, (0.0, 100.0))
    values = store.gene("velocity", "Gene1")
    bound = np.abs(values).max()
    wanted = (values + bound) / (2 * bound) * 254
    assert np.abs(colors.codes - wanted).max() <= 0.51
