"""The model's public interface: that of ``scvi.external.VELOVI``, one class."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scvi import settings
from scvi.data import AnnDataManager
from scvi.data.fields import LayerField
from scvi.dataloaders import DataSplitter
from scvi.model.base import BaseModelClass, UnsupervisedTrainingMixin, VAEMixin
from scvi.train import TrainRunner

from velovi.data.read import validate
from velovi.errors import DataError, NotTrainedError, UnknownNameError
from velovi.model import initial, posterior, scores, summary, uncertainty
from velovi.model.module import SPLICED_KEY, STATES, UNSPLICED_KEY, VELOVAE
from velovi.model.posterior import Mode, Quantity
from velovi.model.selection import MatrixPair, Selection, check_choice, check_samples, select
from velovi.model.training import (
    Plan,
    early_stopping_allowed,
    epochs_or_heuristic,
    mend_last_batch,
    plan_arguments,
)

_MODES: tuple[Mode, ...] = ("spliced", "unspliced")
_SAMPLES_FOR_SCORES = 10
Indices: TypeAlias = Sequence[int] | np.ndarray | None
Frame: TypeAlias = np.ndarray | pd.DataFrame
_NAMED = 10


class VELOVI(VAEMixin, UnsupervisedTrainingMixin, BaseModelClass):
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

    Examples
    --------
    >>> VELOVI.setup_anndata(adata, spliced_layer="Ms", unspliced_layer="Mu")
    >>> model = VELOVI(adata)
    >>> model.train()
    >>> velocity = model.get_velocity(n_samples=25)
    """

    def __init__(
        self,
        adata: AnnData,
        n_hidden: int = 256,
        n_latent: int = 10,
        n_layers: int = 1,
        dropout_rate: float = 0.1,
        gamma_init_data: bool = False,
        linear_decoder: bool = False,
        **model_kwargs: Any,
    ) -> None:
        super().__init__(adata)
        self.n_latent = n_latent
        data = self._matrices(adata)
        upper = initial.upper_end(data.spliced, data.unspliced)
        zeros = np.zeros(self.summary_stats["n_vars"])
        self.module = VELOVAE(
            n_input=self.summary_stats["n_vars"],
            n_hidden=n_hidden,
            n_latent=n_latent,
            n_layers=n_layers,
            dropout_rate=dropout_rate,
            gamma_unconstr_init=initial.start_gamma(upper) if gamma_init_data else None,
            alpha_unconstr_init=initial.start_alpha(upper),
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
            A layer is missing, or holds negative, infinite or missing numbers.
        """
        validate(adata, spliced_layer, unspliced_layer)
        arguments = cls._get_setup_method_args(**locals())
        fields = [
            LayerField(SPLICED_KEY, spliced_layer, is_count_data=False),
            LayerField(UNSPLICED_KEY, unspliced_layer, is_count_data=False),
        ]
        manager = AnnDataManager(fields=fields, setup_method_args=arguments)
        manager.register_fields(adata, **kwargs)
        cls.register_manager(manager)

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
            Arguments of scvi-tools' ``TrainingPlan``.
        external_indexing
            Positions of training, validation and test cells.
        **trainer_kwargs
            Arguments of scvi-tools' ``Trainer``.
        """
        splitter = DataSplitter(
            self.adata_manager,
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
            max_epochs=epochs_or_heuristic(max_epochs, self.adata.n_obs),
            accelerator=accelerator,
            devices=devices,
            early_stopping=early_stopping_allowed(wanted, splitter),
            **arguments,
        )
        runner()

    # posterior

    def get_velocity(
        self,
        adata: AnnData | None = None,
        indices: Indices = None,
        gene_list: Sequence[str] | None = None,
        n_samples: int = 1,
        n_samples_overall: int | None = None,
        batch_size: int | None = None,
        return_mean: bool = True,
        return_numpy: bool | None = None,
        velo_statistic: str = "mean",
        velo_mode: str = "spliced",
        clip: bool = True,
    ) -> Frame:
        """Velocity of every cell and gene, per unit of the model's time.

        Parameters
        ----------
        adata
            Data with the model's genes; the training data when left out.
        indices
            Positions of cells or a mask; all when left out.
        gene_list
            Genes, in the order wanted.
        n_samples
            Posterior samples for each cell.
        n_samples_overall
            Draw this many cells with replacement, one sample each.
        batch_size
            Cells at a time.
        return_mean
            Average over samples. The mean over state probabilities is then exact and only the
            cell state is sampled.
        return_numpy
            An array instead of a table; always an array when samples are returned.
        velo_statistic
            ``"mean"`` over states, or ``"max"`` for the likeliest state.
        velo_mode
            ``"spliced"`` for ds/dt, ``"unspliced"`` for du/dt.
        clip
            Do not fall faster than the abundance itself: at least minus spliced (or unspliced).

        Returns
        -------
        pandas.DataFrame or numpy.ndarray
            ``(cells, genes)``, or ``(samples, cells, genes)`` when ``n_samples > 1`` and not
            ``return_mean``.
        """
        check_choice("velo_statistic", velo_statistic, ("mean", "max"))
        check_choice("velo_mode", velo_mode, ("spliced", "unspliced"))
        adata, chosen = self._choose(adata, indices, gene_list, n_samples_overall)
        n_samples = 1 if n_samples_overall is not None else n_samples
        values = self._collect(
            adata,
            chosen,
            {"velocity": posterior.velocity(velo_mode, velo_statistic)},  # type: ignore[arg-type]
            n_samples=n_samples,
            batch_size=batch_size,
            return_mean=return_mean,
            draw_states=velo_statistic == "max" or not return_mean,
        )["velocity"]
        if clip:
            matrix = getattr(self._matrices(adata), velo_mode)
            lowest = -initial.dense(chosen.pick_genes(matrix[chosen.cells]))
            values = np.maximum(values, lowest.astype(values.dtype))
        return self._frame(values, chosen, n_samples, return_mean, return_numpy)

    def get_latent_time(
        self,
        adata: AnnData | None = None,
        indices: Indices = None,
        gene_list: Sequence[str] | None = None,
        time_statistic: str = "mean",
        n_samples: int = 1,
        n_samples_overall: int | None = None,
        batch_size: int | None = None,
        return_mean: bool = True,
        return_numpy: bool | None = None,
    ) -> Frame:
        """Latent time of every cell and gene, between 0 and 20.

        Parameters
        ----------
        time_statistic
            ``"mean"`` over states, or ``"max"`` for the likeliest state.
        adata, indices, gene_list, n_samples, n_samples_overall, batch_size, return_mean, return_numpy
            As in :meth:`get_velocity`.

        Returns
        -------
        pandas.DataFrame or numpy.ndarray
            ``(cells, genes)``, or ``(samples, cells, genes)`` when ``n_samples > 1`` and not
            ``return_mean``.
        """  # noqa: E501
        check_choice("time_statistic", time_statistic, ("mean", "max"))
        adata, chosen = self._choose(adata, indices, gene_list, n_samples_overall)
        n_samples = 1 if n_samples_overall is not None else n_samples
        values = self._collect(
            adata,
            chosen,
            {"time": posterior.latent_time(time_statistic)},  # type: ignore[arg-type]
            n_samples=n_samples,
            batch_size=batch_size,
            return_mean=return_mean,
            draw_states=time_statistic == "max" or not return_mean,
        )["time"]
        return self._frame(values, chosen, n_samples, return_mean, return_numpy)

    def get_state_assignment(
        self,
        adata: AnnData | None = None,
        indices: Indices = None,
        gene_list: Sequence[str] | None = None,
        hard_assignment: bool = False,
        n_samples: int = 20,
        batch_size: int | None = None,
        return_mean: bool = True,
        return_numpy: bool | None = None,
    ) -> tuple[Frame, list[str]]:
        """Probability of each transcription state.

        Parameters
        ----------
        hard_assignment
            Name the likeliest state instead; needs ``return_mean``.
        return_numpy
            With ``hard_assignment``, an array of names instead of a table. Probabilities have
            three or four axes and are always an array.
        adata, indices, gene_list, n_samples, batch_size, return_mean
            As in :meth:`get_velocity`.

        Returns
        -------
        probabilities
            ``(cells, genes, 4)``; ``(samples, cells, genes, 4)`` when ``n_samples > 1`` and not
            ``return_mean``; ``(cells, genes)`` of names with ``hard_assignment``.
        states
            Names of the four states.
        """
        adata, chosen = self._choose(adata, indices, gene_list)
        values = self._collect(
            adata,
            chosen,
            {"states": posterior.states},
            n_samples=n_samples,
            batch_size=batch_size,
            return_mean=return_mean,
            draw_states=not return_mean,
        )["states"]
        if n_samples == 1 and not return_mean:
            values = values[0]
        if hard_assignment and return_mean:
            names = np.asarray(STATES, dtype=object)[values.argmax(axis=-1)]
            return self._frame(names, chosen, 1, True, return_numpy), list(STATES)
        return values, list(STATES)

    def get_expression_fit(
        self,
        adata: AnnData | None = None,
        indices: Indices = None,
        gene_list: Sequence[str] | None = None,
        n_samples: int = 1,
        batch_size: int | None = None,
        return_mean: bool = True,
        return_numpy: bool | None = None,
        restrict_to_latent_dim: int | None = None,
    ) -> tuple[Frame, Frame]:
        """Fitted spliced and unspliced abundance.

        Parameters
        ----------
        restrict_to_latent_dim
            Decode times from this latent dimension alone.
        adata, indices, gene_list, n_samples, batch_size, return_mean, return_numpy
            As in :meth:`get_velocity`.

        Returns
        -------
        spliced, unspliced
            Each ``(cells, genes)``, or ``(samples, cells, genes)`` when ``n_samples > 1`` and not
            ``return_mean``.
        """
        adata, chosen = self._choose(adata, indices, gene_list)
        values = self._collect(
            adata,
            chosen,
            {"spliced": posterior.fit("spliced"), "unspliced": posterior.fit("unspliced")},
            n_samples=n_samples,
            batch_size=batch_size,
            return_mean=return_mean,
            draw_states=not return_mean,
            latent_dim=restrict_to_latent_dim,
        )
        frames = [
            self._frame(values[name], chosen, n_samples, return_mean, return_numpy)
            for name in ("spliced", "unspliced")
        ]
        return frames[0], frames[1]

    def get_gene_likelihood(
        self,
        adata: AnnData | None = None,
        indices: Indices = None,
        gene_list: Sequence[str] | None = None,
        n_samples: int = 1,
        batch_size: int | None = None,
        return_mean: bool = True,
        return_numpy: bool | None = None,
    ) -> Frame:
        """Log-density of each cell's spliced and unspliced abundance; higher is better.

        Parameters
        ----------
        adata, indices, gene_list, n_samples, batch_size, return_mean, return_numpy
            As in :meth:`get_velocity`.

        Returns
        -------
        pandas.DataFrame or numpy.ndarray
            ``(cells, genes)``, or ``(samples, cells, genes)`` when ``n_samples > 1`` and not
            ``return_mean``.
        """
        adata, chosen = self._choose(adata, indices, gene_list)
        values = self._collect(
            adata,
            chosen,
            {"likelihood": posterior.log_likelihood},
            n_samples=n_samples,
            batch_size=batch_size,
            return_mean=return_mean,
            draw_states=True,
        )["likelihood"]
        return self._frame(values, chosen, n_samples, return_mean, return_numpy)

    @torch.inference_mode()
    def get_rates(self) -> dict[str, np.ndarray]:
        """Rates of every gene, per unit of the model's time.

        Returns
        -------
        dict
            ``"beta"`` splicing, ``"gamma"`` degradation, ``"alpha"`` transcription, and
            ``"alpha_1"``, ``"lambda_alpha"`` of time-dependent transcription; each ``(genes,)``.
        """
        self._require_trained()
        rates = self.module.get_rates()
        names = ("beta", "gamma", "alpha", "alpha_1", "lambda_alpha")
        return {name: getattr(rates, name).cpu().numpy() for name in names}

    @torch.inference_mode()
    def get_directional_uncertainty(
        self,
        adata: AnnData | None = None,
        n_samples: int = 50,
        gene_list: Iterable[str] | None = None,
        n_jobs: int = -1,
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """How much velocity samples of a cell agree on its direction.

        Parameters
        ----------
        adata
            Data with the model's genes; the training data when left out.
        n_samples
            Velocity samples for each cell.
        gene_list
            Genes that span the direction; all when left out.
        n_jobs
            Kept for compatibility; cells are computed together.

        Returns
        -------
        statistics
            ``(cells, 5)``, see :func:`~velovi.model.uncertainty.directional_statistics`.
        cosines
            ``(cells, samples)``: mean-centred cosine of each sample with the samples' mean.
        """
        genes = None if gene_list is None else list(gene_list)
        adata, chosen = self._choose(adata, None, genes)
        cosines = np.concatenate(
            [
                summary.directional_cosines(self.module, tensors, n_samples, genes=chosen.genes)
                for tensors in self._matrices(adata).minibatches(chosen.cells)
            ]
        )
        statistics = uncertainty.directional_statistics(cosines)
        statistics.index = chosen.cell_names
        return statistics, cosines

    @torch.inference_mode()
    def get_permutation_scores(
        self, labels_key: str, adata: AnnData | None = None
    ) -> tuple[pd.DataFrame, AnnData]:
        """How much worse the model fits when cells are shuffled within their labels.

        High scores mean that the fit follows the cells' dynamics and not only their averages.
        Fits are the exact means over state probabilities of ten samples of the cell state. The
        permutation follows ``scvi.settings.seed`` (0 when it is not set).

        Parameters
        ----------
        labels_key
            Column of ``adata.obs`` with the cell types; cells without one are left out.
        adata
            Data with the model's genes; the training data when left out.

        Returns
        -------
        scores
            t statistic of shuffled against real absolute errors, ``(genes, labels)``; NaN, with
            a warning, for labels of one cell. A gene's score is its largest over labels.
        shuffled
            The data with the shuffled layers.

        Raises
        ------
        UnknownNameError
            There is no such column.
        """
        adata, chosen = self._choose(adata, None, None)
        labels = _labels(adata, labels_key)
        rng = np.random.default_rng(settings.seed or 0)
        data = MatrixPair(*(initial.dense(one) for one in self._layers(adata)))
        shuffled = MatrixPair(
            *scores.shuffle_within(data.spliced, data.unspliced, labels.codes, rng)
        )
        found, too_small = scores.permutation_statistics(
            self._fit_error(data, chosen.cells),
            self._fit_error(shuffled, chosen.cells),
            labels,
            adata.var_names,
            rng,
        )
        if too_small:
            warnings.warn(
                f"{labels_key}: {', '.join(too_small)} have fewer than two cells and no score.",
                UserWarning,
                stacklevel=2,
            )
        return found, self._with_layers(adata, shuffled)

    def _layers(self, adata: AnnData) -> tuple[np.ndarray, np.ndarray]:
        matrices = self._matrices(adata)
        return matrices.spliced, matrices.unspliced

    def _fit_error(self, data: MatrixPair, cells: np.ndarray) -> np.ndarray:
        """Absolute error of the fit, spliced and unspliced together, ``(cells, genes)``."""
        samples = posterior.iterate(
            self.module,
            data.minibatches(cells),
            n_samples=_SAMPLES_FOR_SCORES,
            draw_states=False,
        )
        quantities: dict[str, Quantity] = {mode: posterior.fit(mode) for mode in _MODES}
        fits = posterior.collect(
            samples, quantities, n_cells=len(cells), n_samples=_SAMPLES_FOR_SCORES
        )
        return sum(np.abs(fits[mode] - getattr(data, mode)) for mode in _MODES)

    def _with_layers(self, adata: AnnData, data: MatrixPair) -> AnnData:
        """A copy of the data with other spliced and unspliced abundance, registered anew."""
        registry = self.get_anndata_manager(adata, required=True).data_registry
        copy = adata.copy()
        for key, values in ((SPLICED_KEY, data.spliced), (UNSPLICED_KEY, data.unspliced)):
            copy.layers[registry[key].attr_key] = values
        return self._validate_anndata(copy)

    @torch.inference_mode()
    def get_marginal_ll(
        self,
        adata: AnnData | None = None,
        indices: Indices = None,
        n_mc_samples: int = 1_000,
        batch_size: int | None = None,
        return_mean: bool = True,
        dataloader: Iterator[dict[str, torch.Tensor]] | None = None,
        data_loader_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> float | torch.Tensor:
        """Importance-weighted estimate of the data's log-likelihood; higher is better.

        State probabilities are integrated exactly, see
        :func:`~velovi.model.scores.log_marginal_likelihood`; only the cell state is sampled.

        Parameters
        ----------
        adata, indices, batch_size
            As in :meth:`get_velocity`.
        n_mc_samples
            Samples of the cell state; the estimate rises towards the truth with their number.
        return_mean
            The mean over cells instead of a value for each.
        dataloader
            Minibatches to use instead of ``adata``.
        data_loader_kwargs, **kwargs
            Kept for compatibility.

        Returns
        -------
        float or torch.Tensor
            In nats; ``(cells,)`` when not ``return_mean``.
        """
        self._require_trained()
        if dataloader is None:
            adata, chosen = self._choose(adata, indices, None)
            dataloader = self._matrices(adata).minibatches(chosen.cells, batch_size)
        self.module.eval()
        values = scores.log_marginal_likelihood(self.module, dataloader, n_mc_samples)
        return float(values.mean()) if return_mean else values

    def get_normalized_expression(self, *args: Any, **kwargs: Any) -> None:
        """Not defined for this model: it has no count distribution to normalise.

        Raises
        ------
        NotImplementedError
            Always; see :meth:`get_expression_fit` for fitted abundance.
        """
        raise NotImplementedError(
            "veloVI models scaled abundance, not counts; use get_expression_fit."
        )

    # shared by the methods above

    def _require_trained(self) -> None:
        if not self.is_trained:
            raise NotTrainedError(
                "the model has not been trained",
                where=type(self).__name__,
                remedy="Call train() first, or load a trained model",
            )

    def _matrices(self, adata: AnnData) -> MatrixPair:
        manager = self.get_anndata_manager(adata, required=True)
        return MatrixPair(
            manager.get_from_registry(SPLICED_KEY), manager.get_from_registry(UNSPLICED_KEY)
        )

    def _choose(
        self,
        adata: AnnData | None,
        indices: Indices,
        gene_list: Sequence[str] | None,
        n_samples_overall: int | None = None,
    ) -> tuple[AnnData, Selection]:
        self._require_trained()
        adata = self._validate_anndata(adata)
        return adata, select(adata, indices, gene_list, n_samples_overall)

    def _validate_anndata(self, adata: AnnData | None = None, copy_if_view: bool = True) -> AnnData:
        if adata is not None and adata is not self.adata:
            adata = self._with_model_genes(adata)
        return super()._validate_anndata(adata, copy_if_view=copy_if_view)

    def _with_model_genes(self, adata: AnnData) -> AnnData:
        """The data with the model's genes in the model's order."""
        wanted = pd.Index(np.asarray(self.get_var_names()))
        if wanted.equals(adata.var_names):
            return adata
        missing = wanted.difference(adata.var_names, sort=False)
        if len(missing):
            raise DataError(
                f"{len(missing)} of the model's {len(wanted)} genes are missing",
                where="adata",
                found="no " + ", ".join(map(str, missing[:_NAMED])),
                remedy="Give data with the genes that the model was trained on",
            )
        return adata[:, wanted].copy()

    @torch.inference_mode()
    def _collect(
        self,
        adata: AnnData,
        chosen: Selection,
        quantities: dict[str, Quantity],
        *,
        n_samples: int,
        batch_size: int | None,
        return_mean: bool,
        draw_states: bool,
        latent_dim: int | None = None,
    ) -> dict[str, np.ndarray]:
        check_samples(n_samples)
        samples = posterior.iterate(
            self.module,
            self._matrices(adata).minibatches(chosen.cells, batch_size),
            n_samples=n_samples,
            draw_states=draw_states,
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

    @staticmethod
    def _frame(
        values: np.ndarray,
        chosen: Selection,
        n_samples: int,
        return_mean: bool,
        return_numpy: bool | None,
    ) -> Frame:
        if not return_mean and n_samples > 1:
            return values
        if not return_mean:
            values = values[0]  # a single sample has no axis of its own
        if return_numpy:
            return values
        return pd.DataFrame(values, index=chosen.cell_names, columns=chosen.gene_names)


def _labels(adata: AnnData, key: str) -> pd.Categorical:
    if key not in adata.obs:
        raise UnknownNameError(
            f"there is no column {key!r}",
            where="labels_key",
            expected="one of " + ", ".join(map(str, adata.obs.columns)),
            remedy="Name a column of adata.obs with the cell types",
        )
    return pd.Categorical(adata.obs[key]).remove_unused_categories()
