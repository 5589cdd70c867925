"""Figures as files: every figure in every kind, with its texts, its points and its size."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from velovi.errors import OptionError
from velovi.keys import STATE_TITLES
from velovi.plotting.dataset import unspliced_data
from velovi.plotting.density2d import density2d
from velovi.plotting.embedding import StreamlineSet, embedding_data
from velovi.plotting.fitted_curve import fitted_curve
from velovi.plotting.gene import gene_data
from velovi.plotting.gene_grid import gene_grid_data
from velovi.plotting.group_flow import flow_graph
from velovi.plotting.group_quantiles import group_quantiles
from velovi.plotting.null_comparison import NullComparison
from velovi.plotting.paper import draw as paper
from velovi.plotting.paper.style import FONTS as FAMILIES
from velovi.plotting.paper.style import paper_style, write_note
from velovi.plotting.picture import FONTS, KINDS, PictureOptions, picture
from velovi.plotting.quantity_maps import QuantityMaps
from velovi.plotting.rates import rate_pair, shares_by_group
from velovi.plotting.states import state_course_data
from velovi.plotting.time_heatmap import gene_time, time_heatmap
from velovi.plotting.training import training_data
from velovi.plotting.visible_part import VisiblePart
from velovi.ui.download_figure import as_visible_part

SVG = "{http://www.w3.org/2000/svg}"
N = 60
ALONG = np.linspace(0.01, 1, 400)
SIDES = pd.Series(pd.Categorical(np.where(ALONG < 0.5, "left", "right")))
RATES = pd.DataFrame(
    {"fit_alpha": [1, 2, 3], "fit_beta": [0.1, 0.2, 1], "fit_explained": [0.5, 0.6, 0.7]},
    index=list("abc"),
)
GROUPS = {"labels": pd.Categorical(["Beta", "Alpha", "Pre-endocrine"] * (N // 3))}


def embedding(**how):
    angle = np.linspace(0, 5, N)
    line = np.stack([np.linspace(-1, 1, 30), np.linspace(0, 0.5, 30)], 1)
    streams = StreamlineSet((line,), line[10:11], np.array([[1.0, 0.2]]))
    places = np.stack([np.cos(angle), np.sin(angle)], 1)
    return embedding_data(places, range(N), title="cell type", streams=streams, **how)


def gene(n=N, **extra):
    t = np.linspace(0, 20, n)
    fitted = {name: (np.sin(t / 8), np.full(n, 0.1)) for name in ("spliced", "unspliced")}
    return gene_data(
        "Actb",
        [f"c{i}" for i in range(n)],
        np.sin(t / 8),
        np.cos(t / 20),
        time=t,
        fitted=fitted,
        curve=fitted_curve(1, 0.5, 0.3, 8),
        steady_slope=0.6,
        **extra,
    )


def grid():
    rng = np.random.default_rng(0)
    columns = {f"Gene{i}": (rng.random(N), rng.random(N)) for i in range(5)}
    curves = {"Gene1": fitted_curve(1, 0.5, 0.3, 8)}
    labels = pd.Categorical(["A", "B"] * (N // 2))
    return gene_grid_data([f"c{i}" for i in range(N)], columns, labels=labels, curves=curves)


def states():
    t = np.linspace(0, 20, 500)
    share = np.stack([np.exp(-((t - k) ** 2) / 9) + 0.1 for k in (0, 6, 12, 18)])
    probabilities = dict(zip(STATE_TITLES, share / share.sum(axis=0), strict=True))
    return state_course_data("Actb", t, probabilities)


def history():
    losses = [(9.0 / (i + 1), 10.0 / (i + 1)) for i in range(30)]
    return training_data([{"elbo_train": item, "elbo_validation": other} for item, other in losses])


def maps():
    values = np.linspace(-1, 1, N)
    places = np.stack([np.cos(values), np.sin(values)], 1)
    return QuantityMaps(
        "Actb",
        tuple(
            embedding_data(places, range(N), title=title, values=values, scale=scale)
            for title, scale in (("Spliced", "abundance"), ("Velocity", "diverging"))
        ),
    )


LINES = ["steady state", "induction", "repression"]
AXES = ["spliced (scaled)", "unspliced (scaled)"]


# a figure of each kind, how it is drawn, what it must say, and how many points it shows
def flow_pairs(source: str, target: str) -> pd.DataFrame:
    row = {"source": source, "target": target, "cbdir": 0.6, "cbdir_back": -0.4, "clear": True}
    return pd.DataFrame([row])


EXAMPLES = {
    "embedding": (lambda: embedding(**GROUPS), {}, ["cell type", "Pre-endocrine"], N),
    "embedding_legend": (
        lambda: embedding(**GROUPS),
        {"legend_loc": "right margin"},
        ["Alpha", "Beta"],
        N,
    ),
    "embedding_values": (lambda: embedding(values=np.arange(N) / N), {}, ["cell type", "0.4"], N),
    "maps": (maps, {}, ["Spliced", "Velocity"], 2 * N),
    "portrait": (gene, {}, [*AXES, *LINES, "Actb"], N),
    "portrait_groups": (lambda: gene(**GROUPS), {}, [*AXES, *LINES, "Beta"], N),
    "time": (gene, {"what": "unspliced"}, ["latent time of the gene", "95 % of the fit"], N),
    "grid": (grid, {}, ["Gene4", "induction", "A", "spliced"], 5 * N),
    "state_course": (states, {}, ["Repression, steady", "probability"], None),
    "state_shares": (
        lambda: shares_by_group("Actb", dict.fromkeys(STATE_TITLES, np.full(400, 0.25)), SIDES),
        {},
        ["left", "right", "Induction, steady"],
        None,
    ),
    "rates": (
        lambda: rate_pair(RATES, "fit_alpha", "fit_beta"),
        {"gene": "b"},
        ["Transcription rate", "explained", "b"],
        3,
    ),
    "spread": (
        lambda: group_quantiles("angle", ALONG, SIDES),
        {},
        ["angle", "left", "right"],
        None,
    ),
    "density": (lambda: density2d(ALONG, ALONG**2, "x", "y"), {}, ["x", "y", "cells"], None),
    "heatmap": (
        lambda: time_heatmap("Spliced RNA", ALONG, {"Early": 1 - ALONG, "Late": ALONG}),
        {},
        ["Early", "Late", "latent time"],
        None,
    ),
    "gene_time": (lambda: gene_time("Actb", ALONG, 20 * ALONG), {}, ["Actb", "median"], None),
    "training": (history, {}, ["training cells", "held-out cells", "epoch"], None),
    "null_comparison": (
        lambda: NullComparison("correlation", ALONG, ALONG - 0.5),
        {},
        ["these cells", "without velocity", "genes (%)"],
        None,
    ),
    "flow": (
        lambda: flow_graph(np.stack([ALONG, ALONG], axis=1), SIDES, flow_pairs("left", "right")),
        {},
        ["left", "right"],
        None,
    ),
    "unspliced": (
        lambda: unspliced_data("cluster", {"Ductal cells": 0.3, "Beta": 0.1}),
        {},
        ["Ductal cells", "30 %", "usual"],
        None,
    ),
}


def svg(name: str, **options) -> ET.Element:
    data, how, _, _ = EXAMPLES[name]
    return ET.fromstring(picture(data(), PictureOptions(**options), **how))


def texts(root: ET.Element) -> str:
    return "\n".join("".join(text.itertext()) for text in root.iter(f"{SVG}text"))


def points(root: ET.Element) -> int:
    groups = [g for g in root.iter(f"{SVG}g") if g.get("id", "").startswith("PathCollection")]
    return sum(len(list(group.iter(f"{SVG}use"))) for group in groups)


def test_every_kind_of_data_has_an_example_here():
    drawn = {type(data()) for data, *_ in EXAMPLES.values()}
    assert drawn == {*paper._ON_AXES, *paper._ON_FIGURE, paper.GeneData}


@pytest.mark.parametrize("name", EXAMPLES)
def test_svg_has_its_size_its_texts_and_all_its_points(name):
    _, _, said, count = EXAMPLES[name]
    root = svg(name, width_mm=110, height_mm=80)
    width, height = (float(root.get(side).removesuffix("pt")) for side in ("width", "height"))
    assert (width / 72 * 25.4, height / 72 * 25.4) == pytest.approx((110, 80), abs=1e-4)
    assert [text for text in said if text not in texts(root)] == []
    if count is not None:
        assert points(root) == count


@pytest.mark.parametrize("name", EXAMPLES)
def test_pdf_is_whole_and_has_its_size(name):
    data, how, _, _ = EXAMPLES[name]
    content = picture(data(), PictureOptions("pdf", width_mm=90, height_mm=60), **how)
    assert content.startswith(b"%PDF")
    assert content.rstrip().endswith(b"%%EOF")
    box = re.search(rb"/MediaBox \[ ([\d. ]+) \]", content)
    size = np.array(box[1].split(), dtype=float)[2:] / 72 * 25.4
    np.testing.assert_allclose(size, (90, 60), atol=1e-4)
    assert b"/Type3" not in content  # Type 42 fonts can be edited


def test_png_has_its_pixels():
    data, how, _, _ = EXAMPLES["portrait"]
    content = picture(data(), PictureOptions("png", width_mm=90, height_mm=61, dpi=150), **how)
    image = Image.open(io.BytesIO(content))
    image.load()
    assert image.size == (int(90 / 25.4 * 150), int(61 / 25.4 * 150))
    assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_figure_gives_the_same_bytes(kind):
    options = PictureOptions(kind, 60, 60)
    first, second = (picture(embedding(**GROUPS), options) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("size", [(89, 70), (183, 90)])
def test_nothing_is_cut_at_the_page(name, size):
    data, how, _, _ = EXAMPLES[name]
    with paper_style(font_size=7):
        figure = Figure(figsize=[side / 25.4 for side in size], layout="constrained", dpi=100)
        paper.draw(figure, data(), **how)
        figure.draw_without_rendering()
        for text in _written(figure):
            box = text.get_window_extent()
            assert box.x0 >= -1, text
            assert box.y0 >= -1, text
            assert box.x1 <= figure.bbox.x1 + 1, text
            assert box.y1 <= figure.bbox.y1 + 1, text


NOTE = "RNA velocities of this run: no evidence (verdict of veloVI Explorer)."


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("size", [(60, 60), (183, 90)])
def test_a_note_stands_below_the_figure_and_covers_nothing(name, size):
    data, how, _, _ = EXAMPLES[name]
    with paper_style(font_size=7):
        figure = Figure(figsize=[side / 25.4 for side in size], layout="constrained", dpi=100)
        paper.draw(figure, data(), **how)
        write_note(figure, NOTE)
        figure.draw_without_rendering()
        note = figure._supxlabel.get_window_extent()
        assert note.x0 >= -1
        assert note.x1 <= figure.bbox.x1 + 1
        assert note.y0 >= -1
        for axes in figure.axes:
            assert axes.get_tightbbox().y0 >= note.y1 - 1
    root = ET.fromstring(picture(data(), PictureOptions(note=NOTE), **how))
    assert " ".join(texts(root).split()).count("no evidence") == 1


@pytest.mark.parametrize("note", ["cost $x_{$", "$$", "a\ud800b", "50 % <b>"])
def test_a_note_is_text_and_no_formula(note):
    root = ET.fromstring(picture(history(), PictureOptions(note=note)))
    assert note.encode("utf-8", "replace").decode() in texts(root)


def _written(figure: Figure) -> list:
    """Every text that is on the page."""
    found = [text for legend in figure.legends for text in legend.get_texts()]
    for axes in figure.axes:
        found += [*axes.texts, axes.title, axes._left_title, axes._right_title]
        if axes.get_legend() is not None:
            found += axes.get_legend().get_texts()
        if axes.axison:
            for axis, ends in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
                found.append(axis.label)
                for tick in axis.get_major_ticks():
                    if min(ends) <= tick.get_loc() <= max(ends):
                        found += [tick.label1, tick.label2]
    return [text for text in found if text.get_text() and text.get_visible()]


def test_a_narrow_figure_has_its_key_below():
    for width, loc in ((89, "below"), (183, "beside")):
        figure = Figure(figsize=(width / 25.4, 4), layout="constrained")
        paper.draw(figure, gene(**GROUPS))
        figure.draw_without_rendering()
        legend, axes = figure.axes[0].get_legend().get_window_extent(), figure.axes[0].bbox
        assert (legend.y1 < axes.y0) == (loc == "below")
        assert (legend.x0 > axes.x1) == (loc == "beside")


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("width", [89, 183])
def test_no_key_lies_over_words_of_the_axes(name, width):
    data, how, _, _ = EXAMPLES[name]
    with paper_style(font_size=7):
        figure = Figure(figsize=(width / 25.4, 90 / 25.4), layout="constrained", dpi=100)
        paper.draw(figure, data(), **how)
        figure.draw_without_rendering()
        keys = [axes.get_legend() for axes in figure.axes if axes.get_legend()] + figure.legends
        inside = [text for key in keys for text in key.get_texts()]
        words = [text for text in _written(figure) if text not in inside]
        for item in inside:
            for text in words:
                assert not item.get_window_extent().overlaps(text.get_window_extent()), text


@pytest.mark.parametrize("width", [89, 183])
@pytest.mark.parametrize("n_maps", [2, 3, 4])
def test_titles_of_maps_beside_each_other_stay_apart(n_maps, width):
    values = np.linspace(0, 1, N)
    places = np.random.default_rng(0).normal(size=(N, 2))
    titles = [f"Probability of {name}, sample to mean (degrees)" for name in STATE_TITLES.values()]
    maps = [
        embedding_data(places, range(N), title=title, values=values) for title in titles[:n_maps]
    ]
    with paper_style(font_size=7):
        figure = Figure(figsize=(width / 25.4, 90 / 25.4), layout="constrained", dpi=100)
        paper.draw(figure, QuantityMaps("Actb", tuple(maps)))
        figure.draw_without_rendering()
        shown = [
            text.get_window_extent()
            for text in _written(figure)
            if text.get_text().startswith("Probability")
        ]
    assert len(shown) == n_maps
    for number, box in enumerate(shown):
        assert box.x1 <= figure.bbox.x1 + 1
        assert not any(box.overlaps(other) for other in shown[:number])
    panels = [axes.get_window_extent() for axes in figure.axes if axes.get_title(loc="left")]
    assert min(min(box.width, box.height) for box in panels) > 75  # of 100 dots an inch


def test_genes_stand_in_italics():
    for name, label in (("portrait", "Actb"), ("time", "Actb"), ("grid", "Gene3")):
        data, how, _, _ = EXAMPLES[name]
        figure = Figure(layout="constrained")
        paper.draw(figure, data(), **how)
        titles = [axes.title for axes in figure.axes] + [axes._left_title for axes in figure.axes]
        style = {title.get_text(): title.get_fontstyle() for title in titles}
        assert style[label] == "italic"


def test_every_gene_of_a_heat_map_is_named_or_none():
    for n, height, named in ((10, 80, True), (200, 60, False)):
        columns = {f"G{i}": np.roll(ALONG, i) for i in range(n)}
        root = ET.fromstring(
            picture(time_heatmap("x", ALONG, columns), PictureOptions(height_mm=height))
        )
        written = [name for name in columns if f"\n{name}\n" in f"\n{texts(root)}\n"]
        assert len(written) == (n if named else 0)


def test_a_logarithmic_axis_has_decades():
    assert {"1", "10"} <= set(texts(svg("rates")).split())
    figure = Figure()
    paper.draw(figure, rate_pair(RATES, "fit_alpha", "fit_beta"))
    low, high = figure.axes[0].get_xlim()
    assert np.floor(np.log10(high)) >= np.ceil(np.log10(low))


def test_clouds_of_points_become_dots_in_a_vector_file():
    rng = np.random.default_rng(0)
    places = rng.random((20_001, 2))
    data = embedding_data(places, range(20_001), title="many", values=places[:, 0], limit=30_000)
    root = ET.fromstring(picture(data, PictureOptions(dpi=72)))
    assert points(root) == 0
    assert len(list(root.iter(f"{SVG}image"))) >= 1
    assert "many" in texts(root)


def test_points_stand_where_their_values_are():
    data = gene()
    figure = Figure()
    paper.draw(figure, data)
    shown = figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(shown, np.stack([data.spliced, data.unspliced], axis=1), atol=1e-6)


def test_selected_cells_keep_their_colour_and_others_are_grey():
    data = gene(**GROUPS, selected=np.arange(N) < 10)
    figure = Figure()
    paper.draw(figure, data)
    grey, colored = figure.axes[0].collections[:2]
    assert (len(grey.get_offsets()), len(colored.get_offsets())) == (N - 10, 10)


def test_names_of_groups_do_not_stand_on_each_other():
    rng = np.random.default_rng(0)
    labels = pd.Categorical(np.repeat([f"Group number {i}" for i in range(6)], 20))
    places = rng.normal(size=(120, 2)) * 0.3 + np.repeat(np.arange(6) % 2, 20)[:, None] * 0.2
    data = embedding_data(places, range(120), title="t", labels=labels)
    with paper_style():
        figure = Figure(figsize=(4.7, 3.9), layout="constrained", dpi=100)
        paper.draw(figure, data)
        figure.draw_without_rendering()
        names = [text for text in figure.axes[0].texts if "Group" in text.get_text()]
        boxes = [text.get_window_extent() for text in names]
    assert len(boxes) == 6
    for at, box in enumerate(boxes):
        for other in boxes[at + 1 :]:
            width = min(box.x1, other.x1) - max(box.x0, other.x0)
            height = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert width <= 0 or height <= 2


def test_arrowheads_can_be_seen_at_one_column():
    figure = Figure(figsize=(89 / 25.4, 70 / 25.4), layout="constrained", dpi=100)
    with paper_style():
        paper.draw(figure, embedding(**GROUPS))
        figure.draw_without_rendering()
        axes = figure.axes[0]
        heads = [c for c in axes.collections if type(c).__name__ == "PolyCollection"]
        corners = axes.transData.transform(heads[0].get_paths()[0].vertices[:3])
    length = np.linalg.norm(corners[0] - corners[1:].mean(axis=0)) / 100 * 72
    assert 4 < length < 9  # points


def test_data_that_nothing_draws_is_named():
    with pytest.raises(OptionError, match=r"paper.*Found DataFrame"):
        picture(pd.DataFrame())


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "gif"},
        {"width_mm": 3},
        {"height_mm": float("nan")},
        {"font_size_pt": "8"},
        {"dpi": 5000},
        {"font": "No such font"},
    ],
)
def test_options_are_checked(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        PictureOptions(**wrong)


@pytest.mark.parametrize("font", FONTS)
def test_an_svg_names_its_fonts(font):
    content = picture(history(), PictureOptions(font=font)).decode()
    assert all(name in content for name in FAMILIES[font])


def test_letters_have_the_shape_of_arial_wherever_this_runs():
    from matplotlib.font_manager import findfont

    with paper_style():
        assert "Liberation" in findfont("Liberation Sans")
    content = picture(history(), PictureOptions("pdf"))
    assert re.search(rb"/FontName /[A-Z+]*(Arial|Helvetica|LiberationSans)", content)


def test_a_transparent_ground():
    content = picture(history(), PictureOptions("png", transparent=True, dpi=72))
    assert Image.open(io.BytesIO(content)).convert("RGBA").getpixel((0, 0))[3] == 0


def test_texts_are_as_large_as_asked():
    for size in (6.0, 11.0):
        root = ET.fromstring(picture(history(), PictureOptions(font_size_pt=size)))
        epoch = next(
            text for text in root.iter(f"{SVG}text") if "".join(text.itertext()) == "epoch"
        )
        assert f"{size:g}px" in epoch.get("style")


def test_pages_load_no_matplotlib():
    code = (
        "import sys, velovi.ui.download_figure, velovi.plotting.picture; "
        "print('matplotlib' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "False", found.stderr


def _page() -> None:
    import pandas as pd

    from velovi.plotting.training import training_data
    from velovi.ui.download_figure import download_figure

    for key, data in (("one", training_data([{"elbo_train": 1.5}])), ("two", pd.DataFrame())):
        download_figure("My figure!", lambda data=data: data, key=key)


def test_sizes_are_shared_by_figures_and_files_are_made_when_asked_for(monkeypatch):
    import streamlit as st
    from streamlit.testing.v1 import AppTest

    files = {}

    def button(label, data, file_name, mime, *, key, **_):
        files[key] = (file_name, mime, data)

    monkeypatch.setattr(st, "download_button", button)
    app = AppTest.from_function(_page, default_timeout=30).run()
    assert not files
    assert not app.number_input
    for key in ("one", "two"):
        app.session_state[f"{key}_download"] = True
    app.run()
    app.number_input(key="one_download_width_mm").set_value(85.0).run()
    assert not app.exception
    assert app.number_input(key="two_download_width_mm").value == 85.0
    name, mime, make = files["one_download_picture"]
    assert (name, mime) == ("My_figure.svg", "image/svg+xml")
    assert b'width="240.94' in make()
    assert files["one_download_data"][2]().startswith(b"epoch,training_loss")
    with pytest.raises(OptionError):
        files["two_download_picture"][2]()
    app.run()
    assert "DataFrame" in app.error[0].value
    assert not app.run().error


def test_a_saved_map_shows_the_part_that_is_in_sight():
    data = embedding(**GROUPS)
    part = VisiblePart((0.0, 1.5), (-1.0, 1.0), frozenset({"Alpha"}))
    seen = part.of(data)
    x, y = data.positions.T
    wanted = (x >= 0) & (x <= 1.5) & (np.abs(y) <= 1) & (np.asarray(data.labels) != "Alpha")
    assert 0 < wanted.sum() < len(x)
    np.testing.assert_array_equal(seen.cells, data.cells[wanted])
    np.testing.assert_array_equal(seen.positions, data.positions[wanted])
    figure = Figure()
    paper.draw(figure, seen)
    (axes,) = figure.axes
    assert axes.get_xlim() == (0.0, 1.5)
    assert axes.get_ylim() == (-1.0, 1.0)
    assert "Alpha" not in {text.get_text() for text in axes.texts}
    assert VisiblePart().of(data).cells.tolist() == data.cells.tolist()
    assert part.limits(data) == {}


def test_a_saved_portrait_shows_the_zoomed_part():
    part = VisiblePart((0.25, 0.5), (0.0, 0.75))
    data = gene()
    assert part.of(data) is data
    figure = Figure()
    paper.draw(figure, data, **part.limits(data))
    assert figure.axes[0].get_xlim() == (0.25, 0.5)
    assert figure.axes[0].get_ylim() == (0.0, 0.75)


@pytest.mark.parametrize(
    "said",
    [None, 3, {}, {"x": [1, 0], "y": [0, 1]}, {"x": "ab", "y": None}, {"x": [0, 1], "y": [0, "z"]}],
)
def test_a_part_that_makes_no_sense_is_the_whole(said):
    assert as_visible_part(said) == VisiblePart()


def test_a_part_that_the_browser_tells():
    said = {"x": [0, 1], "y": [-1, 2.5], "hidden": ["Alpha", 3]}
    assert as_visible_part(said) == VisiblePart((0, 1), (-1, 2.5), frozenset({"Alpha"}))
