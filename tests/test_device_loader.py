"""Where cells lie during training changes nothing but the time it takes."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from modelling import scaled_data
from scvi import settings

from velovi import VELOVI
from velovi.model import device_loader
from velovi.model.device_loader import DeviceDataSplitter, device_for, fits

CPU = torch.device("cpu")


def trained(n_cells: int, batch_size: int, **how) -> VELOVI:
    settings.seed = 3
    adata = scaled_data(n_cells)
    VELOVI.setup_anndata(adata, spliced_layer="Ms", unspliced_layer="Mu")
    model = VELOVI(adata)
    model.train(
        3,
        batch_size=batch_size,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        **how,
    )
    return model


@pytest.fixture
def held(monkeypatch):
    """Cells are kept on a device, which is the processor here; counts how often."""
    made: list[DeviceDataSplitter] = []

    class Watched(DeviceDataSplitter):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(device_loader, "device_for", lambda *_: CPU)
    monkeypatch.setattr(device_loader, "fits", lambda *_: True)
    monkeypatch.setattr(device_loader, "DeviceDataSplitter", Watched)
    return made


def test_training_on_cells_kept_on_a_device_is_the_same_training(held, monkeypatch):
    kept = trained(110, 32)
    assert len(held) == 1
    monkeypatch.undo()
    batched = trained(110, 32)
    assert len(held) == 1
    np.testing.assert_array_equal(kept.train_indices, batched.train_indices)
    for name in ("elbo_train", "elbo_validation"):
        mine, theirs = (item.history[name].to_numpy(dtype=float) for item in (kept, batched))
        assert len(mine) == 3
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def test_a_last_batch_of_one_cell_is_left_out_there_too(held):
    trained(37, 32, external_indexing=[np.arange(33), np.arange(33, 37)])
    (splitter,) = held
    assert [len(batch["X"]) for batch in splitter.train_dataloader()] == [32]


def test_cells_stay_in_main_memory_on_a_processor():
    assert device_for("cpu", "auto") is None


@pytest.mark.parametrize(("free", "expected"), [(200, True), (199, False)])
def test_half_of_a_cards_free_memory_may_be_used(free, expected, monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 1000))
    with caplog.at_level(logging.INFO, "velovi"):
        assert fits(100, torch.device("cuda", 0)) is expected
    assert ("batch by batch" in caplog.text) is not expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no graphics card here")
def test_a_graphics_card_holds_the_cells():
    assert device_for("gpu", 1) is not None
    model = trained(110, 32)
    assert np.isfinite(model.history["elbo_train"].to_numpy(dtype=float)).all()
