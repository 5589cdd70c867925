"""The model's public interface: that of ``scvi.external.VELOVI``, one class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scvi.data import AnnDataManager
from scvi.data._constants import _SCVI_UUID_KEY
from scvi.data.fields import LayerField
from scvi.train import TrainRunner

from velovi.data.validate import validate
from velovi.errors import DataError, OptionError
from velovi.keys import SCALERS
from velovi.model import initialization
from velovi.model.base import SavedSetup, gene_columns
from velovi.model.checkpoint import scale_table
from velovi.model.device_loader import splitter_for
from velovi.model.diagnostics import DiagnosticsMixin
from velovi.model.export import ExportMixin
from velovi.model.io_mixin import IOMixin
from velovi.model.latent import LatentMixin
from velovi.model.module import SPLICED_KEY, UNSPLICED_KEY, VELOVAE
from velovi.model.posterior_methods import PosteriorMethodsMixin
from velovi.model.registration import RegistrationMixin
from velovi.model.training import (
    Plan,
    early_stopping_allowed,
    epochs_or_heuristic,
    mend_last_batch,
    plan_arguments,
    require_accelerator,
)


class VELOVI(
    PosteriorMethodsMixin, DiagnosticsMixin, LatentMixin, ExportMixin, IOMixin, RegistrationMixin
):
    """Velocity variational inference (Gayoso, Weiler et al., Nature Methods 2024).

    Parameters
    ----------
    adata
        Data registered with :meth:`setup_anndata`: smoothed spliced and unspliced abundance,
        scaled to [0, 1] for each gene.
    n_hidden, n_latent, n_layers, dropout_rate
        Width of the networks, dimensions of the cell state, depth, and dropout in the encoder.
    gamma_init_data
        Start degradation rates from the unspliced-to-spliced ratio of the data.
    linear_decoder
        Make the logit of each gene's induction time linear in the cell state.
    **model_kwargs
        Further arguments of :class:`~velovi.model.module.VELOVAE`.

    Raises
    ------
    DataError
        ``adata`` was not set up.
    OptionError
        A choice among ``model_kwargs`` does not exist.

    Examples
    --------
    >>> from velovi import VELOVI
    >>> VELOVI.setup_anndata(adata, spliced_layer="Ms", unspliced_layer="Mu")
    >>> model = VELOVI(adata)
    >>> model.train(max_epochs=2, enable_progress_bar=False)
    >>> model.get_velocity(n_samples=25).shape == adata.shape
    True
    """

    def __init__(
        self,
        adata: AnnData | SavedSetup,
        n_hidden: int = 256,
        n_latent: int = 10,
        n_layers: int = 1,
        dropout_rate: float = 0.1,
        gamma_init_data: bool = False,
        linear_decoder: bool = False,
        **model_kwargs: Any,
    ) -> None:
        if isinstance(adata, SavedSetup):
            super().__init__(registry=adata.registry)
        else:
            super().__init__(adata)
        self.n_latent = n_latent
        self.training_scale_: dict[str, np.ndarray] | None = None
        n_genes = self.summary_stats["n_vars"]
        zeros = np.zeros(n_genes)
        upper = initialization.TopQuantileMeans(
            zeros, zeros
        )  # in the place of what the saved model brings
        if self._adata is not None:
            data = self._cells()
            upper = initialization.top_quantile_means(data.spliced, data.unspliced)
        self.module = VELOVAE(
            n_input=n_genes,
            n_hidden=n_hidden,
            n_latent=n_latent,
            n_layers=n_layers,
            dropout_rate=dropout_rate,
            gamma_unconstr_init=initialization.initial_gamma(upper) if gamma_init_data else None,
            alpha_unconstr_init=initialization.initial_alpha(upper),
            alpha_1_unconstr_init=zeros,
            lambda_alpha_unconstr_init=zeros,
            switch_spliced=upper.spliced,
            switch_unspliced=upper.unspliced,
            linear_decoder=linear_decoder,
            **model_kwargs,
        )
        self._model_summary_string = (
            f"VELOVI Model with the following params: \nn_hidden: {n_hidden}, "
            f"n_latent: {n_latent}, n_layers: {n_layers}, dropout_rate: {dropout_rate}"
        )
        self.init_params_ = self._get_init_params(locals())

    @classmethod
    def setup_anndata(
        cls, adata: AnnData, spliced_layer: str, unspliced_layer: str, **kwargs: Any
    ) -> None:
        """Register the layers that hold the data.

        Data that carries the registration of other data (a copy, or the same file read twice) gets
        one of its own.

        Parameters
        ----------
        adata
            The data; gets a registration key in ``uns``.
        spliced_layer, unspliced_layer
            Layers with smoothed, scaled abundance ``(cells, genes)``, dense or sparse.
        **kwargs
            For the registration, such as ``source_registry`` when a saved model is loaded.

        Raises
        ------
        DataError
            A layer is missing, or holds negative, infinite or missing numbers, genes have one
            name, or ``adata`` is a view.
        """
        arguments = cls._get_setup_method_args(**locals())
        if adata.is_view:
            raise DataError(
                "the data is a view of other data",
                where="adata",
                expected="data of its own",
                found=f"a view of {adata.n_obs} cells and {adata.n_vars} genes",
                remedy="Call adata = adata.copy() first",
            )
        validate(adata, spliced_layer, unspliced_layer, smoothed=True)
        gene_columns(adata.var_names.astype(str), adata)
        known = cls._setup_adata_manager_store.get(adata.uns.get(_SCVI_UUID_KEY))
        if known is not None and known.adata is not adata:
            del adata.uns[_SCVI_UUID_KEY]
        fields = [
            LayerField(SPLICED_KEY, spliced_layer, is_count_data=False),
            LayerField(UNSPLICED_KEY, unspliced_layer, is_count_data=False),
        ]
        manager = AnnDataManager(fields=fields, setup_method_args=arguments)
        manager.register_fields(adata, **kwargs)
        cls.register_manager(manager)

    @property
    def training_scale(self) -> pd.DataFrame:
        """Range of each gene in the training data before it was scaled, (genes, 4) float32.

        Columns ``ms_min``, ``ms_max``, ``mu_min`` and ``mu_max`` are minimum and maximum of the
        smoothed spliced and unspliced abundance, in normalised counts; NaN when the model was not
        trained on data of :func:`velovi.preprocess`. It is saved with the model, and
        ``velovi.preprocess(adata, scale_of=model)`` brings other cells to it.
        """
        return scale_table(self._genes, self.training_scale_)

    def train(
        self,
        max_epochs: int | None = 500,
        lr: float = 1e-2,
        weight_decay: float = 1e-2,
        accelerator: str = "auto",
        devices: int | list[int] | str = "auto",
        train_size: float | None = None,
        validation_size: float | None = None,
        batch_size: int = 256,
        early_stopping: bool = True,
        gradient_clip_val: float = 10,
        plan_kwargs: dict[str, Any] | None = None,
        external_indexing: list[np.ndarray] | None = None,
        **trainer_kwargs: Any,
    ) -> None:
        """Fit the model.

        Parameters
        ----------
        max_epochs
            Passes over the data; ``None`` takes ``min(round(20000 / n_cells * 400), 400)``.
        lr, weight_decay
            Of the AdamW optimiser. A value set here wins over one in ``plan_kwargs``.
        accelerator, devices
            Hardware, as Lightning names it.
        train_size, validation_size
            Shares of the cells to train on and to hold out; 0.9 and the rest by default.
        batch_size
            Cells in a step.
        early_stopping
            End when the held-out loss has not improved for 45 epochs.
        gradient_clip_val
            Largest gradient norm.
        plan_kwargs
            Arguments of :class:`~velovi.model.training.Plan`, which are those of scvi-tools'
            ``TrainingPlan`` and ``one_cycle`` for a learning rate that rises and falls;
            :func:`velovi.fast_schedule` gives a good set.
        external_indexing
            Positions of training, validation and test cells.
        **trainer_kwargs
            Arguments of scvi-tools' ``Trainer``.

        Raises
        ------
        DataError
            The model has no data.
        OptionError
            There is no such hardware here, or a batch would be a single cell.
        """
        adata = self._require_data()
        require_accelerator(accelerator)
        if batch_size < 2:
            raise OptionError(
                "training needs batches of several cells, of which it takes means and variances",
                where="batch_size",
                expected="at least 2",
                found=repr(batch_size),
                remedy="Leave it out, or choose a larger one",
            )
        splitter = splitter_for(
            self.adata_manager,
            accelerator,
            devices,
            train_size=train_size,
            validation_size=validation_size,
            batch_size=batch_size,
            external_indexing=external_indexing,
        )
        mend_last_batch(splitter, batch_size)
        arguments = {"gradient_clip_val": gradient_clip_val, **trainer_kwargs}
        if arguments.get("callbacks") is not None:
            arguments["callbacks"] = list(arguments["callbacks"])  # the trainer appends to it
        wanted = arguments.pop("early_stopping", early_stopping)
        if splitter.n_val == 0:
            arguments.pop("check_val_every_n_epoch", None)  # there is nothing to check
        runner = TrainRunner(
            self,
            training_plan=Plan(self.module, **plan_arguments(lr, weight_decay, plan_kwargs)),
            data_splitter=splitter,
            max_epochs=epochs_or_heuristic(max_epochs, adata.n_obs),
            accelerator=accelerator,
            devices=devices,
            early_stopping=early_stopping_allowed(wanted, splitter),
            **arguments,
        )
        runner()
        self.training_scale_ = _scale_of(adata) if self._layers == ("Ms", "Mu") else None


def _scale_of(adata: AnnData) -> dict[str, np.ndarray] | None:
    """What :func:`velovi.preprocess` noted of the scale of its layers; None when it did not."""
    table = adata.var.reindex(columns=list(SCALERS)).apply(pd.to_numeric, errors="coerce")
    if table.isna().all(axis=None):
        return None
    return {name: table[name].to_numpy(dtype=np.float32) for name in SCALERS}
