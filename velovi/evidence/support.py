"""May these arrows be believed? One rule over all evidence, with its reasons in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from velovi.evidence.flow import GroupFlow
from velovi.evidence.strength import CLEAR, FEWEST_IN_GROUP, SOME

Support = Literal["supported", "weak", "no evidence", "cannot tell"]
SUPPORTS: tuple[Support, ...] = ("supported", "weak", "no evidence", "cannot tell")
LEAST_AGREEMENT = 0.5
"""Median cosine of arrows (halves of the genes, steady state) below which they do not agree."""
_ABOVE_NULL, _ENOUGH_KNOWN = 0.1, 2


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
    signal: Mapping[str, Any] | None,
    *,
    gene_halves: float,
    steady_state: float,
    flow: GroupFlow | None = None,
    groups: pd.DataFrame | None = None,
    known_directions: Sequence[tuple[str, str]] = (),
    null_gene_halves: float = math.nan,
    null_flow: GroupFlow | None = None,
) -> Verdict:
    """Judge the velocities of a run by one rule.

    *Cannot tell*: the counts could not be looked into, or too few cells or genes could be
    compared. *No evidence*: they hold no velocity beyond chance, or halves of the genes contradict
    each other. *Supported*: the signal is clear, arrows of halves of the genes agree with each
    other and with those of the steady-state model (medians of at least 0.5, and those of halves at
    least 0.1 above the null's, where there is one), and something beside the fit speaks for the
    direction: no known direction is contradicted, and two are found, or ways part from one
    another and no known direction is missed. *Weak*: all others. A signal
    alone fixes no direction, because cells whose unspliced counts are mirrored hold as much of it
    and are fitted as well.

    A group is judged by the same rule on its own cells, and never better than the run; in a
    supported run *some* signal is enough for a group, which has fewer cells to show it.

    Parameters
    ----------
    signal
        What the counts say of velocity, as :meth:`VelocitySignal.to_dict` gives it; None when they
        could not be looked into.
    gene_halves
        Median over cells of :func:`gene_half_agreement`; NaN where unknown.
    steady_state
        Median cosine between the arrows of cells and those of the steady-state model.
    flow
        Between groups; without, nothing speaks for a direction.
    groups
        Row for each group: ``n_cells``, ``gene_halves`` and ``steady_state``, the medians of its
        own cells.
    known_directions
        Pairs of groups (source, target) whose direction is known from elsewhere.
    null_gene_halves
        ``gene_halves`` of the same cells without velocity; NaN where nobody looked.
    null_flow
        Their flow; a known direction that they have as well counts as not found.

    Returns
    -------
    Verdict

    Examples
    --------
    >>> from velovi import simulate
    >>> from velovi.evidence import velocity_signal, verdict
    >>> found = velocity_signal(simulate(400, 60, seed=1), label_column="clusters")
    >>> verdict(found.to_dict(), gene_halves=0.9, steady_state=0.9).support
    'weak'
    """
    known = tuple(known_directions)
    support, reasons, advice = _of_run(
        signal, (gene_halves, null_gene_halves), steady_state, (flow, null_flow), known
    )
    return Verdict(support, tuple(reasons), tuple(advice), _groups(support, signal, groups))


def _of_run(
    signal: Mapping[str, Any] | None,
    halves: tuple[float, float],
    steady: float,
    flows: tuple[GroupFlow | None, GroupFlow | None],
    known: tuple[tuple[str, str], ...],
) -> tuple[Support, list[str], list[str]]:
    if signal is None:
        why = "The counts could not be looked into, so nothing says what the arrows rest on."
        return "cannot tell", [why], ["Give a file with counts of spliced and unspliced molecules."]
    if signal["strength"] == "cannot tell":
        return (
            "cannot tell",
            [str(signal["sentence"])],
            [
                "Take more cells of the same kind, or read the map as a drawing, not as a finding."
                if signal.get("counted", True)
                else "Give a file with counts of spliced and unspliced molecules."
            ],
        )
    if signal["strength"] == "none":
        return (
            "no evidence",
            [str(signal["sentence"])],
            [
                "Do not read directions or time from this run. More cells or deeper sequencing may "
                "help; for probe kits and other protocols without introns nothing will."
            ],
        )
    reasons: list[str] = [str(signal["sentence"])]
    advice: list[str] = []
    own, of_null = halves
    agree = _agrees("two random halves of the genes", "each other", own, of_null, reasons)
    agree &= _agrees("the steady-state model", "those of veloVI", steady, math.nan, reasons)
    if own < 0:
        return (
            "no evidence",
            reasons,
            ["Look at the genes one by one before any direction is read."],
        )
    fixed = _direction(*flows, known, reasons, advice)
    if signal["strength"] == "clear" and agree and fixed:
        return (
            "supported",
            reasons,
            ["Read the directions of supported groups; look at the others' reasons."],
        )
    if signal["strength"] != "clear":
        advice.append("More cells or deeper sequencing would make the signal clearer.")
    return "weak", reasons, [*advice, "Read directions only where other knowledge says the same."]


def _agrees(whose: str, other: str, value: float, null: float, reasons: list[str]) -> bool:
    """Whether arrows agree, beside the null where there is one; says how."""
    if not math.isfinite(value):
        reasons.append(f"Arrows of {whose} could not be compared with {other}.")
        return False
    enough = value >= LEAST_AGREEMENT and not value < null + _ABOVE_NULL
    told = "agree" if enough else "do not agree"
    beside = f"; {null:.2f} without velocity" if math.isfinite(null) else ""
    reasons.append(f"Arrows of {whose} {told} with {other} (median cosine {value:.2f}{beside}).")
    return enough


def _direction(
    flow: GroupFlow | None,
    null: GroupFlow | None,
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
    missed = False
    if known:
        words = flow.beyond(null).agreement(known)
        contradicted = [
            pair for pair, word in zip(known, words, strict=True) if word == "contradicts"
        ]
        found, apart = words.count("agrees"), words.count("apart")
        told = f"Directions that you know: {found} of {len(known)} found"
        if apart:
            told += f", {apart} between groups that do not touch, of which nothing can be told"
        if contradicted:
            pairs = ", ".join(f"{source} to {target}" for source, target in contradicted)
            reasons.append(f"{told}, and {pairs} is contradicted: arrows may be reversed.")
            return False
        reasons.append(f"{told}, and none is contradicted; two that are found decide.")
        if found >= _ENOUGH_KNOWN:
            return True
        missed = found + apart < len(known)
    branching = flow.branching
    if branching == "parts" and missed:
        reasons.append(
            "Ways part, but a direction that you know and that is not found weighs more."
        )
    elif branching == "parts":
        starts, ends = _listed(flow.starts), _listed(flow.ends)
        reasons.append(f"Ways part, as differentiation does: from {starts} to {ends}.")
        return True
    elif branching == "joins":
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
    advice.append("State two directions that you know, of groups that touch, on the Evidence page.")
    return False


def _listed(groups: Sequence[str]) -> str:
    return ", ".join(name or "(no name)" for name in groups) if groups else "no group"


def _groups(
    run: Support, signal: Mapping[str, Any] | None, groups: pd.DataFrame | None
) -> pd.DataFrame:
    columns = ["n_cells", "share_above_null", "gene_halves", "steady_state", "support", "reason"]
    looked = {} if signal is None else {str(row["group"]): row for row in signal["groups"]}
    rows: dict[str, tuple[Any, ...]] = {}
    for name, row in ({} if groups is None else groups.T.to_dict()).items():
        found = looked.get(str(name), {})
        share = found.get("share_above_null")
        share = float("nan") if share is None else float(share)
        few = found.get("strength") == "cannot tell"
        halves, steady = float(row["gene_halves"]), float(row["steady_state"])
        judged = _of_group(run, int(row["n_cells"]), share, few, halves, steady)
        rows[str(name)] = (int(row["n_cells"]), share, halves, steady, *judged)
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _of_group(
    run: Support, n_cells: int, share: float, few: bool, halves: float, steady: float
) -> tuple[Support, str]:
    if run in ("no evidence", "cannot tell"):
        return run, "As the run as a whole."
    if not math.isfinite(share):
        return "cannot tell", (
            f"Fewer than {FEWEST_IN_GROUP} of its cells could be compared."
            if n_cells < 2 * FEWEST_IN_GROUP
            else "Its counts were not looked into by themselves."
        )
    told = f"{100 * share:.0f} % of genes above chance"
    if share < SOME and few:
        return "cannot tell", f"{told}, of too few cells to call that an absence."
    if share < SOME:
        return "no evidence", f"{told}: no more than chance would give."
    if halves < 0:
        return "no evidence", f"{told}, but halves of the genes point against each other."
    if share < CLEAR and run != "supported":
        return "weak", f"{told}: some signal."
    if not (math.isfinite(halves) and math.isfinite(steady)):
        return "weak", f"{told}, but its arrows could not be compared."
    if min(halves, steady) < LEAST_AGREEMENT:
        return "weak", f"{told}, but arrows of other genes or of the steady-state model disagree."
    agree = f"{told}; other genes and the steady-state model agree"
    return run, f"{agree}, but the run as a whole is weak." if run == "weak" else f"{agree}."
