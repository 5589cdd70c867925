"""The run on the same cells without velocity, beside which every number of a run stands.

Its folder lies in that of the run::

    <run>/null/
      spec.json       the options, smaller than those of the run
      history.jsonl   its training
      result.zarr     what the same method says of cells without velocity
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from velovi.config import NULL_CELLS
from velovi.data.embeddings import is_map
from velovi.errors import VeloviError
from velovi.evidence import count_split
from velovi.numerics.out_of_core import MatrixAllocator
from velovi.preprocessing import preprocess
from velovi.runs.answers import ask
from velovi.runs.evidence import add_evidence, add_steady_state, keep_null
from velovi.runs.folder import SCRATCH_NAME, RunFolder, RunSpec
from velovi.runs.progress import Reporter
from velovi.runs.results import write_result
from velovi.runs.second_model import SecondModelReporter, second_spec, train_beside
from velovi.runs.training import require_finite, train

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class NullCells:
    """Some of a run's cells without velocity.

    Attributes
    ----------
    counts
        Their spliced counts, split at random in two.
    rows
        Their positions among the cells of the run, rising.
    """

    counts: AnnData
    rows: np.ndarray


def draw_null(counts: AnnData, spec: RunSpec) -> NullCells | None:
    """Draw the cells of a run's null while their counts are in memory.

    Returns
    -------
    None when the run is not checked against one, or its counts cannot be split.
    """
    from anndata import AnnData

    options = spec.options
    if not options.evidence.null_run or options.train.saved_model:
        return None
    names = (options.preprocess.spliced_layer, options.preprocess.unspliced_layer)
    rows = np.arange(counts.n_obs)
    if counts.n_obs > NULL_CELLS:
        rng = np.random.default_rng(options.evidence.seed)
        rows = np.sort(rng.choice(counts.n_obs, NULL_CELLS, replace=False))
    try:
        layers = (counts.layers[name][rows] for name in names)
        spliced, unspliced = count_split(*layers, seed=options.evidence.seed)
    except VeloviError:
        return None
    part = AnnData(
        spliced.copy(),
        var=counts.var[[]].copy(),
        layers={names[0]: spliced, names[1]: unspliced},
    )
    return NullCells(part, rows)


def _placed(null: NullCells, result: AnnData) -> AnnData:
    """The null's counts with groups and places of the run, so that maps can be compared."""
    kept, counts = result[null.rows], null.counts.copy()
    counts.obs = kept.obs[[*kept.obs.select_dtypes("category")]].copy()
    for name in kept.obsm:
        if is_map(name, kept.obsm[name]):
            counts.obsm[name] = kept.obsm[name].copy()
    return counts


def add_null(
    result: AnnData,
    cells: NullCells | None,
    folder: RunFolder,
    reporter: Reporter,
    label_column: str | None,
) -> str:
    """Do the same with the count-split null of some of the cells, and keep its numbers.

    A null that cannot be made costs the run nothing but a sentence.

    Returns
    -------
    Why there is none, for the reader of the result; empty when there is one.
    """
    if folder.spec().options.train.saved_model:
        return "Nothing was compared with a null, because no model was trained in this run."
    if cells is None:
        return "Nothing was compared with a null, because the counts could not be split."
    drawn = cells
    if (RunFolder(folder.null_path).result_path / "zarr.json").exists():
        # the run was interrupted after its null was whole, and does the rest again
        import anndata

        keep_null(result, anndata.read_zarr(RunFolder(folder.null_path).result_path))
        return ""

    def work(null: RunFolder, inner: SecondModelReporter) -> None:
        spec = second_spec(folder.spec(), null.run_id, "null", len(drawn.rows))
        null.write_spec(spec)
        with MatrixAllocator(null.path / SCRATCH_NAME, spec.options.train.memory_gb) as matrices:
            counts = _placed(drawn, result)
            prepared = preprocess(counts, spec.options.preprocess, allocate=matrices.empty)
            add_steady_state(
                prepared.adata, prepared.size_factors, sample_seed=spec.options.evidence.seed
            )
            model = train(prepared.adata, spec.options.model, spec.options.train, null, inner)
            require_finite(model)
            without = ask(prepared, model, spec, null, inner, matrices)
            add_evidence(without, None, spec.options.evidence, label_column=label_column)
            write_result(without, null.result_path)
        keep_null(result, without)

    return train_beside(
        work,
        folder.null_path,
        folder,
        reporter,
        what="The comparison with a null",
        message="Doing the same with the same cells without velocity",
    )
