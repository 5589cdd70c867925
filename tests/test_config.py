"""Options and schedules by themselves."""

from __future__ import annotations

import json

import numpy as np
import pytest
from modelling import QUIET, made_model, scaled_data

from velovi import fast_schedule
from velovi.config import PreprocessOptions, TrainOptions
from velovi.errors import OptionError
from velovi.runs.folder import RunSpec
from velovi.schedule import FAST_LR


@pytest.mark.parametrize(
    ("n_cells", "batch", "epochs"),
    [
        *((30, 16, 150), (200, 16, 150), (1000, 38, 150), (3696, 128, 150), (20_000, 128, 150)),
        *((100_000, 128, 30), (500_000, 128, 6), (10**6, 128, 5)),
    ],
)
def test_small_data_gets_small_batches_and_large_data_fewer_epochs(n_cells, batch, epochs):
    schedule = TrainOptions().schedule(n_cells)
    assert schedule.batch_size == batch
    assert schedule.max_epochs == epochs
    assert schedule.one_cycle
    assert not schedule.early_stopping
    assert schedule.arguments() == fast_schedule(n_cells)


def test_the_reference_schedule_is_the_reference_one():
    schedule = TrainOptions(preset="reference").schedule(3696)
    assert (schedule.max_epochs, schedule.lr, schedule.batch_size) == (500, 0.01, 256)
    assert schedule.early_stopping
    assert not schedule.one_cycle
    assert schedule.warm_up == 400


def test_a_shorter_limit_shortens_the_whole_cycle():
    schedule = TrainOptions(max_epochs=10).schedule(3696)
    assert (schedule.max_epochs, schedule.warm_up) == (10, 8)


def test_the_rate_rises_and_falls():
    from lightning.pytorch.callbacks import Callback

    rates = []

    class Rate(Callback):
        def on_train_batch_start(self, trainer, *_):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    model = made_model(scaled_data())
    model.train(callbacks=[Rate()], **fast_schedule(120, max_epochs=10), **QUIET)
    assert max(rates) == pytest.approx(FAST_LR, rel=0.02)
    assert rates[0] < 0.3 * FAST_LR
    assert rates[-1] < 0.01 * FAST_LR
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_a_fast_fit_is_at_least_as_good():
    found = {}
    for name, arguments in (
        ("fast", fast_schedule(300, max_epochs=60)),
        ("reference", {"max_epochs": 60, "early_stopping": False}),
    ):
        model = made_model(scaled_data(n_cells=300))
        model.train(**arguments, **QUIET)
        held_out = model.validation_indices
        found[name] = sum(float(model.get_elbo(indices=held_out)) for _ in range(10)) / 10
    assert found["fast"] > found["reference"]


def test_old_specifications_keep_their_schedule():
    values = {
        "run_id": "a",
        "name": "b",
        "dataset_id": "",
        "source": "c",
        "created": 0.0,
        "options": {"train": {"max_epochs": 7}},
    }
    assert RunSpec.from_dict(values).options.train.preset == "reference"
    assert RunSpec.from_dict(values).options.train.max_epochs == 7


def test_numbers_of_numpy_and_whole_floats_become_plain_ones():
    options = PreprocessOptions(n_top_genes=np.int64(30), n_pcs=5.0)
    assert json.loads(json.dumps(options.to_dict()))["n_top_genes"] == 30
    assert type(options.n_pcs) is int
    assert type(TrainOptions(lr=np.float32(0.5)).lr) is float
    for bad in (10**400, float("nan"), "5", True, 2.5):
        with pytest.raises(OptionError, match="n_pcs"):
            PreprocessOptions(n_pcs=bad)
