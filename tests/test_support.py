"""Lines of a velocity field that are drawn as strongly as the cells below them say."""

import numpy as np
import pandas as pd

from velovi.plotting.embedding import StreamlineSet
from velovi.plotting.group_flow import flow_graph, flow_graph_figure
from velovi.plotting.support import fade_streams
from velovi.plotting.theme import LIGHT


def row_of_cells(n=600):
    rng = np.random.default_rng(0)
    return np.stack([np.sort(rng.uniform(0, 3, n)), rng.uniform(0, 0.3, n)], axis=1)


def streams_along(n_heads=6):
    line = np.stack([np.linspace(0, 3, 61), np.full(61, 0.15)], axis=1)
    heads = np.stack([np.linspace(0.25, 2.75, n_heads), np.full(n_heads, 0.15)], axis=1)
    return StreamlineSet((line,), heads, np.tile([1.0, 0.0], (n_heads, 1)))


def test_lines_are_cut_faded_and_left_out_by_place():
    cells = row_of_cells()
    strength = np.select([cells[:, 0] < 1, cells[:, 0] < 2], [1.0, 0.35], 0.0)
    faded = fade_streams(streams_along(), cells, strength)
    lines, heads = faded.strengths
    assert lines.tolist() == [1.0, 0.35]
    assert abs(faded.lines[0][-1, 0] - 1) < 0.12
    assert abs(faded.lines[1][-1, 0] - 2) < 0.12
    assert heads.tolist() == [1.0, 1.0, 0.35, 0.35]
    assert (faded.arrowheads[:, 0] < 2).all()


def test_lines_of_supported_cells_are_as_they_were():
    cells, streams = row_of_cells(), streams_along()
    assert fade_streams(streams, cells, np.ones(len(cells))) is streams
    assert fade_streams(StreamlineSet(), cells, np.zeros(len(cells))).lines == ()


def test_without_evidence_nothing_is_drawn():
    cells = row_of_cells()
    faded = fade_streams(streams_along(), cells, np.zeros(len(cells)))
    assert faded.lines == ()
    assert len(faded.arrowheads) == 0


def test_lines_beside_the_cells_follow_the_nearest_of_them():
    cells = row_of_cells()
    cells[0] = np.nan
    strength = np.where(np.nan_to_num(cells[:, 0]) < 1.5, 1.0, 0.0)
    line = np.stack([np.linspace(0, 3, 61), np.full(61, 2.5)], axis=1)
    faded = fade_streams(StreamlineSet((line,)), cells, strength)
    assert len(faded.lines) == 1
    assert abs(faded.lines[0][-1, 0] - 1.5) < 0.4


PAIRS = pd.DataFrame(
    {
        "source": ["left", "left", "gone"],
        "target": ["right", "middle", "left"],
        "cbdir": [0.8, 0.1, 0.5],
        "cbdir_back": [-0.6, 0.3, -0.5],
        "clear": [True, False, True],
    }
)


def graph():
    x = np.repeat([0.0, 1.0, 2.0], [10, 40, 10])
    labels = pd.Series(pd.Categorical(np.repeat(["left", "middle", "right"], [10, 40, 10])))
    return flow_graph(np.stack([x, x], axis=1), labels, PAIRS)


def test_groups_stand_at_their_cells_and_lines_join_those_that_are_drawn():
    data = graph()
    assert data.places == {"left": (0.0, 0.0), "middle": (1.0, 1.0), "right": (2.0, 2.0)}
    assert data.lines["strength"].tolist() == [0.7, 0.0]
    sizes = data.sizes(40, 1)
    np.testing.assert_allclose(sizes, [20, 40, 20])


def test_clear_directions_are_arrows_and_others_dotted():
    figure = flow_graph_figure(graph(), LIGHT)
    assert len(figure.layout.annotations) == 1
    arrow = figure.layout.annotations[0]
    assert (arrow.ax, arrow.x) == (0.0, 2.0)
    assert [trace.line.dash for trace in figure.data if trace.mode == "lines"] == ["dot"]
