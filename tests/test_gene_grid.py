"""Several genes side by side, and cells that the reader picked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.io as pio
import pytest
from charts import whole_chart

from velovi.errors import OptionError
from velovi.plotting.embedding import embedding_data
from velovi.plotting.fitted_curve import fitted_curve
from velovi.plotting.gene import course_chart, gene_data, phase_chart
from velovi.plotting.gene_grid import MOST_PANELS, GeneGridData, gene_grid_data, gene_grid_figure
from velovi.plotting.quantity_maps import QuantityMaps
from velovi.plotting.sampling import stratified_sample
from velovi.plotting.selection import cells_drawn_caption, cells_to_draw, points_in_polygon
from velovi.plotting.theme import DARK, LIGHT

THEMES = (LIGHT, DARK)


def drawn(figure) -> str:
    """The figure as the browser gets it; fails when Plotly does not accept it."""
    return pio.to_json(figure, validate=True)


def cells(n: int) -> list[str]:
    return [f"c{i}" for i in range(n)]


def columns(n_genes: int, n: int = 50, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return {f"G{g}": (rng.random(n), rng.random(n)) for g in range(n_genes)}


def slow_inside(x: float, y: float, corners: list[tuple[float, float]]) -> bool:
    """Count the sides that a ray to the right crosses, one by one."""
    crossings = 0
    for i, (x0, y0) in enumerate(corners):
        x1, y1 = corners[(i + 1) % len(corners)]
        if min(y0, y1) <= y < max(y0, y1):
            crossings += x < x0 + (y - y0) * (x1 - x0) / (y1 - y0)
    return crossings % 2 == 1


@pytest.mark.parametrize("seed", range(6))
def test_lasso_finds_the_cells_of_an_obvious_search(seed):
    rng = np.random.default_rng(seed)
    # corners in no order cross themselves; whole numbers meet points and level sides
    corners = rng.integers(0, 6, (rng.integers(3, 12), 2)).astype(float)
    x, y = rng.integers(0, 6, (2, 300)).astype(float) + rng.choice([0, 0.5], (2, 300))
    found = points_in_polygon(x, y, corners[:, 0], corners[:, 1])
    expected = [slow_inside(a, b, [tuple(c) for c in corners]) for a, b in zip(x, y, strict=True)]
    np.testing.assert_array_equal(found, expected)


def test_what_is_not_finite_lies_outside():
    x = np.array([0.5, 2.5, np.nan, 0.5], dtype=np.float32)
    y = np.array([0.5, 2.5, 0.5, np.nan], dtype=np.float32)
    triangle = np.array([0.0, 2.0, 0.0]), np.array([0.0, 0.0, 2.0])
    assert points_in_polygon(x, y, *triangle).tolist() == [True, False, False, False]
    assert not points_in_polygon(x, y, np.array([1.0]), np.array([1.0])).any()


def test_selected_cells_are_always_drawn_and_painted_last():
    n = 50_000
    selected = np.zeros(n, dtype=bool)
    selected[np.arange(7, n, 500)] = True
    chosen = cells_to_draw(n, np.arange(n) % 5, selected, 2000)
    assert len(set(chosen.tolist())) == len(chosen) <= 2000
    assert set(np.flatnonzero(selected)) <= set(chosen.tolist())
    assert selected[chosen[-selected.sum() :]].all()
    usual = stratified_sample(n, np.arange(n) % 5, 2000)
    assert set(chosen[~selected[chosen]]) <= set(usual)


def test_of_a_large_selection_a_sample_is_drawn():
    selected = np.arange(10_000) < 8000
    chosen = cells_to_draw(10_000, None, selected, 1000)
    assert selected[chosen].sum() == 1000
    assert 0 < (~selected[chosen]).sum() <= 250
    assert cells_drawn_caption(1250, 10_000, selected[chosen], 8000) == (
        "showing 1,250 of 10,000 cells, 8,000 selected (1,000 of them drawn)"
    )


def test_without_a_selection_nothing_changes():
    usual = stratified_sample(3000, None, 100)
    np.testing.assert_array_equal(cells_to_draw(3000, None, None, 100), usual)
    np.testing.assert_array_equal(cells_to_draw(3000, None, np.zeros(3000, bool), 100), usual)
    assert cells_drawn_caption(5, 5) == "5 cells"


@pytest.mark.parametrize("theme", THEMES)
def test_selected_cells_keep_their_colour_and_the_others_turn_grey(theme):
    n = 40
    selected = np.arange(n) % 4 == 0
    labels = pd.Categorical(["A", "B"] * (n // 2))
    t = np.linspace(0, 20, n)
    data = gene_data("g", cells(n), t, t, labels=labels, time=t, selected=selected)
    assert data.caption == "40 cells, 10 selected"
    frame = data.to_frame().set_index("cell")
    assert frame["selected"].sum() == 10
    assert frame.loc["c4", "selected"]
    assert not frame.loc["c5", "selected"]
    for chart in (phase_chart(data, theme), course_chart(data, theme, what="spliced")):
        whole_chart(chart)
        assert chart.points[0].color == theme.missing
        assert sum(len(group.x) for group in chart.points[1:]) == 10


def test_a_selection_of_cells_that_have_no_value_is_counted():
    spliced = np.array([1.0, np.nan, 3.0])
    selected = np.array([False, True, False])
    data = gene_data("g", cells(3), spliced, spliced, selected=selected)
    assert data.caption == "showing 2 of 3 cells, 1 selected (0 of them drawn)"
    whole_chart(phase_chart(data, LIGHT))


def test_grid_holds_the_same_cells_of_every_gene():
    n = 5000
    genes = columns(5, n)
    labels = pd.Categorical(np.array(["A", "B", "C"])[np.arange(n) % 3])
    data = gene_grid_data(cells(n), genes, labels=labels, limit=300)
    assert data.caption == f"showing {len(data.cells)} of 5,000 cells"
    assert len(data.cells) == 300
    frame = data.to_frame()
    assert len(frame) == 5 * 300
    for gene, (spliced, unspliced) in genes.items():
        mine = frame[frame["gene"] == gene]
        where = [int(name[1:]) for name in mine["cell"]]
        np.testing.assert_allclose(mine["spliced"], spliced[where], rtol=1e-6)
        np.testing.assert_allclose(mine["unspliced"], unspliced[where], rtol=1e-6)
        assert mine["label"].tolist() == [str(labels[i]) for i in where]


def test_grid_draws_the_selected_cells():
    n = 4000
    selected = np.zeros(n, dtype=bool)
    selected[[3, 1999, 3333]] = True
    data = gene_grid_data(cells(n), columns(2, n), selected=selected, limit=100)
    assert {"c3", "c1999", "c3333"} <= set(data.cells)
    assert data.caption.endswith(", 3 selected")
    codes = gene_grid_figure(data, LIGHT).data[0].marker.color
    others = np.asarray(codes).max()  # one code beyond those of the groups
    assert (np.asarray(codes) == others).tolist() == (~data.selected).tolist()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("n_genes", [0, 1, 5, MOST_PANELS])
def test_grid_has_one_panel_a_gene(theme, n_genes):
    genes = columns(n_genes)
    curves = {gene: fitted_curve(1, 0.5, 0.3, 8) for gene in list(genes)[:-1]}
    explained = dict.fromkeys(list(genes)[:3], 0.834)
    figure = gene_grid_figure(
        gene_grid_data(cells(50), genes, curves=curves, explained=explained), theme, columns=4
    )
    drawn(figure)
    assert [trace.name for trace in figure.data] == list(genes)
    assert len(figure.layout.shapes) == 2 * len(curves)
    titles = [note.text for note in figure.layout.annotations]
    assert len(titles) == n_genes
    assert all("0.83" in title for title in titles[:3])
    domains = []
    for place in range(n_genes):
        number = "" if place == 0 else place + 1
        x, y = figure.layout[f"xaxis{number}"].domain, figure.layout[f"yaxis{number}"].domain
        assert 0 <= x[0] < x[1] <= 1
        assert 0 <= y[0] < y[1] <= 1
        domains.append((x, y))
    for i, (x, y) in enumerate(domains):
        for other_x, other_y in domains[:i]:
            beside = x[0] >= other_x[1] or other_x[0] >= x[1]
            assert beside or y[0] >= other_y[1] or other_y[0] >= y[1]


def test_grid_copes_with_missing_values_and_odd_names():
    nothing = np.full(20, np.nan)
    genes = {"<b>&": (nothing, nothing), "zero": (np.zeros(20), np.zeros(20))}
    labels = pd.Categorical([None, "A"] * 10)
    data = gene_grid_data(cells(20), genes, labels=labels)
    assert len(data.cells) == 10
    text = drawn(gene_grid_figure(data, LIGHT))
    assert "<b>&<" not in text.replace("\\u003c", "<")


def test_grid_checks_itself():
    with pytest.raises(OptionError, match="at most 24"):
        gene_grid_data(cells(50), columns(MOST_PANELS + 1))
    good = gene_grid_data(cells(50), columns(2))
    with pytest.raises(OptionError):
        GeneGridData(good.panels, good.cells[:3], good.labels, good.colors, 50)


def maps(n: int = 30, **extra: np.ndarray) -> list:
    positions = np.random.default_rng(0).random((n, 2))
    values = {"Spliced": np.linspace(0, 1, n), "Velocity": np.linspace(-1, 1, n), **extra}
    return [
        embedding_data(positions, cells(n), title=title, values=value)
        for title, value in values.items()
    ]


def test_maps_side_by_side_show_the_same_cells():
    data = QuantityMaps("g", tuple(maps(unknown=np.full(30, np.nan))))
    frame = data.to_frame().set_index("cell")
    assert frame.loc["c29", "Velocity"] == 1.0
    assert frame.loc["c0", "Spliced"] == 0.0
    assert QuantityMaps("g", ()).to_frame().empty
    with pytest.raises(OptionError):
        QuantityMaps("g", (maps()[0], maps(20)[0]))
