"""The evidence that a result keeps, judged again with directions that a reader knows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, get_args

import numpy as np
import pandas as pd

from velovi.evidence.flow import GroupFlow
from velovi.evidence.numbers import NUMBERS
from velovi.evidence.rates import recovery_from_dict
from velovi.evidence.strength import Strength
from velovi.evidence.support import Support, Verdict, verdict
from velovi.numerics.vectors import rank_percent
from velovi.runs.files import number, text

__all__ = ["NUMBERS", "EvidenceSummary", "GroupFlow", "Support", "Verdict", "rank_percent"]


@dataclass(frozen=True)
class NullSummary:
    """What the same cells without velocity gave: how many, their numbers, and their flow."""

    n_cells: int
    n_genes: int
    numbers: Mapping[str, float]
    flow: GroupFlow | None


@dataclass(frozen=True)
class EvidenceSummary:
    """What a run found out about its own velocities.

    Attributes
    ----------
    embedding, label_column
        Where arrows were compared, and which groups; None without groups.
    numbers
        Those of :data:`NUMBERS`, NaN where unknown.
    null
        The same without velocity; None when the run did not look.
    flow
        Between groups; None without groups.
    contradictions
        What does not go together, in sentences.
    signal
        What the counts say, as :meth:`velovi.evidence.VelocitySignal.to_dict` tells it.
    groups
        Row for each group: ``n_cells``, ``gene_halves`` and ``steady_state``.
    why_no_null
        In a sentence; empty when there is one, or when none was asked for.
    """

    embedding: str
    label_column: str | None
    numbers: Mapping[str, float]
    null: NullSummary | None
    flow: GroupFlow | None
    contradictions: tuple[str, ...]
    signal: Mapping[str, Any] | None
    groups: pd.DataFrame
    why_no_null: str = ""

    @classmethod
    def from_details(cls, details: Mapping[str, Any]) -> Self | None:
        """From ``uns["velovi"]`` of a result; None for results of before, or when damaged."""
        if "evidence" not in details:
            return None
        try:
            kept = json.loads(str(details["evidence"]))
            signal = details.get("velocity_signal")
            null = kept.get("null")
            column = kept["label_column"]
            without = None if null is None else _flow(null["flow"])
            found = cls(
                embedding=text(kept["embedding"]),
                label_column=None if column is None else _string(column),
                numbers=_numbers(kept["numbers"]),
                null=None
                if null is None
                else NullSummary(
                    int(number(null["n_cells"])),
                    int(number(null["n_genes"])),
                    _numbers(null["numbers"]),
                    without,
                ),
                flow=_flow(kept["flow"]),
                contradictions=tuple(map(text, kept["contradictions"])),
                signal=None if signal is None else _signal(json.loads(str(signal))),
                groups=_groups(kept["verdict"]["groups"]),
                why_no_null=text(kept.get("why_no_null")),
            )
            found.verdict()  # which reads everything
        except Exception:  # noqa: BLE001 - what is damaged can be of any kind and depth
            return None
        return found

    @property
    def flow_beyond_null(self) -> GroupFlow | None:
        """Flow in which directions that the null has as well are not clear."""
        null = None if self.null is None else self.null.flow
        return None if self.flow is None else self.flow.beyond(null)

    def verdict(self, known_directions: Sequence[tuple[str, str]] = ()) -> Verdict:
        """Judge by the rule of :func:`velovi.evidence.verdict`, with what a reader knows.

        Directions of groups that this result has not are left out.
        """
        there = set(() if self.flow is None else self.flow.labels)
        known = [pair for pair in known_directions if set(pair) <= there]
        return verdict(
            self.signal,
            gene_halves=self.numbers.get("gene_half_agreement", np.nan),
            steady_state=self.numbers.get("agreement_stochastic", np.nan),
            flow=self.flow,
            groups=None if self.label_column is None else self.groups,
            known_directions=known,
            null_flow=None if self.null is None else self.null.flow,
            null_gene_halves=np.nan
            if self.null is None
            else self.null.numbers["gene_half_agreement"],
        )


def kept_rate_recovery(details: Mapping[str, Any]) -> pd.DataFrame | None:
    """Which rates were found again, as :func:`velovi.evidence.rate_recovery` tells it.

    From ``uns["velovi"]`` of a result; None when it was not checked, or when damaged.
    """
    try:
        found = recovery_from_dict(json.loads(str(details["rates"])))
        numbers = found[["spearman", "low", "high", "rank_error"]].astype(float)
        told = [value is True for value in found["identified"]]
    except Exception:  # noqa: BLE001 - what is damaged can be of any kind and depth
        return None
    return numbers.assign(identified=told)


def _string(kept: Any) -> str:
    if not isinstance(kept, str):
        raise TypeError(type(kept).__name__)
    return kept


def _signal(kept: Any) -> dict[str, Any]:
    """What is kept of the counts, once its parts are of their kinds."""
    if _string(kept["strength"]) not in get_args(Strength):
        raise ValueError(kept["strength"])
    _string(kept["sentence"])
    for row in kept["groups"]:
        _string(row["group"])
        _string(row["strength"])
        number(row["share_above_null"], float("nan"))
    return dict(kept)


def _numbers(kept: Mapping[str, Any]) -> dict[str, float]:
    return {name: number(kept.get(name), float("nan")) for name in NUMBERS}


def _flow(kept: Mapping[str, Any] | None) -> GroupFlow | None:
    return None if kept is None else GroupFlow.from_dict(kept)


def _groups(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    columns = ["n_cells", "gene_halves", "steady_state"]
    table = {
        text(row["group"]): [number(row.get(name), float("nan")) for name in columns]
        for row in rows
    }
    return pd.DataFrame.from_dict(table, orient="index", columns=columns)
