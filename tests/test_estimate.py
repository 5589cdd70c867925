from __future__ import annotations

import math
from dataclasses import replace

import pytest

from velovi.config import (
    DynamicsOptions,
    EvidenceOptions,
    ModelOptions,
    PosteriorOptions,
    PreprocessOptions,
    RunOptions,
    TrainOptions,
)
from velovi.runs.estimate import FileSize, estimate_run, genes_that_fit, most_genes
from velovi.runs.progress import STAGES

SMALL = FileSize(10_000, 1_000, 0.5 * 10_000 * 1_000)
LARGE = FileSize(100_000, 1_000, 0.5 * 100_000 * 1_000)
PANCREAS = FileSize(3_696, 371, has_map=True)


def told(file=SMALL, options=None, threads=2, free_gb=math.inf):
    return estimate_run(file, options or RunOptions(), threads=threads, free_gb=free_gb)


# docs/benchmarks.md: minutes on two threads. Training of 10,000 cells took 7.9 minutes before it
# became about a quarter faster.
@pytest.mark.parametrize(
    ("file", "stage", "minutes"),
    [
        (SMALL, "preprocess", 0.9),
        (SMALL, "train", 7.9 * 0.75),
        (SMALL, "posterior", 0.9),
        (LARGE, "preprocess", 2.7),
        (LARGE, "train", 30 * 27 / 60),
        (LARGE, "posterior", 10.1),
        (LARGE, "dynamics", 1.0),
        (LARGE, "write", 0.3),
    ],
)
def test_minutes_agree_with_what_was_measured(file, stage, minutes):
    options = RunOptions(posterior=PosteriorOptions(extrinsic_samples=0))  # as it was then
    assert told(file, options).seconds[stage] / 60 == pytest.approx(minutes, rel=0.3)


def test_epochs_of_pancreas_take_what_was_measured():
    estimate = told(PANCREAS)
    assert estimate.epochs == 150
    assert estimate.seconds["train"] / 150 == pytest.approx(0.44, rel=0.35)


def test_one_thread_takes_what_was_measured():
    def seconds(extrinsic):
        posterior = PosteriorOptions(
            n_samples=25, directional_samples=0, extrinsic_samples=extrinsic
        )
        options = RunOptions(posterior=posterior)
        return told(FileSize(3_700, 1_100), options, threads=1).seconds["posterior"]

    assert seconds(0) == pytest.approx(11.5 + 2.7, rel=0.2)  # with the permutation scores
    assert seconds(25) - seconds(0) == pytest.approx(9.3, rel=0.2)


@pytest.mark.parametrize(
    ("file", "stage", "gigabytes"),
    [
        (SMALL, "preprocess", 1.1),
        (SMALL, "train", 0.9),
        (SMALL, "posterior", 1.4),
        (SMALL, "dynamics", 1.5),
        (LARGE, "preprocess", 3.5),
        (LARGE, "train", 2.3),
        (LARGE, "posterior", 6.6),
        (LARGE, "dynamics", 9.2),
    ],
)
def test_memory_agrees_with_what_was_measured(file, stage, gigabytes):
    assert told(file).memory_gb[stage] == pytest.approx(gigabytes, rel=0.2)


def test_a_large_run_needs_most_where_it_did_when_measured():
    estimate = told(LARGE)
    assert estimate.largest == "dynamics"
    assert estimate.peak_gb == pytest.approx(9.2, rel=0.1)
    assert estimate.disk_gb == pytest.approx(4.6, rel=0.1)
    assert estimate.longest == "train"


def test_every_stage_of_a_run_is_in_the_sum():
    estimate = told()
    assert list(estimate.seconds) == list(STAGES)
    assert set(estimate.memory_gb) <= set(STAGES)
    low, high = estimate.time_range
    assert low < estimate.total < high
    all_genes = told(options=RunOptions(preprocess=PreprocessOptions(filter_on_r2=False)))
    low, high = all_genes.time_range
    assert high / low == pytest.approx(2.0)


def test_the_shorter_time_is_that_of_few_genes():
    estimate = told()
    fifth = RunOptions(preprocess=PreprocessOptions(n_top_genes=estimate.n_genes // 5))
    assert estimate.fewest_seconds == pytest.approx(told(options=fifth).total, rel=0.01)
    assert estimate.fewest_seconds < estimate.total


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        ({"preprocess": PreprocessOptions(n_top_genes=500)}, "train"),
        ({"preprocess": PreprocessOptions(compute_umap=False)}, "preprocess"),
        ({"train": TrainOptions(max_epochs=10)}, "train"),
        ({"train": TrainOptions(saved_model="somewhere")}, "train"),
        ({"model": ModelOptions(n_hidden=64)}, "train"),
        ({"posterior": PosteriorOptions(directional_samples=0)}, "posterior"),
        ({"posterior": PosteriorOptions(extrinsic_samples=0)}, "posterior"),
        ({"dynamics": DynamicsOptions(recurse_neighbors=1)}, "dynamics"),
    ],
)
def test_smaller_options_take_less(change, stage):
    assert told(options=RunOptions(**change)).seconds[stage] < told().seconds[stage]


def test_reference_schedule_counts_its_own_epochs_and_batches():
    options = RunOptions(train=TrainOptions(preset="reference", max_epochs=400))
    assert told(options=options).epochs == 400
    assert told(options=options).seconds["train"] > 2 * told().seconds["train"]


def test_more_threads_never_take_longer():
    seconds = [told(threads=n).total for n in (1, 2, 4, 8, 64)]
    assert seconds == sorted(seconds, reverse=True)


def test_matrices_beyond_the_memory_go_to_files():
    limited = replace(RunOptions(), train=TrainOptions(memory_gb=1.0))
    estimate = told(LARGE, limited)
    assert estimate.files_gb > 4
    assert estimate.peak_gb < told(LARGE).peak_gb
    # without a limit of the user's, half of what is free
    assert told(LARGE, free_gb=2.0).files_gb == pytest.approx(estimate.files_gb)
    assert told(SMALL, free_gb=16.0).files_gb == 0


def test_genes_are_never_more_than_the_file_has():
    assert most_genes(FileSize(100, 50), PreprocessOptions()) == 50
    assert most_genes(FileSize(100, 5000), PreprocessOptions(genes_to_keep=("a", "b"))) == 2002


def test_genes_that_fit_are_the_most_that_do():
    def with_genes(n_genes):
        options = RunOptions(preprocess=PreprocessOptions(n_top_genes=n_genes))
        return told(LARGE, options)

    limit = with_genes(400).peak_gb
    assert genes_that_fit(with_genes, 1000, limit) == 400
    assert genes_that_fit(with_genes, 1000, 0.1) is None


@pytest.mark.parametrize("n_cells", [1, 2, 30, 3_000_000])
@pytest.mark.parametrize("n_genes", [0, 1, 40_000])
def test_any_size_gives_finite_numbers(n_cells, n_genes):
    estimate = told(FileSize(n_cells, n_genes))
    for number in (*estimate.seconds.values(), *estimate.memory_gb.values(), estimate.disk_gb):
        assert math.isfinite(number)
        assert number >= 0


def test_second_models_cost_time():
    def evidence(**options):
        return told(options=RunOptions(evidence=EvidenceOptions(**options))).seconds["evidence"]

    neither = evidence(null_run=False)
    assert neither < evidence(null_run=False, rate_check=True)
    assert evidence(null_run=True) < evidence(null_run=True, rate_check=True)
    saved = RunOptions(
        train=TrainOptions(saved_model="there"), evidence=EvidenceOptions(rate_check=True)
    )
    assert told(options=saved).seconds["evidence"] == pytest.approx(neither)
