"""veloVI: RNA velocity with a deep generative model that says how sure it is.

Public names load on first use, so that ``import velovi`` costs nothing and a web process that
only reads finished runs never imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "VELOVAE",
    "VELOVI",
    "RunOptions",
    "VeloviError",
    "__version__",
    "fast_schedule",
    "pl",
    "preprocess",
    "preprocess_data",
    "read",
    "simulate",
]

_HOMES = {
    "VELOVI": "velovi.model.api",
    "VELOVAE": "velovi.model.module",
    "preprocess": "velovi.preprocessing",
    "preprocess_data": "velovi.scaling",
    "read": "velovi.data.read",
    "simulate": "velovi.data.simulate",
    "RunOptions": "velovi.config",
    "fast_schedule": "velovi.schedule",
    "VeloviError": "velovi.errors",
}

if TYPE_CHECKING:
    from velovi import pl
    from velovi.config import RunOptions
    from velovi.data.read import read
    from velovi.data.simulate import simulate
    from velovi.errors import VeloviError
    from velovi.model.api import VELOVI
    from velovi.model.module import VELOVAE
    from velovi.preprocessing import preprocess
    from velovi.scaling import preprocess_data
    from velovi.schedule import fast_schedule


def __getattr__(name: str) -> Any:
    if name == "pl":
        return import_module("velovi.pl")
    if name not in _HOMES:
        raise AttributeError(f"module 'velovi' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
