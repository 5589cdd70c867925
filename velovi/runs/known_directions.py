"""Directions between groups that a reader knows, kept in the workspace for each run."""

from __future__ import annotations

from collections.abc import Sequence

from velovi.errors import DataError
from velovi.runs.files import make_folder, read_json_object, write_json
from velovi.runs.workspace import Workspace

Direction = tuple[str, str]


class KnownDirections:
    """Pairs of groups, from the earlier to the later, of one run.

    Parameters
    ----------
    workspace
        Where they are kept, in ``known_directions/<run id>``.
    run_id
        The run whose groups they name.
    """

    def __init__(self, workspace: Workspace, run_id: str) -> None:
        self._folder = workspace.of_run("known_directions", run_id)
        self._path = self._folder / "directions.json"

    def load(self) -> list[Direction]:
        """What is kept; nothing when there is none or it is damaged."""
        try:
            kept = read_json_object(self._path).get("directions", [])
            pairs = [(source, target) for source, target in kept]
        except (OSError, ValueError, TypeError):
            return []
        return [pair for pair in pairs if all(isinstance(name, str) for name in pair)]

    def save(self, directions: Sequence[Direction]) -> None:
        """Keep these in place of what was there.

        Raises
        ------
        DataError
            A direction leads from a group to itself, or is there both ways.
        StoreError
            The disk refuses.
        """
        wanted = list(dict.fromkeys(directions))
        for source, target in wanted:
            if source == target or (target, source) in wanted:
                raise DataError(
                    "a direction leads from one group to another, one way",
                    where=f"{source} to {target}",
                    remedy="Take one of the two away",
                )
        make_folder(self._folder)
        write_json(self._path, {"directions": [list(pair) for pair in wanted]})
