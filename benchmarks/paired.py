"""Does the compiled sampler train models as good as the reference's sampler does?

``python -m benchmarks.paired run --out DIR [--data NAME] [--seeds 24] [--first 0]``
``python -m benchmarks.paired report --out DIR``

For each seed the same model is trained twice, once with our draws of the state probabilities and
once with torch's, which are the reference's: the same starting values, cells held out, order of
cells and schedule; only the draws differ. The negative ELBO of the held-out cells (lower is
better) is then measured with torch's draws for both. ``report`` gives the mean difference, ours
less theirs, its standard error over seeds, and the upper end of the one-sided 95 % interval as a
share of the ELBO. Processes that share the work take seeds of their own with ``--first``.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from anndata import AnnData
from scipy.stats import t as student
from scvi import settings

from benchmarks.science import SOURCES, prepare
from velovi import VELOVI

CELLS, GENES = 1_000, 200
SCHEDULE = {
    "max_epochs": 100,
    "batch_size": 128,
    "early_stopping": False,
    "plan_kwargs": {"lr": 0.03, "one_cycle": True, "n_epochs_kl_warmup": 80},
}
MEASURED = 40  # draws for each held-out ELBO
KINDS = {"ours": True, "reference": False}


def cells_of(name: str) -> AnnData:
    """A random part of a data set."""
    adata = prepare(name, None, 0)
    rng = np.random.default_rng(0)
    rows = np.sort(rng.permutation(adata.n_obs)[:CELLS])
    columns = np.sort(rng.permutation(adata.n_vars)[:GENES])
    return adata[rows][:, columns].copy()


def held_out(adata: AnnData, seed: int, compiled_draws: bool) -> float:
    """Negative ELBO of the cells held out, after training."""
    settings.seed = seed
    VELOVI.setup_anndata(adata, spliced_layer="Ms", unspliced_layer="Mu")
    model = VELOVI(adata)
    model.module.compiled_draws = compiled_draws
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    model.train(**SCHEDULE, **quiet)
    model.module.compiled_draws = False
    settings.seed = 1_000 + seed
    cells = np.asarray(model.validation_indices)
    return -float(np.mean([model.get_elbo(indices=cells) for _ in range(MEASURED)]))


def run(out: Path, names: list[str], seeds: range) -> None:
    """Train every pair that is not there yet."""
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        adata = None
        for seed in seeds:
            path = out / f"{name}-{seed}.json"
            if path.exists():
                continue
            adata = cells_of(name) if adata is None else adata
            found = {who: held_out(adata, seed, compiled) for who, compiled in KINDS.items()}
            path.write_text(json.dumps(found) + "\n")
            print(path.name, found, flush=True)


def report(out: Path, names: list[str]) -> None:
    """The table."""
    print("| data | seeds | reference | ours | difference | 95 % bound, share of the ELBO |")
    print("|---|---|---|---|---|---|")
    for name in names:
        pairs = [json.loads(path.read_text()) for path in sorted(out.glob(f"{name}-*.json"))]
        ours, theirs = (np.array([pair[who] for pair in pairs]) for who in KINDS)
        difference, n = ours - theirs, len(pairs)
        error = difference.std(ddof=1) / np.sqrt(n)
        bound = difference.mean() + student.ppf(0.95, n - 1) * error
        print(
            f"| {name} | {n} | {theirs.mean():.2f} | {ours.mean():.2f} | "
            f"{difference.mean():+.3f} +- {error:.3f} | {bound / abs(theirs.mean()):+.3%} |"
        )


def main() -> None:
    """Run or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("run", "report"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--seeds", type=int, default=24, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if given.what == "run":
        run(given.out, given.data, range(given.first, given.first + given.seeds))
    else:
        report(given.out, given.data)


if __name__ == "__main__":
    main()
