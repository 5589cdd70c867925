"""The look for velocity in a file, in a process of its own."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from velovi.data.simulate import simulate
from velovi.errors import StoreError
from velovi.runs import velocity_signal
from velovi.runs.files import write_json
from velovi.runs.velocity_signal import (
    folder_of,
    forget_signal,
    request_signal,
    signal_state,
    stop_signal,
)

LAYERS = ("spliced", "unspliced")


@pytest.fixture
def dataset(tmp_path):
    simulate(320, 60, seed=0).write_h5ad(tmp_path / "source.h5ad")
    return tmp_path


def wait(dataset, *states, seconds=120.0):
    end = time.monotonic() + seconds
    while (found := signal_state(dataset))[0] not in states:
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found


def test_a_file_is_looked_into(dataset):
    assert signal_state(dataset)[0] == "none"
    request_signal(dataset, LAYERS, "clusters")
    _, found, error = wait(dataset, "done", "failed")
    assert error is None
    assert found.strength == "clear"
    assert found.n_cells == 320
    assert found.share_above_null > 0.35
    assert len(found.reliability_within) == found.n_genes
    assert (np.diff(found.null_within) >= 0).all()


def test_what_goes_wrong_is_said(dataset):
    (dataset / "source.h5ad").unlink()
    request_signal(dataset, LAYERS, None)
    _, found, error = wait(dataset, "failed")
    assert found is None
    assert error["what"]
    assert "Traceback" not in error["what"]
    forget_signal(dataset)
    assert signal_state(dataset)[0] == "none"


def test_it_can_be_stopped_and_asked_again(dataset):
    request_signal(dataset, LAYERS, "clusters")
    stop_signal(dataset)
    error = wait(dataset, "failed")[2]
    assert "stopped" in error["what"]
    process, _ = folder_of(dataset).owner()
    end = time.monotonic() + 10
    while process.alive() and time.monotonic() < end:  # it takes a moment to die
        time.sleep(0.05)
    assert not process.alive()


def test_nobody_waits_for_a_process_that_is_gone(dataset, monkeypatch):
    folder = folder_of(dataset)
    folder.path.mkdir()
    write_json(folder.path / "request.json", {"created": time.time()})
    assert signal_state(dataset)[0] == "working"
    write_json(folder.path / "request.json", {"created": time.time() - 3600})
    state, _, error = signal_state(dataset)
    assert state == "failed"
    assert "without a word" in error["what"]


@pytest.mark.parametrize("kept", ["{", "[]", '{"strength": 3}', '{"reliability_within": "x"}'])
def test_a_damaged_answer_is_no_answer(dataset, kept):
    folder = folder_of(dataset)
    folder.path.mkdir()
    write_json(folder.path / "request.json", {"created": 0})
    (folder.path / "signal.json").write_text(kept)
    assert signal_state(dataset)[0] == "failed"


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX systems")
def test_where_nothing_can_be_written_a_sentence_says_so(dataset, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(velocity_signal.Path, "mkdir", full)
    with pytest.raises(StoreError, match="space"):
        request_signal(dataset, LAYERS, None)
