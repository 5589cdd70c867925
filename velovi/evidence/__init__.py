"""What velocity's numbers are worth: data without velocity and measures that tell it apart."""

from velovi.evidence.assess import Evidence, assess
from velovi.evidence.flow import GroupFlow, against_time, at_both_ends, group_flow
from velovi.evidence.gene_halves import gene_half_agreement, gene_half_arrows
from velovi.evidence.nulls import count_split
from velovi.evidence.reliability import Reliability, residual_reliability
from velovi.evidence.signal_in_counts import VelocitySignal, velocity_signal
from velovi.evidence.steady_state import steady_state_gamma, steady_state_velocity
from velovi.evidence.verdict import Verdict, verdict

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
    "gene_half_agreement",
    "gene_half_arrows",
    "group_flow",
    "residual_reliability",
    "steady_state_gamma",
    "steady_state_velocity",
    "velocity_signal",
    "verdict",
]
