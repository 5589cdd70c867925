"""Figures as files: every figure in every kind, with its texts, its points and its size."""

from __future__ import annotations

import importlib
import io
import pkgutil
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from PIL import Image
from plotly.subplots import make_subplots

import velovi.plotting
from velovi.errors import OptionError
from velovi.keys import STATE_TITLES
from velovi.plotting.dataset import unspliced_data, unspliced_figure
from velovi.plotting.density2d import density2d, density_figure
from velovi.plotting.embedding import StreamlineSet, embedding_data, embedding_figure
from velovi.plotting.gene import gene_data, phase_figure, time_figure
from velovi.plotting.gene_grid import gene_grid_data, gene_grid_figure
from velovi.plotting.group_quantiles import group_quantiles, group_quantiles_figure
from velovi.plotting.kinetics import fitted_curve
from velovi.plotting.quantity_maps import QuantityMaps, quantity_maps_figure
from velovi.plotting.rates import rate_figure, rate_pair, shares_by_group, state_shares_figure
from velovi.plotting.states import state_course_data, state_course_figure
from velovi.plotting.static import FONTS, KINDS, PictureOptions, picture
from velovi.plotting.theme import LIGHT
from velovi.plotting.time_heatmap import (
    gene_time,
    gene_time_figure,
    time_heatmap,
    time_heatmap_figure,
)
from velovi.plotting.training import training_data, training_figure

SVG = "{http://www.w3.org/2000/svg}"
N = 60


ALONG = np.linspace(0.01, 1, 400)
SIDES = pd.Series(pd.Categorical(np.where(ALONG < 0.5, "left", "right")))
RATES = pd.DataFrame(
    {"fit_alpha": [1, 2, 3], "fit_beta": [0.1, 0.2, 1], "fit_explained": [0.5, 0.6, 0.7]},
    index=list("abc"),
)


def embedding(**how):
    angle = np.linspace(0, 5, N)
    line = np.stack([np.linspace(-1, 1, 30), np.linspace(0, 0.5, 30)], 1)
    streams = StreamlineSet((line,), line[10:11], np.array([[1.0, 0.2]]))
    places = np.stack([np.cos(angle), np.sin(angle)], 1)
    data = embedding_data(places, range(N), title="cell type", streams=streams, **how)
    return embedding_figure(data, LIGHT)


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
    return training_data([{"elbo_train": one, "elbo_validation": other} for one, other in losses])


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


UNSPLICED = {"Ductal cells": 0.3, "Beta": 0.1}
GROUPS = {"labels": pd.Categorical(["Beta", "Alpha", "Pre-endocrine"] * (N // 3))}
# a figure of each kind, what it must say, and how many points it shows
EXAMPLES = {
    "embedding_figure": (lambda: embedding(**GROUPS), ["cell type", "Pre-endocrine"], N),
    "phase_figure": (
        lambda: phase_figure(gene(), LIGHT),
        ["spliced (scaled)", "unspliced (scaled)", "steady state", "induction", "repression"],
        N,
    ),
    "time_figure": (
        lambda: time_figure(gene(), LIGHT, what="spliced"),
        ["latent time of the gene", "spliced"],
        N,
    ),
    "gene_grid_figure": (lambda: gene_grid_figure(grid(), LIGHT), ["Gene0", "Gene4"], 5 * N),
    "quantity_maps_figure": (lambda: quantity_maps_figure(maps(), LIGHT), ["Spliced", "Velocity"], 2 * N),
    "state_course_figure": (
        lambda: state_course_figure(states(), LIGHT),
        ["probability", "Induction, steady"],
        0,
    ),
    "training_figure": (
        lambda: training_figure(history(), LIGHT),
        ["epoch", "loss (negative ELBO)", "held-out cells"],
        0,
    ),
    "unspliced_figure": (
        lambda: unspliced_figure(unspliced_data("clusters", UNSPLICED), LIGHT),
        ["unspliced share of all counts (%)", "Ductal cells", "30 %", "usual"],
        0,
    ),
    "group_quantiles_figure": (
        lambda: group_quantiles_figure(group_quantiles("Speed", ALONG, SIDES), LIGHT),
        ["Speed", "left"],
        2,
    ),
    "density_figure": (
        lambda: density_figure(density2d(ALONG, ALONG**2, "Speed", "Angle"), LIGHT),
        ["Speed", "Angle", "cells"],
        0,
    ),
    "time_heatmap_figure": (
        lambda: time_heatmap_figure(time_heatmap("Spliced", ALONG, {"Gnas": ALONG}), LIGHT),
        ["Latent time", "Gnas"],
        0,
    ),
    "gene_time_figure": (
        lambda: gene_time_figure(gene_time("Gnas", ALONG, 20 * ALONG), LIGHT),
        ["Shared latent time", "Gnas's own time (0 to 20)"],
        0,
    ),
    "rate_figure": (
        lambda: rate_figure(rate_pair(RATES, "fit_alpha", "fit_beta"), LIGHT, gene="b"),
        ["Transcription rate", "Splicing rate", "explained", "b"],
        4,
    ),
    "state_shares_figure": (
        lambda: state_shares_figure(
            shares_by_group("Gnas", dict.fromkeys(STATE_TITLES, ALONG / 4), SIDES), LIGHT
        ),
        ["Mean probability", "Induction, steady", "right"],
        0,
    ),
}
MORE = {
    "values": lambda: embedding(values=np.linspace(0, 1, N)),
    "nothing": lambda: go.Figure(),
    "no cells": lambda: phase_figure(gene(0), LIGHT),
    "no history": lambda: training_figure(training_data([]), LIGHT),
    "no clusters": lambda: unspliced_figure(unspliced_data("x", {}), LIGHT),
}
ALL = {**{name: one[0] for name, one in EXAMPLES.items()}, **MORE}


def svg(figure, **options) -> ET.Element:
    return ET.fromstring(picture(figure, PictureOptions("svg", **options)))


def texts(root: ET.Element) -> str:
    found = "\n".join(one.text or "" for one in root.iter(f"{SVG}text"))
    return found.replace("\N{NO-BREAK SPACE}", " ")


def points(root: ET.Element) -> int:
    groups = [g for g in root.iter(f"{SVG}g") if g.get("id", "").startswith("points-")]
    return sum(len(list(group.iter(f"{SVG}use"))) for group in groups)


def places(root: ET.Element) -> np.ndarray:
    groups = [g for g in root.iter(f"{SVG}g") if g.get("id", "").startswith("points-")]
    uses = [one for group in groups for one in group.iter(f"{SVG}use")]
    return np.array([(float(one.get("x")), float(one.get("y"))) for one in uses])


def test_every_figure_has_an_example_here():
    found = set()
    for module in pkgutil.iter_modules(velovi.plotting.__path__, "velovi.plotting."):
        if not module.ispkg:
            names = vars(importlib.import_module(module.name))
            found |= {
                name
                for name, one in names.items()
                if name.endswith("_figure") and one.__module__ == module.name
            }
    assert found == set(EXAMPLES), "add the new figure to EXAMPLES and look at its picture"


@pytest.mark.parametrize("name", ALL)
def test_svg_has_its_size(name):
    root = svg(ALL[name](), width_mm=90, height_mm=60)
    width, height = (float(root.get(side).removesuffix("pt")) for side in ("width", "height"))
    assert (width / 72 * 25.4, height / 72 * 25.4) == pytest.approx((90, 60), abs=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_pdf_is_whole_and_has_its_size(name):
    content = picture(ALL[name](), PictureOptions("pdf", width_mm=90, height_mm=60))
    assert content.startswith(b"%PDF")
    assert content.rstrip().endswith(b"%%EOF")
    box = re.search(rb"/MediaBox \[ ([\d. ]+) \]", content)
    size = np.array(box[1].split(), dtype=float)[2:] / 72 * 25.4
    np.testing.assert_allclose(size, (90, 60), atol=1e-4)
    assert b"/Type3" not in content  # Type 42 fonts can be edited


@pytest.mark.parametrize("name", ALL)
def test_png_has_its_pixels(name):
    content = picture(ALL[name](), PictureOptions("png", width_mm=90, height_mm=61, dpi=150))
    image = Image.open(io.BytesIO(content))
    image.load()
    assert image.size == (round(90 / 25.4 * 150), round(61 / 25.4 * 150))
    assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


@pytest.mark.parametrize("name", EXAMPLES)
def test_texts_stay_texts_and_no_point_is_lost(name):
    figure, said, count = EXAMPLES[name]
    root = svg(figure())
    for one in said:
        assert one in texts(root)
    assert points(root) == count


def test_the_colour_key_has_its_title_and_every_value_its_point():
    figure = embedding(values=np.where(np.arange(N) % 5, np.arange(N), np.nan))
    assert "cell type" in texts(svg(figure))
    assert points(svg(figure)) == N


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_figure_gives_the_same_bytes(kind):
    first, second = (picture(embedding(**GROUPS), PictureOptions(kind, 60, 60)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [(50, 40), (120, 90), (180, 60)])
def test_nothing_is_cut_at_the_page(name, size):
    from velovi.plotting.drawing.sheet import drawn

    options = PictureOptions("png", *size, font_size_pt=6, dpi=100)
    page = drawn(ALL[name](), options)
    renderer = page.figure.canvas.get_renderer()
    legends = page.figure.legends
    for one in [*page.notes, *legends]:
        box = one.get_window_extent(renderer)
        assert box.x0 >= -1, one
        assert box.y0 >= -1, one
        assert box.x1 <= page.figure.bbox.width + 1, one
        assert box.y1 <= page.figure.bbox.height + 1, one


def test_many_groups_keep_their_legend_on_the_page():
    labels = pd.Categorical([f"Cluster number {i % 40}" for i in range(N)])
    root = svg(embedding(labels=labels))
    ends = [float(one.get("y")) for one in root.iter(f"{SVG}text")]
    assert min(ends) > 0
    assert max(ends) < 90 / 25.4 * 72
    assert "Cluster number 39" in texts(root)


def test_clouds_of_points_become_dots_in_a_vector_file():
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 20_001))
    traces = [go.Scattergl(x=x[k::2], y=y[k::2], mode="markers", name=str(k)) for k in (0, 1)]
    root = svg(go.Figure(traces, {"xaxis": {"title": {"text": "an axis"}}}))
    assert len(list(root.iter(f"{SVG}image"))) == 1
    assert points(root) == 0
    assert "an axis" in texts(root)


def test_points_stand_where_their_values_are():
    rng = np.random.default_rng(1)
    x, y = rng.random((2, 50))
    layout = {"xaxis": {"range": [0, 1]}, "yaxis": {"range": [1, 0]}}
    at = places(svg(go.Figure(go.Scatter(x=x, y=y, mode="markers"), layout)))
    assert np.corrcoef(at[:, 0], x)[0, 1] == pytest.approx(1)
    assert np.corrcoef(at[:, 1], y)[0, 1] == pytest.approx(1)  # an SVG's y runs downwards, too


def test_one_scale_for_both_axes_of_a_map():
    figure = go.Figure(go.Scatter(x=[0, 1, 0], y=[0, 0, 1], mode="markers"))
    figure.update_layout(yaxis={"scaleanchor": "x"})
    at = places(svg(figure, width_mm=180, height_mm=60))
    assert at[1, 0] - at[0, 0] == pytest.approx(at[0, 1] - at[2, 1], rel=1e-3)


def test_a_logarithmic_axis_measures_powers():
    figure = go.Figure(go.Scatter(x=[1, 10, 100], y=[1, 2, 3], mode="markers"))
    at = places(svg(figure.update_xaxes(type="log")))
    assert at[1, 0] - at[0, 0] == pytest.approx(at[2, 0] - at[1, 0], rel=1e-3)


def test_an_unknown_trace_is_named():
    with pytest.raises(OptionError, match=r"paper.*Found pie") as caught:
        picture(go.Figure(go.Pie(values=[1, 2])))
    assert caught.value.remedy


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


@pytest.mark.parametrize("font", [*FONTS, "DejaVu Serif"])
def test_an_svg_names_its_fonts(font):
    content = picture(MORE["values"](), PictureOptions(font=font)).decode()
    assert FONTS.get(font, (font,))[0] in content


def test_a_transparent_ground():
    content = picture(go.Figure(), PictureOptions("png", transparent=True, dpi=72))
    assert Image.open(io.BytesIO(content)).convert("RGBA").getpixel((0, 0))[3] == 0


def test_texts_are_as_large_as_asked():
    figure = go.Figure(layout={"font": {"size": 20}, "xaxis": {"title": {"text": "hello"}}})
    root = svg(figure, font_size_pt=7)
    (style,) = [one.get("style") for one in root.iter(f"{SVG}text") if one.text == "hello"]
    assert float(re.search(r"font-size: ([\d.]+)px", style)[1]) == pytest.approx(7)


def test_tags_become_looks():
    text = "<b>Actb</b> &amp; <i>Gapdh</i><br>a < b, x<sub>2</sub>"
    root = svg(go.Figure(layout={"annotations": [{"text": text, "x": 0, "y": 0}]}))
    styles = {
        one.text.strip("\N{NO-BREAK SPACE}"): one.get("style") for one in root.iter(f"{SVG}text")
    }
    assert "font-weight: 700" in styles["Actb"]
    assert "italic" in styles["Gapdh"]
    assert "&" in styles
    assert "a < b, x" in styles
    assert "$" not in texts(svg(go.Figure(layout={"title": "costs"})))


def test_signs_of_mathematics_are_only_letters():
    title = {"text": "$a_b$ and $c"}
    assert "$a_b$ and $c" in texts(svg(go.Figure(layout={"xaxis": {"title": title}})))


def kitchen() -> go.Figure:
    """Every kind of trace, axis and mark that is drawn."""
    rng = np.random.default_rng(0)
    names = ["Ductal cells", "Beta", "Ngn3 low EP", "Alpha", "Endocrine progenitors"]
    second = [[{}] * 3, [{}, {"secondary_y": True}, {}]]
    figure = make_subplots(
        2, 3, subplot_titles=[f"<b>T{i}</b> title" for i in range(6)], specs=second
    )
    figure.add_bar(x=names, y=[1, 2, 3, 4, 2], error_y={"array": [0.2] * 5}, name="a", row=1, col=1)
    figure.add_bar(x=names, y=[2, 1, -1, 4, 1], name="b", row=1, col=1)
    figure.add_bar(x=rng.normal(size=9), y=np.arange(9), orientation="h", name="h", row=1, col=2)
    figure.add_scatter(x=[1, 2], y=[2, 1], mode="lines", name="line", row=1, col=3)
    heat = go.Heatmap(
        z=rng.normal(size=(2, 5)),
        x=names,
        y=["<i>g1</i>", "g2"],
        zmid=0,
        texttemplate="%{z:.1f}",
        colorbar={"title": {"text": "z"}},
    )
    figure.add_trace(heat, row=2, col=1)
    x = np.linspace(0, 6, 30)
    figure.add_scatter(x=x, y=np.sin(x), fill="tozeroy", name="sin", row=2, col=2)
    figure.add_scatter(x=x, y=1e5 * x, line={"dash": "5px,2px"}, secondary_y=True, row=2, col=2)
    figure.add_scatter(
        x=[1, 2, 3],
        y=[1, 3, 2],
        mode="markers+text",
        text=["p", "q", "r"],
        marker={"size": [5, 9, 9], "color": [1, 2, 3], "symbol": ["x", "x", "star"]},
        row=2,
        col=3,
    )
    figure.update_xaxes(autorange="reversed", title="reversed", row=2, col=3)
    figure.add_hline(y=1, annotation_text="one", row=2, col=3)
    figure.add_annotation(x=2, y=2, text="an arrow", ax=20, ay=-20, row=2, col=3)
    figure.add_shape(type="circle", x0=1, x1=2, y0=1, y1=2, fillcolor="red", row=2, col=3)
    figure.add_shape(type="rect", xref="paper", yref="paper", x0=0, x1=1, y0=0, y1=1, layer="below")
    return figure.update_layout(title={"text": "A heading"}, barmode="stack")


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_of_traces_and_marks_are_drawn(kind):
    assert picture(kitchen(), PictureOptions(kind, 200, 140))


def test_all_kinds_of_traces_say_what_they_show():
    root = svg(kitchen(), width_mm=200, height_mm=140)
    said = Counter(texts(root).split("\n"))
    for one in (
        "A heading",
        "T0",
        "Endocrine progenitors",
        "g1",
        "reversed",
        "one",
        "an arrow",
        "q",
        "line",
        "z",
    ):
        assert said[one], one
    bars = [one for one in root.iter(f"{SVG}g") if one.get("id") in ("bar-a", "bar-b")]
    assert len(bars) == 10
    numbers = [one for one in said if re.fullmatch(r"-?\d\.\d", one)]
    assert sum(said[one] for one in numbers) >= 10  # one in each field of the heat map


def test_stacked_bars_stand_on_each_other():
    from velovi.plotting.drawing.sheet import drawn

    figure = go.Figure([go.Bar(x=["a", "b"], y=[1, 2]), go.Bar(x=["a", "b"], y=[3, -1])])
    page = drawn(figure.update_layout(barmode="stack"), PictureOptions())
    bars = page.panels["x", "y"].axes.patches
    assert [(one.get_y(), one.get_height()) for one in bars] == [(0, 1), (0, 2), (1, 3), (0, -1)]


@pytest.mark.parametrize(
    ("step", "form", "said"),
    [
        (0.2, "", "0.4"),
        (5, "", "10"),
        (20_000, "", "40,000"),
        (0.25, "", "0.50"),
        (0.1, ".0%", "20%"),
        (500, "~s", "1k"),
        (1, ".2f", "2.00"),
        (-1, "", "\N{MINUS SIGN}2"),
    ],
)
def test_tick_labels(step, form, said):
    from velovi.plotting.drawing.ticks import Figures

    labels = Figures(form)
    assert labels.format_ticks([step, 2 * step])[1] == said


def test_names_that_overlap_are_moved_apart():
    from velovi.plotting.drawing.crowding import _apart

    boxes = np.array([[0, 0, 10, 4], [2, 1, 12, 5], [50, 0, 60, 4]], dtype=float)
    shift = _apart(boxes, np.full(3, 10.0))
    assert (boxes[1, 1] + shift[1]) - (boxes[0, 3] + shift[0]) > -0.6
    assert shift[2] == 0
    same = _apart(np.tile(boxes[:1], (2, 1)), np.full(2, 1.0))
    assert sorted(same) == [-1, 1]


def test_pages_load_no_matplotlib():
    code = (
        "import sys, velovi.ui.download_figure, velovi.plotting.static; "
        "print('matplotlib' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "False", found.stderr


def _page() -> None:
    import pandas as pd
    import plotly.graph_objects as go

    from velovi.ui.download_figure import download_figure

    for key, trace in (("one", go.Scatter(x=[1, 2], y=[1, 2])), ("two", go.Pie(values=[1]))):
        download_figure(
            "My figure!",
            lambda trace=trace: go.Figure(trace),
            lambda: pd.DataFrame({"cell": ["a"], "x": [1.5]}),
            key=key,
        )


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
    assert files["one_download_data"][2]() == b"cell,x\na,1.5\n"
    with pytest.raises(OptionError):
        files["two_download_picture"][2]()
    app.run()
    assert "pie" in app.error[0].value
    assert not app.run().error
