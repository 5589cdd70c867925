"""Where the cells lie while a model trains: in main memory, or on the graphics card if they fit.

A step of this model is short, so on a graphics card a good part of it would be the wait for the
next cells. They are copied there once when they take at most half of the memory that is free.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from scvi.data import AnnDataManager
from scvi.dataloaders import DataSplitter, DeviceBackedDataSplitter
from scvi.model._utils import parse_device_args
from torch.utils.data import BatchSampler, DataLoader

log = logging.getLogger("velovi")

SHARE_OF_FREE = 0.5
_BYTES = 4
_GB = 2**30


class DeviceDataSplitter(DeviceBackedDataSplitter):
    """scvi-tools' splitter for data on a device, in the order and with the last batch of ours."""

    def __init__(self, manager: AnnDataManager, device: torch.device, **split: Any) -> None:
        super().__init__(manager, accelerator="cpu", shuffle=True, **split)
        self.device = device
        self.drop_last = False

    def _get_tensor_dict(
        self, indices: np.ndarray | None, device: torch.device
    ) -> dict[str, torch.Tensor] | None:
        # reading the cells must not change which random numbers training sees
        with torch.random.fork_rng(devices=[]):
            found: dict[str, torch.Tensor] | None = super()._get_tensor_dict(indices, device)
        return found

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of training cells, shuffled anew in every epoch."""
        loader: DataLoader[Any] = super().train_dataloader()
        batches = loader.sampler
        assert isinstance(batches, BatchSampler)
        batches.drop_last = self.drop_last
        return loader


def splitter_for(
    manager: AnnDataManager, accelerator: str, devices: int | list[int] | str, **split: Any
) -> DataSplitter:
    """What hands cells to training.

    Parameters
    ----------
    manager
        Of the registered data.
    accelerator, devices
        Hardware, as Lightning names it; cells stay in main memory when it is several devices.
    **split
        Shares, batch size and positions, as ``DataSplitter`` takes them.
    """
    device = device_for(accelerator, devices)
    cells, genes = manager.adata.shape
    size = 2 * _BYTES * cells * genes
    if device is None or not fits(size, device):
        return DataSplitter(manager, **split)
    log.info("The cells (%.1f GB) are kept on the graphics card while training", size / _GB)
    return DeviceDataSplitter(manager, device, **split)


def device_for(accelerator: str, devices: int | list[int] | str) -> torch.device | None:
    """The one graphics card that will train; None when it is the processor, or several."""
    kind, used, device = parse_device_args(accelerator, devices, return_device="torch")
    several = isinstance(used, list) and len(used) > 1
    several = several or (isinstance(used, int) and used > 1)
    return device if device.type == "cuda" and kind != "cpu" and not several else None


def fits(size: int, device: torch.device) -> bool:
    """Whether so many bytes take at most half of what is free on a card; says so when not."""
    free, _ = torch.cuda.mem_get_info(device)
    if size <= SHARE_OF_FREE * free:
        return True
    log.info(
        "The cells (%.1f GB) are handed to the graphics card batch by batch: they would take more "
        "than half of its free memory (%.1f GB)",
        size / _GB,
        free / _GB,
    )
    return False
