"""What this machine has, found without loading torch."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache

import psutil


@dataclass(frozen=True)
class Hardware:
    """Cores that may be used, memory in gigabytes, and the graphics card's name if there is one."""

    cores: int
    memory_gb: float
    gpu: str | None

    @property
    def summary(self) -> str:
        """One phrase for people."""
        parts = [f"{self.cores} CPU core{'s' if self.cores != 1 else ''}"]
        parts += [f"{self.memory_gb:.0f} GB memory"]
        parts += [self.gpu or "no graphics card"]
        return ", ".join(parts)


@lru_cache(maxsize=1)
def find_hardware() -> Hardware:
    """Look once; the answer does not change while the app runs."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return Hardware(cores, psutil.virtual_memory().total / 2**30, _gpu())


def _gpu() -> str | None:
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return "Apple graphics (Metal)"
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    try:
        found = subprocess.run(
            [tool, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    names = found.stdout.strip().splitlines()
    return names[0] if names else None
