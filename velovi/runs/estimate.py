"""What a run will take, told before it is started.

Every constant comes from a measurement of ``docs/benchmarks.md``: one machine with two cores and no
graphics card, one and two threads. The sum is right to about a factor of two on such a machine; for
more than two threads and for graphics cards it is a guess.

With ``V`` the number of cells times the genes kept, on two threads::

    train      (0.007 s a batch + 0.21 us V) an epoch    3,696 x 371: 0.48 s; 100,000 x 1,000: 26 s
    posterior  0.08 us V a sample                        100,000 x 1,000, 25 + 50 samples: 10 min
               0.065 us V a sample of where cells go     3,700 x 1,100, 25 samples, 1 thread: 9.3 s
               0.47 us V for the permutation scores      3,700 x 1,100, 1 thread: 2.7 s
    write      0.18 us V                                 100,000 x 1,000: 18 s
    memory     60 bytes V of matrices, 25 bytes for each pair of cells that are compared
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from velovi.config import (
    NULL_CELLS,
    NULL_EPOCHS,
    DynamicsOptions,
    ModelOptions,
    PosteriorOptions,
    PreprocessOptions,
    RunOptions,
)
from velovi.evidence.numbers import MOST_CELLS

GB = 2**30
# the true figure lies most likely between the estimate over this and the estimate times this
CELLS_FOR_SCORES = 20_000  # at most; of more, a sample
_EITHER_WAY = math.sqrt(2.0)
_LEFT_BY_R2 = (
    0.2  # share of the genes that the filter on signal may leave: 371 of 2,000 of pancreas
)

# seconds with two threads
_READ, _PREPARE, _TRAIN, _DYNAMICS, _WRITE = 5.0, 15.0, 15.0, 2.0, 1.0  # before any cell is met
_PREPARE_CELL, _PREPARE_STORED = 0.6e-3, 1e-7
_UMAP, _UMAP_CELL = 27.0, 0.6e-3
_BATCH, _TRAIN_VALUE = 0.007, 0.21e-6
_SAMPLE_VALUE, _EXTRINSIC_VALUE, _SCORE_VALUE = 0.08e-6, 0.065e-6, 0.47e-6
_COMPARE_VALUE = 0.63e-9
_WRITE_VALUE = 0.18e-6
_ARROWS = 10.0  # graphs of the size of the run's, for arrows of halves and of other models
_NULL = 5.0  # seconds before it trains
_NETWORK_SHARE = 0.25  # of training and sampling: products with the networks' weights
_MOST_THREADS = 8  # more are assumed to bring nothing

# bytes
_BASE = 0.8 * GB  # the libraries, and what they hold before any cell is met
_STORED_COUNT = 40.0
_MATRIX = 4.0
_MODEL_MATRICES, _RESULT_MATRICES = 2, 15
_TRAIN_REST, _POSTERIOR_REST, _DYNAMICS_REST = 9.0, 2.0, 6.0  # for each of V
_PAIR = 25.0
_ON_DISK = 48.0  # for each of V
_USUAL_SHARE_STORED = 0.1  # of a layer's counts that are not zero, when the file does not say


@dataclass(frozen=True)
class FileSize:
    """How much there is to work on.

    Attributes
    ----------
    n_cells, n_genes
        Of the file, before any selection.
    n_stored
        Counts that are not zero, in both layers together; None when nobody knows.
    has_map
        Whether the file brings a two-dimensional embedding, so that no UMAP has to be computed.
    """

    n_cells: int
    n_genes: int
    n_stored: float | None = None
    has_map: bool = False

    @property
    def stored(self) -> float:
        """Counts that are not zero, guessed when nobody knows."""
        values = 2.0 * self.n_cells * self.n_genes
        return _USUAL_SHARE_STORED * values if self.n_stored is None else self.n_stored

    def part(self, n_cells: int) -> FileSize:
        """The size of so many of the cells."""
        share = n_cells / max(1, self.n_cells)
        stored = None if self.n_stored is None else share * self.n_stored
        return replace(self, n_cells=n_cells, n_stored=stored)


@dataclass(frozen=True)
class Estimate:
    """Seconds and memory of each stage of :data:`velovi.runs.progress.STAGES`.

    Attributes
    ----------
    n_genes
        Most genes that the model can have.
    epochs
        Most passes over the cells.
    seconds
        By stage, with that many genes.
    fewest_seconds
        Of the whole run with as few genes as the filter on signal may leave.
    memory_gb
        Most that the process holds in memory in each stage.
    disk_gb
        Size of the result.
    files_gb
        Matrices that do not fit the memory that the run may use for them, and go to files.
    """

    n_genes: int
    epochs: int
    seconds: dict[str, float]
    fewest_seconds: float
    memory_gb: dict[str, float]
    disk_gb: float
    files_gb: float

    @property
    def total(self) -> float:
        """Seconds of the whole run."""
        return sum(self.seconds.values())

    @property
    def time_range(self) -> tuple[float, float]:
        """Fewest and most seconds that are likely."""
        return self.fewest_seconds / _EITHER_WAY, self.total * _EITHER_WAY

    @property
    def peak_gb(self) -> float:
        """Most memory that the run holds at any time."""
        return max(self.memory_gb.values())

    @property
    def largest(self) -> str:
        """The stage that holds most memory."""
        return max(self.memory_gb, key=lambda stage: self.memory_gb[stage])

    @property
    def longest(self) -> str:
        """The stage that takes longest."""
        return max(self.seconds, key=lambda stage: self.seconds[stage])


def estimate_run(
    file: FileSize, options: RunOptions, *, threads: int, free_gb: float = math.inf
) -> Estimate:
    """Seconds and gigabytes of a run before it is started.

    Parameters
    ----------
    file
        Its cells and genes.
    options
        Of all stages.
    threads
        CPU threads that training can use.
    free_gb
        Memory that is free, which limits the matrices kept in memory when the options do not.

    Examples
    --------
    >>> told = estimate_run(FileSize(100_000, 1_000, 5e7), RunOptions(), threads=2)
    >>> round(told.seconds["train"] / told.epochs), round(told.peak_gb)
    (26, 9)
    """
    n_genes = most_genes(file, options.preprocess)
    epochs = _epochs(file, options)
    values = float(file.n_cells) * n_genes
    pairs = file.n_cells * _compared(file.n_cells, options.preprocess, options.dynamics)
    seconds = _seconds(file, n_genes, options, threads)
    filtered = options.preprocess.filter_on_r2
    fewest = max(1, round(_LEFT_BY_R2 * n_genes)) if filtered else n_genes
    fewest_seconds = sum(_seconds(file, fewest, options, threads).values())
    budget = options.train.memory_gb or free_gb / 2
    matrices = _MATRIX * values / GB
    early, late = min(_MODEL_MATRICES * matrices, budget), min(_RESULT_MATRICES * matrices, budget)
    memory = {
        "read": (_BASE + _STORED_COUNT * file.stored / 2) / GB,
        "preprocess": (_BASE + _STORED_COUNT * file.stored) / GB + early,
        "train": (_BASE + _TRAIN_REST * values) / GB + early,
        "posterior": (_BASE + _POSTERIOR_REST * values) / GB + late,
        "dynamics": (_BASE + _DYNAMICS_REST * values + _PAIR * pairs) / GB + late,
    }
    beyond = max(0.0, _RESULT_MATRICES * matrices - budget)
    disk = _ON_DISK * values / GB
    return Estimate(n_genes, epochs, seconds, fewest_seconds, memory, disk, beyond)


def _epochs(file: FileSize, options: RunOptions) -> int:
    saved = options.train.saved_model
    return 0 if saved else options.train.schedule(file.n_cells).max_epochs


def _seconds(file: FileSize, n_genes: int, options: RunOptions, threads: int) -> dict[str, float]:
    """Seconds of each stage with so many genes in the model."""
    values = float(file.n_cells) * n_genes
    pairs = file.n_cells * _compared(file.n_cells, options.preprocess, options.dynamics)
    work = _slowness(threads) * _network(options.model)
    batch_size = options.train.schedule(file.n_cells).batch_size
    batches = math.ceil(options.train.train_size * file.n_cells / batch_size)
    epoch = _BATCH * batches + _TRAIN_VALUE * values * work
    return {
        "read": _READ,
        "preprocess": _prepare_seconds(file, options.preprocess),
        "train": _TRAIN + _epochs(file, options) * epoch,
        "posterior": _posterior_seconds(file.n_cells, n_genes, options.posterior) * work,
        "dynamics": _DYNAMICS + _COMPARE_VALUE * pairs * n_genes,
        "evidence": _evidence_seconds(file, n_genes, options, work),
        "write": _WRITE + _WRITE_VALUE * values,
    }


def _evidence_seconds(file: FileSize, n_genes: int, options: RunOptions, work: float) -> float:
    """Arrows of halves of the genes and of two other models, and smaller second models."""
    cells = min(file.n_cells, MOST_CELLS)
    pairs = cells * _compared(cells, options.preprocess, options.dynamics)
    seconds = 2 + _ARROWS * _COMPARE_VALUE * pairs * n_genes
    if options.train.saved_model:
        return seconds
    few = min(file.n_cells, NULL_CELLS)
    schedule = options.train.schedule(few)
    batches = math.ceil(options.train.train_size * few / schedule.batch_size)
    epoch = _BATCH * batches + _TRAIN_VALUE * few * n_genes * work
    second = _NULL + NULL_EPOCHS * schedule.max_epochs * epoch
    if options.evidence.null_run:
        asked = _posterior_seconds(few, n_genes, options.posterior) / 2
        seconds += second + asked * work
    return seconds + (second if options.evidence.rate_check else 0.0)


def most_genes(file: FileSize, options: PreprocessOptions) -> int:
    """Most genes that the options let through; filters on counts and signal leave fewer."""
    return max(1, min(file.n_genes, options.n_top_genes + len(options.genes_to_keep)))


def genes_that_fit(
    estimate: Callable[[int], Estimate], n_genes: int, limit_gb: float
) -> int | None:
    """Most genes with which the memory stays below a limit; None when even two are too many.

    Parameters
    ----------
    estimate
        For this number of variable genes.
    n_genes
        Genes that are too many.
    limit_gb
        Gigabytes that must not be passed.
    """
    fits, too_many = 1, n_genes
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if estimate(middle).peak_gb <= limit_gb:
            fits = middle
        else:
            too_many = middle
    return fits if fits > 1 else None


def _prepare_seconds(file: FileSize, options: PreprocessOptions) -> float:
    # the measured files had no map: that half of the time is the UMAP's is assumed
    umap = _UMAP + _UMAP_CELL * file.n_cells if options.compute_umap and not file.has_map else 0.0
    return _PREPARE + _PREPARE_CELL * file.n_cells + _PREPARE_STORED * file.stored + umap


def _posterior_seconds(n_cells: int, n_genes: int, options: PosteriorOptions) -> float:
    samples = options.n_samples + options.directional_samples
    each = _SAMPLE_VALUE * samples + _EXTRINSIC_VALUE * options.extrinsic_samples
    return n_genes * (each * n_cells + _SCORE_VALUE * min(n_cells, CELLS_FOR_SCORES))


def _compared(n_cells: int, options: PreprocessOptions, dynamics: DynamicsOptions) -> int:
    """With how many others the velocity graph compares a cell, at most."""
    near = min(options.n_neighbors, n_cells - 1)
    all_of_them = near if dynamics.recurse_neighbors == 1 else near * (near + 1)
    most = dynamics.most_neighbors(n_cells)
    return min(all_of_them, n_cells - 1, most or all_of_them)


def _slowness(threads: int) -> float:
    """Seconds beside those of two threads; one thread takes 1.4 times as long."""
    return math.sqrt(2.0 / max(1, min(threads, _MOST_THREADS)))


def _network(options: ModelOptions) -> float:
    """Work beside that of networks of the usual size."""
    width = options.n_hidden / ModelOptions().n_hidden * options.n_layers
    return 1.0 - _NETWORK_SHARE + _NETWORK_SHARE * width
