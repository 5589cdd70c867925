"""Steady-state velocities, flow between groups and the verdict, each against something slower."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from velovi import simulate
from velovi.config import PreprocessOptions
from velovi.dynamics import cbdir
from velovi.errors import DataError, OptionError, UnknownNameError
from velovi.evidence import (
    GroupFlow,
    against_time,
    at_both_ends,
    group_flow,
    steady_state_gamma,
    steady_state_velocity,
    verdict,
)
from velovi.evidence.strength import strength_of
from velovi.neighbors import neighbor_graph
from velovi.preprocessing import choose_genes, size_factors

# scVelo 0.3.4, `scv.pp.moments` and `scv.tl.velocity(mode=...)` with its defaults on the cells of
# `steady_cells`; of its velocity genes
SCVELO_GENES = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    10,
    11,
    12,
    13,
    14,
    15,
    16,
    17,
    18,
    19,
    20,
    22,
    23,
    24,
    26,
    27,
    28,
    29,
]
SCVELO_GAMMA = {
    "deterministic": [
        0.121229,
        0.635806,
        0.265854,
        0.401161,
        0.299122,
        0.433731,
        0.449188,
        0.409972,
        0.3079,
        0.422788,
        0.415827,
        0.280785,
        0.306227,
        0.400179,
        0.341699,
        0.39971,
        0.507517,
        0.354109,
        0.406546,
        0.225745,
        0.301998,
        0.473398,
        0.297063,
        0.227558,
        0.181918,
        0.396436,
        0.323557,
    ],
    "stochastic": [
        0.091708,
        0.454375,
        0.250615,
        0.400825,
        0.283833,
        0.365261,
        0.396606,
        0.416088,
        0.263776,
        0.433807,
        0.459637,
        0.268256,
        0.214342,
        0.414671,
        0.360367,
        0.369992,
        0.40598,
        0.346395,
        0.427305,
        0.21845,
        0.277279,
        0.470964,
        0.2699,
        0.217796,
        0.182584,
        0.368769,
        0.300668,
    ],
}


def steady_cells():
    """200 simulated cells of 30 genes: normalised counts and neighbours."""
    cells = simulate(200, 30, seed=3)
    chosen = choose_genes(cells, PreprocessOptions(min_shared_counts=0))
    layers = [
        sp.csr_matrix(sp.diags(size_factors(cells.layers[name])) @ cells.layers[name])
        for name in ("spliced", "unspliced")
    ]
    return *layers, chosen.obsp["connectivities"]


@pytest.mark.parametrize("mode", SCVELO_GAMMA)
def test_slopes_of_the_steady_state_are_those_of_scvelo(mode):
    found = steady_state_gamma(*steady_cells(), mode=mode)
    np.testing.assert_allclose(found[SCVELO_GENES], SCVELO_GAMMA[mode], atol=2e-6)


def test_slopes_are_those_of_some_cells_when_only_some_are_asked_for():
    spliced, unspliced, graph = steady_cells()
    some = np.arange(0, 200, 2)
    found = steady_state_gamma(spliced, unspliced, graph, cells=some)
    everyone = steady_state_gamma(spliced, unspliced, graph)
    assert not np.allclose(found, everyone)
    assert np.corrcoef(found, everyone)[0, 1] > 0.9


def test_a_gene_without_counts_has_no_slope():
    spliced, unspliced, graph = steady_cells()
    empty = sp.csr_matrix(spliced.shape)
    for mode in SCVELO_GAMMA:
        assert (steady_state_gamma(empty, unspliced, graph, mode=mode) == 0).all()
        assert (steady_state_gamma(empty, empty, graph, mode=mode) == 0).all()


def test_slopes_ask_for_what_belongs_together():
    spliced, unspliced, graph = steady_cells()
    with pytest.raises(DataError, match="neighbours disagree"):
        steady_state_gamma(spliced[:10], unspliced, graph)
    with pytest.raises(OptionError, match="mode"):
        steady_state_gamma(spliced, unspliced, graph, mode="dynamical")


def test_velocity_is_what_lies_above_the_line():
    s, u = np.array([[1.0, 2.0]]), np.array([[0.5, 3.0]])
    found = steady_state_velocity(s, u, np.array([0.5, 1.0]))
    np.testing.assert_array_equal(found, [[0.0, 1.0]])


# --- flow between groups ------------------------------------------------------------------------

GROUPS = {"a": 0, "b": 1, "c": 2}


def cells_on_a_line(turn=0.0, n_cells=300):
    """Three groups side by side, whose arrows point along the line, turned by an angle."""
    rng = np.random.default_rng(0)
    places = np.stack([np.sort(rng.uniform(0, 3, n_cells)), rng.normal(0, 0.2, n_cells)], axis=1)
    labels = np.array(list(GROUPS))[places[:, 0].astype(int)]
    noise = rng.normal(0, 0.3, n_cells) + turn
    arrows = np.stack([np.cos(noise), np.sin(noise)], axis=1)
    graph, _ = neighbor_graph(places, 15)
    return places, arrows, graph, labels


def test_flow_finds_the_way_along_a_line():
    places, arrows, graph, labels = cells_on_a_line()
    flow = group_flow(places, arrows, graph, labels)
    pairs = {(row.source, row.target): row for row in flow.pairs.itertuples()}
    assert set(pairs) == {("a", "b"), ("b", "c")}
    assert all(row.clear for row in pairs.values())
    assert flow.starts == ("a",)
    assert flow.ends == ("c",)
    assert flow.branching == "neither"
    assert flow.loops == ()


def test_flow_holds_the_scores_of_cbdir_and_errors_of_cells():
    places, arrows, graph, labels = cells_on_a_line()
    flow = group_flow(places, arrows, graph, labels)
    row = flow.pairs.iloc[0]
    expected = cbdir(places, arrows, graph, labels, [("a", "b"), ("b", "a")])
    np.testing.assert_allclose([row["cbdir"], row["cbdir_back"]], expected.mean)
    assert [row["n_source"], row["n_target"]] == expected.n_cells.tolist()
    own = []
    for cell in np.flatnonzero(labels == "a"):
        near = [j for j in graph[cell].indices if labels[j] == "b"]
        steps = places[near] - places[cell]
        along = steps @ arrows[cell] / np.linalg.norm(steps, axis=1) / np.linalg.norm(arrows[cell])
        own += [along.mean()] if near else []
    assert row["cbdir_se"] == pytest.approx(np.std(own, ddof=1) / np.sqrt(len(own)))


def test_halves_of_genes_that_disagree_make_the_error_larger():
    places, arrows, graph, labels = cells_on_a_line()
    halves = np.stack([arrows, -arrows])
    sure = group_flow(places, arrows, graph, labels).pairs
    unsure = group_flow(places, arrows, graph, labels, half_arrows=halves).pairs
    assert (unsure["cbdir_se"] > sure["cbdir_se"] + 0.5).all()
    assert not unsure["clear"].any()


def test_arrows_across_the_line_are_no_flow():
    places, arrows, graph, labels = cells_on_a_line(turn=np.pi / 2)
    assert not group_flow(places, arrows, graph, labels).pairs["clear"].any()


def test_net_flow_counts_steps_there_and_back():
    places, arrows, graph, labels = cells_on_a_line()
    order = np.array([GROUPS[name] for name in labels])
    moves = graph.tocoo()
    forward = order[moves.col] >= order[moves.row]
    only = sp.csr_matrix((forward.astype(float), (moves.row, moves.col)), shape=moves.shape)
    flow = group_flow(places, arrows, graph, labels, transition=only)
    assert (flow.pairs["net_flow"] == 1).all()
    both = sp.csr_matrix((np.ones(moves.nnz), (moves.row, moves.col)), shape=moves.shape)
    flow = group_flow(places, arrows, graph, labels, transition=both)
    assert (flow.pairs["net_flow"].abs() < 0.2).all()


def test_consensus_is_the_cosine_with_other_arrows_at_the_border():
    places, arrows, graph, labels = cells_on_a_line()
    same = group_flow(places, arrows, graph, labels, other_arrows=2 * arrows)
    other = group_flow(places, arrows, graph, labels, other_arrows=-arrows)
    np.testing.assert_allclose(same.pairs["consensus"], 1)
    np.testing.assert_allclose(other.pairs["consensus"], -1)


def flow_of(*pairs):
    """A flow in which all these pairs are clear."""
    rows = [(*pair, 20, 20, 0.5, 0.5, 0.05, -0.5, 0.05, 0.9, True) for pair in pairs]
    columns = [
        *("source", "target", "n_source", "n_target", "net_flow"),
        *("cbdir", "cbdir_se", "cbdir_back", "cbdir_back_se", "consensus", "clear"),
    ]
    names = tuple(sorted({name for pair in pairs for name in pair}))
    return GroupFlow(pd.DataFrame(rows, columns=columns), names)


def test_ways_part_join_or_go_round():
    tree = [("stem", "a"), ("stem", "b"), ("stem", "c")]
    assert flow_of(*tree).branching == "parts"
    assert flow_of(*[pair[::-1] for pair in tree]).branching == "joins"
    assert flow_of(("a", "b")).branching == "unknown"
    ring = flow_of(("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"))
    assert ring.loops == (("a", "b", "c"),)
    assert flow_of(("a", "b"), ("b", "c")).branching == "neither"


def test_known_directions_are_compared():
    flow = flow_of(("a", "b"), ("b", "c"))
    flow.pairs.loc[1, "clear"] = False
    known = [("a", "b"), ("b", "a"), ("b", "c"), ("a", "c")]
    assert flow.agreement(known) == ["agrees", "contradicts", "unclear", "apart"]
    with pytest.raises(UnknownNameError, match="'z'"):
        flow.agreement([("a", "z")])


def test_cells_without_a_group_belong_to_none():
    places, arrows, graph, labels = cells_on_a_line()
    missing = labels.astype(object)
    missing[labels == "b"] = None
    assert group_flow(places, arrows, graph, missing).pairs.empty
    one = group_flow(places, arrows, graph, np.full(len(labels), "only"))
    assert one.pairs.empty
    assert one.branching == "unknown"


def test_time_that_runs_against_the_flow_is_told():
    flow = flow_of(("a", "b"))
    labels = np.array(["a"] * 5 + ["b"] * 5)
    time = np.linspace(0, 1, 10)
    assert against_time(flow, time, labels) == []
    assert against_time(flow, 1 - time, labels) == [("a", "b")]


def test_a_group_at_both_ends_of_time_is_told():
    labels = np.array(["x"] * 40 + ["y"] * 40)
    time = np.concatenate([np.repeat([0.02, 0.97], 20), np.full(40, 0.5)])
    assert at_both_ends(time, labels) == {"x": (20, 20)}


# --- the verdict --------------------------------------------------------------------------------


def signal_of(share, n_cells=1000, groups=()):
    """What `VelocitySignal.to_dict` says when this share of 200 genes lies above the null."""
    names = ("group", "n_cells", "share_above_null", "strength")
    return {
        "strength": strength_of(share, n_cells, 200),
        "sentence": f"{share} of genes.",
        "groups": [dict(zip(names, group, strict=True)) for group in groups],
    }


TREE = flow_of(("s", "a"), ("s", "b"))


def judge(signal, halves=0.9, steady=0.9, **given):
    return verdict(signal, gene_halves=halves, steady_state=steady, **given)


def groups_of(*names):
    table = {"n_cells": 250, "gene_halves": 0.9, "steady_state": 0.9}
    return pd.DataFrame(table, index=list(names))


def test_supported_needs_signal_agreement_and_a_direction():
    assert judge(signal_of(0.6), flow=TREE).support == "supported"
    assert judge(signal_of(0.2), flow=TREE).support == "weak"
    assert judge(signal_of(0.06), flow=TREE).support == "no evidence"
    assert judge(signal_of(0.2, n_cells=200), flow=TREE).support == "cannot tell"
    assert judge(signal_of(0.6), halves=0.3, flow=TREE).support == "weak"
    assert judge(signal_of(0.6), steady=0.3, flow=TREE).support == "weak"
    assert judge(signal_of(0.6), halves=-0.9, flow=TREE).support == "no evidence"
    assert judge(signal_of(0.6)).support == "weak"
    assert judge(None, flow=TREE).support == "cannot tell"


def test_ways_that_join_are_not_supported_and_told():
    joined = judge(signal_of(0.8), flow=flow_of(("a", "s"), ("b", "s")))
    assert joined.support == "weak"
    assert any("may be reversed" in reason for reason in joined.reasons)


def test_known_directions_decide():
    known = [("s", "a"), ("s", "b")]
    line = flow_of(("s", "a"), ("a", "b"))
    assert judge(signal_of(0.8), flow=line).support == "weak"
    assert judge(signal_of(0.8), flow=TREE, known_directions=known).support == "supported"
    turned = judge(signal_of(0.8), flow=TREE, known_directions=[("a", "s"), ("s", "b")])
    assert turned.support == "weak"
    assert any("contradicted" in reason for reason in turned.reasons)


def test_one_known_direction_decides_nothing():
    one = judge(signal_of(0.8), flow=TREE, known_directions=[("s", "a")])
    assert one.support == "supported"  # ways part as well
    line = flow_of(("s", "a"), ("a", "b"))
    one = judge(signal_of(0.8), flow=line, known_directions=[("s", "a")])
    assert one.support == "weak"
    assert any("two that are found decide" in reason for reason in one.reasons)


def test_a_known_direction_that_is_missed_weighs_more_than_ways_that_part():
    tree = flow_of(("stem", "a"), ("stem", "b"), ("stem", "c"), ("a", "d"))
    assert judge(signal_of(0.6), flow=tree).support == "supported"
    tree.pairs.loc[3, "clear"] = False
    found = judge(signal_of(0.6), flow=tree, known_directions=[("stem", "a")])
    assert found.support == "supported"
    missed = judge(signal_of(0.6), flow=tree, known_directions=[("stem", "a"), ("a", "d")])
    assert missed.support == "weak"
    assert any("weighs more" in reason for reason in missed.reasons)
    two = [("stem", "a"), ("stem", "b"), ("a", "d")]
    assert judge(signal_of(0.6), flow=tree, known_directions=two).support == "supported"


def test_a_known_direction_between_groups_apart_says_nothing():
    tree = flow_of(("stem", "a"), ("stem", "b"), ("a", "c"), ("a", "d"))
    found = judge(signal_of(0.6), flow=tree, known_directions=[("stem", "c")])
    assert found.support == "supported"
    assert any("1 between groups that do not touch" in reason for reason in found.reasons)


def test_a_direction_that_the_null_has_as_well_is_not_clear():
    flow, null = flow_of(("a", "b"), ("b", "c"), ("c", "d")), flow_of(("a", "b"), ("c", "b"))
    flow.pairs["cbdir"], flow.pairs["cbdir_se"] = [0.9, 0.7, 0.7], 0.1
    null.pairs["cbdir"], null.pairs["cbdir_back"] = [0.6, 0.9], [-0.6, 0.55]
    assert flow.beyond(null).clear_pairs["source"].tolist() == ["a", "c"]  # .9 > .6, .7 < .55 + .2
    assert flow.beyond(None) is flow
    known = [("a", "b"), ("b", "c")]
    assert judge(signal_of(0.8), flow=flow, known_directions=known).support == "supported"
    beside = judge(signal_of(0.8), flow=flow, known_directions=known, null_flow=null)
    assert beside.support == "weak"
    assert any("1 of 2 found" in reason for reason in beside.reasons)
    assert flow.clear_pairs["source"].tolist() == ["a", "b", "c"]


def test_a_group_without_a_name_is_still_named():
    flow = flow_of(("", "a"), ("", "b"))
    reasons = " ".join(judge(signal_of(0.6), flow=flow).reasons)
    assert "from (no name) to a, b" in reasons


def test_halves_of_the_genes_must_agree_better_than_without_velocity():
    assert judge(signal_of(0.8), flow=TREE, null_gene_halves=0.5).support == "supported"
    beside = judge(signal_of(0.8), flow=TREE, null_gene_halves=0.85)
    assert beside.support == "weak"
    assert any("0.85 without velocity" in reason for reason in beside.reasons)


def test_what_could_not_be_compared_is_said():
    found = judge(signal_of(0.8), halves=float("nan"), flow=TREE)
    assert found.support == "weak"
    assert any("could not be compared" in reason for reason in found.reasons)
    averaged = {**signal_of(0.2, n_cells=100), "counted": False}
    assert "counts" in judge(averaged).advice[0]


def test_groups_are_judged_by_their_own_cells_and_never_better_than_the_run():
    groups = [("s", 400, 0.6, "clear"), ("a", 400, 0.2, "some"), ("b", 400, 0.04, "none")]
    weak = judge(signal_of(0.6, groups=groups), groups=groups_of("s", "a"))
    assert set(weak.groups["support"]) == {"weak"}
    own = groups_of("s", "a", "b", "small")
    found = judge(signal_of(0.6, groups=groups), flow=TREE, groups=own)
    assert found.groups["support"].to_dict() == {
        "s": "supported",
        "a": "supported",
        "b": "no evidence",
        "small": "cannot tell",
    }
    assert list(found.of_cells(own.index)) == [
        "supported",
        "supported",
        "no evidence",
        "cannot tell",
    ]
    none = judge(signal_of(0.05, groups=groups), flow=TREE, groups=own)
    assert set(none.groups["support"]) == {"no evidence"}


def test_a_small_group_without_signal_is_no_absence():
    found = judge(
        signal_of(0.6, groups=[("s", 100, 0.05, "cannot tell")]), flow=TREE, groups=groups_of("s")
    )
    assert found.groups.loc["s", "support"] == "cannot tell"
