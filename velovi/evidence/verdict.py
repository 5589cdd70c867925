"""May these arrows be believed? One rule over all evidence, with its reasons in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from velovi.evidence.flow import GroupFlow
from velovi.evidence.signal_in_counts import CLEAR, FEWEST_IN_GROUP, SOME, VelocitySignal

Support = Literal["supported", "weak", "no evidence", "cannot tell"]
SUPPORTS: tuple[Support, ...] = ("supported", "weak", "no evidence", "cannot tell")
LEAST_AGREEMENT = 0.5
"""Median cosine of arrows (halves of the genes, steady state) below which they do not agree."""


@dataclass(frozen=True)
class Verdict:
    """How far the velocities of a run are supported; see :func:`verdict`.

    Attributes
    ----------
    support
        Of the run as a whole.
    reasons
        Why, in sentences, the weightiest first.
    advice
        What to do next, in sentences.
    groups
        Row for each group: ``n_cells``, ``share_above_null`` (of genes, 0 to 1; 0.05 by chance),
        ``gene_halves`` and ``steady_state`` (median cosines), NaN where unknown, ``support`` and
        ``reason``; empty without groups.
    """

    support: Support
    reasons: tuple[str, ...]
    advice: tuple[str, ...]
    groups: pd.DataFrame

    def of_cells(self, labels: Sequence[Any] | np.ndarray) -> pd.Categorical[Any]:
        """Support of each cell, (cells,): that of its group, or of the run without one."""
        own = {name: str(row["support"]) for name, row in self.groups.iterrows()}
        found = [own.get(str(label), self.support) for label in labels]
        return pd.Categorical(found, categories=list(SUPPORTS))

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""

        def known(value: float) -> float | None:
            return round(float(value), 4) if np.isfinite(value) else None

        numbers = ("share_above_null", "gene_halves", "steady_state")
        return {
            "support": self.support,
            "reasons": list(self.reasons),
            "advice": list(self.advice),
            "groups": [
                {
                    "group": str(name),
                    "n_cells": int(row["n_cells"]),
                    **{number: known(row[number]) for number in numbers},
                    "support": str(row["support"]),
                    "reason": str(row["reason"]),
                }
                for name, row in self.groups.iterrows()
            ],
        }


def verdict(
    signal: VelocitySignal | None,
    *,
    gene_halves: np.ndarray,
    steady_state: np.ndarray,
    flow: GroupFlow | None = None,
    labels: Sequence[Any] | np.ndarray | None = None,
    known_directions: Sequence[tuple[str, str]] = (),
) -> Verdict:
    """Judge the velocities of a run by one rule.

    *Cannot tell*: the counts could not be looked into, or too few cells or genes could be
    compared. *No evidence*: they hold no velocity beyond chance, or halves of the genes contradict
    each other. *Supported*: the signal is clear, arrows of halves of the genes agree with each
    other and with those of the steady-state model (medians of at least 0.5), and something beside
    the fit speaks for the direction: two or more known directions are found and none is
    contradicted, or none is stated and ways part from one another. *Weak*: all others. A signal
    alone fixes no direction, because cells whose unspliced counts are mirrored hold as much of it
    and are fitted as well.

    A group is judged by the same rule on its own cells, and never better than the run.

    Parameters
    ----------
    signal
        What the counts say of velocity; None when they could not be looked into.
    gene_halves
        :func:`gene_half_agreement`, (cells,); NaN where unknown.
    steady_state
        Cosine between each cell's arrow and that of the steady-state model, (cells,).
    flow
        Between groups; without, nothing speaks for a direction.
    labels
        Group of each cell, (cells,).
    known_directions
        Pairs of groups (source, target) whose direction is known from elsewhere.

    Returns
    -------
    Verdict

    Examples
    --------
    >>> import numpy as np
    >>> from velovi import simulate
    >>> from velovi.evidence import velocity_signal, verdict
    >>> cells = simulate(400, 60, seed=1)
    >>> found = velocity_signal(cells, label_column="clusters")
    >>> verdict(found, gene_halves=np.ones(400), steady_state=np.ones(400)).support
    'weak'
    """
    halves, steady = _median(gene_halves), _median(steady_state)
    support, reasons, advice = _of_run(signal, halves, steady, flow, tuple(known_directions))
    groups = _groups(support, signal, gene_halves, steady_state, labels)
    return Verdict(support, tuple(reasons), tuple(advice), groups)


def _median(values: np.ndarray) -> float:
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    return float(np.median(known)) if len(known) else float("nan")


def _of_run(
    signal: VelocitySignal | None,
    halves: float,
    steady: float,
    flow: GroupFlow | None,
    known: tuple[tuple[str, str], ...],
) -> tuple[Support, list[str], list[str]]:
    if signal is None:
        why = "The counts could not be looked into, so nothing says what the arrows rest on."
        return "cannot tell", [why], ["Give a file with counts of spliced and unspliced molecules."]
    if signal.strength == "cannot tell":
        return (
            "cannot tell",
            [signal.sentence],
            ["Take more cells of the same kind, or read the map as a drawing, not as a finding."],
        )
    if signal.strength == "none":
        return (
            "no evidence",
            [signal.sentence],
            [
                "Do not read directions or time from this run. More cells or deeper sequencing may "
                "help; for probe kits and other protocols without introns nothing will."
            ],
        )
    reasons: list[str] = [signal.sentence]
    advice: list[str] = []
    agree = True
    for name, value in (
        ("two random halves of the genes", halves),
        ("the steady-state model", steady),
    ):
        other = "each other" if name.startswith("two") else "those of veloVI"
        told = (
            f"arrows of {name} agree with {other}"
            if value >= LEAST_AGREEMENT
            else (f"arrows of {name} do not agree with {other}")
        )
        if np.isfinite(value):
            reasons.append(f"{told[0].upper()}{told[1:]} (median cosine {value:.2f}).")
        agree = agree and value >= LEAST_AGREEMENT
    if np.isfinite(halves) and halves < 0:
        return (
            "no evidence",
            reasons,
            ["Look at the genes one by one before any direction is read."],
        )
    fixed = _direction(flow, known, reasons, advice)
    if signal.strength == "clear" and agree and fixed:
        return (
            "supported",
            reasons,
            ["Read the directions of supported groups; look at the others' reasons."],
        )
    if signal.strength != "clear":
        advice.append("More cells or deeper sequencing would make the signal clearer.")
    return "weak", reasons, [*advice, "Read directions only where other knowledge says the same."]


def _direction(
    flow: GroupFlow | None,
    known: tuple[tuple[str, str], ...],
    reasons: list[str],
    advice: list[str],
) -> bool:
    """Whether something beside the fit speaks for the direction; says what."""
    if flow is None:
        reasons.append(
            "Without groups nothing beside the fit speaks for the direction of the arrows."
        )
        advice.append("Give the cells groups, and state a direction that you know.")
        return False
    if known:
        words = flow.agreement(known)
        contradicted = [
            pair for pair, word in zip(known, words, strict=True) if word == "contradicts"
        ]
        found = words.count("agrees")
        told = f"Of {len(known)} directions that you know, {found} are found"
        if contradicted:
            pairs = ", ".join(f"{source} to {target}" for source, target in contradicted)
            reasons.append(f"{told}, and {pairs} is contradicted: arrows may be reversed.")
            return False
        reasons.append(f"{told} and none is contradicted.")
        return found >= 2
    branching = flow.branching
    if branching == "parts":
        starts, ends = _listed(flow.starts), _listed(flow.ends)
        reasons.append(f"Ways part, as differentiation does: from {starts} to {ends}.")
        return True
    if branching == "joins":
        starts, ends = _listed(flow.starts), _listed(flow.ends)
        reasons.append(
            f"Ways join: arrows lead from {starts} into {ends}. Cells of one kind become several "
            "more often than the reverse, so the direction may be reversed."
        )
    else:
        reasons.append(
            "Nothing in the map fixes the direction: a signal in the counts looks the same "
            "forwards and backwards."
        )
    advice.append("State two directions that you know on the Evidence page.")
    return False


def _listed(groups: Sequence[str]) -> str:
    return ", ".join(groups) or "no group"


def _groups(
    run: Support,
    signal: VelocitySignal | None,
    gene_halves: np.ndarray,
    steady_state: np.ndarray,
    labels: Sequence[Any] | np.ndarray | None,
) -> pd.DataFrame:
    columns = ["n_cells", "share_above_null", "gene_halves", "steady_state", "support", "reason"]
    if labels is None:
        return pd.DataFrame(columns=columns)
    names = pd.Categorical(labels).rename_categories(str)
    rows = {}
    for name in names.categories:
        own = np.asarray(names == name)
        looked = signal is not None and name in signal.groups.index
        row = signal.groups.loc[name] if signal is not None and looked else None
        halves, steady = _median(gene_halves[own]), _median(steady_state[own])
        share = float("nan") if row is None else float(row["share_above_null"])
        few = row is not None and row["strength"] == "cannot tell"
        support, reason = _of_group(run, share, few, halves, steady)
        rows[name] = (int(own.sum()), share, halves, steady, support, reason)
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _of_group(
    run: Support, share: float, few: bool, halves: float, steady: float
) -> tuple[Support, str]:
    if run in ("no evidence", "cannot tell"):
        return run, "As the run as a whole."
    if not np.isfinite(share):
        return "cannot tell", f"Fewer than {FEWEST_IN_GROUP} of its cells could be compared."
    told = f"{100 * share:.0f} % of genes above chance (5 % without velocity)"
    if share < SOME and few:
        return "cannot tell", f"{told}, of too few cells to call that an absence."
    if share < SOME:
        return "no evidence", f"{told}: no more than chance would give."
    if halves < 0:
        return "no evidence", f"{told}, but halves of the genes point against each other."
    if share < CLEAR:
        return "weak", f"{told}: some signal."
    if not (halves >= LEAST_AGREEMENT and steady >= LEAST_AGREEMENT):
        return "weak", f"{told}, but arrows of other genes or of the steady-state model disagree."
    return run, f"{told}; other genes and the steady-state model agree."
