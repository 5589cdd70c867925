"""What velocity's numbers are worth: data without velocity and measures that tell it apart."""

from velovi.evidence.gene_halves import gene_half_agreement
from velovi.evidence.nulls import count_split
from velovi.evidence.reliability import Reliability, residual_reliability
from velovi.evidence.signal_in_counts import VelocitySignal, velocity_signal

__all__ = [
    "Reliability",
    "VelocitySignal",
    "count_split",
    "gene_half_agreement",
    "residual_reliability",
    "velocity_signal",
]
