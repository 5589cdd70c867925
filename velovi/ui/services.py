"""What the pages talk to: the workspace, the launcher and the machine.

A test puts its own under the same name into the session state.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from velovi.data.formats import may_be_source, sources_below
from velovi.errors import DataError
from velovi.runs.workspace import Workspace
from velovi.ui.errors import show_errors

if TYPE_CHECKING:
    from velovi.runs.hardware import Hardware
    from velovi.runs.launch import LocalLauncher

LISTED_FILES = 300
log = logging.getLogger(__name__)


def get_workspace() -> Workspace:
    """The workspace that ``VELOVI_WORKSPACE`` names."""
    return Workspace()


def get_launcher() -> LocalLauncher:
    """The one launcher of this server for this workspace."""
    if "launcher" in st.session_state:
        return st.session_state["launcher"]
    return _launcher(str(get_workspace().root))


def advance_queue() -> None:
    """Start what waits, if there is room; a workspace that cannot be written to gets a sentence."""
    with show_errors():
        get_launcher().start_waiting_runs()


@st.cache_resource(show_spinner=False)
def _launcher(root: str) -> LocalLauncher:
    from velovi.runs.launch import LocalLauncher

    workspace = Workspace(root)
    left = workspace.tidy()
    if left:
        log.info("Removed what interrupted processes had left: %s", ", ".join(left))
    return LocalLauncher(workspace)


def get_hardware() -> Hardware:
    """Cores, memory and graphics card of the machine that trains."""
    if "hardware" in st.session_state:
        return st.session_state["hardware"]
    return _hardware()


@st.cache_resource(show_spinner=False)
def _hardware() -> Hardware:
    from velovi.runs.hardware import find_hardware

    return find_hardware()


def server_folders() -> list[Path]:
    """Folders of this server whose files may be opened: the environment's ``VELOVI_DATA``."""
    named = os.environ.get("VELOVI_DATA", "")
    found = [Path(part).expanduser().resolve() for part in named.split(os.pathsep) if part.strip()]
    return [item for item in found if item.is_dir()]


def server_files() -> list[str]:
    """Files and folders of counts in those folders, the first few hundred."""
    files: list[str] = []
    for folder in server_folders():
        files += map(str, sources_below(folder, LISTED_FILES - len(files)))
    return files


def server_file(text: str) -> Path:
    """A path that a user typed, once it is known to lie in an allowed folder.

    Raises
    ------
    DataError
        When it leads outside, also by way of ``..`` or a link, or is no file or folder of counts.
    """
    folders = server_folders()
    for candidate in _allowed(text, folders):
        if may_be_source(candidate):
            return candidate
    raise DataError(
        "this is no file or folder of counts that the app may open",
        where=text.strip()[:200] or "path",
        expected="one inside " + " or ".join(map(str, folders)),
        remedy="Check the path, or ask whoever runs the server to add the folder to VELOVI_DATA",
    )


def server_model(text: str, workspace: Workspace) -> Path:
    """Folder of a saved model that a user typed, once it is known to lie in an allowed folder.

    Raises
    ------
    DataError
        When it leads outside the allowed folders and the workspace's runs, or holds no model.
    """
    folders = [*server_folders(), workspace.runs_path]
    for candidate in _allowed(text, folders):
        if (candidate / "model.pt").is_file():
            return candidate
    raise DataError(
        "this is not a saved model that the app may open",
        where=text.strip()[:200] or "path",
        expected="a folder with model.pt inside " + " or ".join(map(str, folders)),
        remedy="Check the path, or ask whoever runs the server to add the folder to VELOVI_DATA",
    )


def _allowed(text: str, folders: list[Path]) -> list[Path]:
    """What a typed path may mean, links followed, inside the folders."""
    path = Path(text.strip()).expanduser()
    candidates = [path] if path.is_absolute() else [folder / path for folder in folders]
    resolved = [candidate.resolve() for candidate in candidates]
    return [item for item in resolved if any(item.is_relative_to(folder) for folder in folders)]
