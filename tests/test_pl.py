"""Figures from a notebook: as they were looked at, of any result, in the caller's axes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anndata
import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.testing.compare import compare_images
from modelling import scaled_data, trained_model

import velovi
from velovi import pl
from velovi.errors import DataError, OptionError, UnknownNameError
from velovi.runs.folder import RunFolder

matplotlib.use("Agg")
DEMO = Path(velovi.__file__).parent / "demo"
BASELINE = Path(__file__).parent / "baseline"
TOLERANCE = (
    6.0  # root mean square of 0 to 255; versions of matplotlib differ in how edges are drawn
)
PLOTS = {
    "embedding_stream": lambda: pl.embedding(DEMO, "clusters"),
    "embedding_grid": lambda: pl.embedding(DEMO, velocity="grid", legend_loc="right margin"),
    "embedding_cell": lambda: pl.embedding(DEMO, "latent_time", velocity="cell"),
    "embedding_gene": lambda: pl.embedding(DEMO, GENE, layer="velocity", velocity=None),
    "phase_portrait": lambda: pl.phase_portrait(DEMO, GENE),
    "gene_over_time": lambda: pl.gene_over_time(DEMO, GENE, "unspliced", legend_loc="none"),
    "states": lambda: pl.states(DEMO, GENE),
    "states_over_time": lambda: pl.states(DEMO, GENE, over_time=True),
    "time_heatmap": lambda: pl.time_heatmap(DEMO, n_genes=20),
    "rates": lambda: pl.rates(DEMO, gene=GENE),
    "uncertainty": lambda: pl.uncertainty(DEMO),
    "scatter": lambda: pl.scatter(DEMO, "direction_angle", "velocity_confidence"),
    "training": lambda: pl.training(DEMO),
}
GENE = anndata.io.read_elem(
    __import__("zarr").open_group(DEMO / "result.zarr", mode="r")["var"]
).index[0]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


@pytest.mark.parametrize("name", PLOTS)
def test_plot_looks_as_it_did_when_it_was_looked_at(name, tmp_path):
    made, kept = tmp_path / f"{name}.png", BASELINE / f"{name}.png"
    figure = PLOTS[name]().get_figure()
    figure.savefig(made, dpi=70)
    if os.environ.get("VELOVI_WRITE_BASELINE"):
        kept.parent.mkdir(exist_ok=True)
        figure.savefig(kept, dpi=70)
    assert compare_images(str(kept), str(made), TOLERANCE) is None


def test_every_plot_has_a_baseline():
    drawn = {name for name in pl.__all__ if any(plot.startswith(name) for plot in PLOTS)}
    assert drawn == set(pl.__all__)


@pytest.fixture(scope="module")
def model():
    return trained_model(scaled_data())


def test_a_model_and_its_anndata_and_a_run_are_plotted_alike(model):
    gene = model.adata.var_names[0]
    for result in (model, model.to_scvelo(seed=0)):
        axes = pl.phase_portrait(result, gene)
        assert axes.get_title(loc="left") == gene
        shown = axes.collections[0].get_offsets()
        assert len(shown) == model.adata.n_obs
    for result in (RunFolder(DEMO), DEMO, str(DEMO / "result.zarr")):
        assert pl.phase_portrait(result, GENE).get_title(loc="left") == GENE
    stored = anndata.read_zarr(DEMO / "result.zarr")
    one = pl.embedding(stored).collections[0].get_offsets()
    np.testing.assert_allclose(one, pl.embedding(DEMO).collections[0].get_offsets())


def test_the_training_of_a_model_is_that_of_its_history(model):
    axes = pl.training(model)
    drawn = axes.get_lines()[0].get_ydata()
    expected = np.asarray(model.history["elbo_train"], dtype=float).ravel()
    np.testing.assert_allclose(drawn, expected, rtol=1e-6)


def test_axes_of_the_caller_are_drawn_into_in_the_callers_style():
    with matplotlib.rc_context({"font.size": 17}):
        _, panels = pyplot.subplots(1, 2)
        axes = pl.rates(DEMO, ax=panels[1])
    assert axes is panels[1]
    assert not panels[0].collections
    assert axes.xaxis.label.get_fontsize() == 17
    assert matplotlib.rcParams["font.size"] != 8.0


def test_a_new_figure_has_the_size_of_a_paper_and_its_letters():
    axes = pl.training(DEMO)
    np.testing.assert_allclose(axes.get_figure().get_size_inches() * 25.4, (110, 70))
    assert axes.xaxis.label.get_fontsize() == 8.0


@pytest.mark.parametrize("ending", ["svg", "pdf", "png"])
def test_save_writes_the_kind_that_the_ending_names(ending, tmp_path):
    path = tmp_path / f"figure.{ending}"
    pl.training(DEMO, save=path)
    start = path.read_bytes()[:5]
    assert start in (b"<?xml", b"%PDF-", b"\x89PNG\r")


def test_groups_and_colours_can_be_chosen():
    every = pl.embedding(DEMO, velocity=None)
    labels = velovi.pl._result.read_result(DEMO).labels("clusters")
    name = labels.cat.categories[0]
    some = pl.embedding(DEMO, "clusters", groups=[name], palette={name: "#ff0000"}, velocity=None)
    assert len(some.collections[0].get_offsets()) == int((labels == name).sum())
    assert len(every.collections[0].get_offsets()) == len(labels)
    np.testing.assert_allclose(some.collections[0].get_facecolors()[0][:3], (1, 0, 0))


def test_the_colour_scale_can_be_chosen():
    axes = pl.embedding(DEMO, "latent_time", vmin=0.25, vmax=0.5, velocity=None)
    assert axes.collections[0].get_clim() == (0.25, 0.5)


@pytest.mark.parametrize(
    ("plot", "error"),
    [
        (lambda: pl.embedding(DEMO, "no such thing"), UnknownNameError),
        (lambda: pl.embedding(DEMO, basis="tsne"), UnknownNameError),
        (lambda: pl.embedding(DEMO, velocity="sideways"), OptionError),
        (lambda: pl.phase_portrait(DEMO, "no such gene"), UnknownNameError),
        (lambda: pl.phase_portrait(DEMO, GENE, "latent_time"), UnknownNameError),
        (lambda: pl.uncertainty(DEMO, "no such column"), UnknownNameError),
        (lambda: pl.time_heatmap(DEMO, ["no such gene"]), UnknownNameError),
        (lambda: pl.embedding(3), DataError),
    ],
)
def test_what_is_not_there_is_named(plot, error):
    with pytest.raises(error):
        plot()


def test_a_file_is_a_result_and_a_missing_folder_a_sentence(tmp_path):
    path = tmp_path / "result.h5ad"
    stored = anndata.read_zarr(DEMO / "result.zarr")
    del stored.uns["velovi"]
    stored.write_h5ad(path)
    assert pl.phase_portrait(path, GENE).get_title(loc="left") == GENE
    with pytest.raises(OptionError, match="folder"):
        pl.rates(DEMO, save=tmp_path / "nowhere" / "figure.png")


def test_plots_are_loaded_when_asked_for():
    code = "import sys, velovi; print('matplotlib' in sys.modules, velovi.pl.embedding.__name__)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "embedding"]
