"""Whether an HDF5 file holds what it declares, before anything of it is read."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from velovi.data.storable import clean_text
from velovi.errors import DataError

COPY_AGAIN = "Copy or download the file again and compare its size with the original."


_MOST_OBJECTS = 200_000


_BELIEVED = 2**20  # bytes that a dataset may declare without storing any


_DESCRIPTOR = 16  # bytes of each entry whose text lies elsewhere


_PACKED = (None, "gzip")


_MOST_PACKED = 2000  # no compression of HDF5 packs better than about a thousand to one


Node = Any
"""An ``h5py.Dataset`` or ``h5py.Group``; h5py has no types."""


def first_outside_link(file: h5py.File) -> str | None:
    """The first part of a file that is kept elsewhere; opening it could read any file here.

    Every object is looked at once, however many ways lead to it.

    Raises
    ------
    DataError
        The file has more parts than any file of cells.
    """
    seen: set[int] = set()
    waiting: list[tuple[h5py.Group, str]] = [(file, "")]
    while waiting:
        group, path = waiting.pop()
        for name in group:
            here = f"{path}/{clean_text(name)}"
            try:
                link = group.get(name, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    return here
                if isinstance(link, h5py.SoftLink):
                    continue  # leads to another place in the same file, looked at by itself
                node = group[name]
                address = int(h5py.h5o.get_info(node.id).addr)
            except (OSError, KeyError, RuntimeError, ValueError):
                continue  # a damaged part, which is told about if it is used
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > _MOST_OBJECTS:
                raise DataError(f"the file has more than {_MOST_OBJECTS:,} parts")
            if isinstance(node, h5py.Dataset):
                if node.external or node.is_virtual:
                    return here
            elif isinstance(node, h5py.Group):
                waiting.append((node, here))
    return None


def require_inside(file: h5py.File) -> None:
    """Raise DataError when a part of a file is kept in another file."""
    if (outside := first_outside_link(file)) is not None:
        raise DataError(
            f"the file takes {outside!r} from another file",
            where=Path(file.filename).name,
            remedy="Save the data into one file, and bring that",
        )


def require_stored(node: h5py.Dataset) -> None:
    """Raise DataError when a dataset declares far more than the file can hold."""
    if h5py.check_vlen_dtype(node.dtype) is not None or (
        (text := h5py.check_string_dtype(node.dtype)) is not None and text.length is None
    ):
        _require_texts_stored(node)
    size = int(node.size or 0)
    # a piece is read as a whole, however little of it is wanted
    piece = math.prod(map(int, node.chunks)) if node.chunks else 0
    declared = max(size, piece) * max(1, node.dtype.itemsize)
    if declared <= _BELIEVED:
        return
    stored = int(node.id.get_storage_size())
    if declared > _MOST_PACKED * stored:
        raise DataError(
            f"'{clean_text(node.name)}' declares {max(size, piece):,} values, but the file stores "
            f"only {stored:,} bytes of them",
            remedy=COPY_AGAIN,
        )


def _require_texts_stored(node: h5py.Dataset) -> None:
    """Raise DataError when texts declare more bytes than the file has.

    HDF5 believes the length of a text that lies elsewhere in the file and asks for as much memory.
    """
    holds = Path(node.file.filename).stat().st_size
    for descriptors in _text_descriptors(node):
        lengths = np.frombuffer(descriptors, dtype="<u4")[::4]
        longest = int(lengths.max(initial=0))
        if longest > holds or int(lengths.sum(dtype=np.int64)) > max(_BELIEVED, 4 * holds):
            raise DataError(
                f"'{clean_text(node.name)}' declares texts of {longest:,} bytes in a file of "
                f"{holds:,}",
                remedy=COPY_AGAIN,
            )


def _text_descriptors(node: h5py.Dataset) -> Iterator[bytes]:
    """Where a dataset's texts lie: 16 bytes for each, its length and a place in the heap.

    Nothing of a dataset that is stored in a way that nobody stores texts.
    """
    if node.file.userblock_size:
        return
    if node.chunks is None:
        start = node.id.get_offset()
        if start is not None:
            with Path(node.file.filename).open("rb") as file:
                file.seek(start)
                yield _whole_descriptors(file.read(_DESCRIPTOR * int(node.size)))
        return
    plain = node.compression is None
    if len(node.chunks) != 1 or node.shuffle or node.fletcher32 or node.compression not in _PACKED:
        return
    for first in range(0, int(node.size), node.chunks[0]):
        _, content = node.id.read_direct_chunk((first,))
        if not plain:
            content = zlib.decompressobj().decompress(content, _DESCRIPTOR * node.chunks[0])
        yield _whole_descriptors(content)


def _whole_descriptors(content: bytes) -> bytes:
    return content[: len(content) // _DESCRIPTOR * _DESCRIPTOR]


def require_stored_below(node: Node) -> None:
    """Raise DataError when anything below a part declares far more than the file can hold."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        part = waiting.pop()
        address = int(h5py.h5o.get_info(part.id).addr)
        if address in seen:
            # what is reached by two ways would be read twice, and by thirty pairs of ways for ever
            raise DataError("it holds the same part more than once")
        seen.add(address)
        if isinstance(part, h5py.Dataset):
            require_stored(part)
        elif isinstance(part, h5py.Group):
            waiting += [part[name] for name in part]
