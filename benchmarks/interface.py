"""Every method with every awkward argument, ours and scvi.external.VELOVI's, as a table.

``python -m benchmarks.interface > docs/interface.md``

What is called and what it has to give stands in ``tests/interface_cases.py``; the test suite holds
our column.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("VELOVI_TEST_DEVICE", "cpu")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import scvi
from interface_cases import TOLERANCE, Case, cases
from modelling import scaled_data, trained_model
from scvi.external import VELOVI as Reference

from velovi import VELOVI

HEAD = f"""# The interface, called

Every posterior method of `velovi.VELOVI` and of `scvi.external.VELOVI` {scvi.__version__}, with
defaults and with awkward arguments, on a model of 120 cells and 12 genes trained for ten epochs.
With every random draw replaced by its mean each call has one right answer, worked out in double
precision from the textbook solutions of the splicing equations; "right" means the documented shape
and type, names of cells and genes in the order asked for, and numbers within {TOLERANCE:g} of the
largest value (the reference adds 1e-6 to differences of rates). Made by
`python -m benchmarks.interface > docs/interface.md` on Python {platform.python_version()}.

| method | arguments | ours | reference |
|---|---|---|---|"""


def outcome(case: Case, model: Any) -> tuple[bool, str]:
    """Whether the call is right, and what it gave or how it failed."""
    try:
        return True, f"right: {case.check(model)}"
    except AssertionError as wrong:
        return False, f"**wrong**: {wrong}"
    except Exception as failure:  # noqa: BLE001 - how the reference fails is what we want to see
        first = (str(failure).splitlines() or [""])[0]
        return False, f"**{type(failure).__name__}**: {first[:80]}".replace("|", "/")


def main() -> None:
    """Print the table and how many calls are right."""
    logging.disable(logging.CRITICAL)
    models = [trained_model(scaled_data(), kind, epochs=10) for kind in (VELOVI, Reference)]
    right = [0, 0]
    listed = cases(scaled_data(), scaled_data(n_cells=150, seed=5))
    lines = []
    for case in listed:
        found = [outcome(case, model) for model in models]
        right = [count + ok for count, (ok, _) in zip(right, found, strict=True)]
        lines.append(f"| {case.method} | {case.arguments} | {found[0][1]} | {found[1][1]} |")
    print(HEAD, *lines, sep="\n")
    print(f"\nRight: ours {right[0]}, reference {right[1]}, of {len(listed)} calls.")


if __name__ == "__main__":
    main()
