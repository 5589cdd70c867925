"""From velocities to directions: graph, transitions, projection, shared time and metrics.

Everything here takes and gives numpy arrays and scipy sparse matrices; nothing knows of AnnData,
scanpy or torch.
"""

from velovi.dynamics.confidence import velocity_confidence, velocity_length
from velovi.dynamics.expected_displacement import ExpectedDisplacements
from velovi.dynamics.graph import VelocityGraph, velocity_graph
from velovi.dynamics.latent_time import SharedTime, shared_latent_time
from velovi.dynamics.metrics import (
    EdgeScores,
    GroupScores,
    cbdir,
    in_cluster_coherence,
    transition_entropy,
    velocity_coherence,
)
from velovi.dynamics.projection import GridField, grid_field, project
from velovi.dynamics.transitions import transition_matrix

__all__ = [
    "EdgeScores",
    "ExpectedDisplacements",
    "GridField",
    "GroupScores",
    "SharedTime",
    "VelocityGraph",
    "cbdir",
    "grid_field",
    "in_cluster_coherence",
    "project",
    "shared_latent_time",
    "transition_entropy",
    "transition_matrix",
    "velocity_coherence",
    "velocity_confidence",
    "velocity_graph",
    "velocity_length",
]
