"""How long until the fit that the reference ends with?

``python -m benchmarks.until --out DIR [--data NAME] [--seeds 0 1 2] [--threads 2]``

For each seed the reference trains under its defaults, early stopping included, and our model under
the fast schedule, one after the other on the same cells and split. The negative ELBO of the
held-out cells (lower is better) is measured after each; where ours is not higher, the ratio of
seconds is how much sooner the reference's fit is reached. Pairs already in ``DIR`` are kept.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.science import FAST, SOURCES, held_out_elbo, prepare, train

KINDS = {"reference": "reference", "ours": FAST}


def pair(name: str, seed: int) -> dict[str, Any]:
    """Seconds, epochs and fit of both."""
    adata = prepare(name, None, seed)
    found: dict[str, Any] = {
        "data": name,
        "seed": seed,
        "cells": adata.n_obs,
        "genes": adata.n_vars,
    }
    for who, kind in KINDS.items():
        model, seconds = train(adata, kind, seed, None)
        found[who] = {
            "seconds": seconds,
            "epochs": len(model.history["elbo_validation"]),
            "held_out": held_out_elbo(model),
        }
    return found


def table(found: list[dict[str, Any]]) -> str:
    """Markdown: a row for each pair, and the median ratio of each data set."""
    lines = [
        "| data | seed | reference | ours | ratio of seconds | as good |",
        "|---|---|---|---|---|---|",
    ]
    for item in found:
        cells = [
            "{epochs} epochs, {seconds:.0f} s, {held_out:.1f}".format(**item[k]) for k in KINDS
        ]
        ratio = item["reference"]["seconds"] / item["ours"]["seconds"]
        good = "yes" if item["ours"]["held_out"] <= item["reference"]["held_out"] else "no"
        lines.append(
            f"| {item['data']} {item['cells']:,} x {item['genes']:,} | {item['seed']} | "
            f"{' | '.join(cells)} | {ratio:.1f} | {good} |"
        )
    for name in dict.fromkeys(item["data"] for item in found):
        ratios = [
            o["reference"]["seconds"] / o["ours"]["seconds"] for o in found if o["data"] == name
        ]
        lines.append(f"| {name}, median | | | | {median(ratios):.1f} | |")
    return "\n".join(lines)


def main() -> None:
    """Train the pairs that are not there yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    found = []
    for name in given.data:
        for seed in given.seeds:
            path = given.out / f"until-{name}-{seed}.json"
            if not path.exists():
                path.write_text(json.dumps(pair(name, seed), indent=1) + "\n")
            found.append(json.loads(path.read_text()))
    print(table(found))


if __name__ == "__main__":
    main()
