"""Named sets of cells in a workspace."""

from __future__ import annotations

import numpy as np
import pytest

from velovi.config import RunOptions
from velovi.errors import DataError, OptionError, StoreError
from velovi.runs.cell_sets import CellSets
from velovi.runs.folder import RunFolder, RunSpec
from velovi.runs.workspace import Workspace

MASK = np.random.default_rng(0).random(1003) < 0.3


@pytest.fixture
def sets(tmp_path) -> CellSets:
    return CellSets(Workspace(tmp_path), "run-1", len(MASK))


def test_a_set_comes_back_as_it_was(sets, tmp_path):
    assert sets.names() == []
    sets.save("  early ducts / Ngn3+ ", MASK)
    sets.save("Ärmel", ~MASK)
    assert sets.names() == ["early ducts / Ngn3+", "Ärmel"]
    np.testing.assert_array_equal(sets.load("early ducts / Ngn3+"), MASK)
    again = CellSets(Workspace(tmp_path), "run-1", len(MASK))
    np.testing.assert_array_equal(again.load("Ärmel"), ~MASK)


def test_a_set_of_the_same_name_is_replaced(sets):
    sets.save("one", MASK)
    sets.save("one", ~MASK)
    assert sets.names() == ["one"]
    np.testing.assert_array_equal(sets.load("one"), ~MASK)


def test_sets_belong_to_their_run(sets, tmp_path):
    sets.save("one", MASK)
    assert CellSets(Workspace(tmp_path), "run-2", len(MASK)).names() == []
    with pytest.raises(StoreError, match="another result"):
        CellSets(Workspace(tmp_path), "run-1", 17).load("one")


def test_a_deleted_set_is_gone(sets):
    sets.save("one", MASK)
    sets.delete("one")
    assert sets.names() == []
    with pytest.raises(StoreError, match="no set of cells named 'one'"):
        sets.load("one")


def test_sets_go_with_their_run(tmp_path):
    workspace = Workspace(tmp_path)
    run = RunFolder(workspace.runs_path / "run-1")
    run.path.mkdir()
    run.write_spec(RunSpec("run-1", "One", "", "", RunOptions(), 0.0))
    run.request_cancel()
    CellSets(workspace, "run-1", len(MASK)).save("one", MASK)
    workspace.delete_run("run-1")
    assert not list((tmp_path / "cell_sets").iterdir())


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\0b"])
def test_names_are_checked(sets, name):
    with pytest.raises(OptionError, match="name of a set of cells"):
        sets.save(name, MASK)


@pytest.mark.parametrize("cells", [np.zeros(1003, bool), np.ones(5, bool)])
def test_a_set_has_cells_of_the_run(sets, cells):
    with pytest.raises(DataError, match="at least one of the run's cells"):
        sets.save("one", cells)


@pytest.mark.parametrize("run_id", ["../up", "a/b", "", "x" * 81])
def test_nothing_but_ids_reaches_the_file_system(tmp_path, run_id):
    with pytest.raises(StoreError, match="not an id"):
        CellSets(Workspace(tmp_path), run_id, 3)
