"""The run on the same cells without velocity, beside which every number of a run stands.

Its folder lies in that of the run::

    <run>/null/
      spec.json       the options, smaller than those of the run
      history.jsonl   its training
      result.zarr     what the same method says of cells without velocity
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from velovi.config import NULL_CELLS, NULL_EPOCHS
from velovi.data.embeddings import is_map
from velovi.errors import Cancelled, VeloviError
from velovi.evidence import count_split
from velovi.numerics.out_of_core import MatrixAllocator
from velovi.preprocessing import preprocess
from velovi.runs.answers import ask
from velovi.runs.evidence import add_evidence, add_steady_state, keep_null
from velovi.runs.files import remove
from velovi.runs.folder import SCRATCH_NAME, RunFolder, RunSpec
from velovi.runs.jobs import failure
from velovi.runs.progress import Reporter
from velovi.runs.results import write_result
from velovi.runs.training import require_finite, train

if TYPE_CHECKING:
    from anndata import AnnData

_SAMPLES, _DIRECTIONAL, _EXTRINSIC = 10, 25, 5
# shares of the null's time, so that one bar tells of all of it
_PARTS = {"train": (10, 75), "posterior": (75, 90), "dynamics": (90, 100)}


class NullStopped(Exception):
    """The run was asked to stop, and its null is left out."""


class NullReporter(Reporter):
    """Tells a run's reporter how far its null is, as one stage.

    Parameters
    ----------
    folder
        Of the null.
    outer
        Reporter of the run.
    """

    def __init__(self, folder: RunFolder, outer: Reporter) -> None:
        super().__init__(folder)
        self._outer = outer
        self._stage, self._of = "train", 1

    def stage(self, name: str, *, of: int = 0, message: str = "") -> None:
        """Begin a part of the null's work."""
        self._stage, self._of = name, max(of, 1)
        self._tell(0.0, None)

    def step(self, step: int, *, message: str | None = None, eta: float | None = None) -> None:
        """Move on within the part."""
        self._tell(min(1.0, step / self._of), eta)

    def note_device(self, device: str) -> None:
        """The device is the run's, which has said so."""

    def check(self) -> None:
        """Raise :class:`Cancelled` or :class:`NullStopped` when the run was asked to end."""
        self._outer.check()
        if self._outer.folder.stop_requested:
            raise NullStopped

    def _tell(self, share: float, eta: float | None) -> None:
        self.check()
        first, last = _PARTS.get(self._stage, (0, 10))
        at = int(first + share * (last - first))
        message = "Doing the same with the same cells without velocity"
        self._outer.step(at, message=message, eta=eta)


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


def null_spec(spec: RunSpec, run_id: str, n_cells: int) -> RunSpec:
    """The specification of the null: as that of the run, with fewer epochs and samples."""
    options = spec.options
    epochs = options.train.schedule(n_cells).max_epochs
    smaller = replace(
        options,
        preprocess=replace(options.preprocess, genes_to_keep=()),
        train=replace(options.train, max_epochs=max(1, round(NULL_EPOCHS * epochs))),
        posterior=replace(
            options.posterior,
            n_samples=min(options.posterior.n_samples, _SAMPLES),
            directional_samples=min(options.posterior.directional_samples, _DIRECTIONAL),
            extrinsic_samples=min(options.posterior.extrinsic_samples, _EXTRINSIC),
        ),
        evidence=replace(options.evidence, null_run=False),
    )
    return replace(spec, run_id=run_id, name=f"{spec.name} (null)", options=smaller)


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
    spec, null = folder.spec(), RunFolder(folder.null_path)
    if spec.options.train.saved_model:
        return "Nothing was compared with a null, because no model was trained in this run."
    if cells is None:
        return "Nothing was compared with a null, because the counts could not be split."
    if null.path.exists():
        remove(null.path)
        return "The comparison with a null was left out, because it was interrupted before."
    inner = NullReporter(null, reporter)
    try:
        null.path.mkdir()
        made = null_spec(spec, null.run_id, len(cells.rows))
        null.write_spec(made)
        with MatrixAllocator(null.path / SCRATCH_NAME, made.options.train.memory_gb) as matrices:
            counts = _placed(cells, result)
            prepared = preprocess(counts, made.options.preprocess, allocate=matrices.empty)
            add_steady_state(
                prepared.adata, prepared.size_factors, sample_seed=made.options.evidence.seed
            )
            model = train(prepared.adata, made.options.model, made.options.train, null, inner)
            require_finite(model)
            without = ask(prepared, model, made, null, inner, matrices)
            add_evidence(without, None, made.options.evidence, label_column=label_column)
            write_result(without, null.result_path)
        keep_null(result, without)
    except NullStopped:
        remove(null.path)
        return "The comparison with a null was left out, because the run was asked to stop."
    except Cancelled:
        raise
    except Exception as error:  # noqa: BLE001 - the run has its answer, and keeps it
        what = failure(error, null.path).to_dict()["what"]
        with suppress(OSError), folder.log_path.open("a", encoding="utf-8") as stream:
            stream.write(traceback.format_exc())
        remove(null.path)
        return f"No null could be compared with: {what}."
    remove(null.checkpoint_path)
    return ""
