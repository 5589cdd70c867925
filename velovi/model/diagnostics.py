"""How far to trust the model: uncertainty of directions, coherence, fit of shuffled cells."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse
from scvi import settings

from velovi import dynamics
from velovi.errors import DataError
from velovi.model import directional_statistics, posterior, scores, summary
from velovi.model.base import ModelBase
from velovi.model.latent import categories
from velovi.model.posterior import Mode, seeded
from velovi.model.selection import CellData, Genes, Selection, check_positive
from velovi.numerics.out_of_core import Allocator, in_memory

_MODES: tuple[Mode, ...] = ("spliced", "unspliced")
_SAMPLES_FOR_SCORES = 5
NEIGHBOURS = "distances"


class DiagnosticsMixin(ModelBase):
    """Uncertainty and scores (Gayoso, Weiler et al. 2024, Methods)."""

    @torch.inference_mode()
    def get_directional_uncertainty(
        self,
        adata: AnnData | None = None,
        n_samples: int = 50,
        gene_list: Genes = None,
        n_jobs: int = -1,
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """Intrinsic uncertainty: how much velocity samples of a cell disagree on its direction.

        Parameters
        ----------
        adata
            Data with the model's genes, in any order; the model's own data when left out.
        n_samples
            Velocity samples for each cell. Memory grows with samples times genes of a minibatch,
            not of all cells.
        gene_list
            Genes that span the direction; all when left out.
        n_jobs
            Kept for compatibility; cells are computed together.

        Returns
        -------
        statistics
            ``(cells, 5)``: variance and 5 to 95 % range of the angles (radians) and of the cosines
            between the samples and their mean, and the mean cosine; see
            :func:`~velovi.model.directional_statistics.directional_statistics`.
        cosines
            ``(cells, samples)``: mean-centred cosine of each sample with the samples' mean; 0, with
            a warning, for cells whose velocity is zero.

        Raises
        ------
        NotTrainedError
            The model has not been trained.
        DataError
            ``adata`` lacks genes or layers of the model, or the model has no data of its own.
        OptionError
            ``n_samples`` or ``gene_list`` makes no sense.
        """
        check_positive("n_samples", n_samples)
        data, chosen = self._choose(adata, None, gene_list)
        cosines = np.concatenate(
            [
                summary.directional_cosines(self.module, tensors, n_samples, genes=chosen.genes)
                for tensors in data.minibatches()
            ]
        )
        return _described(cosines, chosen)

    @torch.inference_mode()
    def get_extrinsic_uncertainty(
        self,
        adata: AnnData | None = None,
        n_samples: int = 25,
        gene_list: Genes = None,
        seed: int | None = None,
        max_neighbors: int = 0,
        allocate: Allocator = in_memory,
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """Extrinsic uncertainty: how much velocity samples disagree on where a cell goes.

        For each velocity sample, a transition matrix ``T`` is made from the cosines with the
        displacements to neighbouring cells, with self transitions and negative cosines; the cell's
        expected next state is its row of ``T Ms``. The statistics are those of
        :meth:`get_directional_uncertainty` on these vectors.

        Parameters
        ----------
        adata
            Data with the model's genes and a neighbour graph in ``obsp["distances"]``; the
            model's own data when left out.
        n_samples
            Velocity samples. Their cosines are kept: four bytes for each sample, cell and cell
            that it is compared with.
        gene_list
            Genes that span the direction; all when left out.
        seed
            Fixes the samples; None goes on with the global generator.
        max_neighbors
            Compare each cell with at most so many of its neighbours' neighbours; 0 with all.
        allocate
            Gives the matrix of cosines, so that it can lie in a file; see
            :class:`velovi.numerics.out_of_core.MatrixAllocator`.

        Returns
        -------
        statistics, cosines
            As in :meth:`get_directional_uncertainty`.

        Raises
        ------
        NotTrainedError, DataError, OptionError
            As in :meth:`get_directional_uncertainty`; DataError too without a neighbour graph.
        """
        check_positive("n_samples", n_samples)
        data, chosen = self._choose(adata, None, gene_list)
        neighbours = _neighbours(self._source(adata))
        expression = chosen.pick_genes(data.dense("spliced"))
        expected = dynamics.ExpectedDisplacements(
            expression,
            neighbours,
            n_samples,
            max_neighbors=max_neighbors,
            allocate=lambda shape: allocate("cosines", shape, "genes"),
        )
        with seeded(seed, self.device):
            first = 0
            for tensors in data.minibatches(batch_size=summary.CELLS_TOGETHER):
                drawn = summary.velocity_samples(
                    self.module, tensors, n_samples, genes=chosen.genes
                )
                expected.compare(first, drawn.cpu().numpy())
                first += drawn.shape[1]
        cosines = []
        for start in range(0, data.n_cells, summary.CELLS_TOGETHER):
            reached = expected.states(start, min(start + summary.CELLS_TOGETHER, data.n_cells))
            cosines.append(
                directional_statistics.centred_cosines(torch.from_numpy(reached)).T.numpy()
            )
        return _described(np.concatenate(cosines), chosen)

    @torch.inference_mode()
    def get_velocity_coherence(
        self,
        adata: AnnData | None = None,
        n_samples: int = 25,
        gene_list: Genes = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Whether each gene's velocity has the sign of the change that all genes together expect.

        With the transition matrix ``T`` of the mean velocity, without self transitions,
        ``(T Ms - Ms) * velocity``.

        Parameters
        ----------
        adata
            Data with the model's genes and a neighbour graph in ``obsp["distances"]``; the
            model's own data when left out.
        n_samples
            Posterior samples for the mean velocity.
        gene_list
            Genes to return, in the order wanted; the directions are always those of all genes.
        seed
            Fixes the samples; None goes on with the global generator.

        Returns
        -------
        pandas.DataFrame
            ``(cells, genes)``; positive where both agree.

        Raises
        ------
        NotTrainedError, DataError, OptionError
            As in :meth:`get_extrinsic_uncertainty`.
        """
        data, chosen = self._choose(adata, None, gene_list)
        everything = Selection(chosen.cells, None, data.cell_names, data.gene_names)
        neighbours = _neighbours(self._source(adata))
        expression = data.dense("spliced")
        with seeded(seed, self.device):
            velocity = self._collect(
                data, everything, {"velocity": posterior.velocity()}, n_samples=n_samples
            )["velocity"]
        velocity = np.maximum(velocity, -expression)
        transition = dynamics.transition_matrix(
            dynamics.velocity_graph(velocity, expression, neighbours)
        )
        coherence = dynamics.velocity_coherence(transition, expression, velocity)
        return pd.DataFrame(
            chosen.pick_genes(coherence), index=chosen.cell_names, columns=chosen.gene_names
        )

    @torch.inference_mode()
    def get_permutation_scores(
        self, labels_key: str, adata: AnnData | None = None, seed: int | None = None
    ) -> tuple[pd.DataFrame, AnnData]:
        """How much worse the model fits when cells are shuffled within their labels.

        High scores mean that the fit follows the cells' dynamics and not only their averages.
        Fits are the exact means over state probabilities of five samples of the cell state.

        Parameters
        ----------
        labels_key
            Column of ``adata.obs`` with the cell types; cells without one are left out.
        adata
            Data with the model's genes, in any order; the model's own data when left out.
        seed
            Fixes the permutation, the cells taken of large labels and the samples. When left out,
            ``scvi.settings.seed`` (or 0) fixes the first two, and the samples come from the global
            generator.

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
        NotTrainedError, DataError
            As in :meth:`get_directional_uncertainty`.
        """
        data, _ = self._choose(adata, None, None)
        source = self._source(adata)
        labels = categories(source, labels_key, "labels_key")
        rng = np.random.default_rng((settings.seed or 0) if seed is None else seed)
        real = replace(
            data, spliced=data.dense("spliced"), unspliced=data.dense("unspliced"), columns=None
        )
        spliced, unspliced = scores.shuffle_within(real.spliced, real.unspliced, labels.codes, rng)
        shuffled = replace(real, spliced=spliced, unspliced=unspliced)
        with seeded(seed, self.device):
            error, shuffled_error = (self._fit_error(item) for item in (real, shuffled))
        found, too_small = scores.permutation_statistics(
            error, shuffled_error, labels, data.gene_names, rng
        )
        if too_small:
            warnings.warn(
                f"{labels_key}: {', '.join(too_small)} have fewer than two cells and no score.",
                UserWarning,
                stacklevel=2,
            )
        return found, self._with_layers(source, shuffled)

    def _fit_error(self, data: CellData) -> np.ndarray:
        """Absolute error of the fit, spliced and unspliced together, ``(cells, genes)``."""
        found = np.empty((data.n_cells, len(data.gene_names)), dtype=np.float32)
        fits = summary.expected_fits(self.module, data.minibatches(), _SAMPLES_FOR_SCORES)
        first = 0
        for pair in fits:
            rows = slice(first, first + len(pair[0]))
            found[rows] = sum(
                np.abs(fit.cpu().numpy() - data.dense(mode, np.arange(rows.start, rows.stop)))
                for mode, fit in zip(_MODES, pair, strict=True)
            )
            first = rows.stop
        return found

    def _with_layers(self, adata: AnnData, data: CellData) -> AnnData:
        """A copy with the model's genes and other spliced and unspliced abundance."""
        copy = adata[:, data.gene_names].copy()
        for name, mode in zip(self._layers, _MODES, strict=True):
            copy.layers[name] = getattr(data, mode)
        return copy


def _described(cosines: np.ndarray, chosen: Selection) -> tuple[pd.DataFrame, np.ndarray]:
    still = int((cosines == 0).all(axis=1).sum())
    if still:
        warnings.warn(
            f"{still} of {len(cosines)} cells have no direction, because their velocity is zero: "
            "their cosines are 0.",
            UserWarning,
            stacklevel=3,
        )
    statistics = directional_statistics.directional_statistics(cosines)
    statistics.index = chosen.cell_names
    return statistics, cosines


def _neighbours(adata: AnnData) -> sparse.csr_matrix:
    if NEIGHBOURS not in adata.obsp:
        raise DataError(
            "there is no graph of neighbouring cells",
            where=f"adata.obsp[{NEIGHBOURS!r}]",
            expected="the distances that scanpy.pp.neighbors writes",
            found=", ".join(map(str, adata.obsp)) or "nothing",
            remedy="Call scanpy.pp.neighbors(adata), or preprocess the counts with "
            "velovi.preprocess",
        )
    return sparse.csr_matrix(adata.obsp[NEIGHBOURS])
