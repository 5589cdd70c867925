"""What the model says of every cell and gene: velocity, time, state, fit, likelihood and rates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from velovi.errors import OptionError, check_choice
from velovi.model import posterior
from velovi.model.base import Frame, ModelBase, labelled
from velovi.model.module import STATES
from velovi.model.posterior import Mode, Statistic
from velovi.model.posterior_means import LIKELIHOOD
from velovi.model.selection import Genes, Indices

_STATISTICS, _MODES = ("mean", "max"), ("spliced", "unspliced")


class PosteriorMethodsMixin(ModelBase):
    """Posterior estimates of cells and genes (Gayoso, Weiler et al. 2024, Methods)."""

    def get_velocity(
        self,
        adata: AnnData | None = None,
        indices: Indices = None,
        gene_list: Genes = None,
        n_samples: int = 1,
        n_samples_overall: int | None = None,
        batch_size: int | None = None,
        return_mean: bool = True,
        return_numpy: bool | None = None,
        velo_statistic: Statistic = "mean",
        velo_mode: Mode = "spliced",
        clip: bool = True,
    ) -> Frame:
        """Velocity of every cell and gene: scaled abundance per unit of the model's time.

        Parameters
        ----------
        adata
            Data with the model's genes, in any order; the model's own data when left out.
        indices
            Positions of cells or a mask over all; all cells when left out.
        gene_list
            Genes, in the order wanted; all when left out.
        n_samples
            Posterior samples for each cell.
        n_samples_overall
            Draw this many cells with replacement, one sample each; sets ``n_samples`` to 1.
        batch_size
            Cells at a time.
        return_mean
            Average over samples. The mean over state probabilities is then exact and only the
            cell state is sampled.
        return_numpy
            An array instead of a table; always an array when samples have an axis of their own.
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

        Raises
        ------
        NotTrainedError
            The model has not been trained.
        DataError
            ``adata`` lacks genes or layers of the model, or the model has no data of its own.
        OptionError
            An argument makes no sense; its subclass UnknownNameError for unknown genes.
        """
        check_choice("velo_statistic", velo_statistic, _STATISTICS)
        check_choice("velo_mode", velo_mode, _MODES)
        data, chosen = self._choose(adata, indices, gene_list, n_samples_overall)
        n_samples = 1 if n_samples_overall is not None else n_samples
        name = "velocity" if velo_mode == "spliced" else "velocity_u"
        values = self._collect(
            data,
            chosen,
            {name: posterior.velocity(velo_mode, velo_statistic)},
            n_samples=n_samples,
            batch_size=batch_size,
            return_mean=return_mean,
            exact_states=velo_statistic == "mean",
        )[name]
        if clip:
            lowest = -chosen.pick_genes(data.dense(velo_mode, chosen.cells))
            values = np.maximum(values, lowest.astype(values.dtype))
        return labelled(values, chosen, n_samples, return_mean, return_numpy)

    def get_latent_time(
        self,
        adata: AnnData | None = None,
        indices: Indices = None,
        gene_list: Genes = None,
        time_statistic: Statistic = "mean",
        n_samples: int = 1,
        n_samples_overall: int | None = None,
        batch_size: int | None = None,
        return_mean: bool = True,
        return_numpy: bool | None = None,
    ) -> Frame:
        """Latent time of every cell and gene, in units of the model's axis from 0 to 20.

        Parameters
        ----------
        adata, indices, gene_list
            As in :meth:`get_velocity`.
        time_statistic
            ``"mean"`` over states, in which the repression steady state counts as 0, or ``"max"``
            for the likeliest state, where it counts as the end of the axis.
        n_samples, n_samples_overall, batch_size, return_mean, return_numpy
            As in :meth:`get_velocity`.

        Returns
        -------
        pandas.DataFrame or numpy.ndarray
            ``(cells, genes)``, or ``(samples, cells, genes)`` when ``n_samples > 1`` and not
            ``return_mean``.

        Raises
        ------
        NotTrainedError, DataError, OptionError
            As in :meth:`get_velocity`.
        """
        check_choice("time_statistic", time_statistic, _STATISTICS)
        data, chosen = self._choose(adata, indices, gene_list, n_samples_overall)
        n_samples = 1 if n_samples_overall is not None else n_samples
        values = self._collect(
            data,
            chosen,
            {"fit_t": posterior.latent_time(time_statistic)},
            n_samples=n_samples,
            batch_size=batch_size,
            return_mean=return_mean,
            exact_states=time_statistic == "mean",
        )["fit_t"]
        return labelled(values, chosen, n_samples, return_mean, return_numpy)

    def get_state_assignment(
        self,
        adata: AnnData | None = None,
        indices: Indices = None,
        gene_list: Genes = None,
        hard_assignment: bool = False,
        n_samples: int = 20,
        batch_size: int | None = None,
        return_mean: bool = True,
        return_numpy: bool | None = None,
    ) -> tuple[Frame, list[str]]:
        """Probability of each transcription state.

        Parameters
        ----------
        adata, indices, gene_list
            As in :meth:`get_velocity`.
        hard_assignment
            Name the likeliest state instead; needs ``return_mean``.
        n_samples, batch_size, return_mean
            As in :meth:`get_velocity`.
        return_numpy
            With ``hard_assignment``, an array of names instead of a table. Probabilities have
            three or four axes and are always an array.

        Returns
        -------
        probabilities
            ``(cells, genes, 4)``; ``(samples, cells, genes, 4)`` when ``n_samples > 1`` and not
            ``return_mean``; a table ``(cells, genes)`` of names with ``hard_assignment``.
        states
            Names of the four states, in the order of the last axis.

        Raises
        ------
        NotTrainedError, DataError, OptionError
            As in :meth:`get_velocity`.
        """
        if hard_assignment and not return_mean:
            raise OptionError(
                "the likeliest state is that of the mean",
                where="hard_assignment",
                expected="return_mean=True",
                found="return_mean=False",
                remedy="Leave return_mean out, or take argmax(axis=-1) of the samples",
            )
        data, chosen = self._choose(adata, indices, gene_list)
        values = self._collect(
            data,
            chosen,
            {"states": posterior.states},
            n_samples=n_samples,
            batch_size=batch_size,
            return_mean=return_mean,
        )["states"]
        if hard_assignment:
            names = np.asarray(STATES, dtype=object)[values.argmax(axis=-1)]
            return labelled(names, chosen, n_samples, True, return_numpy), list(STATES)
        return labelled(values, chosen, n_samples, return_mean, True), list(STATES)

    def get_expression_fit(
        self,
        adata: AnnData | None = None,
        indices: Indices = None,
        gene_list: Genes = None,
        n_samples: int = 1,
        batch_size: int | None = None,
        return_mean: bool = True,
        return_numpy: bool | None = None,
        restrict_to_latent_dim: int | None = None,
    ) -> tuple[Frame, Frame]:
        """Fitted spliced and unspliced abundance, in the units of the data.

        Parameters
        ----------
        adata, indices, gene_list, n_samples, batch_size, return_mean, return_numpy
            As in :meth:`get_velocity`.
        restrict_to_latent_dim
            Decode times from this latent dimension alone, counted from 0.

        Returns
        -------
        spliced, unspliced
            Each ``(cells, genes)``, or ``(samples, cells, genes)`` when ``n_samples > 1`` and not
            ``return_mean``.

        Raises
        ------
        NotTrainedError, DataError, OptionError
            As in :meth:`get_velocity`; OptionError too when there is no such latent dimension.
        """
        self._check_latent_dimension(restrict_to_latent_dim)
        data, chosen = self._choose(adata, indices, gene_list)
        values = self._collect(
            data,
            chosen,
            {"fit_s": posterior.fit("spliced"), "fit_u": posterior.fit("unspliced")},
            n_samples=n_samples,
            batch_size=batch_size,
            return_mean=return_mean,
            latent_dim=restrict_to_latent_dim,
        )
        spliced, unspliced = (
            labelled(values[name], chosen, n_samples, return_mean, return_numpy)
            for name in ("fit_s", "fit_u")
        )
        return spliced, unspliced

    def get_gene_likelihood(
        self,
        adata: AnnData | None = None,
        indices: Indices = None,
        gene_list: Genes = None,
        n_samples: int = 1,
        batch_size: int | None = None,
        return_mean: bool = True,
        return_numpy: bool | None = None,
    ) -> Frame:
        """Log-density of each cell's spliced and unspliced abundance together; higher is better.

        Parameters
        ----------
        adata, indices, gene_list, n_samples, batch_size, return_mean, return_numpy
            As in :meth:`get_velocity`; state probabilities are always sampled.

        Returns
        -------
        pandas.DataFrame or numpy.ndarray
            In nats, ``(cells, genes)``, or ``(samples, cells, genes)`` when ``n_samples > 1`` and
            not ``return_mean``.

        Raises
        ------
        NotTrainedError, DataError, OptionError
            As in :meth:`get_velocity`.
        """
        data, chosen = self._choose(adata, indices, gene_list)
        values = self._collect(
            data,
            chosen,
            {LIKELIHOOD: posterior.log_likelihood},
            n_samples=n_samples,
            batch_size=batch_size,
            return_mean=return_mean,
            exact_states=False,
        )[LIKELIHOOD]
        return labelled(values, chosen, n_samples, return_mean, return_numpy)

    @torch.inference_mode()
    def get_rates(self) -> dict[str, np.ndarray]:
        """Rates of every gene, per unit of the model's time.

        Returns
        -------
        dict
            ``"beta"`` splicing, ``"gamma"`` degradation, ``"alpha"`` transcription, and
            ``"alpha_1"``, ``"lambda_alpha"`` of time-dependent transcription; each ``(genes,)``.

        Raises
        ------
        NotTrainedError
            The model has not been trained.
        """
        self._require_trained()
        rates = self.module.get_rates()
        names = ("beta", "gamma", "alpha", "alpha_1", "lambda_alpha")
        return {name: getattr(rates, name).cpu().numpy() for name in names}

    def get_loadings(self) -> pd.DataFrame:
        """Effect of each latent dimension on the logit of each gene's induction time.

        Returns
        -------
        pandas.DataFrame
            ``(genes, latent)``; columns ``Z_0``, ``Z_1`` and so on.

        Raises
        ------
        NotTrainedError
            The model has not been trained.
        OptionError
            The model was not made with ``linear_decoder=True``.
        """
        self._require_trained()
        loadings = self.module.get_loadings()
        names = [f"Z_{number}" for number in range(loadings.shape[1])]
        return pd.DataFrame(loadings, index=self._genes, columns=names)

    def _check_latent_dimension(self, dimension: int | None) -> None:
        if dimension is not None and dimension not in range(self.module.n_latent):
            raise OptionError(
                "there is no such latent dimension",
                where="restrict_to_latent_dim",
                expected=f"0 to {self.module.n_latent - 1}",
                found=repr(dimension),
                remedy="Choose one of the model's latent dimensions",
            )
