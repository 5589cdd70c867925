"""The Evidence page, and what its verdict does to the map."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tests.ui.fakes import SIGNAL, add_run, fake_result
from velovi.plotting.support import STRENGTHS
from velovi.runs.evidence_summary import EvidenceSummary, kept_rate_recovery
from velovi.runs.folder import RunFolder, RunState
from velovi.runs.known_directions import KnownDirections
from velovi.runs.results import ResultStore, write_result

NUMBERS = {"gene_half_agreement": 0.9, "agreement_stochastic": 0.8, "explained": 0.79}
GROUPS = ("Stem", "Cycling", "Progenitor", "Early", "Transit", "Late", "Fate A", "Fate B")


def pair(source, target, *, clear=True, cbdir=0.8):
    ends = {"source": source, "target": target, "n_source": 20, "n_target": 30}
    scores = {"cbdir": cbdir, "cbdir_se": 0.1, "cbdir_back": -cbdir, "cbdir_back_se": 0.1}
    return {**ends, "net_flow": 0.9, **scores, "consensus": 0.7, "clear": clear}


def evidence(strength="clear", *, null=True, contradictions=(), joins=False, few=()):
    """What a run with three clear directions keeps, and the signal of its counts."""
    pairs = [pair("Transit", "Late"), pair("Late", "Fate A"), pair("Late", "Fate B")]
    if joins:
        pairs = [{**row, "source": row["target"], "target": row["source"]} for row in pairs]
    flow = {"labels": list(GROUPS), "pairs": [*pairs, pair("Stem", "Cycling", clear=False)]}
    share = {"clear": 0.6, "some": 0.2, "none": 0.05, "cannot tell": 0.2}[strength]
    kept = {
        "embedding": "X_umap",
        "label_column": "clusters",
        "numbers": NUMBERS,
        "flow": flow,
        "contradictions": list(contradictions),
        "verdict": {
            "groups": [
                {"group": name, "n_cells": 40, "gene_halves": 0.9, "steady_state": 0.8}
                for name in GROUPS
            ]
        },
    }
    if null:
        numbers = {"gene_half_agreement": -0.1, "explained": 0.8}
        still = [
            {**row, "cbdir": 0.05, "cbdir_back": 0.05, "clear": False} for row in flow["pairs"]
        ]
        without = {"labels": list(GROUPS), "pairs": still}
        kept["null"] = {"n_cells": 300, "n_genes": 90, "numbers": numbers, "flow": without}
    groups = [
        {
            "group": name,
            "n_cells": 400,
            "share_above_null": 0.02 if name in few else share,
            "strength": "none" if name in few else strength,
        }
        for name in GROUPS
    ]
    told = {"strength": strength, "sentence": f"{strength} signal.", "groups": groups}
    return json.dumps(kept), json.dumps({**SIGNAL, **told})


@pytest.fixture
def judged(workspace, open_page):
    """Open a page of a run with this evidence."""

    def opened(page, *given, **how):
        run = add_run(workspace, RunState.DONE)
        result = fake_result(300, 4)
        details = result.uns["velovi"]
        details["evidence"], details["velocity_signal"] = evidence(*given, **how)
        if page == "map":
            grid = details["grids"]["X_umap"]
            details["steady_state_grids"] = {"stochastic": {**grid, "u": -grid["u"]}}
        write_result(result, run.result_path)
        return open_page(page, run=run.run_id), run

    return opened


def table_with(app, column):
    tables = [*app.dataframe, *app.table]
    return next(item.value for item in tables if column in item.value)


def texts(app):
    kinds = (app.markdown, app.caption, app.success, app.warning, app.error, app.info)
    return "\n".join(item.value for kind in kinds for item in kind)


@pytest.mark.parametrize(
    ("strength", "kind", "words"),
    [
        ("clear", "success", "are supported"),
        ("some", "warning", "are weakly supported"),
        ("none", "error", "are without evidence"),
        ("cannot tell", "info", "are not decided"),
    ],
)
def test_each_verdict_is_said_in_words(judged, strength, kind, words):
    app, _ = judged("evidence", strength)
    boxes = [item.value for item in getattr(app, kind)]
    assert any(words in item and f"{strength} signal." in item for item in boxes)
    assert "**Next:**" in "\n".join(boxes)


def test_numbers_stand_beside_those_of_the_null(judged):
    app, _ = judged("evidence")
    rows = table_with(app, "This run").set_index("Number")
    assert rows.loc["Halves of the genes", ["This run", "Without velocity"]].tolist() == [
        "0.90",
        "-0.10",
    ]
    assert rows.loc["Steady state, stochastic", "Without velocity"] == "–"


def test_a_run_without_a_null_says_so(judged):
    app, _ = judged("evidence", null=False)
    assert "not checked against a null" in texts(app)
    assert not any("Without velocity" in item.value for item in [*app.dataframe, *app.table])


def test_flow_is_told_with_errors_and_that_of_the_null(judged):
    app, _ = judged("evidence")
    table = table_with(app, "There")
    assert table["Direction"].tolist() == ["clear"] * 3 + ["not clear"]
    assert table["There"].iloc[0] == "0.80 ± 0.10"
    assert table["Without velocity"].iloc[0] == "0.05 ± 0.10"


def test_a_known_direction_is_kept_with_the_run_and_judged(judged, workspace):
    app, run = judged("evidence", joins=True)
    assert any("may be reversed" in item.value for item in app.warning)
    app.selectbox(key="known_source").set_value("Transit").run()
    app.selectbox(key="known_target").set_value("Late").run()
    app.button(key="known_add").click().run()
    assert KnownDirections(workspace, run.run_id).load() == [("Transit", "Late")]
    assert any("is contradicted" in item.value for item in app.warning)
    assert "contradicted" in texts(app)
    app.button(key="forget_0").click().run()
    assert KnownDirections(workspace, run.run_id).load() == []


def test_two_known_directions_that_are_found_support_a_run(judged, workspace):
    app, run = judged("evidence")
    known = KnownDirections(workspace, run.run_id)
    known.save([("Transit", "Late"), ("Late", "Fate A")])
    app.run()
    assert any("2 of 2 found, and none is contradicted" in item.value for item in app.success)


@pytest.mark.parametrize("page", ["evidence", "map", "latent_time"])
def test_contradictions_are_told_in_red(judged, page):
    app, _ = judged(page, contradictions=["44 cells of X stand at both ends."])
    assert [item.value for item in app.error] == ["44 cells of X stand at both ends."]


def test_results_of_before_say_what_is_missing(open_page, run_in):
    run = run_in(RunState.DONE)
    app = open_page("evidence", run=run.run_id)
    assert "from before velocities were judged" in texts(app)
    app = open_page("map", run=run.run_id)
    assert not [item for item in app.toggle if item.key == "map_all_arrows"]


@pytest.mark.parametrize("damaged", ["{", "[]", '{"embedding": 3}'])
def test_damaged_evidence_is_as_if_there_were_none(damaged):
    assert EvidenceSummary.from_details({"evidence": damaged}) is None


def test_the_map_says_the_verdict_and_fades_its_arrows(judged, monkeypatch):
    drawn = []

    def remember(streams, positions, strength):
        drawn.append(strength)
        return streams

    monkeypatch.setattr("velovi.ui.map_panel.fade_streams", remember)
    app, run = judged("map", "some", few=("Stem",))
    assert "Velocities weakly supported" in texts(app)
    labels = ResultStore(run.result_path).obs["clusters"].to_numpy()
    expected = np.where(labels == "Stem", STRENGTHS["no evidence"], STRENGTHS["weak"])
    np.testing.assert_array_equal(drawn[-1], expected)
    n = len(drawn)
    app.toggle(key="map_all_arrows").set_value(True).run()
    assert len(drawn) == n


def test_a_map_without_evidence_says_why_it_has_no_arrows(judged):
    app, _ = judged("map", "none")
    assert "Nothing supports arrows here" in texts(app)
    app.toggle(key="map_all_arrows").set_value(True).run()
    assert "Nothing supports arrows here" not in texts(app)


def test_the_map_shows_arrows_of_the_steady_state_model(judged):
    app, _ = judged("map")
    choice = app.selectbox(key="map_arrows_of")
    assert choice.options == ["veloVI", "Steady state, stochastic"]
    choice.set_value("stochastic").run()
    assert not app.exception
    assert not app.error


def test_runs_are_compared(judged, workspace):
    app, run = judged("evidence")
    assert app.multiselect(key="compare_with").disabled  # there is no other run
    other = fake_result(300, 4)
    other.layers["velocity"][:, 0] *= -1
    other.obs["latent_time"] = 1 - other.obs["latent_time"]
    for name in ("second", "third"):
        folder = workspace.root / "runs" / f"20260102-000000-{name}"
        shutil.copytree(run.path, folder)
        spec = RunFolder(folder).spec()
        RunFolder(folder).write_spec(replace(spec, run_id=folder.name, name=name))
    shutil.rmtree(RunFolder(workspace.root / "runs" / "20260102-000000-second").result_path)
    write_result(other, workspace.root / "runs" / "20260102-000000-second" / "result.zarr")
    app.run()
    app.multiselect(key="compare_with").set_value(["20260102-000000-second"]).run()
    assert not app.exception
    told = table_with(app, "Shared cells").set_index("Run").loc["second"]
    assert told["Shared cells"] == 300
    assert told["Rank of time"] == pytest.approx(-1)
    assert told["Genes the other way"] == 1
    assert any("Time runs backwards" in item.value for item in app.error)
    assert "**1 of 4 genes go the other way in most cells**" in texts(app)
    assert "no evidence by itself" in texts(app)
    both = ["20260102-000000-second", "20260102-000000-third"]
    app.multiselect(key="compare_with").set_value(both).run()
    assert not app.exception
    told = table_with(app, "Shared cells").set_index("Run")
    assert told.loc["third", "Angle of velocities"] == pytest.approx(0, abs=1e-3)
    stranger = fake_result(60, 4)
    stranger.obs_names = [f"other{at}" for at in range(60)]
    shutil.copytree(run.path, workspace.root / "runs" / "20260102-000000-stranger")
    folder = RunFolder(workspace.root / "runs" / "20260102-000000-stranger")
    folder.write_spec(replace(folder.spec(), run_id=folder.path.name, name="stranger"))
    shutil.rmtree(folder.result_path)
    write_result(stranger, folder.result_path)
    app.run()
    app.multiselect(key="compare_with").set_value([folder.path.name, *both]).run()
    assert any("share too little" in item.value and "stranger" in item.value for item in app.error)
    assert set(table_with(app, "Shared cells")["Run"]) == {"second", "third"}
    app.button_group(key="compared_run").set_value(both[1]).run()
    assert not app.exception
    assert "**0 of 4 genes go the other way in most cells**" in texts(app)


def test_rates_are_shown_as_identified_only_where_they_were_found_again(judged):
    app, run = judged("evidence")
    assert "This run was not asked" in texts(app)
    result = fake_result(300, 4)
    details = result.uns["velovi"]
    details["evidence"], details["velocity_signal"] = evidence()
    row = {"spearman": 0.9, "low": 0.8, "high": 0.95, "rank_error": 12.0, "identified": True}
    lost = {"spearman": 0.1, "low": -0.1, "high": 0.3, "rank_error": 66.0, "identified": False}
    details["rates"] = json.dumps({"fit_beta": row, "fit_gamma": lost})
    write_result(result, run.result_path)
    app.run()
    assert not app.exception
    told = table_with(app, "Rank correlation")
    assert told.iloc[:, -1].to_list() == ["identified", "not identified"]
    assert told["Rank correlation"].iloc[0] == "0.90 (0.80 to 0.95)"


def test_two_more_seeds_are_one_click(judged, workspace, tmp_path):
    app, run = judged("evidence")
    source = tmp_path / "cells.h5ad"
    source.write_bytes(b"")
    run.write_spec(replace(run.spec(), source=str(source)))
    app.run()
    app.button(key="more_seeds").click().run()
    specs = [item.spec() for item in workspace.runs() if "seed" in item.spec().name]
    first = run.spec().options.train.seed
    assert sorted(spec.options.train.seed for spec in specs) == [first + 1, first + 2]
    assert not app.error


def test_the_map_of_the_null_stands_beside_that_of_the_run(judged):
    app, run = judged("evidence")
    assert "What the same method draws without velocity" not in texts(app)
    run.null_path.mkdir()
    write_result(fake_result(80, 4, seed=3), RunFolder(run.null_path).result_path)
    app.run()
    assert not app.exception
    assert not app.error
    assert "What the same method draws without velocity" in texts(app)


DAMAGE = {
    "no cells of a group": lambda kept, signal: kept["verdict"]["groups"][0].pop("n_cells"),
    "flow of numbers": lambda kept, signal: kept["flow"]["pairs"][0].update(source=3),
    "clear by words": lambda kept, signal: kept["flow"]["pairs"][0].update(clear="false"),
    "a huge number": lambda kept, signal: kept["flow"]["pairs"][0].update(cbdir=10**400),
    "a column of numbers": lambda kept, signal: kept.update(label_column=3),
    "a column that is gone": lambda kept, signal: kept.update(label_column="gone"),
    "no strength": lambda kept, signal: signal.pop("strength"),
    "no sentence": lambda kept, signal: signal.pop("sentence"),
    "groups without names": lambda kept, signal: signal.update(groups=[{}]),
    "a share in words": lambda kept, signal: signal["groups"][0].update(share_above_null="x"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_evidence_is_as_none(judged, open_page, damage):
    app, run = judged("evidence")
    result = fake_result(300, 4)
    kept, signal = (json.loads(item) for item in evidence())
    DAMAGE[damage](kept, signal)
    result.uns["velovi"]["evidence"] = json.dumps(kept)
    result.uns["velovi"]["velocity_signal"] = json.dumps(signal)
    write_result(result, run.result_path)
    for page in ("evidence", "map"):
        app = open_page(page, run=run.run_id)
        assert not app.exception
        assert not app.error, damage


@pytest.mark.parametrize("kept", ["[]", "{}", "[" * 100_000, '{"evidence": 1', '"x"'])
def test_evidence_of_another_shape_is_as_none(kept):
    good, signal = evidence()
    assert EvidenceSummary.from_details({"evidence": kept, "velocity_signal": signal}) is None
    assert EvidenceSummary.from_details({"evidence": good, "velocity_signal": kept}) is None
    assert kept_rate_recovery({"rates": kept}) is None


def test_a_damaged_null_leaves_the_rest_of_the_page(judged):
    app, run = judged("evidence")
    run.null_path.mkdir()
    write_result(fake_result(80, 4, seed=3), RunFolder(run.null_path).result_path)
    (RunFolder(run.null_path).result_path / "zarr.json").write_text("{")
    app.run()
    assert not app.exception
    assert any("damaged" in item.value for item in app.error)
    assert "Beside other runs" in [item.value for item in app.subheader]


def test_the_error_of_a_run_without_evidence_is_said_to_be_that(judged):
    app, run = judged("evidence", "none", joins=True)
    result = fake_result(300, 4)
    result.obs["direction_error"], result.obs["direction_error_upper"] = 80.0, 106.0
    details = result.uns["velovi"]
    details["evidence"], details["velocity_signal"] = evidence("none", joins=True)
    write_result(result, run.result_path)
    app.run()
    assert "Nothing supports the directions of this run." in texts(app)
    assert "gives no bound" not in texts(app)
