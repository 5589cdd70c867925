"""Results as whole: a summary of the posterior, and an AnnData that scVelo and CellRank take."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from velovi.data.clean import dense
from velovi.errors import OptionError
from velovi.keys import TIME_AXIS
from velovi.model import summary
from velovi.model.base import ModelBase
from velovi.model.directional_statistics import directional_statistics
from velovi.model.posterior import seeded
from velovi.model.selection import Genes, Indices, check_positive
from velovi.model.summary import PosteriorSummary
from velovi.numerics.out_of_core import Allocator, gene_blocks, in_memory, release_pages

_DIRECTIONS = 50


class ExportMixin(ModelBase):
    """The posterior in one pass, and in the field's format."""

    def get_posterior_summary(
        self,
        n_samples: int = 25,
        seed: int | None = 0,
        *,
        adata: AnnData | None = None,
        indices: Indices = None,
        gene_list: Genes = None,
        quantiles: Sequence[float] = (0.05, 0.5, 0.95),
        directional_samples: int = 0,
        batch_size: int | None = None,
        on_batch: Callable[[int], None] | None = None,
        allocate: Allocator = in_memory,
    ) -> PosteriorSummary:
        """Means, standard deviations and quantiles of everything, in one pass.

        Means and standard deviations are exact over state probabilities and sampled over the cell
        state; quantiles are those of drawn samples of both.

        Parameters
        ----------
        n_samples
            Posterior samples for each cell.
        seed
            Fixes the samples; None goes on with the global generator.
        adata
            Data with the model's genes, in any order; the model's own data when left out.
        indices
            Positions of cells or a mask; all when left out.
        gene_list
            Genes, in the order wanted; all when left out.
        quantiles
            Levels between 0 and 1; none at all is quicker and needs less memory.
        directional_samples
            Velocity samples for directional cosines; 0 leaves them out.
        batch_size
            Cells at a time.
        on_batch
            Called with the number of cells done, after each minibatch.
        allocate
            Gives the matrices for the layers, so that they can lie in files; see
            :class:`velovi.numerics.out_of_core.MatrixAllocator`.

        Returns
        -------
        PosteriorSummary
            Arrays ``(cells, genes)`` by name; ``.table(name)`` gives a labelled table.

        Raises
        ------
        NotTrainedError
            The model has not been trained.
        DataError
            ``adata`` lacks genes or layers of the model, or the model has no data of its own.
        OptionError
            An argument makes no sense.

        Examples
        --------
        >>> found = model.get_posterior_summary(n_samples=50)
        >>> found.table("velocity", level=0.95).shape == found.table("velocity").shape
        True
        """
        check_positive("n_samples", n_samples)
        levels = tuple(np.atleast_1d(np.asarray(quantiles, dtype=float)).tolist())
        if not all(0 <= level <= 1 for level in levels):
            raise OptionError(
                "a quantile is out of range",
                where="quantiles",
                expected="numbers from 0 to 1",
                found=str(levels),
                remedy="Give shares, such as 0.05 for 5 %",
            )
        data, chosen = self._choose(adata, indices, gene_list)
        with seeded(seed, self.device), torch.inference_mode():
            found = summary.summarise(
                self.module,
                data.minibatches(chosen.cells, batch_size),
                n_cells=len(chosen.cells),
                n_samples=n_samples,
                directional_samples=directional_samples,
                levels=levels,
                genes=chosen.genes,
                on_batch=on_batch,
                allocate=allocate,
            )
        names = {"cell_names": chosen.cell_names, "gene_names": chosen.gene_names}
        return PosteriorSummary(**{**vars(found), **names})

    def to_scvelo(
        self, adata: AnnData | None = None, n_samples: int = 25, seed: int | None = 0
    ) -> AnnData:
        """The data with the model's results under the names that scVelo and CellRank look for.

        Time is rescaled gene by gene so that each gene's largest latent time is 20; velocities and
        rates are divided by the same factor. What is written: layers ``Ms``, ``Mu``, ``velocity``,
        ``velocity_u``, ``velocity_sd``, ``fit_t``, ``fit_s``, ``fit_u``, ``fit_s_sd``,
        ``fit_u_sd`` and state probabilities ``p_*``; var ``fit_alpha``, ``fit_beta``,
        ``fit_gamma``, ``fit_t_``, ``fit_scaling``, ``fit_likelihood``, ``velocity_genes``; obs
        ``directional_*``; uns ``velocity_params``.

        Parameters
        ----------
        adata
            Data with the model's genes; the model's own data when left out. It is not changed.
        n_samples
            Posterior samples for each cell.
        seed
            Fixes the samples; None goes on with the global generator.

        Returns
        -------
        AnnData
            A copy, with the model's genes only.

        Raises
        ------
        NotTrainedError, DataError, OptionError
            As in :meth:`get_posterior_summary`.

        Examples
        --------
        >>> result = model.to_scvelo()
        >>> scvelo.tl.velocity_graph(result)  # doctest: +SKIP
        """
        found = self.get_posterior_summary(
            n_samples, seed, adata=adata, quantiles=(), directional_samples=_DIRECTIONS
        )
        result = self._source(adata)[:, self._genes].copy()
        for key in [key for key in result.uns if key.startswith("_scvi")]:
            del result.uns[key]
        for name, layer in zip(("Ms", "Mu"), self._layers, strict=True):
            result.layers[name] = result.layers[layer]
        self.add_results(result, found, in_place=True)
        return result

    def add_results(
        self, adata: AnnData, found: PosteriorSummary, *, in_place: bool = False
    ) -> None:
        """Write a summary of all cells and genes into ``adata``; see :meth:`to_scvelo`.

        Parameters
        ----------
        adata
            Receives the results; has the summary's cells and genes in its order, and layers ``Ms``
            and ``Mu``.
        found
            From :meth:`get_posterior_summary`.
        in_place
            Rescale the summary's own arrays, which are then not to be used any more, instead of
            copies of them.
        """
        longest = found.layers["fit_t"].max(axis=0)
        stretch = np.where(longest > 0, TIME_AXIS / np.where(longest > 0, longest, 1), 1.0)
        stretch = stretch.astype(np.float32)
        for name, layer in found.layers.items():
            factor = np.ones_like(stretch)
            if name == "fit_t":
                factor = stretch
            elif name.startswith("velocity"):
                factor = 1 / stretch
            layer = layer if in_place else layer.copy()
            if (factor != 1).any():
                for block in gene_blocks(*layer.shape):
                    layer[:, block] *= factor[block]
                release_pages(layer)
            adata.layers[name] = layer
        self._add_rates(adata.var, stretch)
        adata.var["fit_likelihood"] = found.log_likelihood.astype(np.float32)
        adata.var["fit_explained"] = _explained(adata)
        adata.var["velocity_genes"] = True
        if found.cosines.shape[1]:
            statistics = directional_statistics(found.cosines)
            for column in statistics:
                adata.obs[column] = statistics[column].to_numpy(dtype=np.float32)
        adata.uns["velocity_params"] = {"mode": "velovi", "fit_basis": "moments"}

    def _add_rates(self, var: pd.DataFrame, stretch: np.ndarray) -> None:
        order = self._genes.get_indexer(var.index)
        with torch.inference_mode():
            rates = self.module.get_rates()
            switch = self.module.get_switch_time().cpu().numpy()
        for name in ("alpha", "beta", "gamma"):
            var[f"fit_{name}"] = getattr(rates, name).cpu().numpy()[order] / stretch
        var["fit_t_"] = switch[order] * stretch
        var["fit_scaling"] = np.ones(len(var), dtype=np.float32)
        var["time_scaling"] = stretch


def _explained(adata: AnnData) -> np.ndarray:
    """Share of each gene's variance, spliced and unspliced together, that the fit explains."""
    missed, varied = np.zeros(adata.n_vars), np.zeros(adata.n_vars)
    for name, fit in (("Ms", "fit_s"), ("Mu", "fit_u")):
        for block in gene_blocks(*adata.shape):
            data = dense(adata.layers[name][:, block])
            error = data - adata.layers[fit][:, block]
            missed[block] += np.mean(error**2, axis=0, dtype=np.float64)
            varied[block] += data.var(axis=0, dtype=np.float64)
        release_pages(adata.layers[fit])
    return (1 - missed / np.where(varied > 0, varied, 1)).astype(np.float32)
