"""The cell state, what it says of whole samples, and how likely the data is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scvi.model.base import VAEMixin
from scvi.module._constants import MODULE_KEYS
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    StudentT,
)

from velovi.errors import OptionError, UnknownNameError
from velovi.model import scores
from velovi.model.base import ModelBase
from velovi.model.module import SPLICED_KEY, UNSPLICED_KEY
from velovi.model.posterior import evaluating
from velovi.model.selection import Indices, check_positive, select

Minibatches = Iterable[Mapping[str, Tensor]]


def _in_installed_order(method: Callable[..., None]) -> Callable[..., None]:
    """Take positional arguments in the order of the installed scvi-tools, which has changed it."""
    theirs = inspect.signature(VAEMixin.differential_abundance).parameters
    ours = inspect.signature(method).parameters
    names = [name for name in theirs if name in ours]
    order = [*names, *(name for name in ours if name not in names)]
    signature = inspect.Signature([ours[name] for name in order], return_annotation="None")

    @functools.wraps(method)
    def call(*args: Any, **given: Any) -> None:
        method(**signature.bind(*args, **given).arguments)

    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


class LatentMixin(ModelBase):
    """Cell states and likelihoods."""

    @torch.inference_mode()
    def get_latent_representation(
        self,
        adata: AnnData | None = None,
        indices: Indices = None,
        give_mean: bool = True,
        mc_samples: int = 5_000,
        batch_size: int | None = None,
        return_dist: bool = False,
        dataloader: Minibatches | None = None,
        **data_loader_kwargs: Any,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """The cell state ``z``: where the encoder puts each cell.

        Parameters
        ----------
        adata
            Data with the model's genes, in any order; the model's own data when left out.
        indices
            Positions of cells or a mask; all when left out.
        give_mean
            The mean of each cell's posterior; otherwise one sample.
        mc_samples
            Samples for the mean of a logistic normal (``latent_distribution="ln"``), which has no
            closed form.
        batch_size
            Cells at a time.
        return_dist
            Mean and variance of the normal posterior instead; for a logistic normal those before
            the softmax.
        dataloader
            Minibatches to use instead of ``adata``, such as a scvi-tools data loader gives.
        **data_loader_kwargs
            Kept for compatibility.

        Returns
        -------
        numpy.ndarray
            ``(cells, latent)``; with ``return_dist`` two of them, mean and variance.

        Raises
        ------
        NotTrainedError
            The model has not been trained.
        DataError
            ``adata`` lacks genes or layers of the model, or the model has no data of its own.
        OptionError
            ``indices`` makes no sense.
        """
        check_positive("mc_samples", mc_samples)
        found: list[tuple[Tensor, ...]] = []
        for tensors in self._minibatches(adata, indices, batch_size, dataloader):
            with evaluating(self.module):
                encoded = self.module.inference(tensors[SPLICED_KEY], tensors[UNSPLICED_KEY])
            mean, variance = encoded[MODULE_KEYS.QZM_KEY], encoded[MODULE_KEYS.QZV_KEY]
            if return_dist:
                found.append((mean.cpu(), variance.cpu()))
            elif not give_mean:
                found.append((encoded[MODULE_KEYS.Z_KEY].cpu(),))
            elif self.module.latent_distribution == "ln":
                samples = Normal(mean, variance.sqrt()).sample(torch.Size([mc_samples]))
                found.append((samples.softmax(dim=-1).mean(dim=0).cpu(),))
            else:
                found.append((mean.cpu(),))
        parts = tuple(torch.cat(part).numpy() for part in zip(*found, strict=True))
        return (parts[0], parts[1]) if return_dist else parts[0]

    @torch.inference_mode()
    def get_aggregated_posterior(
        self,
        adata: AnnData | None = None,
        indices: Indices = None,
        batch_size: int | None = None,
        dof: float | None = 3.0,
    ) -> Distribution:
        """Mixture of the cells' posteriors over the cell state.

        Parameters
        ----------
        adata, indices, batch_size
            As in :meth:`get_latent_representation`.
        dof
            Degrees of freedom of a Student t around each cell; None for a normal.

        Returns
        -------
        torch.distributions.MixtureSameFamily
            Over ``(latent,)``. Each component has the cell's posterior mean as its centre and the
            posterior standard deviation as its scale.

        Raises
        ------
        NotTrainedError, DataError, OptionError
            As in :meth:`get_latent_representation`.
        """
        mean, variance = (
            torch.as_tensor(item, device=self.device)
            for item in self.get_latent_representation(
                adata, indices, batch_size=batch_size, return_dist=True
            )
        )
        return _mixture(mean, variance, dof)

    @_in_installed_order
    @torch.inference_mode()
    def differential_abundance(
        self,
        adata: AnnData | None = None,
        adata_sub: AnnData | None = None,
        sample_key: str | None = None,
        batch_size: int = 128,
        num_cells_posterior: int | None = None,
        dof: float | None = None,
        dataloader: Minibatches | None = None,
    ) -> None:
        """How likely each cell's state is in each sample; written to ``obsm["da_log_probs"]``.

        The table ``(cells, samples)`` holds the log-density of each cell's mean state under each
        sample's aggregated posterior: compare columns to see where a sample has more cells.

        Parameters
        ----------
        adata
            Data with the model's genes, from which the posteriors of the samples come; the model's
            own data when left out.
        adata_sub
            Cells to judge, which receive the table; those of ``adata`` when left out. It stands
            where the installed scvi-tools has it: second since 1.5, else behind ``dof``.
        sample_key
            Column of ``adata.obs`` with the samples; cells without one are judged, but belong to
            none.
        batch_size
            Cells at a time.
        num_cells_posterior
            At most so many cells of a sample, drawn at random, stand for it.
        dof
            As in :meth:`get_aggregated_posterior`.
        dataloader
            Kept for compatibility; minibatches do not say which cell is of which sample.

        Raises
        ------
        UnknownNameError
            There is no such column, or none was named.
        OptionError
            A dataloader was given.
        NotTrainedError, DataError
            As in :meth:`get_latent_representation`.
        """
        self._require_trained()
        if dataloader is not None:
            raise OptionError(
                "minibatches do not say which cell is of which sample",
                where="dataloader",
                expected="adata, with the samples in its obs",
                remedy="Give adata, and adata_sub when only some cells are to be judged",
            )
        source = self._source(adata)
        target = source if adata_sub is None else adata_sub
        samples = categories(source, sample_key, "sample_key")
        states, variance = (
            torch.as_tensor(item, device=self.device)
            for item in self.get_latent_representation(
                adata, batch_size=batch_size, return_dist=True
            )
        )
        judged = states
        if adata_sub is not None:
            found = self.get_latent_representation(adata_sub, batch_size=batch_size)
            judged = torch.as_tensor(found, device=self.device)
        columns = {}
        for code, name in enumerate(samples.categories):
            cells = np.flatnonzero(samples.codes == code)
            if num_cells_posterior is not None and num_cells_posterior < len(cells):
                check_positive("num_cells_posterior", num_cells_posterior)
                cells = np.random.choice(cells, num_cells_posterior, replace=False)  # noqa: NPY002
            whole = _mixture(states[cells], variance[cells], dof)
            parts = [whole.log_prob(part).cpu() for part in judged.split(batch_size)]
            columns[name] = torch.cat(parts).numpy()
        target.obsm["da_log_probs"] = pd.DataFrame(columns, index=target.obs_names)

    @torch.inference_mode()
    def get_elbo(
        self,
        adata: AnnData | None = None,
        indices: Indices = None,
        batch_size: int | None = None,
        dataloader: Minibatches | None = None,
        return_mean: bool = True,
        data_loader_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Evidence lower bound, from one posterior sample a cell; higher is better.

        Parameters
        ----------
        adata, indices, batch_size, dataloader
            As in :meth:`get_latent_representation`.
        return_mean
            The mean over cells instead of a value for each.
        data_loader_kwargs
            Kept for compatibility.
        **kwargs
            Arguments of the module's forward pass.

        Returns
        -------
        Tensor
            In nats: one number, or ``(cells,)`` when not ``return_mean``. The penalty at the
            switch is not part of it.

        Raises
        ------
        NotTrainedError, DataError, OptionError
            As in :meth:`get_latent_representation`.
        """
        batches = self._minibatches(adata, indices, batch_size, dataloader)
        reconstruction, divergence = scores.loss_parts(self.module, batches, **kwargs)
        bound = -(reconstruction + divergence)
        return bound.mean() if return_mean else bound

    @torch.inference_mode()
    def get_reconstruction_error(
        self,
        adata: AnnData | None = None,
        indices: Indices = None,
        batch_size: int | None = None,
        dataloader: Minibatches | None = None,
        return_mean: bool = True,
        data_loader_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        """Negative log-likelihood given one posterior sample a cell; lower is better.

        Parameters
        ----------
        adata, indices, batch_size, dataloader
            As in :meth:`get_latent_representation`.
        return_mean
            The mean over cells instead of a value for each.
        data_loader_kwargs
            Kept for compatibility.
        **kwargs
            Arguments of the module's forward pass.

        Returns
        -------
        dict
            ``"reconstruction_loss"`` in nats: one number, or ``(cells,)`` when not
            ``return_mean``.

        Raises
        ------
        NotTrainedError, DataError, OptionError
            As in :meth:`get_latent_representation`.
        """
        batches = self._minibatches(adata, indices, batch_size, dataloader)
        reconstruction, _ = scores.loss_parts(self.module, batches, **kwargs)
        return {"reconstruction_loss": reconstruction.mean() if return_mean else reconstruction}

    @torch.inference_mode()
    def get_marginal_ll(
        self,
        adata: AnnData | None = None,
        indices: Indices = None,
        n_mc_samples: int = 1_000,
        batch_size: int | None = None,
        return_mean: bool = True,
        dataloader: Minibatches | None = None,
        data_loader_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> float | Tensor:
        """Importance-weighted estimate of the data's log-likelihood; higher is better.

        State probabilities are integrated exactly, see
        :func:`~velovi.model.scores.log_marginal_likelihood`; only the cell state is sampled.

        Parameters
        ----------
        adata, indices
            As in :meth:`get_latent_representation`.
        n_mc_samples
            Samples of the cell state; the estimate rises towards the truth with their number.
            Memory does not grow with it.
        batch_size
            Cells at a time.
        return_mean
            The mean over cells instead of a value for each.
        dataloader
            Minibatches to use instead of ``adata``.
        data_loader_kwargs, **kwargs
            Kept for compatibility.

        Returns
        -------
        float or Tensor
            In nats; ``(cells,)`` when not ``return_mean``.

        Raises
        ------
        NotTrainedError, DataError, OptionError
            As in :meth:`get_latent_representation`.
        """
        check_positive("n_mc_samples", n_mc_samples)
        batches = self._minibatches(adata, indices, batch_size, dataloader)
        values = scores.log_marginal_likelihood(self.module, batches, n_mc_samples)
        return float(values.mean()) if return_mean else values

    def get_normalized_expression(self, *args: Any, **kwargs: Any) -> None:
        """Not defined for this model: it has no count distribution to normalise.

        Raises
        ------
        NotImplementedError
            Always; see ``get_expression_fit`` for fitted abundance.
        """
        raise NotImplementedError(
            "veloVI models scaled abundance, not counts; use get_expression_fit."
        )

    def _minibatches(
        self,
        adata: AnnData | None,
        indices: Indices,
        batch_size: int | None,
        dataloader: Minibatches | None,
    ) -> Minibatches:
        """Those given, or those of the cells asked for."""
        self._require_trained()
        if dataloader is None:
            data = self._cells(adata)
            return data.minibatches(select(data, indices).cells, batch_size)
        if isinstance(dataloader, Sized) and len(dataloader) == 0:
            raise OptionError(
                "there is no minibatch",
                where="dataloader",
                expected="at least one minibatch",
                found="none",
                remedy="Leave dataloader out to use adata",
            )
        if adata is not None or indices is not None:
            raise OptionError(
                "minibatches and data were given",
                where="dataloader",
                expected="one of both",
                found="both",
                remedy="Leave adata and indices out, or dataloader",
            )
        return dataloader


def _mixture(mean: Tensor, variance: Tensor, dof: float | None) -> MixtureSameFamily:
    """Equal parts of a normal, or a Student t, around each cell ``(cells, latent)``."""
    scale = variance.sqrt()
    around = Normal(mean, scale) if dof is None else StudentT(dof, mean, scale)
    weights = Categorical(logits=torch.zeros(len(mean), device=mean.device))
    return MixtureSameFamily(weights, Independent(around, 1))


def categories(adata: AnnData, key: str | None, where: str) -> pd.Categorical:
    """Label of each cell; cells without one have the code -1.

    Raises
    ------
    UnknownNameError
        ``obs`` has no such column, or none was named.
    """
    if key is None or key not in adata.obs:
        raise UnknownNameError(
            "no column was named" if key is None else f"there is no column {key!r}",
            where=where,
            expected="one of " + (", ".join(map(str, adata.obs.columns)) or "no columns"),
            found="None" if key is None else repr(key),
            remedy="Name a column of adata.obs",
        )
    return pd.Categorical(adata.obs[key]).remove_unused_categories()
