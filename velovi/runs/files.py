"""Files of a workspace: every write is whole or not there, every read expects damage.

A reader sees the old file or the new one. Whatever keeps a file from being written (a full disk, a
folder that may not be written to) becomes a :class:`StoreError` with a sentence for the user.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from velovi.errors import StoreError

PART = ".part"
"""How the names of files end that are being written; a killed process leaves them behind."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_MOST_BYTES_OF_JSON = 2**26
_CACHED_FILES = 20_000
_Signature = tuple[int, int, int]
_parsed: dict[str, tuple[_Signature, Any]] = {}
_parsed_lock = threading.Lock()


def store_error(error: OSError, path: Path) -> StoreError:
    """The sentence for a file that cannot be written.

    Parameters
    ----------
    error
        What the system said.
    path
        The file, or the folder that it was to lie in.

    Examples
    --------
    >>> full = OSError(errno.ENOSPC, "No space left on device")
    >>> str(store_error(full, Path("runs/a/spec.json"))).split(".")[0]
    'spec'
    """
    if isinstance(error, StoreError):
        return error
    where = path.name
    if error.errno in _FULL:
        return StoreError(
            "the disk of the workspace is full",
            where=where,
            found=_free_room(path),
            remedy="Delete runs or files that are not needed any more, then try again",
        )
    if error.errno in _FORBIDDEN:
        return StoreError(
            "the folder cannot be written to",
            where=where,
            expected=f"permission to write in {path.parent}",
            found=error.strerror or str(error),
            remedy="Change its permissions or choose another folder; VELOVI_WORKSPACE names the "
            "one that the app writes to",
        )
    return StoreError(
        "the file cannot be written",
        where=where,
        found=error.strerror or str(error),
        remedy="Check the name, the folder and the disk",
    )


def _free_room(path: Path) -> str:
    for folder in path.parents:
        with suppress(OSError):
            return f"{shutil.disk_usage(folder).free / 1e6:,.0f} MB free"
    return "no room"


@contextmanager
def told_as_store_error(path: Path) -> Iterator[None]:
    """Turn what the system says inside into the sentence of :func:`store_error`."""
    try:
        yield
    except OSError as error:
        raise store_error(error, path) from error


def write_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file beside its place, make sure that it is on the disk, and rename it there.

    Parameters
    ----------
    path
        The file; one of the same name is replaced.
    write
        Called with an open binary file.

    Raises
    ------
    StoreError
        The file could not be written; the old one is as it was and nothing is left beside it.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}{PART}")
    with told_as_store_error(path):
        try:
            with beside.open("wb") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())  # a full disk may be noticed only here
            beside.replace(path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file by these bytes; see :func:`write_file`."""
    write_file(path, lambda stream: stream.write(content))


def write_json(path: Path, value: Any) -> None:
    """Replace a file by a value as JSON; see :func:`write_file`."""
    write_bytes(path, json.dumps(value, indent=1).encode())


def make_folder(path: Path) -> None:
    """Make a folder and those above it; StoreError when that cannot be done."""
    if path.is_dir():
        return
    with told_as_store_error(path):
        path.mkdir(parents=True, exist_ok=True)


def read_json(path: Path) -> Any:
    """Parse one JSON file.

    Raises
    ------
    OSError
        The file is not there or cannot be read.
    ValueError
        Whatever is wrong with its contents: not UTF-8, not JSON, far too large or too deep.
    """
    with path.open("rb") as stream:
        content = stream.read(_MOST_BYTES_OF_JSON + 1)
    if len(content) > _MOST_BYTES_OF_JSON:
        raise ValueError("the file is far too large")
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("the file is nested too deeply") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object, parsed anew only when the file has changed.

    The same dictionary is given to everybody who asks: it is not to be changed.

    Raises
    ------
    OSError, ValueError
        As :func:`read_json`; ValueError too when it holds anything but an object.
    """
    key, signature = str(path), _signature(path)
    with _parsed_lock:
        known = _parsed.get(key)
    if known is None or known[0] != signature:
        value = read_json(path)
        known = signature, value if isinstance(value, dict) else None
        with _parsed_lock:
            if len(_parsed) >= _CACHED_FILES:
                _parsed.clear()
            _parsed[key] = known
    if known[1] is None:
        raise ValueError("the file holds no JSON object")
    return known[1]


def _signature(path: Path) -> _Signature:
    state = os.stat(path)  # noqa: PTH116 - called for every run of every page view
    return state.st_mtime_ns, state.st_size, state.st_ino


def number(value: Any, default: float = 0.0) -> float:
    """The value if it is a finite number, else the default.

    Examples
    --------
    >>> number(3), number("3"), number(float("nan")), number(True)
    (3.0, 0.0, 0.0, 0.0)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    try:
        return float(value) if math.isfinite(value) else default
    except OverflowError:  # a whole number of hundreds of digits
        return default


def text(value: Any, default: str = "") -> str:
    """The value if it is a text that can be shown and stored, else the default."""
    if not isinstance(value, str):
        return default
    return value.encode("utf-8", "replace").decode()


def leftovers(folder: Path) -> list[Path]:
    """Files and folders in a folder that a killed process was still writing."""
    try:
        return [path for path in folder.iterdir() if path.name.endswith(PART)]
    except OSError:
        return []


def remove(path: Path) -> None:
    """Remove a file, or a folder with all it holds; nothing happens when it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink()


class FolderLock:
    """The one process that may work in a folder.

    The system lets go of the lock when the process ends, however it ends.

    Parameters
    ----------
    path
        The file that is locked; it stays, empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Take the lock; False when another process holds it.

        Raises
        ------
        StoreError
            The file cannot be made.
        """
        with told_as_store_error(self._path):
            stream = self._path.open("ab")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            return False
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                stream.close()
                raise store_error(error, self._path) from error
            # a file system without locks: the notes of the folder have to do
        self._stream = stream
        return True

    def release(self) -> None:
        """Let go of the lock."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    @staticmethod
    def held(path: Path) -> bool:
        """Whether some process holds the lock now."""
        try:
            with path.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False
