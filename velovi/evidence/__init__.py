"""What velocity's numbers are worth: data without velocity and measures that tell it apart."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# the pages judge what was worked out elsewhere, and need no compiled loops for it
_HOMES = {
    "Evidence": "assessment",
    "assess": "assessment",
    "direction_error": "direction",
    "direction_features": "direction",
    "GroupFlow": "flow",
    "against_time": "flow",
    "at_both_ends": "flow",
    "group_flow": "flow",
    "gene_half_agreement": "gene_halves",
    "gene_half_arrows": "gene_halves",
    "count_split": "nulls",
    "counts_of_fit": "rates",
    "rate_recovery": "rates",
    "Reliability": "reliability",
    "residual_reliability": "reliability",
    "VelocitySignal": "signal_in_counts",
    "velocity_signal": "signal_in_counts",
    "steady_state_gamma": "steady_state",
    "steady_state_velocity": "steady_state",
    "Verdict": "support",
    "verdict": "support",
}

if TYPE_CHECKING:
    from velovi.evidence.assessment import Evidence, assess
    from velovi.evidence.direction import direction_error, direction_features
    from velovi.evidence.flow import GroupFlow, against_time, at_both_ends, group_flow
    from velovi.evidence.gene_halves import gene_half_agreement, gene_half_arrows
    from velovi.evidence.nulls import count_split
    from velovi.evidence.rates import counts_of_fit, rate_recovery
    from velovi.evidence.reliability import Reliability, residual_reliability
    from velovi.evidence.signal_in_counts import VelocitySignal, velocity_signal
    from velovi.evidence.steady_state import steady_state_gamma, steady_state_velocity
    from velovi.evidence.support import Verdict, verdict

__all__ = [
    "Evidence",
    "GroupFlow",
    "Reliability",
    "VelocitySignal",
    "Verdict",
    "against_time",
    "assess",
    "at_both_ends",
    "count_split",
    "counts_of_fit",
    "direction_error",
    "direction_features",
    "gene_half_agreement",
    "gene_half_arrows",
    "group_flow",
    "rate_recovery",
    "residual_reliability",
    "steady_state_gamma",
    "steady_state_velocity",
    "velocity_signal",
    "verdict",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'velovi.evidence' has no attribute {name!r}")
    return getattr(import_module(f"velovi.evidence.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
