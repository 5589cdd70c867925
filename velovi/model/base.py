"""What all parts of the model's interface share: the cells, the checks, the collecting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scvi.data import AnnDataManager
from scvi.data._constants import (
    _FIELD_REGISTRIES_KEY,
    _SCVI_UUID_KEY,
    _SETUP_ARGS_KEY,
    _STATE_REGISTRY_KEY,
)
from scvi.model.base import BaseModelClass

from velovi.data.validate import validate
from velovi.errors import DataError, NotTrainedError, first_named
from velovi.model import posterior
from velovi.model.checkpoint import setup_layers
from velovi.model.module import SPLICED_KEY, VELOVAE
from velovi.model.posterior import Quantity
from velovi.model.posterior_means import compiled_means
from velovi.model.selection import CellData, Genes, Indices, Selection, check_positive, select

Frame: TypeAlias = np.ndarray | pd.DataFrame


@dataclass(frozen=True)
class SavedSetup:
    """The registry of a saved model, in the place of data that is not there."""

    registry: dict[str, Any]


class ModelBase(BaseModelClass):
    """Data, checks and the one way from posterior samples to labelled tables."""

    module: VELOVAE
    is_trained_: bool
    registry_: dict[str, Any]
    train_indices_: Any  # positions of cells; None before training
    validation_indices_: Any
    test_indices_: Any
    _adata: AnnData | None
    _adata_manager: AnnDataManager | None

    def _require_trained(self) -> None:
        if not self.is_trained_:
            raise NotTrainedError(
                "the model has not been trained",
                where=type(self).__name__,
                expected="a trained model",
                found="starting values",
                remedy="Call train() first, or load a trained model",
            )

    def _require_data(self) -> AnnData:
        """The model's own data; a model loaded without data has none."""
        if self._adata is None:
            raise DataError(
                "the model was loaded without data",
                where="adata",
                expected="data to work on",
                found="none",
                remedy="Give adata=..., set model.adata, or load the model with its data",
            )
        return self._adata

    def _source(self, adata: AnnData | None) -> AnnData:
        """The data asked about: that given, or the model's own."""
        return self._require_data() if adata is None else adata

    @property
    def _genes(self) -> pd.Index:
        """Names of the model's genes, in its order."""
        state = self.registry_[_FIELD_REGISTRIES_KEY][SPLICED_KEY][_STATE_REGISTRY_KEY]
        return pd.Index(np.asarray(state["column_names"]).astype(str))

    @property
    def _layers(self) -> tuple[str, str]:
        """Names of the spliced and the unspliced layer."""
        given = self.registry_[_SETUP_ARGS_KEY]
        return given["spliced_layer"], given["unspliced_layer"]

    def _cells(self, adata: AnnData | None = None) -> CellData:
        """Cells of the given data, or of the model's own; nothing is registered or copied."""
        own = adata is None or adata is self._adata
        adata = self._source(adata)
        columns = gene_columns(self._genes, adata)
        if not own:  # that was looked at when it was set up
            validate(adata, *self._layers, smoothed=True)
        spliced, unspliced = (adata.layers[name] for name in self._layers)
        return CellData(spliced, unspliced, columns, adata.obs_names, self._genes)

    def _choose(
        self,
        adata: AnnData | None,
        indices: Indices = None,
        gene_list: Genes = None,
        n_samples_overall: int | None = None,
    ) -> tuple[CellData, Selection]:
        self._require_trained()
        data = self._cells(adata)
        return data, select(data, indices, gene_list, n_samples_overall)

    @torch.inference_mode()
    def _collect(
        self,
        data: CellData,
        chosen: Selection,
        quantities: Mapping[str, Quantity],
        *,
        n_samples: int,
        batch_size: int | None = None,
        return_mean: bool = True,
        exact_states: bool = True,
        latent_dim: int | None = None,
    ) -> dict[str, np.ndarray]:
        """Means or samples of quantities; a mean uses the exact mean over states if allowed."""
        check_positive("n_samples", n_samples)
        if return_mean and posterior.compiles(self.module):
            found = compiled_means(
                self.module,
                data.minibatches(chosen.cells, batch_size),
                list(quantities),
                exact_states=exact_states,
                n_cells=len(chosen.cells),
                n_samples=n_samples,
                genes=chosen.genes,
                latent_dim=latent_dim,
            )
            if found is not None:
                return found
        samples = posterior.iterate(
            self.module,
            data.minibatches(chosen.cells, batch_size),
            n_samples=n_samples,
            draw_states=not (exact_states and return_mean),
            latent_dim=latent_dim,
        )
        return posterior.collect(
            samples,
            quantities,
            n_cells=len(chosen.cells),
            n_samples=n_samples,
            genes=chosen.genes,
            return_mean=return_mean,
        )

    @classmethod
    def _registration(cls, adata: AnnData) -> AnnDataManager:
        """The registration of the data; that of a copy of registered data is made on the spot."""
        known = cls._setup_adata_manager_store
        manager = known.get(adata.uns.get(_SCVI_UUID_KEY))
        if manager is not None and manager.adata is not adata:
            cls.setup_anndata(adata, **setup_layers(manager.registry))
            manager = known[adata.uns[_SCVI_UUID_KEY]]
        if manager is None:
            raise DataError(
                "the data is not set up for this model",
                where="adata",
                expected="data registered with its spliced and unspliced layer",
                found="layers " + (", ".join(map(str, adata.layers)) or "none"),
                remedy=f"Call {cls.__name__}.setup_anndata(adata, spliced_layer=..., "
                "unspliced_layer=...) first",
            )
        return manager

    @classmethod
    def _get_most_recent_anndata_manager(
        cls, adata: AnnData, required: bool = False
    ) -> AnnDataManager | None:
        # what scvi-tools' constructor asks
        if not required and adata.uns.get(_SCVI_UUID_KEY) not in cls._setup_adata_manager_store:
            return None
        return cls._registration(adata)


def gene_columns(genes: pd.Index, adata: AnnData) -> np.ndarray | None:
    """Where the model's genes are in the data; None when the data has these genes in this order.

    Raises
    ------
    DataError
        A gene of the model is missing, or the data names one more than once.
    """
    names = adata.var_names.astype(str)
    if genes.equals(names) and names.is_unique:
        return None
    missing = genes.difference(names, sort=False)
    twice = names[names.duplicated()].intersection(genes)
    if len(missing):
        raise DataError(
            f"{len(missing)} of the model's {len(genes)} genes are missing",
            where="adata",
            expected="all genes that the model was trained on",
            found="no " + first_named(missing),
            remedy="Give data with these genes; more genes and another order do no harm",
        )
    if len(twice):
        raise DataError(
            "genes occur more than once",
            where="adata.var_names",
            expected="each of the model's genes once",
            found=first_named(twice),
            remedy="Call adata.var_names_make_unique() where the names were made",
        )
    return names.get_indexer(genes)


def labelled(
    values: np.ndarray,
    chosen: Selection,
    n_samples: int,
    return_mean: bool,
    return_numpy: bool | None,
) -> Frame:
    """A table of ``(cells, genes)``, or an array when asked for or when samples have an axis."""
    if not return_mean and n_samples > 1:
        return values
    if not return_mean:
        values = values[0]  # a single sample has no axis of its own
    if return_numpy:
        return values
    return pd.DataFrame(values, index=chosen.cell_names, columns=chosen.gene_names)
